//! Archives that are there already, read back: what disks lose in silence is found while there are others.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{open, state_folder, whose};
use crate::archive::name::ArchiveName;
use crate::archive::reader::from_store;
use crate::archive::store::Store;
use crate::archive::verify::{Depth, Options, Verified, verify_hash, verify_opened};
use crate::clock::Clock;
use crate::config::Job;
use crate::destination::{Identity, Local, Stored, identity_at};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::inventory::{self, Item};
use crate::pace::Pace;
use crate::printable::{counted, printable, printable_path};
use crate::progress::Progress;
use crate::state::Checked;
use crate::stop::Stop;
use crate::sys;
use crate::uncached::Shared;

/// For so long new archives are begun at one due time; what is begun is finished.
const BEGIN_FOR: Duration = Duration::from_mins(10);

/// Bytes a second: a fifth of what one hard disk reads, so that others have the rest.
const RATE: u64 = 32 << 20;

/// An archive that would take longer at that rate is read in about this time, if the disk can: a run that is due waits for it.
const LONGEST: Duration = Duration::from_hours(1);

/// How fast an archive of this size is read.
fn rate(bytes: u64) -> u64 {
    RATE.max(bytes.div_ceil(LONGEST.as_secs()))
}

/// Verify the job's archives that were not read for longest, one after the other, on one thread and behind all other
/// work, for about ten minutes, and no faster than others notice. What are names of one file is read once.
///
/// # Errors
/// If one is damaged: it is remembered, and the others are read all the same. If the destination cannot be read.
pub fn run(job: &Job, clock: &dyn Clock, stop: &Stop) -> Result<()> {
    sys::be_nice(job.nice);
    let began = Instant::now();
    let destination = open(job)?;
    let items = inventory::take(&destination, &job.pattern, &whose(job), &state_folder(job), stop)?;
    // What others have made, or cut off, is not ours to watch.
    let ours = |item: &&Item| item.own.is_ok() || item.damage.is_some();
    let all = items.iter().filter(ours).count() as u64;
    let mut waiting = by_file(items.iter().filter(ours), clock.now());
    waiting.sort_by_key(|(read, names)| {
        let name = &names[0].stored.name;
        (*read, name.local, name.number)
    });
    let (mut read, mut damaged) = (0, Vec::new());
    for (_, names) in &waiting {
        if read > 0 && began.elapsed() >= BEGIN_FOR {
            break;
        }
        match one(job, &destination, names, clock, stop) {
            Ok(None) => read += names.len(),
            Ok(Some(damage)) => {
                read += names.len();
                for item in names {
                    log::error!("archive {}: {damage}", printable_path(&item.stored.path));
                    damaged.push(item.stored.name.to_string());
                }
            }
            Err(error) if stop.asked().is_some() => return Err(error),
            Err(error) => log::warn!("{error}"),
        }
    }
    log::info!(
        "job {}: {} of {} read back, {} damaged",
        job.name,
        read,
        counted(all, "archive", "archives"),
        damaged.len()
    );
    match damaged.first() {
        None => Ok(()),
        Some(first) => Err(Error::damaged(format!(
            "{} damaged: {}",
            counted(damaged.len() as u64, "archive is", "archives are"),
            printable(first.as_bytes())
        ))),
    }
}

/// The names of each file together, the newest first, and when it was last read. At a time to come it was by a clock that was
/// wrong, so that is not known.
fn by_file<'a>(
    items: impl Iterator<Item = &'a Item>,
    now: DateTime<Utc>,
) -> Vec<(Option<DateTime<Utc>>, Vec<&'a Item>)> {
    let mut files: Vec<(Option<DateTime<Utc>>, Vec<&Item>)> = Vec::new();
    let mut places = HashMap::new();
    for item in items {
        let place = match item.file() {
            Some(file) => *places.entry(file).or_insert(files.len()),
            None => files.len(),
        };
        if place == files.len() {
            files.push((None, Vec::new()));
        }
        files[place].0 = files[place].0.max(last_read(item, now));
        files[place].1.push(item);
    }
    files
}

/// When an archive was last read: by a verification, or when it was made, as each is read back then.
fn last_read(item: &Item, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let verified = item.checked.as_ref().map(|known| known.verified).filter(|at| *at <= now);
    verified.max(item.own.as_ref().ok().map(|own| own.instant).filter(|at| *at <= now))
}

/// What is wrong with an archive.
fn one(
    job: &Job,
    destination: &Local,
    names: &[&Item],
    clock: &dyn Clock,
    stop: &Stop,
) -> Result<Option<String>> {
    let item = names[0];
    let place = destination.place(&item.stored.name)?;
    let open = || {
        let (file, identity) = place.open()?;
        // Another run gives numbered archives other numbers, and a record is of what was looked at.
        if item.identity.is_some_and(|looked_at| looked_at != identity) {
            let path = printable_path(&item.stored.path);
            return Err(Error::failed(format!(
                "archive {path} was changed or replaced since it was looked at"
            )));
        }
        Ok((file, identity))
    };
    let (file, identity) = open()?;
    let (path, progress) = (&item.stored.path, Progress::default());
    let options = Options { depth: Depth::Full, threads: 1 };
    let pace = Arc::new(Pace::new(rate(identity.bytes), stop));
    let store = Store::open(Shared::new(file), path, &job.keys).map(|store| store.at(Arc::clone(&pace)));
    let verified = match (store, item.record.as_ref()) {
        (Ok(store), _) => {
            from_store(store, path).and_then(|opened| verify_opened(opened, path, options, stop, &progress))
        }
        // Without a key, whether the file is as it was written.
        (Err(error), Some(record)) => match record.hash() {
            Some(hash) => {
                let failed = |e| Error::io("read archive", path, e);
                let bytes = Store::plain(Shared::new(open()?.0)).map_err(failed)?.at(pace);
                let reader = bytes.reader().map_err(failed)?;
                verify_hash(reader, path, (hash, record.entries), stop, &progress)
            }
            None => Err(error),
        },
        (Err(error), None) => Err(error),
    };
    let names: Vec<&ArchiveName> = names.iter().map(|item| &item.stored.name).collect();
    if let Err(error) = remember(job, destination, &names, identity, &verified, clock.now()) {
        log::warn!("{error}");
    }
    match damage(&verified) {
        Some(damage) => Ok(Some(damage)),
        None => verified.map(|_| None),
    }
}

