//! How much room there is. Asked before anything is written; nothing is ever deleted to make room.

use std::path::Path;

use rustix::fs::{StatVfs, fstatvfs, statvfs};

use super::Local;
use crate::error::{Error, Result};
use crate::printable::{counted, human_bytes, printable_path};

/// An archive, its folders, the lock and the state.
const INODES_NEEDED: u64 = 8;

/// What is free in a destination for who has no privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes; none where the file system sets no limit or does not say.
    pub bytes: Option<u64>,
    /// Files; none where their number is not limited.
    pub inodes: Option<u64>,
}

impl Space {
    /// The room in the file system of this folder.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn at(folder: &Path) -> Result<Self> {
        statvfs(folder).map(Self::of).map_err(|e| Error::io("ask for the free space of", folder, e))
    }

    fn of(found: StatVfs) -> Self {
        Self {
            bytes: (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)),
            // btrfs, and tmpfs without a limit, have 0 in all.
            inodes: (found.f_files > 0).then_some(found.f_favail),
        }
    }
}

impl Local {
    /// The room there is.
    ///
    /// # Errors
    /// If the file system does not answer.
    pub fn space(&self) -> Result<Space> {
        fstatvfs(&self.fd).map(Space::of).map_err(|e| Error::io("ask for the free space of", self.root(), e))
    }

    /// Whether an archive of this size fits.
    ///
    /// # Errors
    /// If it does not, with what is needed and what is there.
    pub fn require_space(&self, needed: u64) -> Result<()> {
        let space = self.space()?;
        let wanting = if let Some(bytes) = space.bytes.filter(|bytes| *bytes < needed) {
            format!("{} free, and {} are needed", human_bytes(bytes), human_bytes(needed))
        } else if let Some(inodes) = space.inodes.filter(|inodes| *inodes < INODES_NEEDED) {
            format!(
                "room for {}, and for {INODES_NEEDED} is needed",
                counted(inodes, "more file", "more files")
            )
        } else {
            return Ok(());
        };
        Err(Error::failed(format!(
            "destination {} has {wanting}: make room there; nothing is deleted for it",
            printable_path(self.root())
        )))
    }
}
