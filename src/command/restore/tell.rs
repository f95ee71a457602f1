//! What people are told and asked: before, and after.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::time::Duration;

use serde_json::json;

use super::Part;
use crate::cli::RestoreArgs;
use crate::command::answer::answer;
use crate::command::output::Output;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::Extracted;
use crate::printable::{counted, human_bytes, printable_path};
use crate::restore::{Amount, Recovered};
use crate::stop::Stop;

/// Say what became of a restore that had been interrupted.
pub fn recovered(what: Recovered) {
    let (done, folder) = match what {
        Recovered::Finished(folder) => ("finished", folder),
        Recovered::Undone(folder) => ("undone", folder),
    };
    log::warn!("a restore had been interrupted, and was {done}: {}", printable_path(&folder));
}

/// Show what will happen, and ask.
///
/// # Errors
/// If the answer is no, or nobody is there to give one.
pub fn confirmed(args: &RestoreArgs, heading: &str, parts: &[Part], stop: &Stop) -> Result<bool> {
    let mut text = format!("{heading}\n");
    for part in parts {
        let _ = writeln!(
            text,
            "  {}, {} to {}{}",
            counted(part.amount.entries, "entry", "entries"),
            human_bytes(part.amount.bytes),
            printable_path(&part.target),
            match (args.force, args.delete, part.selection.extent()) {
                (_, true, None) => ", where everything else is removed",
                (_, true, Some(_)) =>
                    ", in the place of what has the same names there; what else is in them is removed",
                (true, ..) => ", in the place of what has the same names there",
                _ => "",
            }
        );
    }
    let _ = stderr().write_all(text.as_bytes());
    if args.dry_run {
        if args.json {
            let part = |part: &Part| {
                let Amount { entries, bytes, .. } = part.amount;
                json!({ "target": printable_path(&part.target), "entries": entries, "bytes": bytes })
            };
            let parts: Vec<_> = parts.iter().map(part).collect();
            let mut output = Output::until(stop)?;
            output.json(&json!({ "dry_run": true, "parts": parts }))?;
            output.finish()?;
        }
        return Ok(false);
    }
    if args.yes || !args.force {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        return Err(Error::usage("this replaces files, and nobody is there to ask: --yes says that it may"));
    }
    if matches!(answer("go on? [y/N] ", stop)?.as_str(), "y" | "Y" | "yes") {
        return Ok(true);
    }
    Err(Error::failed("not confirmed; nothing was touched"))
}

/// Say what came of it. `remedy` is what to do to have metadata that was not applied.
///
/// # Errors
/// If standard output cannot be written to.
pub fn done(
    args: &RestoreArgs,
    parts: &[Part],
    extracted: &Extracted,
    (took, stop): (Duration, &Stop),
    remedy: &str,
) -> Result<Exit> {
    if args.json {
        let targets: Vec<_> = parts.iter().map(|part| printable_path(&part.target)).collect();
        let mut output = Output::until(stop)?;
        output.json(&json!({ "targets": targets, "restored": extracted, "seconds": took.as_secs_f64() }))?;
        output.finish()?;
    } else {
        let partial = match extracted.partial.count {
            0 => String::new(),
            count => format!(", {count} of them in part"),
        };
        let text = format!(
            "restored {}, {}{partial} in {:.1} s\n",
            counted(extracted.entries, "entry", "entries"),
            human_bytes(extracted.bytes),
            took.as_secs_f64()
        );
        let _ = stderr().write_all(text.as_bytes());
    }
    if let Some(sentence) = extracted.unapplied.sentence(remedy) {
        log::warn!("{sentence}");
    }
    let mut exit = Exit::Complete;
    if let Some(cut) = &extracted.cut {
        exit = Exit::Damaged;
        log::warn!("{cut}");
    }
    for (named, what, as_exit) in [
        (&extracted.refused, "refused; --trust takes it all", Exit::Incomplete),
        (&extracted.partial, "restored in part only: the rest of it is lost", Exit::Damaged),
        (&extracted.lost, "lost", Exit::Damaged),
    ] {
        if named.count == 0 {
            continue;
        }
        exit = exit.worse(as_exit);
        log::warn!("{} {what}", counted(named.count, "entry was", "entries were"));
        named.names.iter().for_each(|name| log::warn!("  {name}"));
        let more = named.count - named.names.len() as u64;
        if more > 0 {
            log::warn!("  and {more} more");
        }
    }
    Ok(exit)
}
