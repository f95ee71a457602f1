//! Where entries become files again: below one folder, from an archive with an index on all cores, or from a stream.

mod clean;
mod expanded;
mod indexed;
mod losses;
mod metadata;
mod root;
mod sparse;
mod stream;

use std::collections::BTreeSet;

use rustix::fs::Mode;
use serde::Serialize;

pub use clean::clean;
pub use expanded::Expanded;
pub use indexed::extract;
pub use metadata::{Fidelity, Unapplied};
pub use root::{Root, split};
pub use stream::{ENTRIES_MAX, Places, extract_stream};

use crate::archive::index::EntryRecord;
use crate::archive::reader::Archive;
use crate::error::Result;
use crate::progress::Progress;
use crate::stop::Stop;

/// The mode of a folder that has no entry of its own.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

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
    /// Whether a stream may make links to anywhere, devices, and what others can write.
    pub trusted: bool,
    /// Whether to go on behind damage, and note what is lost.
    pub salvage: bool,
}

/// Names that are kept of what was refused or lost; all are counted.
pub const NAMES_KEPT: usize = 100;

/// A count, and the first [`NAMES_KEPT`] of what was counted, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How many in all.
    pub count: u64,
    /// The first, each with the reason.
    pub names: Vec<String>,
}

impl Named {
    /// Count one more.
    pub fn note(&mut self, what: String) {
        self.count += 1;
        if self.names.len() < NAMES_KEPT {
            self.names.push(what);
        }
    }

    /// Add what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMES_KEPT - self.names.len();
        self.names.extend(other.names.into_iter().take(room));
    }
}

/// What was extracted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Files, folders, links and devices, those that are there in part included.
    pub entries: u64,
    /// Bytes of the bodies of files, holes included; without those that damage took.
    pub bytes: u64,
    /// What could not be put on them.
    pub unapplied: Unapplied,
    /// What an archive that is not trusted may not have.
    pub refused: Named,
    /// Entries that are there, though not as the archive had them: damage took some of them.
    pub partial: Named,
    /// Entries that damage took, where that is no failure.
    pub lost: Named,
    /// Where a stream ends for us before its end: nobody knows how much is lost there.
    pub cut: Option<String>,
    /// Places of folders that no entry is of: they were made for what is in them.
    #[serde(skip)]
    pub implied: BTreeSet<Vec<u8>>,
}

impl Extracted {
    /// Add what another part made.
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.unapplied.add(other.unapplied);
        self.refused.add(other.refused);
        self.partial.add(other.partial);
        self.lost.add(other.lost);
        self.cut = self.cut.take().or(other.cut);
    }
}
