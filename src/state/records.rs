//! What is remembered of each encrypted archive, since without its key nothing in it can be read: one line of JSON an
//! archive, in one file a job. It is written before the archive gets its name.
//!
//! It says what an index would, as far as that is in the clear anyway: how many, how large, when. No name of a file is
//! in it. Lost, it costs what is known of archives without their key, and never an archive.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::lines::{self, Fate};
use super::{Folder, Linked};
use crate::error::Result;

/// What is remembered of one archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name below the destination, with its ending.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// When its file was last changed: seconds and nanoseconds. Renaming leaves it, copying may not.
    #[serde(default)]
    pub modified: Option<(i64, u32)>,
    /// BLAKE3 of its file, in hexadecimal digits.
    pub blake3: String,
    /// When its run began, in RFC 3339.
    pub instant: String,
    /// Whether all is in it that was wanted.
    pub complete: bool,
    /// Whether its source had shrunk so much that nobody should rely on it unseen. Older records do not say so.
    #[serde(default)]
    pub suspect: bool,
    /// Everything in it.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Folders among them.
    pub folders: u64,
    /// Bytes of the bodies of the files.
    pub content: u64,
    /// Bytes of the tar stream.
    pub raw: u64,
    /// Entries that could not be read.
    pub skipped: u64,
    /// Entries that changed while they were read.
    pub changed: u64,
    /// BLAKE3 of what was archived, [`source::said`](crate::source::said), in hexadecimal digits; none in older records.
    /// A hash, as paths are nobody's business who has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<String>,
}

impl Record {
    /// The hash of its file, if it is one.
    pub fn hash(&self) -> Option<blake3::Hash> {
        blake3::Hash::from_hex(&self.blake3).ok()
    }
}

/// What is remembered of a job's archives.
#[derive(Debug, Default)]
pub struct Records(Vec<Record>);

impl Records {
    /// What is remembered of the archive with this name and size. Of several the last one: a run that was killed before
    /// its archive had the name left one too.
    pub fn find(&self, name: &str, bytes: u64) -> Option<&Record> {
        self.0.iter().rev().find(|record| record.name == name && record.bytes == bytes)
    }

    /// What is remembered of the archives with this size, whatever they are called: each once, the last first.
    pub fn of_size(&self, bytes: u64) -> Vec<&Record> {
        let mut found: Vec<&Record> = Vec::new();
        for record in self.0.iter().rev().filter(|record| record.bytes == bytes) {
            if found.iter().all(|known| known.blake3 != record.blake3) {
                found.push(record);
            }
        }
        found
    }

    /// The record of the numbered archive with this name, size and time, as far as that can be told without reading the file:
    /// the only one of its size and name or, where that says nothing, the only one of its size and time.
    pub fn of_numbered(&self, name: &str, bytes: u64, modified: (i64, u32)) -> Option<&Record> {
        let found = self.of_size(bytes);
        if let [only] = found[..]
            && only.name == name
        {
            return Some(only);
        }
        let mut of_time = found.into_iter().filter(|record| record.modified == Some(modified));
        of_time.next().filter(|_| of_time.next().is_none())
    }

    /// What is remembered of the archive with this name, whatever its size.
    pub fn named(&self, name: &str) -> Option<&Record> {
        self.0.iter().rev().find(|record| record.name == name)
    }
}

impl Folder {
    /// What is remembered of the encrypted archives of a job. What cannot be read is a warning, and counts as none.
    pub fn records(&self, job: &str) -> Records {
        Records(lines::read(&self.file(job, "encrypted")))
    }

