//! Archives that are there already, read back: what disks lose in silence is found while there are others.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{open, state_folder};
use crate::archive::name::ArchiveName;
use crate::archive::reader::from_store;
use crate::archive::store::Store;
use crate::archive::verify::{Depth, Options, Verified, verify_hash, verify_opened};
use crate::clock::Clock;
use crate::config::Job;
use crate::destination::{Identity, Local, identity_at};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::inventory::{self, Item};
use crate::printable::{counted, printable, printable_path};
use crate::progress::Progress;
use crate::state::{Checked, CheckedArchives};
use crate::stop::Stop;
use crate::sys;

/// For so long new archives are begun at one due time; what is begun is finished.
const BEGIN_FOR: Duration = Duration::from_mins(10);

/// Verify the job's archives that were not read for longest, one after the other, on one thread and behind all other
/// work, for about ten minutes.
///
/// # Errors
/// If one is damaged: it is remembered, and the others are read all the same. If the destination cannot be read.
pub fn run(job: &Job, clock: &dyn Clock, stop: &Stop) -> Result<()> {
    sys::be_nice(job.nice);
    let began = Instant::now();
    let destination = open(job)?;
    let items = inventory::take(&destination, &job.pattern, &job.name, &state_folder(job))?;
    let known = state_folder(job).checked(&job.name);
    let mut waiting: Vec<(Option<DateTime<Utc>>, &Item)> = items
        .iter()
        // What others have made, or cut off, is not ours to watch.
        .filter(|item| item.own.is_ok() || item.damage.is_some())
        .map(|item| (last_read(item, &known), item))
        .collect();
    waiting.sort_by_key(|(read, item)| (*read, item.stored.name.local, item.stored.name.number));
    let (mut read, mut damaged) = (0, Vec::new());
    for (_, item) in &waiting {
        if read > 0 && began.elapsed() >= BEGIN_FOR {
            break;
        }
        match one(job, &destination, item, clock, stop) {
            Ok(None) => read += 1,
            Ok(Some(damage)) => {
                read += 1;
                log::error!("archive {}: {damage}", printable_path(&item.stored.path));
                damaged.push(item.stored.name.to_string());
            }
            Err(error) if stop.asked().is_some() => return Err(error),
            Err(error) => log::warn!("{error}"),
        }
    }
    log::info!(
        "job {}: {} of {} read back, {} damaged",
        job.name,
        read,
        counted(waiting.len() as u64, "archive", "archives"),
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

/// When an archive was last read: by a verification, or when it was made, as each is read back then.
fn last_read(item: &Item, known: &CheckedArchives) -> Option<DateTime<Utc>> {
    let verified = remembered(item, known).map(|known| known.verified);
    verified.max(item.own.as_ref().ok().map(|own| own.instant))
}

/// What is remembered of an archive.
pub fn remembered<'a>(item: &Item, known: &'a CheckedArchives) -> Option<&'a Checked> {
    let file = item.identity?;
    known.of(&item.stored.name.to_string(), file.bytes, file.modified, file.inode)
}

/// What is wrong with an archive.
fn one(
    job: &Job,
    destination: &Local,
    item: &Item,
    clock: &dyn Clock,
    stop: &Stop,
) -> Result<Option<String>> {
    let place = destination.place(&item.stored.name)?;
    let (file, identity) = place.open()?;
    let (path, progress) = (&item.stored.path, Progress::default());
    let options = Options { depth: Depth::Full, threads: 1 };
    let verified = match (Store::open(file, path, &job.keys), item.record.as_ref()) {
        (Ok(store), _) => {
            from_store(store, path).and_then(|opened| verify_opened(opened, path, options, stop, &progress))
        }
        // Without a key, whether the file is as it was written.
        (Err(error), Some(record)) => match record.hash() {
            Some(hash) => verify_hash(place.open()?.0, path, (hash, record.entries), stop, &progress),
            None => Err(error),
        },
        (Err(error), None) => Err(error),
    };
    remember(job, destination.root(), &item.stored.name, identity, &verified, clock.now())?;
    Ok(damage(&verified?))
}

fn damage(verified: &Verified) -> Option<String> {
    (!verified.sound()).then(|| {
        let first = verified.problems.first().map_or("", String::as_str);
        format!("{}: {first}", counted(verified.damage, "problem", "problems"))
    })
}

/// Remember what came of verifying an archive of this job: sound, damaged, or on a disk that cannot read it.
///
/// # Errors
/// If it cannot be written.
pub fn remember(
    job: &Job,
    root: &Path,
    name: &ArchiveName,
    file: Identity,
    verified: &Result<Verified>,
    now: DateTime<Utc>,
) -> Result<()> {
    const EIO: i32 = 5;
    let damage = match verified {
        Ok(verified) => damage(verified),
        Err(error) if error.exit() == Exit::Damaged => Some(error.to_string()),
        Err(error) if error.cause().and_then(std::io::Error::raw_os_error) == Some(EIO) => {
            Some(error.to_string())
        }
        Err(_) => return Ok(()),
    };
    let Identity { bytes, modified, inode, .. } = file;
    let checked = Checked { name: name.to_string(), bytes, modified, inode, verified: now, damage };
    let is_there = |name: &str| fs::symlink_metadata(root.join(name)).is_ok_and(|about| about.size() > 0);
    state_folder(job).note_checked(&job.name, checked, is_there)
}

/// What is known to be damaged and still there, in one sentence.
pub fn damaged(job: &Job, root: &Path) -> Option<String> {
    let known = state_folder(job).checked(&job.name);
    let still = |known: &&Checked| {
        identity_at(&root.join(&known.name))
            .is_some_and(|file| (file.bytes, file.modified) == (known.bytes, known.modified))
    };
    let damaged: Vec<&Checked> =
        known.archives.iter().filter(|known| known.damage.is_some()).filter(still).collect();
    let first = damaged.first()?;
    let more = match damaged.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let when = first.verified.with_timezone(&job.zone).format("%Y-%m-%d %H:%M:%S %:z");
    Some(format!(
        "archive {} is damaged, as was found at {when}: {}{more}; `tarkeep restore --salvage` has what is left of it; \
         move it away when you have what you need",
        printable(first.name.as_bytes()),
        first.damage.as_deref().unwrap_or_default()
    ))
}
