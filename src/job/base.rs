//! The last archive of a job: what it says, and whether the next is built on it.

use std::time::Duration;

use chrono::DateTime;

use super::{newest, state_folder, whose};
use crate::archive::base::{Base, Purpose, Rule};
use crate::archive::index::About;
use crate::archive::name::ArchiveName;
use crate::archive::reader::{self, Archive, Opened};
use crate::archive::store::Store;
use crate::config::{ChangeDetection, Job};
use crate::destination::{Identity, Local, Stored};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::report::Report;
use crate::state::{Counts, Record};
use crate::stop::Stop;
use crate::uncached::Shared;
use crate::zone::Tz;

/// A few that cannot be read do not hide the one before them; a folder full of files of others is not searched for long.
/// Archives that are known to be of something else do not count: there may be more of those between two nights.
const LOOKED_AT: usize = 10;

/// The newest archive of a job that is known by its index, or by its record if it is encrypted.
#[derive(Default)]
pub struct Last {
    report: Option<Report>,
    /// How much it had, as the state says, where no archive can be asked.
    counts: Option<Counts>,
    archive: Option<(About, Box<Archive>)>,
    known: Option<Known>,
}

/// Which file that is.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name below the destination.
    pub name: ArchiveName,
    /// What tells it from another.
    pub file: Identity,
    /// The instant that its index says, in RFC 3339.
    pub says: String,
}

/// Look for it.
pub fn last(job: &Job, destination: &Local, stop: &Stop) -> Last {
    let Ok(archives) = newest(job, destination, stop) else { return Last::default() };
    for item in archives.take(LOOKED_AT) {
        let stored = &item.stored;
        let path = printable_path(&stored.path);
        if let Some(record) = &item.record {
            if can_reuse(job) {
                log::info!("job {}: not built on {path}: it is encrypted", job.name);
            }
            return Last { report: Some(counts(record)), ..Last::default() };
        }
        let why = match look(destination, stored) {
            Ok((file, Opened::Indexed(archive))) => match archive.about() {
                Ok(about) if about.job == job.name => {
                    let known = Known { name: stored.name.clone(), file, says: about.instant.clone() };
                    let report = Some(about.report.clone());
                    return Last {
                        report,
                        archive: Some((about, archive)),
                        known: Some(known),
                        counts: None,
                    };
                }
                Ok(about) => format!("it is of the job {:?}", about.job),
                Err(error) => error.to_string(),
            },
            Ok((_, Opened::Unindexed(unindexed))) => {
                unindexed.damage.unwrap_or_else(|| "it has no index".into())
            }
            Err(error) => error.to_string(),
        };
        if can_reuse(job) {
            log::info!("job {}: not built on {path}: {why}", job.name);
        }
    }
    let counts = state_folder(job).load(&job.name).counts;
    Last { counts: counts.filter(|counts| counts.sources == whose(job).sources), ..Last::default() }
}

/// Open it so that reading it, which is done once a night, does not leave it in the page cache.
fn look(destination: &Local, stored: &Stored) -> Result<(Identity, Opened)> {
    let (file, identity) = destination.place(&stored.name)?.open()?;
    let store = Store::plain(Shared::new(file)).map_err(|e| Error::io("open archive", &stored.path, e))?;
    Ok((identity, reader::from_store(store, &stored.path)?))
}

/// Whether archives of this job can take anything over: without an index, or without the key to read them, they cannot.
fn can_reuse(job: &Job) -> bool {
    job.codec.envelope().is_some() && job.recipients.is_none()
}

/// As much of a report as a record has.
fn counts(record: &Record) -> Report {
    Report {
        entries: record.entries,
        files: record.files,
        folders: record.folders,
        bytes: record.content,
        raw: record.raw,
        stored: record.bytes,
        ..Report::default()
    }
}

