//! What people are told and asked: before, and after.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};
use std::time::Instant;

use serde_json::json;

use super::Plan;
use crate::cli::ResetArgs;
use crate::command::answer::answer;
use crate::command::output::Output;
use crate::config::Job;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job::Made;
use crate::printable::{counted, human_bytes, printable_path};
use crate::report::Noted;
use crate::reset::{Emptied, Part, is_empty};
use crate::stop::Stop;

/// How many names of what stays are shown.
const NAMES_SHOWN: usize = 10;

/// Say what will happen.
pub fn summary(args: &ResetArgs, job: &Job, plan: &Plan, stop: &Stop) -> Result<()> {
    let mut text = format!("reset of job {}\n", job.name);
    for ((source, _), there) in plan.sources.iter().zip(&plan.there) {
        for (part, what) in [(&there.goes, "go from"), (&there.stays, "stay in")] {
            if part.entries > 0 {
                let names = part.shown();
                let _ = writeln!(
                    text,
                    "  {}, {} {what} {}{}{names}",
                    counted(part.entries, "entry", "entries"),
                    human_bytes(part.bytes),
                    printable_path(&source.path),
                    if names.is_empty() { "" } else { ": " }
                );
            }
        }
    }
    for path in &job.sources {
        if plan.sources.iter().all(|(source, _)| source.path != *path) && is_empty(path).unwrap_or(false) {
            let _ = writeln!(text, "  there is nothing in {}", printable_path(path));
        }
    }
    if plan.sum(|there| there.stays.entries) > 0 {
        text += "  what stays is left out by the job, so no archive has it; --no-backup removes it too\n";
    }
    if args.no_backup {
        text += "  NO last archive is made: nothing of this can be got back but what earlier archives have\n";
    } else if plan.has_data() {
        for path in plan.there.iter().filter_map(|there| there.unsteady.as_ref()) {
            let _ = writeln!(
                text,
                "  the file system of {} does not tell every write: what is written there through mapped memory while this \
                 runs is removed unseen, so nothing may use it now",
                printable_path(path)
            );
        }
        let _ = writeln!(
            text,
            "  before that an archive is made in {}, and verified",
            printable_path(&job.destination)
        );
    }
    let _ = stderr().write_all(text.as_bytes());
    if args.dry_run && args.json {
        let sources = plan.sources.iter().zip(&plan.there).map(|((source, _), there)| {
            let part = |part: &Part| json!({ "entries": part.entries, "bytes": part.bytes });
            json!({ "path": printable_path(&source.path), "goes": part(&there.goes), "stays": part(&there.stays) })
        });
        let mut output = Output::until(stop)?;
        output.json(&json!({
            "job": job.name,
            "dry_run": true,
            "sources": sources.collect::<Vec<_>>(),
            "backup": !args.no_backup && plan.has_data(),
        }))?;
        output.finish()?;
    }
    Ok(())
}

/// Have the job's name typed.
pub fn confirmed(args: &ResetArgs, job: &Job, stop: &Stop) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    if answer(&format!("type the job's name, {}, to go on: ", job.name), stop)? == job.name {
        return Ok(());
    }
    Err(Error::failed("not confirmed; nothing was touched"))
}

/// Say what came of it.
pub fn done(
    args: &ResetArgs,
    job: &Job,
    plan: &Plan,
    made: Option<&Made>,
    emptied: &Emptied,
    (began, stop): (Instant, &Stop),
) -> Result<Exit> {
    let took = began.elapsed().as_secs_f64();
    let exit = match made {
        _ if emptied.left.count > 0 => Exit::Failed,
        Some(made) => made.exit(),
        None => Exit::Complete,
    };
    if args.json {
        let sources: Vec<_> = job.sources.iter().map(|path| printable_path(path)).collect();
        let stays = json!({
            "entries": plan.sum(|there| there.stays.entries),
            "bytes": plan.sum(|there| there.stays.bytes),
        });
        let mut output = Output::until(stop)?;
        output.json(&json!({
            "job": job.name,
            "sources": sources,
            "archive": made.and_then(|made| made.name.as_deref()),
            "removed": { "entries": emptied.entries, "bytes": emptied.bytes },
            "stays": stays,
            "mounted": emptied.mounted,
            "left": emptied.left,
            "seconds": took,
            "exit": exit.code(),
        }))?;
        output.finish()?;
    }
    let text = match (emptied.entries, plan.sources.is_empty()) {
        (0, true) => "nothing to empty: the sources are empty\n".to_owned(),
        (0, false) if emptied.left.count == 0 => "nothing to empty\n".to_owned(),
        _ => format!(
            "removed {}, {} in {took:.1} s\n",
            counted(emptied.entries, "entry", "entries"),
            human_bytes(emptied.bytes)
        ),
    };
    let _ = stderr().write_all(text.as_bytes());
    named(&emptied.mounted, "mounted, and kept", log::Level::Info);
    named(&emptied.left, "left", log::Level::Error);
    if emptied.entries > 0 && exit != Exit::Failed {
        log::info!(
            "until a service has filled it again, runs of job {} fail: an empty source is not archived",
            job.name
        );
    }
    Ok(exit)
}

fn named(noted: &Noted, what: &str, level: log::Level) {
    if noted.count == 0 {
        return;
    }
    log::log!(level, "{} {what}", counted(noted.count, "entry was", "entries were"));
    for name in noted.names.iter().take(NAMES_SHOWN) {
        log::log!(level, "  {name}");
    }
    let more = noted.count.saturating_sub(NAMES_SHOWN as u64);
    if more > 0 {
        log::log!(level, "  and {more} more");
    }
}
