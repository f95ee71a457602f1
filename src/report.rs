//! What came of a run, for the log, the exit status, the state and the archive's own index.

use serde::{Deserialize, Serialize};

use crate::entry::{Miss, Missed};
use crate::exit::Exit;
use crate::printable::printable;

/// How many missed entries of a kind are kept by name; all are counted.
pub const NAMES_KEPT: usize = 1000;

/// What a run archived and what it missed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Everything in the archive.
    pub entries: u64,
    /// Regular files among the entries, further names of a file not counted.
    pub files: u64,
    /// Folders among the entries.
    pub folders: u64,
    /// Bytes of the bodies of the regular files, holes included.
    pub bytes: u64,
    /// Bytes of the tar stream.
    pub raw: u64,
    /// Bytes of the archive file.
    pub stored: u64,
    /// What was taken over from the archive before.
    #[serde(default, skip_serializing_if = "Reused::is_nothing")]
    pub reused: Reused,
    /// Entries that could not be read: the archive is incomplete.
    pub skipped: Noted,
    /// Entries that changed while they were read.
    pub changed: Noted,
    /// Entries that were gone before they were opened.
    pub vanished: Noted,
    /// Why the archive is suspect, one sentence each: the source has shrunk, a database seems to be running in it.
    /// Only the first kind makes a run suspect; see [`Warning::suspect`].
    pub warnings: Vec<Warning>,
}

/// What an archive has from the one before it, compressed as it was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reused {
    /// Segments.
    pub segments: u64,
    /// Bytes of the tar stream in them.
    pub raw: u64,
    /// Bytes of the archive in them.
    pub stored: u64,
    /// Bytes of the archive that are not there twice: their blocks are those of the archive before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Reused {
    /// Whether nothing was.
    pub fn is_nothing(&self) -> bool {
        self.segments == 0
    }
}

/// A count, and the first names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// How many in all.
    pub count: u64,
    /// The first [`NAMES_KEPT`], printable, each with its cause: `data/x: open source file: permission denied`.
    pub names: Vec<String>,
}

/// Something people should know about the run as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// One sentence: what, and what to do about it.
    pub text: String,
    /// Whether the archive should not be trusted to be all there was.
    pub suspect: bool,
}

impl Report {
    /// Note something missed.
    pub fn miss(&mut self, missed: &Missed) {
        let noted = match missed.what {
            Miss::Skipped => &mut self.skipped,
            Miss::Changed => &mut self.changed,
            Miss::Vanished => &mut self.vanished,
        };
        noted.count += 1;
        if noted.names.len() < NAMES_KEPT {
            noted.names.push(format!("{}: {}", printable(&missed.name), missed.cause));
        }
    }

    /// Whether everything that was wanted is in the archive.
    pub fn complete(&self) -> bool {
        self.skipped.count == 0 && !self.suspect()
    }

    /// Whether something is wrong with the archive as a whole; see [`Warning::suspect`].
    pub fn suspect(&self) -> bool {
        self.warnings.iter().any(|warning| warning.suspect)
    }

    /// How a run with this report ends.
    pub fn exit(&self) -> Exit {
        if self.complete() { Exit::Complete } else { Exit::Incomplete }
    }
}
