//! What an interrupted restore leaves for the next one to read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, fsync, openat, renameat};
use serde::{Deserialize, Serialize};

use crate::entry::Timestamp;

/// The journal's name in the folder of a restore.
pub const JOURNAL: &str = "journal";
/// Its name while it is written.
const WRITTEN: &str = "journal.new";

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The old is untouched, the new not complete: to be undone.
    Extracting,
    /// The new is complete, and takes its place: to be finished.
    Swapping,
}

/// What the journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// How far.
    pub phase: Phase,
    /// The last part of the name that the new folder gets, where it is beside it; as bytes.
    pub becomes: Option<Vec<u8>>,
    /// What is in the old and not in the new, and is to go: relative names, as bytes, what is in a folder before it.
    pub delete: Vec<Vec<u8>>,
    /// Folders that are in both, from the outermost in.
    pub merged: Vec<Merged>,
    /// Folders whose mode is in the way, from the outermost in.
    #[serde(default)]
    pub opened: Vec<Opened>,
    /// Where several parts are restored, the one whose journal decides for this one too.
    #[serde(default)]
    pub lead: Option<Lead>,
    /// The folders for which this journal decides, which are finished before it; as bytes.
    #[serde(default)]
    pub followers: Vec<Vec<u8>>,
    /// Who wrote it, for people.
    #[serde(default)]
    pub holder: String,
}

/// Whose journal decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// Its folder, as bytes.
    pub folder: Vec<u8>,
    /// Device and inode of the folder around that: where they are the same, its disk is there.
    pub home: (u64, u64),
}

/// A folder that is in the new tree and in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Relative, as bytes; the empty name is the target itself.
    pub name: Vec<u8>,
    /// The time that it has in the new tree: taking out what is in it changes that.
    pub time: Timestamp,
    /// Whether owner, mode and time stay as they are in the target.
    pub kept: bool,
}

/// A folder that its owner may not change, which only root can all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Relative, as bytes.
    pub name: Vec<u8>,
    /// The mode that it has in the end; none where it goes.
    pub bits: Option<u32>,
}

impl Journal {
    /// Of a restore that begins.
    pub fn extracting(becomes: Option<Vec<u8>>) -> Self {
        let phase = Phase::Extracting;
        let (delete, merged, opened, followers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let holder = format!("process {} on {}", std::process::id(), host.trim());
        Self { phase, becomes, delete, merged, opened, lead: None, followers, holder }
    }

    /// Write it, so that after a power failure it is there whole or not at all.
    pub fn write(&self, folder: impl AsFd) -> std::io::Result<()> {
        let folder = folder.as_fd();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(folder, WRITTEN, flags, Mode::RUSR | Mode::WUSR)?);
        // The text is several times what is in it, and may be of a million names.
        let mut text = BufWriter::new(&file);
        serde_json::to_writer(&mut text, self)?;
        text.flush()?;
        drop(text);
        file.sync_all()?;
        renameat(folder, WRITTEN, folder, JOURNAL)?;
        Ok(fsync(folder)?)
    }

    /// Read it. None where there is none: the restore had hardly begun.
    pub fn read(folder: impl AsFd) -> std::io::Result<Option<Self>> {
        let folder = folder.as_fd();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(folder, JOURNAL, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let journal: Self = serde_json::from_reader(BufReader::new(file))?;
        if journal
            .becomes
            .as_deref()
            .is_some_and(|name| matches!(name, b"" | b"." | b"..") || name.contains(&b'/'))
        {
            return Err(std::io::Error::other("the name that the folder is to get is none"));
        }
        Ok(Some(journal))
    }
}
