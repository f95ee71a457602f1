//! The archives in a destination, and which of them are known as this job's own: by their index, or the record of an
//! encrypted one or a link, never by their name, their place or the times of the file alone.

mod newest;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use chrono::{DateTime, Utc};

use crate::archive::index::About;
use crate::archive::name::{ArchiveName, Pattern};
use crate::archive::reader::{self, Opened};
use crate::destination::{Identity, Local, Stored};
use crate::digest::digest;
use crate::encryption;
use crate::error::{Error, Result, cause_text};
use crate::printable::printable;
use crate::report::Noted;
use crate::retention;
use crate::state::{Checked, CheckedArchives, Folder, Linked, Links, Record, Records};
use crate::stop::Stop;
use crate::zone::Tz;

pub use newest::{Newest, newest};

/// Whose archives are meant.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The name of the job.
    pub job: String,
    /// What it archives, as [`source::said`](../source/fn.said.html) has it; empty for whatever it is.
    pub sources: Vec<String>,
}

impl Whose {
    /// How a record has the sources.
    pub fn hash(sources: &[String]) -> String {
        let mut hasher = blake3::Hasher::new();
        for source in sources {
            hasher.update(source.as_bytes()).update(&[0]);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// A file that is called like an archive, and what is known of it.
#[derive(Debug)]
pub struct Item {
    /// Where it is.
    pub stored: Stored,
    /// What its index says, without the names of what was missed; none if it has no index that can be read.
    pub about: Option<About>,
    /// What is wrong with it, as far as opening it shows.
    pub damage: Option<String>,
    /// What was remembered of an encrypted one when it was written.
    pub record: Option<Record>,
    /// What was remembered of a link when it was made.
    pub link: Option<Linked>,
    /// What came of reading it back last.
    pub checked: Option<Checked>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// How many names its file has, wherever they are.
    pub names: u64,
    /// The file that was looked at; none if it could not be opened.
    pub identity: Option<Identity>,
    /// Whether it is known to be of another job, or of other sources.
    pub foreign: bool,
    /// What retention must know; or why the file is not ours, and stays whatever retention says.
    pub own: Result<retention::Archive, String>,
}

impl Item {
    /// When the run began that made it, as it was written down, as far as that is known.
    pub fn instant(&self) -> Option<&str> {
        let link = self.link.as_ref().map(|link| &link.instant);
        let about = self.about.as_ref().map(|about| &about.instant);
        let record = self.record.as_ref().map(|record| &record.instant);
        link.or(about).or(record).map(String::as_str)
    }

    /// When it was made, as far as that is known: by what was written down or, where nothing was, by its name, in this zone.
    pub fn time(&self, zone: Tz) -> Option<DateTime<Utc>> {
        let own = self.own.as_ref().ok().map(|own| own.instant);
        let said = || DateTime::parse_from_rfc3339(self.instant()?).ok().map(|time| time.to_utc());
        let named = || {
            let name = Some(&self.stored.name).filter(|name| !name.is_versioned())?;
            name.local.and_local_timezone(zone).earliest().map(|time| time.to_utc())
        };
        own.or_else(said).or_else(named)
    }

    /// Which file it is, whatever its name: device and inode.
    pub fn file(&self) -> Option<(u64, u64)> {
        self.identity.map(|file| (file.device, file.inode))
    }
}

/// How many bytes the disk has back when these are deleted: those of the files that lose all their names.
pub fn freed<'a>(going: impl Iterator<Item = &'a Item>) -> u64 {
    let mut files: HashMap<(u64, u64), (u64, u64, u64)> = HashMap::new();
    for item in going {
        let Some(file) = item.file() else { continue };
        files.entry(file).or_insert((0, item.names, item.stored.bytes)).0 += 1;
    }
    files.into_values().filter(|(going, names, _)| going >= names).map(|(_, _, bytes)| bytes).sum()
}

/// What this pattern could have made in the destination, newest name first.
///
/// # Errors
/// If the destination cannot be listed; if `stop` asks. A file that cannot be read is not an error: it is not known as ours.
pub fn take(
    destination: &Local,
    pattern: &Pattern,
    whose: &Whose,
    state: &Folder,
    stop: &Stop,
) -> Result<Vec<Item>> {
    let found = destination.archives(pattern)?;
    let known = known(&found, whose, state, stop);
    let look = |stored| {
        let item = item(destination, pattern, whose, &known, stored);
        stop.check().map(|()| item)
    };
    found.into_iter().map(look).collect()
}

fn known(found: &[Stored], whose: &Whose, state: &Folder, stop: &Stop) -> Known {
    let stop = stop.clone();
    if found.is_empty() {
        return Known { stop, ..Known::default() };
    }
    let encrypted = found.iter().any(|stored| is_encrypted(&stored.name));
    let records = if encrypted { state.records(&whose.job) } else { Records::default() };
    Known { records, links: state.links(&whose.job), checked: state.checked(&whose.job), stop }
}

/// What is remembered of a job's archives.
#[derive(Default)]
struct Known {
    records: Records,
    links: Links,
    checked: CheckedArchives,
    /// Ends the reading of those of which that is not enough.
    stop: Stop,
}

fn is_encrypted(name: &ArchiveName) -> bool {
    name.ending().ends_with(encryption::ENDING)
}

fn item(destination: &Local, pattern: &Pattern, whose: &Whose, known: &Known, stored: Stored) -> Item {
    let encrypted = is_encrypted(&stored.name);
    let mut item = Item {
        stored,
        about: None,
        damage: None,
        record: None,
        link: None,
        checked: None,
        encrypted,
        names: 1,
        identity: None,
        foreign: false,
        own: Err(String::new()),
    };
    item.own = if encrypted {
        look_by_record(destination, known, &mut item)
            .and_then(|(record, identity)| own_by_record(pattern, whose, &mut item, &record, identity))
    } else {
        look(destination, &mut item)
            .and_then(|(about, identity)| own(pattern, whose, &known.links, &mut item, about, identity))
    };
    let name = item.stored.name.to_string();
    item.checked = item
        .identity
        .and_then(|file| known.checked.of(&name, file.bytes, file.modified, file.inode).cloned());
    if let Ok(own) = &mut item.own {
        own.damaged = item.checked.as_ref().is_some_and(|checked| checked.damage.is_some());
    }
    item
}

/// Without a key nothing in it can be read; what was noted when it was written says enough. That its bytes are those is
/// found out when it matters, as that takes reading all of them.
fn look_by_record(destination: &Local, known: &Known, item: &mut Item) -> Result<(Record, Identity), String> {
    let records = &known.records;
    let cannot = |error: crate::error::Error| format!("it cannot be read: {error}");
    let opened = destination.place(&item.stored.name).and_then(|place| place.open());
    let (file, identity) = opened.map_err(cannot)?;
    item.names = names(&file);
    item.identity = Some(identity);
    let name = item.stored.name.to_string();
    let found = if item.stored.name.is_versioned() {
        numbered(known, &item.stored, &file, identity).map_err(cannot)?
    } else {
        records.find(&name, identity.bytes)
    };
    let Some(record) = found else {
        if let Some(other) = records.named(&name).filter(|_| !item.stored.name.is_versioned()) {
            item.damage = Some(format!("it had {} bytes when it was written", other.bytes));
        }
        return Err("it is encrypted, and there is no record of it".into());
    };
    item.record = Some(record.clone());
    match encryption::is_encrypted_file(&file) {
        Ok(true) => Ok((record.clone(), identity)),
        Ok(false) => {
            item.damage = Some("it does not begin as what age encrypts".into());
            Err("it does not begin as what age encrypts".into())
        }
        Err(e) => Err(format!("it cannot be read: {}", cause_text(&e))),
    }
}

/// Numbered names move, and a run that was killed has not noted where to. Where size, name and time do not say which
/// archive it is, its bytes do, which takes reading all of them.
fn numbered<'a>(
    Known { records, stop, .. }: &'a Known,
    stored: &Stored,
    file: &File,
    identity: Identity,
) -> Result<Option<&'a Record>> {
    let name = stored.name.to_string();
    if let Some(record) = records.of_numbered(&name, identity.bytes, identity.modified) {
        return Ok(Some(record));
    }
    let found = records.of_size(identity.bytes);
    if found.is_empty() {
        return Ok(None);
    }
    let failed = |e| Error::io("read archive", &stored.path, e);
    let hash = Some(digest(file, stop, failed, |_| {})?);
    Ok(found.into_iter().find(|record| record.hash() == hash))
}

