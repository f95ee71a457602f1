//! The archive that a new one is built on: what in it is the same as now, found in the order of the walk.

mod cursor;
mod pieces;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::index::{About, Builder, EntryRecord, Envelope, hash};
use super::reader::{Archive, Fault, Segment};
use crate::entry::{Entry, Timestamp};
use crate::printable::{printable, printable_path};
use crate::report::{Report, Reused, Warning};

pub(super) use cursor::{Cursor, Group};
pub(super) use pieces::BasePieces;

/// A file must have been left alone for so many seconds before the base's scan began. A store through a shared mapping
/// moves the time of change only at its first fault after writeback, which took 32 s on ext4, and clocks tick coarsely.
const MARGIN: i64 = 120;

/// How it is known that a file is the same as in the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// By inode, size, mode, owner, mtime and ctime.
    Strict,
    /// Without inode and ctime.
    Mtime,
    /// By reading it.
    Content,
}

/// What the base is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What is the same is taken over.
    Reuse,
    /// Everything is read and compressed, and held against the base by this rule: a file whose times say that it is the
    /// same has to be the same.
    Compare,
}

/// An archive that another is built on.
#[derive(Debug)]
pub struct Base {
    archive: Archive,
    about: About,
    scan: Timestamp,
    rule: Rule,
    purpose: Purpose,
    /// The first thing that is wrong with it.
    damage: Mutex<Option<String>>,
    /// Whether a file was read that is the same, and too young for its times to say so.
    young: AtomicBool,
    /// Files that are not the same although they should be.
    differ: Mutex<Vec<Vec<u8>>>,
}

/// How many names are given of files that differ.
const NAMED: usize = 20;

impl Base {
    /// This archive, about which its index says that.
    ///
    /// # Errors
    /// What is wrong, if it cannot be one.
    pub fn new(archive: Archive, about: &About, rule: Rule, purpose: Purpose) -> Result<Self, String> {
        let began = chrono::DateTime::parse_from_rfc3339(&about.began)
            .map_err(|e| format!("it does not say when its scan began: {e}"))?;
        let scan = Timestamp { seconds: began.timestamp(), nanos: began.timestamp_subsec_nanos() };
        Ok(Self {
            archive,
            about: about.clone(),
            scan,
            rule,
            purpose,
            damage: Mutex::default(),
            young: AtomicBool::default(),
            differ: Mutex::default(),
        })
    }

    /// Whether files are only to be looked at first, where their times can be trusted.
    pub fn looks(&self) -> bool {
        self.rule != Rule::Content
    }

    /// Whether it is only held against what is there now.
    pub fn compares(&self) -> bool {
        self.purpose == Purpose::Compare
    }

    /// Whether this file is the same as then, as far as can be told without reading it.
    pub(super) fn is_unchanged(&self, now: &Entry, then: &EntryRecord) -> bool {
        let shape = |mode, uid, gid, size, mtime: Timestamp| (mode, uid, gid, size, mtime);
        let same = now.name == then.name
            && now.kind == then.kind
            && shape(now.mode, now.uid, now.gid, now.size, now.mtime)
                == shape(then.mode, then.uid, then.gid, then.size, then.mtime)
            && !then.changed
            && !then.cut;
        let old =
            |time: Timestamp| Timestamp { seconds: time.seconds.saturating_add(MARGIN), ..time } < self.scan;
        // The device is not asked: many file systems get another number each time they are mounted.
        let (same, last_changed) = match self.rule {
            Rule::Mtime => (same, now.mtime),
            Rule::Strict | Rule::Content => {
                (same && now.inode == then.inode && now.ctime == then.ctime, now.ctime)
            }
        };
        if same && !old(last_changed) {
            self.young.store(true, Ordering::Relaxed);
        }
        same && old(last_changed)
    }

    /// Whether an archive of this index, that says this about itself, would be this one again: the same bytes but for
    /// the instants of the run and what was taken over.
    ///
    /// One in which young files were read is not: it has a later scan, by which the next run knows them without reading.
    pub(super) fn is_again(&self, index: &mut Builder, about: &About) -> bool {
        let sound = self.damage.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let (segments, entries) = self.archive.pages();
        let timeless = |about: &About| About {
            instant: String::new(),
            began: String::new(),
            ended: String::new(),
            read: None,
            report: Report { reused: Reused::default(), ..about.report.clone() },
            ..about.clone()
        };
        self.purpose == Purpose::Reuse
            && sound
            && !self.young.load(Ordering::Relaxed)
            && timeless(about) == timeless(&self.about)
            && index.is_as_in(segments, entries)
    }

