//! What is remembered of each encrypted archive, since without its key nothing in it can be read: one line of JSON an
//! archive, in one file a job. It is written before the archive gets its name.
//!
//! It says what an index would, as far as that is in the clear anyway: how many, how large, when. No name of a file is
//! in it. Lost, it costs what is known of archives without their key, and never an archive.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::Folder;
use crate::error::{Error, Result, cause_text};
use crate::printable::printable_path;

/// What is remembered of one archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name below the destination, with its ending.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// BLAKE3 of its file, in hexadecimal digits.
    pub blake3: String,
    /// When its run began, in RFC 3339.
    pub instant: String,
    /// Whether all is in it that was wanted.
    pub complete: bool,
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

    /// What is remembered of the archive with this name, whatever its size.
    pub fn named(&self, name: &str) -> Option<&Record> {
        self.0.iter().rev().find(|record| record.name == name)
    }
}

impl Folder {
    /// What is remembered of the encrypted archives of a job. What cannot be read is a warning, and counts as none.
    pub fn records(&self, job: &str) -> Records {
        let path = self.file(job, "encrypted");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Records::default(),
            Err(e) => {
                log::warn!("read records {}: {}", printable_path(&path), cause_text(&e));
                return Records::default();
            }
        };
        // A line that a dead run did not finish is none.
        let lines = text.split(|byte| *byte == b'\n');
        Records(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Remember an encrypted archive. When this returns, the disk has it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember(&self, job: &str, record: &Record) -> Result<()> {
        self.create()?;
        let path = self.file(job, "encrypted");
        let failed = |e: io::Error| Error::io("write record", &path, e);
        let mut line = serde_json::to_vec(record).expect("plain data with text keys always serialises");
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        // The folder may belong to somebody whom root must not write elsewhere for.
        let file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path);
        let mut file = file.map_err(failed)?;
        if !ends_with_a_line(&mut file).map_err(failed)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(failed)?;
        File::open(&self.0)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io("sync state folder", &self.0, e))
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
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