    /// Remember an encrypted archive. When this returns, the disk has it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember(&self, job: &str, record: &Record) -> Result<()> {
        self.add_line(&self.file(job, "encrypted"), record)
    }

    /// Note that these encrypted archives, known by the hash in their records, are called otherwise from now on.
    ///
    /// # Errors
    /// If it cannot be written; what was remembered is whole then.
    pub fn rename(&self, job: &str, names: &[(String, String)]) -> Result<()> {
        self.change_lines(&self.file(job, "encrypted"), |record: &mut Record| {
            let Some((_, name)) = names.iter().find(|(hash, _)| *hash == record.blake3) else { return false };
            let other = record.name != *name;
            record.name.clone_from(name);
            other
        })
    }

    /// Forget what was remembered of archives, encrypted ones and links, that are not there any more; `fate` is asked with
    /// the name and the size of each. Only for who has the destination's lock.
    ///
    /// # Errors
    /// If it cannot be written; what was remembered is whole then.
    pub fn forget(&self, job: &str, now: DateTime<Utc>, fate: impl Fn(&str, u64) -> Fate) -> Result<()> {
        self.sift_lines(&self.file(job, "encrypted"), now, |record: &Record| {
            fate(&record.name, record.bytes)
        })?;
        self.sift_lines(&self.file(job, "links"), now, |link: &Linked| fate(&link.name, link.bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn record(name: &str, bytes: u64, entries: u64) -> Record {
        Record { name: name.into(), bytes, entries, ..Record::default() }
    }

    #[test]
    fn records_are_found_again_by_name_and_size() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::new(base.path().join("state"));
        assert!(folder.records("data").named("a").is_none());
        for one in [record("a", 1, 1), record("b", 1, 2), record("a", 1, 3), record("a", 2, 4)] {
            folder.remember("data", &one).unwrap();
        }
        let records = folder.records("data");
        assert_eq!(records.find("a", 1).unwrap().entries, 3);
        assert_eq!(records.find("b", 1).unwrap().entries, 2);
        assert_eq!(records.named("a").unwrap().entries, 4);
        assert!(records.find("b", 2).is_none() && records.find("c", 1).is_none());
        assert!(folder.records("other").named("a").is_none());
    }

    #[test]
    fn a_record_goes_at_once_when_its_archive_was_deleted_and_late_when_it_is_missing() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::new(base.path());
        for name in ["deleted", "missing", "there", "unknown"] {
            folder.remember("data", &record(name, 1, 1)).unwrap();
            let link = Linked { name: name.into(), bytes: 1, ..Linked::default() };
            folder.remember_link("data", &link).unwrap();
        }
        let fate = |name: &str, bytes| {
            assert_eq!(bytes, 1);
            match name {
                "deleted" => Fate::Deleted,
                "missing" => Fate::Missing,
                "there" => Fate::There,
                _ => Fate::Unknown,
            }
        };
        let left = || {
            let records = folder.records("data");
            let links = folder.links("data");
            let names = ["deleted", "missing", "there", "unknown"];
            let is_left = |name: &&str| {
                let left = records.named(name).is_some();
                assert_eq!(links.find(name, 1, "").is_some(), left, "{name}");
                left
            };
            names.into_iter().filter(is_left).collect::<Vec<_>>()
        };
        let day = |day: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day);
        folder.forget("data", day(0), fate).unwrap();
        assert_eq!(left(), ["missing", "there", "unknown"]);
        folder.forget("data", day(29), fate).unwrap();
        assert_eq!(left(), ["missing", "there", "unknown"]);
        // Back for a night, by a disk that was not mounted.
        folder.forget("data", day(30), |_, _| Fate::There).unwrap();
        folder.forget("data", day(31), fate).unwrap();
        folder.forget("data", day(60), fate).unwrap();
        assert_eq!(left(), ["missing", "there", "unknown"]);
        // What nobody can tell stays as it is, however long.
        folder.forget("data", day(61), |_, _| Fate::Unknown).unwrap();
        assert_eq!(left(), ["missing", "there", "unknown"]);
        folder.forget("data", day(61), fate).unwrap();
        assert_eq!(left(), ["there", "unknown"]);
        let before = std::fs::metadata(folder.file("data", "links")).unwrap();
        folder.forget("data", day(62), fate).unwrap();
        let after = std::fs::metadata(folder.file("data", "links")).unwrap();
        assert_eq!(before.ino(), after.ino(), "nothing is written where nothing goes");
    }

    #[test]
    fn half_a_line_costs_itself_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::new(base.path());
        folder.remember("data", &record("a", 1, 1)).unwrap();
        let path = folder.file("data", "encrypted");
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"name\":\"b\",\"by");
        std::fs::write(&path, text).unwrap();
        folder.remember("data", &record("c", 3, 3)).unwrap();
        let records = folder.records("data");
        assert!(
            records.find("a", 1).is_some() && records.named("b").is_none() && records.find("c", 3).is_some()
        );
    }

    #[test]
    fn nothing_is_written_through_a_link_that_was_left_in_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let victim = base.path().join("victim");
        std::fs::write(&victim, b"secret").unwrap();
        let folder = Folder::new(base.path());
        std::os::unix::fs::symlink(&victim, folder.file("data", "encrypted")).unwrap();
        assert!(folder.remember("data", &record("a", 1, 1)).is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"secret");
    }
}