    /// The stored bytes of this segment, checked, into an empty buffer. What is wrong is kept for the report.
    pub(super) fn copy(&self, segment: &Segment, stored: &mut Vec<u8>) -> bool {
        stored.clear();
        stored.resize(segment.record.stored as usize, 0);
        let outcome = self.archive.store().read_exact_at(stored, segment.offset).map_err(Fault::Read);
        let outcome = outcome.and_then(|()| {
            let same = hash(stored) == segment.record.stored_hash;
            if same { Ok(()) } else { Err(Fault::StoredHash) }
        });
        let Err(fault) = outcome else { return true };
        self.damaged(&format!("segment {} (offset {}): {fault}", segment.number, segment.offset));
        false
    }

    /// Its file, to have blocks in common with, if it is not encrypted there.
    pub(super) fn file(&self) -> Option<&File> {
        self.archive.store().file()
    }

    /// Bytes of that file, as they are.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.archive.store().read_exact_at(buffer, at)
    }

    /// What the archive is in.
    pub(super) fn envelope(&self) -> Envelope {
        self.archive.footer().envelope
    }

    /// The tar stream's bytes of this segment, checked. What is wrong is kept for the report.
    pub(super) fn raw(&self, number: u64) -> Option<Vec<u8>> {
        self.archive.read_segment(number).map_err(|error| self.damaged(&error.to_string())).ok()
    }

    /// The segment with this number. What is wrong is kept for the report.
    pub(super) fn segment(&self, number: u64) -> Option<Segment> {
        self.archive.segment(number).map_err(|error| self.damaged(&error.to_string())).ok()
    }

    fn damaged(&self, what: &str) {
        let mut first = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            log::warn!("the last archive, {}, is damaged: {what}", printable_path(self.archive.path()));
            *first = Some(what.to_owned());
        }
    }

    /// This file should be as it was, and is not.
    pub(super) fn differs(&self, name: &[u8]) {
        let mut differ = self.differ.lock().unwrap_or_else(PoisonError::into_inner);
        // A large file says so for each of its pieces.
        if differ.last().is_none_or(|last| last != name) {
            log::error!(
                "{}: differs from the last archive, and its times say that it does not",
                printable(name)
            );
            differ.push(name.to_vec());
        }
    }

    /// What was found to be wrong meanwhile, in words.
    pub(super) fn report(&self, report: &mut Report) {
        let path = printable_path(self.archive.path());
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner).take();
        report.warnings.extend(damage.map(|what| Warning {
            text: format!(
                "the last archive is damaged, and what could not be taken over was read from the source: {path}: {what}; \
                 tarkeep verify says more"
            ),
            suspect: false,
        }));
        let mut differ = std::mem::take(&mut *self.differ.lock().unwrap_or_else(PoisonError::into_inner));
        differ.sort();
        differ.dedup();
        if differ.is_empty() {
            return;
        }
        let mut names: Vec<String> = differ.iter().take(NAMED).map(|name| printable(name)).collect();
        if differ.len() > NAMED {
            names.push(format!("{} more", differ.len() - NAMED));
        }
        let (same, why) = match self.rule {
            Rule::Strict | Rule::Content => {
                ("size, inode and times are", "its file system does not tell of changes")
            }
            Rule::Mtime => ("size and mtime are", "something changed it and set its mtime back"),
        };
        report.warnings.push(Warning {
            text: format!(
                "not what the last archive, {path}, has, though {same} the same: {}; the disk is failing, or {why}: \
                 this archive has what is there now, compare with tarkeep cat",
                names.join(", ")
            ),
            suspect: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::codec::Codec;
    use crate::archive::reader::{Opened, from_store};
    use crate::archive::store::Store;
    use crate::archive::{Options, write};
    use crate::entry::{Found, Kind};
    use crate::error::Error;
    use crate::progress::Progress;
    use crate::stop::Stop;

    const SCAN: i64 = 1_800_000_000;

    pub(super) fn about() -> About {
        About {
            tool: String::new(),
            job: String::new(),
            sources: Vec::new(),
            instant: String::new(),
            zone: String::new(),
            began: "2027-01-15T08:00:00Z".into(),
            ended: String::new(),
            codec: String::new(),
            read: None,
            boot: None,
            report: Report::default(),
        }
    }

    fn base(rule: Rule) -> Base {
        let about = |_: &_, report: &mut Report| Ok(About { report: report.clone(), ..about() });
        let mut file = tempfile::tempfile().unwrap();
        let options = Options { codec: Codec::Gzip(1), threads: 1 };
        let hands = (&Stop::default(), &Progress::default());
        let failed = |e| Error::io("write archive", "x", e);
        let mut nothing = std::iter::empty::<Found>();
        write(&mut nothing, options, about, &mut file, hands, failed).unwrap();
        let opened = from_store(Store::plain(file).unwrap(), std::path::Path::new("x")).unwrap();
        let Opened::Indexed(archive) = opened else { panic!("no index") };
        let about = archive.about().unwrap();
        Base::new(*archive, &about, rule, Purpose::Reuse).unwrap()
    }

    /// A file and its record, changed so many seconds before the scan.
    pub(super) fn pair(mtime: i64, ctime: i64) -> (Entry, EntryRecord) {
        let time = |before| Timestamp { seconds: SCAN - before, nanos: 0 };
        let entry = Entry {
            name: b"data/a".to_vec(),
            kind: Kind::File,
            mode: 0o644,
            uid: 1,
            gid: 2,
            user: Vec::new(),
            group: Vec::new(),
            mtime: time(mtime),
            ctime: time(ctime),
            inode: 7,
            device: 8,
            size: 9,
            xattrs: Vec::new(),
            content: None,
        };
        let record = EntryRecord {
            name: entry.name.clone(),
            kind: Kind::File,
            mode: 0o644,
            uid: 1,
            gid: 2,
            size: 9,
            mtime: entry.mtime,
            ctime: entry.ctime,
            inode: 7,
            device: 80,
            segment: 0,
            offset: 0,
            headers: 512,
            changed: false,
            cut: false,
            sparse: None,
        };
        (entry, record)
    }

    #[test]
    fn a_file_must_have_been_left_alone_for_two_minutes_before_the_scan() {
        let strict = base(Rule::Strict);
        for (ctime, unchanged) in
            [(-5, false), (0, false), (119, false), (120, false), (121, true), (9999, true)]
        {
            let (now, then) = pair(99_999, ctime);
            assert_eq!(strict.is_unchanged(&now, &then), unchanged, "{ctime} s before");
            let (now, then) = pair(ctime, 0);
            assert_eq!(base(Rule::Mtime).is_unchanged(&now, &then), unchanged, "{ctime} s before, by mtime");
        }
    }

    #[test]
    fn whatever_differs_counts() {
        type Change = fn(&mut Entry, &mut EntryRecord);
        let changes: [(Change, bool); 12] = [
            (|now, _| now.mode = 0o600, true),
            (|now, _| now.uid = 3, true),
            (|now, _| now.gid = 3, true),
            (|now, _| now.size = 10, true),
            (|now, _| now.mtime.nanos = 1, true),
            (|now, _| now.kind = Kind::Fifo, true),
            (|now, _| now.name = b"data/b".to_vec(), true),
            (|_, then| then.changed = true, true),
            (|_, then| then.cut = true, true),
            (|now, _| now.inode = 8, false),
            (|now, _| now.ctime.nanos = 1, false),
            (|now, _| now.ctime.seconds -= 1, false),
        ];
        for (number, (change, by_mtime_too)) in changes.into_iter().enumerate() {
            let (mut now, mut then) = pair(9999, 9999);
            change(&mut now, &mut then);
            assert!(!base(Rule::Strict).is_unchanged(&now, &then), "{number}");
            assert_eq!(base(Rule::Mtime).is_unchanged(&now, &then), !by_mtime_too, "{number}, by mtime");
        }
    }
}