/// What a run builds on.
#[derive(Default)]
pub struct Ground {
    /// What came of the last one.
    pub report: Option<Report>,
    /// What this one is measured by, to notice that its source has shrunk: of entries and bytes only.
    pub measure: Option<Report>,
    /// Which file it is, if it has an index.
    pub known: Option<Known>,
    /// The archive that it made, if anything is taken over from it or held against it.
    pub base: Option<Base>,
    /// The instant of the last run that read everything, if this one is not to.
    pub read: Option<String>,
}

impl Last {
    /// Take nothing over from it.
    pub fn forget(&mut self) {
        self.archive = None;
    }

    /// What a run at this instant builds on.
    pub fn ground(self, job: &Job, now: DateTime<Tz>, boot: Option<String>) -> Ground {
        let (report, known) = (self.report.clone(), self.known.clone());
        let counted =
            |counts: &Counts| Report { entries: counts.entries, bytes: counts.bytes, ..Report::default() };
        let measure = report.clone().or(self.counts.as_ref().map(counted));
        let (base, read) = self.base(job, now, boot);
        Ground { report, measure, known, base, read }
    }

    /// The base of a run at this instant, and the instant of the last run that read everything, if this run is not to.
    fn base(self, job: &Job, now: DateTime<Tz>, boot: Option<String>) -> (Option<Base>, Option<String>) {
        let Some((about, archive)) = self.archive.filter(|_| can_reuse(job)) else { return (None, None) };
        let path = printable_path(archive.path());
        if about.codec != job.codec.to_string() {
            log::info!("job {}: not built on {path}: it is {}, not {}", job.name, about.codec, job.codec);
            return (None, None);
        }
        let rule = match job.change_detection {
            ChangeDetection::Strict => Rule::Strict,
            ChangeDetection::Mtime => Rule::Mtime,
            ChangeDetection::Content => Rule::Content,
        };
        let read = about.read.clone().unwrap_or_else(|| about.instant.clone());
        let full = is_due(&read, job.full_every, now);
        let purpose = if full { Purpose::Compare } else { Purpose::Reuse };
        if full {
            log::info!("job {}: everything is read: the last time was at {read}", job.name);
        }
        // A crash can leave a file with new bytes and its old times: data reach the disk before the times do.
        let restarted = boot.is_none() || boot != about.boot;
        if restarted && !full && rule != Rule::Content {
            log::info!(
                "job {}: everything is read: the machine was started since the last archive was made",
                job.name
            );
        }
        let by = if restarted && !full { Rule::Content } else { rule };
        match Base::new(*archive, &about, by, purpose) {
            // A run that reads all and compares, or that always does, is the one that later ones name.
            Ok(base) if full || rule == Rule::Content => (Some(base), None),
            Ok(base) => (Some(base), Some(read)),
            Err(why) => {
                log::info!("job {}: not built on {path}: {why}", job.name);
                (None, None)
            }
        }
    }
}

/// Whether everything is to be read again. What was read in the future was read by another clock.
fn is_due(read: &str, every: Duration, now: DateTime<Tz>) -> bool {
    let Ok(read) = DateTime::parse_from_rfc3339(read) else { return true };
    let age = now.fixed_offset() - read;
    !every.is_zero() && age.to_std().map_or(true, |age| age >= every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_when_the_last_time_is_long_ago_or_makes_no_sense() {
        let now = DateTime::parse_from_rfc3339("2026-11-20T01:00:00+01:00").unwrap();
        let now = now.with_timezone(&"Europe/Berlin".parse::<Tz>().unwrap());
        let week = Duration::from_hours(7 * 24);
        for (read, every, due) in [
            ("2026-11-20T00:00:00+01:00", week, false),
            ("2026-11-13T01:00:01+01:00", week, false),
            ("2026-11-13T01:00:00+01:00", week, true),
            ("2026-11-13T00:00:00Z", week, true),
            ("2026-11-21T00:00:00Z", week, true),
            ("2006-11-13T01:00:00+01:00", Duration::ZERO, false),
            ("yesterday", week, true),
        ] {
            assert_eq!(is_due(read, every, now), due, "{read}");
        }
    }
}
