//! Where a restore may write, and what it never removes: all that is known before anything is touched.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Part;
use crate::cli::RestoreArgs;
use crate::command::services;
use crate::config::Config;
use crate::destination::Space;
use crate::error::{Error, Result};
use crate::job;
use crate::printable::{counted, human_bytes, printable_path, shell_word};
use crate::restore::Amount;
use crate::sys;

/// What a restore removes under no circumstances, wherever it stands: the archives, what is known of the jobs, and the
/// archive at hand.
pub fn spare(config: &Config, archive: &Path) -> Vec<(u64, u64)> {
    let mut paths = vec![archive.to_path_buf()];
    for job in config.jobs.iter().chain(&config.others) {
        paths.push(job.destination.clone());
        paths.extend(job.state.clone());
        // For targets within the destination.
        let archives = job::open(job).and_then(|destination| destination.archives(&job.pattern));
        paths.extend(archives.unwrap_or_default().into_iter().map(|stored| stored.path));
    }
    let ids = paths.into_iter().filter_map(|path| path.metadata().ok());
    ids.map(|about| (about.dev(), about.ino())).collect()
}

/// Refuse to empty the folder that archives are kept in, however it is called.
fn not_the_archives(target: &Path, config: &Config) -> Result<()> {
    let id = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    let Some(target_id) = id(target) else { return Ok(()) };
    if config.jobs.iter().chain(&config.others).all(|job| id(&job.destination) != Some(target_id)) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{} is where archives are kept, and --delete would remove them: restore to another folder",
        printable_path(target)
    )))
}

/// Whether one part can be written to its target, as far as can be known.
///
/// # Errors
/// If not: it is in use and nothing says that it may be replaced, cannot be written to, or has not enough space.
pub fn check(args: &RestoreArgs, config: &Config, part: &Part, needs: &mut Needs) -> Result<()> {
    if args.delete {
        not_the_archives(&part.target, config)?;
    }
    let shown = printable_path(&part.target);
    let (folder, exists) = match part.target.metadata() {
        Ok(about) if about.is_dir() => (part.target.clone(), true),
        Ok(_) => return Err(Error::usage(format!("{shown} is not a folder"))),
        Err(_) if part.target.is_symlink() => {
            return Err(Error::usage(format!("{shown} is a link, and what it leads to is not there")));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let above = part.target.parent().filter(|above| !above.as_os_str().is_empty());
            (above.unwrap_or(Path::new(".")).to_path_buf(), false)
        }
        Err(e) => return Err(Error::io("look at", &part.target, e)),
    };
    if exists && !args.force {
        let mut listing = part.target.read_dir().map_err(|e| Error::io("list", &part.target, e))?;
        // What is mounted is a target of its own, or stays.
        let counts = |entry: DirEntry| {
            entry.file_name() != "lost+found" && !sys::is_mount_point(&entry.path()).unwrap_or(false)
        };
        if listing.any(|entry| entry.is_ok_and(counts)) {
            return Err(Error::usage(format!(
                "{shown} is not empty: --force puts the archive's files in the place of those there, --delete with it \
                 removes all others, --to FOLDER restores to another place"
            )));
        }
    }
    sys::check_writable(&folder).map_err(|e| {
        let read_only = e.cause().and_then(std::io::Error::raw_os_error) == Some(30);
        if read_only && args.to.is_none() {
            Error::failed(format!(
                "{e}: it is mounted read-only, as it should be for backups; run this instead: \
                 docker compose run --rm {}restore {}",
                // A terminal of its own would stand in the way of what comes through a pipe.
                if args.archive == "-" { "-T " } else { "" },
                retyped(args)
            ))
        } else {
            e
        }
    })?;
    needs.add(&folder, part.amount)
}

/// Refuse while a job reads what is to be replaced: its archive would be half of the one and half of the other, and nobody
/// would know. A run that begins after the restore sees that there is one. What is not there yet comes into being whole.
///
/// # Errors
/// With [`Exit::Locked`](crate::exit::Exit::Locked), saying who it is.
pub fn not_read(config: &Config, targets: &[&Path]) -> Result<()> {
    let replaced: Vec<_> = targets.iter().copied().filter(|target| target.exists()).collect();
    for job in services::jobs_of(&replaced, config) {
        if let Ok(destination) = job::open(job)
            && let Err(e) = destination.require_unlocked()
        {
            return Err(Error::locked(format!("job {} is at work and may read this; {e}", job.name)));
        }
    }
    Ok(())
}

/// What is to be written to each file system, of all parts together.
#[derive(Default)]
pub struct Needs(BTreeMap<u64, Amount>);

impl Needs {
    fn add(&mut self, folder: &Path, amount: Amount) -> Result<()> {
        let device = folder.metadata().map_err(|e| Error::io("look at", folder, e))?.dev();
        let all = self.0.entry(device).or_default();
        all.entries += amount.entries;
        all.bytes = all.bytes.saturating_add(amount.bytes);
        let space = Space::at(folder)?;
        let lacks = |have: Option<u64>, need: u64| have.is_some_and(|have| have < need);
        if lacks(space.inodes, all.entries) {
            return Err(Error::failed(format!(
                "{} has not enough inodes: {} are to be restored, and are made before anything old is removed; {} are free",
                printable_path(folder),
                counted(all.entries, "entry", "entries"),
                space.inodes.unwrap_or_default()
            )));
        }
        if lacks(space.bytes, all.bytes) {
            return Err(Error::failed(format!(
                "{} has not enough space: {} in {} are to be restored, and are written before anything old is removed; \
                 {} free",
                printable_path(folder),
                human_bytes(all.bytes),
                counted(all.entries, "entry", "entries"),
                space.bytes.map_or("unknown".into(), human_bytes)
            )));
        }
        Ok(())
    }
}

/// The arguments as they were typed, for a command that people can copy.
fn retyped(args: &RestoreArgs) -> String {
    let mut words = vec![shell_word(args.archive.as_bytes())];
    words.extend(args.paths.iter().map(|path| shell_word(path.as_bytes())));
    for (flag, value) in [
        ("--job", args.job.as_ref().map(String::as_bytes)),
        ("--identity", args.identity.as_ref().map(|path| path.as_os_str().as_bytes())),
        ("--threads", args.threads.as_ref().map(|number| number.as_bytes())),
    ] {
        if let Some(value) = value {
            words.extend([flag.into(), shell_word(value)]);
        }
    }
    for (set, flag) in [
        (args.force, "--force"),
        (args.delete, "--delete"),
        (args.no_verify, "--no-verify"),
        (args.trust, "--trust"),
        (args.untrusted, "--untrusted"),
        (args.salvage, "--salvage"),
        (args.dry_run, "--dry-run"),
        (args.json, "--json"),
        // What comes from standard input leaves nobody to ask.
        (args.yes || (args.archive == "-" && args.force), "--yes"),
    ] {
        if set {
            words.push(flag.into());
        }
    }
    if args.archive == "-" {
        words.push("<x.tar.gz".into());
    }
    words.join(" ")
}