fn own_by_record(
    pattern: &Pattern,
    whose: &Whose,
    item: &mut Item,
    record: &Record,
    identity: Identity,
) -> Result<retention::Archive, String> {
    let of = record.sources.as_ref().filter(|_| !whose.sources.is_empty());
    if of.is_some_and(|of| *of != Whose::hash(&whose.sources)) {
        item.foreign = true;
        return Err(format!("it is of something else than {}", whose.sources.join(" and ")));
    }
    let stored = &item.stored;
    let instant = is_named_so(pattern, stored, &record.instant, "the record of it")?;
    Ok(retention::Archive {
        instant,
        number: stored.name.rank(),
        complete: record.complete,
        // A record that does not say it: what is not complete has something skipped, or is suspect.
        suspect: record.suspect || !record.complete && record.skipped == 0,
        damaged: false,
        file: (identity.device, identity.inode),
    })
}

/// Open it, note what there is to see, and give back what its index says.
fn look(destination: &Local, item: &mut Item) -> Result<(About, Identity), String> {
    let cannot = |error: crate::error::Error| format!("it cannot be read: {error}");
    let place = destination.place(&item.stored.name).map_err(cannot)?;
    let opened = place.open().and_then(|(file, identity)| {
        item.identity = Some(identity);
        item.names = names(&file);
        reader::from_file(file, &item.stored.path)
    });
    let about = match opened {
        Ok(Opened::Indexed(archive)) => archive.about(),
        Ok(Opened::Unindexed(unindexed)) => {
            item.damage = unindexed.damage;
            return Err(match &item.damage {
                Some(damage) => format!("it is damaged: {damage}"),
                None => "it has no index".into(),
            });
        }
        Err(error) => Err(error),
    };
    let mut about = about.map_err(|error| {
        item.damage = Some(error.to_string());
        cannot(error)
    })?;
    for noted in [&mut about.report.skipped, &mut about.report.changed, &mut about.report.vanished] {
        *noted = Noted { count: noted.count, names: Vec::new() };
    }
    item.about = Some(about.clone());
    item.identity.map(|identity| (about, identity)).ok_or_else(|| "it cannot be looked at".into())
}

