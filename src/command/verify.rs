//! `verify`: archives read back, and everything in them checked.

use std::path::Path;

use serde_json::json;

use super::which::{Which, archives, latest, which};
use crate::archive::verify::{Depth, Options, Verified, verify_file, verify_stream};
use crate::cli::VerifyArgs;
use crate::command::output::Output;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::stop::Stop;

/// Verify what was asked for, one line an archive, and what is wrong with it below. An archive that cannot be read is
/// said, and the others are verified all the same.
///
/// # Errors
/// If there is nothing to verify, or somebody asks to stop.
pub fn run(args: &VerifyArgs, config: &Config, stop: &Stop) -> Result<Exit> {
    let mut output = Output::new();
    let mut exit = Exit::Complete;
    for which in wanted(args, config)? {
        let outcome = which.and_then(|which| {
            let verified = verify(&which, config.jobs[0].threads.get(), stop)?;
            Ok((which.path, verified))
        });
        stop.check()?;
        match outcome {
            Ok((path, verified)) => {
                if !verified.sound() {
                    exit = Exit::Damaged;
                }
                show(&path, &verified, args.json, &mut output)?;
            }
            Err(error) => {
                if exit != Exit::Damaged {
                    exit = error.exit();
                }
                if args.json {
                    output.json(&json!({ "error": error.to_string() }))?;
                } else {
                    output.line(format_args!("{error}"))?;
                }
            }
        }
        output.flush()?;
    }
    output.finish()?;
    Ok(exit)
}

fn wanted(args: &VerifyArgs, config: &Config) -> Result<Vec<Result<Which>>> {
    if args.all {
        let mut all = Vec::new();
        for job in &config.jobs {
            all.extend(archives(job)?.into_iter().map(|stored| Ok(Which::file(stored.path))));
        }
        if all.is_empty() {
            return Err(Error::failed("there is no archive yet; `tarkeep backup` makes one"));
        }
        return Ok(all);
    }
    if args.archives.is_empty() {
        return Ok(config
            .jobs
            .iter()
            .map(|job| latest(job).map(|stored| Which::file(stored.path)))
            .collect());
    }
    Ok(args.archives.iter().map(|word| which(word, config)).collect())
}

fn verify(which: &Which, threads: usize, stop: &Stop) -> Result<Verified> {
    let (file, progress) = (which.open()?, Progress::default());
    let metadata = file.metadata().map_err(|e| Error::io("open archive", &which.path, e))?;
    // A folder fails here too, with the system's words when it is read.
    if metadata.is_file() {
        verify_file(file, &which.path, Options { depth: Depth::Full, threads }, stop, &progress)
    } else {
        verify_stream(file, &which.path, stop, &progress)
    }
}

fn show(path: &Path, verified: &Verified, json: bool, output: &mut Output) -> Result<()> {
    let path = printable_path(path);
    if json {
        return output.json(&json!({ "archive": path, "sound": verified.sound(), "result": verified }));
    }
    output.line(format_args!("{path}: {}", verified.summary()))?;
    for problem in &verified.problems {
        output.line(format_args!("  {problem}"))?;
    }
    let more = verified.damage - verified.problems.len() as u64;
    if more > 0 {
        output.line(format_args!("  and {more} more"))?;
    }
    for note in &verified.notes {
        output.line(format_args!("  note: {note}"))?;
    }
    Ok(())
}
