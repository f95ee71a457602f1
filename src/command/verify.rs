//! `verify`: archives read back, and everything in them checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use log::Level;
use serde_json::json;

use super::which::{Bytes, Which, archives, latest, which};
use crate::archive::name::ArchiveName;
use crate::archive::reader::from_store;
use crate::archive::verify::{Depth, Options, Verified, verify_hash, verify_opened, verify_stream};
use crate::cli::VerifyArgs;
use crate::clock::Clock;
use crate::command::output::Output;
use crate::command::state_folder;
use crate::config::Config;
use crate::destination::{Identity, Stored, identity_at};
use crate::encryption::{ENDING, is_encrypted_file};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job::{self, recheck};
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::stop::Stop;

/// Verify what was asked for, one line an archive, and what is wrong with it below. An archive that cannot be read is
/// said, and the others are verified all the same.
///
/// # Errors
/// If there is nothing to verify, or somebody asks to stop.
pub fn run(args: &VerifyArgs, config: &Config, clock: &dyn Clock, stop: &Stop) -> Result<Exit> {
    let mut output = Output::until(stop)?;
    let mut exit = Exit::Complete;
    let mut read: HashMap<Identity, Verified> = HashMap::new();
    for which in wanted(args, config, stop)? {
        let outcome = which.and_then(|which| {
            // A second name of a file is as good as the first.
            let file = Some(&which).filter(|which| !which.is_stdin()).and_then(|it| identity_at(&it.path));
            if let Some(verified) = file.and_then(|file| read.get(&file)) {
                return Ok((which.path, verified.clone()));
            }
            let verified = verify(&which, config, stop);
            remember(config, &which, &verified, clock);
            let verified = verified?;
            read.extend(file.map(|file| (file, verified.clone())));
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

fn wanted(args: &VerifyArgs, config: &Config, stop: &Stop) -> Result<Vec<Result<Which>>> {
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
            .map(|job| latest(job, stop).map(|stored| Which::file(stored.path)))
            .collect());
    }
    Ok(args.archives.iter().map(|word| which(word, config, stop)).collect())
}

/// Of an archive in a job's destination, `list` and `health` know from now on what came of it.
fn remember(config: &Config, which: &Which, verified: &Result<Verified>, clock: &dyn Clock) {
    let (Ok(path), Some(file)) = (which.path.canonicalize(), identity_at(&which.path)) else { return };
    if which.is_stdin() {
        return;
    }
    for job in &config.jobs {
        let Ok(destination) = job::open(job) else { continue };
        let below = path.strip_prefix(destination.root()).ok().and_then(Path::to_str);
        let Some(name) = below.and_then(|below| job.pattern.parse(below)) else { continue };
        let mut names = vec![name];
        if path.metadata().is_ok_and(|about| about.nlink() > 1) {
            let others = destination.archives(&job.pattern).unwrap_or_default().into_iter();
            let is_it = |stored: &Stored| stored.name != names[0] && identity_at(&stored.path) == Some(file);
            let others: Vec<ArchiveName> = others.filter(is_it).map(|stored| stored.name).collect();
            names.extend(others);
        }
        let names: Vec<&ArchiveName> = names.iter().collect();
        if let Err(error) = recheck::remember(job, &destination, &names, file, verified, clock.now()) {
            // Reading is allowed to whoever may not write there.
            let refused = |kind| matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
            let quiet = error.cause().is_some_and(|cause| refused(cause.kind()));
            log::log!(if quiet { Level::Debug } else { Level::Warn }, "{error}");
        }
    }
}

/// Read one archive back, as far as the keys at hand allow.
///
/// # Errors
/// If it cannot be read.
pub(super) fn verify(which: &Which, config: &Config, stop: &Stop) -> Result<Verified> {
    let progress = Progress::default();
    match which.bytes(&config.keys(), stop) {
        Ok(Bytes::Store(store)) => {
            let opened = from_store(store, &which.path)?;
            let options = Options { depth: Depth::Full, threads: config.jobs[0].threads.get() };
            verify_opened(opened, &which.path, options, stop, &progress)
        }
        Ok(Bytes::Pipe(reader)) => verify_stream(reader, &which.path, stop, &progress),
        // Whoever has no key can still say whether the file is as it was written, if there is a record of it.
        Err(e) => match recorded(which, config) {
            Some((file, known)) => {
                let mut verified = verify_hash(file, &which.path, known, stop, &progress)?;
                if !config.keys().is_empty() {
                    verified.notes.push(e.to_string());
                }
                Ok(verified)
            }
            None => Err(e),
        },
    }
}

/// The file of an encrypted archive, and its hash and its number of entries by the record that a job has of it.
fn recorded(which: &Which, config: &Config) -> Option<(File, (blake3::Hash, u64))> {
    if which.is_stdin() {
        return None;
    }
    let file = which.open().ok()?;
    let path = which.path.canonicalize().ok()?;
    if !is_encrypted_file(&file).ok()? && !path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes()) {
        return None;
    }
    let record = config.jobs.iter().find_map(|job| {
        let name = path.strip_prefix(job.destination.canonicalize().ok()?).ok()?.to_str()?;
        let records = state_folder(job).records(&job.name);
        let numbered = job.pattern.parse(name).is_some_and(|name| name.is_versioned());
        let file = identity_at(&path).filter(|_| numbered);
        let known = file.and_then(|file| records.of_numbered(name, file.bytes, file.modified));
        known.or_else(|| records.named(name)).cloned()
    })?;
    Some((file, (record.hash()?, record.entries)))
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