fn names(file: &File) -> u64 {
    file.metadata().map_or(1, |about| about.nlink())
}

fn own(
    pattern: &Pattern,
    whose: &Whose,
    links: &Links,
    item: &mut Item,
    about: About,
    identity: Identity,
) -> Result<retention::Archive, String> {
    if about.job != whose.job {
        item.foreign = true;
        return Err(format!("it is of the job {}", printable(about.job.as_bytes())));
    }
    let known = !about.sources.is_empty() && !whose.sources.is_empty();
    if known && about.sources != whose.sources {
        item.foreign = true;
        let of = printable(about.sources.join(" and ").as_bytes());
        return Err(format!("it is of {of}, and the job of {}", whose.sources.join(" and ")));
    }
    let stored = &item.stored;
    let link = links.find(&stored.name.to_string(), identity.bytes, &about.instant);
    let instant = match link {
        Some(link) => is_named_so(pattern, stored, &link.instant, "the record of the link")?,
        None => is_named_so(pattern, stored, &about.instant, "its index").map_err(|why| {
            if item.names < 2 {
                return why;
            }
            format!("{why}, or it is a link of which there is no record")
        })?,
    };
    item.link = link.cloned();
    let stored = &item.stored;
    Ok(retention::Archive {
        instant,
        number: stored.name.rank(),
        complete: about.report.complete(),
        suspect: about.report.suspect(),
        damaged: false,
        file: (identity.device, identity.inode),
    })
}

/// The instant that an index or a record says, if the archive is called as a run calls one of that instant.
fn is_named_so(
    pattern: &Pattern,
    stored: &Stored,
    instant: &str,
    source: &str,
) -> Result<DateTime<Utc>, String> {
    let said = printable(instant.as_bytes());
    let Ok(instant) = DateTime::parse_from_rfc3339(instant) else {
        return Err(format!("{source} says no time that can be read, but {said}"));
    };
    // The instant has the offset of the zone that the name was made in. Whoever renamed an archive, or copied it to
    // another name, had a reason.
    let named = pattern.name(instant.naive_local(), stored.name.ending(), stored.name.number);
    if named.to_string() != stored.name.to_string() {
        return Err(format!("somebody renamed it: by {source} it is of {said}"));
    }
    Ok(instant.to_utc())
}
