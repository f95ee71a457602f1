//! Where entries become files again: below one folder, from an archive with an index on all cores, or from a stream.

mod indexed;
mod metadata;
mod root;
mod sparse;

use serde::Serialize;

pub use indexed::extract;
pub use metadata::{Fidelity, Unapplied};
pub use root::{Root, split};

use crate::progress::Progress;
use crate::stop::Stop;

/// Which entries are wanted, and where each goes: the relative name below the root, empty for the root itself. An entry
/// for which it says `None` is left in the archive.
pub trait Choice: Sync {
    /// Where the entry of this name goes.
    fn place(&self, name: &[u8]) -> Option<Vec<u8>>;
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>> + Sync> Choice for F {
    fn place(&self, name: &[u8]) -> Option<Vec<u8>> {
        self(name)
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