/// What is wrong with an archive that came to this: it is damaged, or on a disk that cannot read it.
fn damage(verified: &Result<Verified>) -> Option<String> {
    const EIO: i32 = 5;
    match verified {
        Ok(verified) => (!verified.sound()).then(|| {
            let first = verified.problems.first().map_or("", String::as_str);
            format!("{}: {first}", counted(verified.damage, "problem", "problems"))
        }),
        Err(error) => {
            let unreadable = error.cause().and_then(std::io::Error::raw_os_error) == Some(EIO);
            (error.exit() == Exit::Damaged || unreadable).then(|| error.to_string())
        }
    }
}

/// Remember what came of verifying an archive of this job, by all its names, of which there is at least one: sound, damaged,
/// or on a disk that cannot read it.
///
/// # Errors
/// If it cannot be written.
pub fn remember(
    job: &Job,
    destination: &Local,
    names: &[&ArchiveName],
    file: Identity,
    verified: &Result<Verified>,
    now: DateTime<Utc>,
) -> Result<()> {
    let damage = damage(verified);
    if damage.is_none() && verified.is_err() {
        return Ok(());
    }
    let Identity { bytes, modified, inode, .. } = file;
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let Some(name) = names.pop() else { return Ok(()) };
    let checked = Checked { name, bytes, modified, inode, verified: now, damage };
    let known = state_folder(job).checked(&job.name);
    let called = Called::look(job, destination, known.archives.iter());
    state_folder(job).note_checked(&job.name, checked, &names, |known| called.name(known))
}

/// What is known to be damaged and still there, in one sentence.
pub fn damaged(job: &Job, destination: &Local) -> Option<String> {
    let known = state_folder(job).checked(&job.name);
    let damaged: Vec<&Checked> = known.archives.iter().filter(|known| known.damage.is_some()).collect();
    let called = Called::look(job, destination, damaged.iter().copied());
    let still = |known: &Checked| {
        let name = called.name(known)?;
        let file = identity_at(&destination.root().join(&name))?;
        ((file.bytes, file.modified) == (known.bytes, known.modified)).then_some(name)
    };
    let damaged: Vec<(&Checked, String)> =
        damaged.into_iter().filter_map(|known| Some((known, still(known)?))).collect();
    let (first, name) = damaged.first()?;
    let more = match damaged.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let when = first.verified.with_timezone(&job.zone).format("%Y-%m-%d %H:%M:%S %:z");
    Some(format!(
        "archive {} is damaged, as was found at {when}: {}{more}; `tarkeep restore --salvage` has what is left of it; \
         move it away when you have what you need",
        printable(name.as_bytes()),
        first.damage.as_deref().unwrap_or_default()
    ))
}

/// How the archives are called by now that were read back.
struct Called<'a> {
    root: &'a Path,
    /// Numbered ones that are there: another run may have given them other numbers. None where that cannot be seen.
    numbered: Option<Vec<(String, Identity)>>,
}

impl<'a> Called<'a> {
    /// Those of this job, to tell of these.
    fn look<'k>(job: &Job, destination: &'a Local, mut known: impl Iterator<Item = &'k Checked>) -> Self {
        let asked = job.pattern.is_versioned() && known.next().is_some();
        let found = asked.then(|| destination.archives(&job.pattern).ok()).flatten();
        let identified = |stored: Stored| Some((stored.name.to_string(), identity_at(&stored.path)?));
        let numbered = found.map(|found| found.into_iter().filter_map(identified).collect());
        Self { root: destination.root(), numbered }
    }

    /// What this one is called now; none if it is gone.
    fn name(&self, known: &Checked) -> Option<String> {
        let Some(numbered) = &self.numbered else {
            let about = fs::symlink_metadata(self.root.join(&known.name));
            return about.is_ok_and(|about| about.size() > 0).then(|| known.name.clone());
        };
        let same = |file: &Identity| (file.bytes, file.modified) == (known.bytes, known.modified);
        let mut of_it = numbered
            .iter()
            .filter(|(name, file)| same(file) && (file.inode == known.inode || *name == known.name));
        let first = of_it.next()?;
        let by_number = |(_, file): &&(String, Identity)| file.inode == known.inode;
        Some(if by_number(&first) { first } else { of_it.find(by_number).unwrap_or(first) }.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_longer_than_an_hour_is_read_faster() {
        assert_eq!(rate(0), RATE);
        assert_eq!(rate(RATE * 3600), RATE);
        assert_eq!(rate(RATE * 3600 + 1), RATE + 1);
        assert_eq!(rate(3600 << 30), 1 << 30);
    }
}
