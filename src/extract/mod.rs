//! Where entries become files again: below one folder, from an archive with an index on all cores, or from a stream.

mod expanded;
mod indexed;
mod metadata;
mod root;
mod sparse;

use serde::Serialize;

pub use expanded::Expanded;
pub use indexed::extract;
pub use metadata::{Fidelity, Unapplied};
pub use root::{Root, split};

use crate::archive::index::EntryRecord;
use crate::archive::reader::Archive;
use crate::error::Result;
use crate::progress::Progress;
use crate::stop::Stop;

/// Which entries are wanted, and where each goes.
pub trait Choice: Sync {
    /// Where the entry of this name goes: the relative name below the root, empty for the root itself. An entry for which
    /// it says `None` is left in the archive.
    fn place(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// Entries among which all are that are wanted, in the order of the archive.
    fn entries<'a>(&'a self, archive: &'a Archive) -> Box<dyn Iterator<Item = Result<EntryRecord>> + 'a> {
        Box::new(archive.entries())
    }
}

/// What extracting needs from outside.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// Whether to go on.
    pub stop: &'a Stop,
    /// Where to count.
    pub progress: &'a Progress,
    /// Threads that decompress and write, at least 1.
    pub threads: usize,
    /// What is put on the files besides their bodies.
    pub fidelity: Fidelity,
}

/// What was extracted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Files, folders, links and devices.
    pub entries: u64,
    /// Bytes of the bodies of files, holes included.
    pub bytes: u64,
    /// What could not be put on them.
    pub unapplied: Unapplied,
}

impl Extracted {
    /// Add what another part made.
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.unapplied.add(other.unapplied);
    }
}
