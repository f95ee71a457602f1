//! Verifying an archive: every byte of it, on all cores where it has an index, or by reading it through.

mod indexed;
mod segment;
mod streamed;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::reader::{self, Opened};
use super::stream::{Input, Member};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::{counted, human_bytes, printable_path};
use crate::progress::Progress;
use crate::stop::Stop;

/// Problems that are kept in words; all are counted.
const PROBLEMS_KEPT: usize = 1000;

/// How thoroughly an archive with an index is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Stored bytes against their hashes, decompressed bytes against theirs and their CRCs, tar headers against the
    /// index.
    #[default]
    Full,
    /// Stored bytes against their hashes. What was written is what is read; nothing is decompressed.
    Stored,
}

/// How to verify.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How thoroughly.
    pub depth: Depth,
    /// Threads that check, at least 1.
    pub threads: usize,
}

/// By what an archive was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Its index: every byte has been compared.
    Index,
    /// Reading it through: the checksums that the compression or the encryption has, and every tar header.
    Reading,
    /// The hash that its file had when it was written: every byte of the file, and nothing of what is encrypted in it.
    Hash,
    /// Reading it through: every tar header. A plain tar has no sums over what its files hold.
    Headers,
}

/// What verifying came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// By what it was checked.
    pub by: By,
    /// Entries seen.
    pub entries: u64,
    /// Segments checked; 0 where there are none.
    pub segments: u64,
    /// Bytes of the tar stream that were checked; 0 where nothing was decompressed.
    pub raw: u64,
    /// Bytes of the file.
    pub stored: u64,
    /// How many problems were found.
    pub damage: u64,
    /// The first of them, each with its place, in the order of the file.
    pub problems: Vec<String>,
    /// What is unusual and no damage.
    pub notes: Vec<String>,
}

impl Verified {
    fn new(by: By, stored: u64) -> Self {
        Self {
            by,
            entries: 0,
            segments: 0,
            raw: 0,
            stored,
            damage: 0,
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn problem(&mut self, what: impl Into<String>) {
        self.damage += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(what.into());
        }
    }

    /// Whether nothing is wrong with it.
    pub fn sound(&self) -> bool {
        self.damage == 0
    }

    /// How a command that verified this ends.
    pub fn exit(&self) -> Exit {
        if self.sound() { Exit::Complete } else { Exit::Damaged }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let result = match self.damage {
            0 => "sound".to_string(),
            count => format!("damaged, {}", counted(count, "problem", "problems")),
        };
        let entries = counted(self.entries, "entry", "entries");
        let by = match self.by {
            By::Index if self.raw == 0 => "stored bytes checked".to_string(),
            By::Index => {
                format!("{} checked", counted(self.segments, "segment", "segments"))
            }
            By::Hash => "encrypted: its bytes are compared with the hash noted when it was written, and nothing is decrypted".to_string(),
            By::Reading => "checked by reading: no index".to_string(),
            By::Headers => {
                "checked by reading: no index, and a plain tar has no checksums of what its files hold"
                    .to_string()
            }
        };
        let raw = if self.raw == 0 { String::new() } else { format!(" from {}", human_bytes(self.raw)) };
        format!("{result}: {entries}, {}{raw}; {by}", human_bytes(self.stored))
    }
}

/// Verify the archive at this path.
///
/// # Errors
/// If it cannot be opened or read at all, is of a kind that this version cannot read, or `stop` asks. Damage is no
/// error: see [`Verified::problems`].
pub fn verify(path: &Path, options: Options, stop: &Stop, progress: &Progress) -> Result<Verified> {
    let file = File::open(path).map_err(|e| Error::io("open archive", path, e))?;
    verify_file(file, path, options, stop, progress)
}

/// [`verify`] for a file that is open already; the path is for messages.
///
/// # Errors
/// As for [`verify`].
pub fn verify_file(
    file: File,
    path: &Path,
    options: Options,
    stop: &Stop,
    progress: &Progress,
) -> Result<Verified> {
    verify_opened(reader::from_file(file, path)?, path, options, stop, progress)
}

/// [`verify`] for an archive that is open already; the path is for messages.
///
/// # Errors
/// As for [`verify`].
pub fn verify_opened(
    opened: Opened,
    path: &Path,
    options: Options,
    stop: &Stop,
    progress: &Progress,
) -> Result<Verified> {
    let unindexed = match opened {
        Opened::Indexed(archive) => {
            match indexed::verify(&archive, options, stop, progress) {
                Err(e) if e.exit() == Exit::Damaged => {
                    // The index cannot be followed to its end: what can be said is what any other reader would find.
                    archive.into_unindexed(index_problem(&e, path))
                }
                other => return other,
            }
        }
        Opened::Unindexed(unindexed) => unindexed,
    };
    streamed::verify(unindexed, stop, progress)
}

/// Verify a file of which nothing is known but this hash, and how many entries it should have.
///
/// # Errors
/// If it cannot be read, or `stop` asks.
pub fn verify_hash(
    file: impl Read,
    path: &Path,
    (expected, entries): (blake3::Hash, u64),
    stop: &Stop,
    progress: &Progress,
) -> Result<Verified> {
    let mut verified = Verified::new(By::Hash, 0);
    verified.entries = entries;
    let failed = |e| Error::io("read archive", path, e);
    let found = digest(file, stop, failed, |count| {
        verified.stored += count;
        progress.read(count);
    })?;
    if found != expected {
        verified.problem("its bytes are not those that were written");
    }
    Ok(verified)
}

/// Verify what comes from a pipe, by reading it through; the path is for messages.
///
/// # Errors
/// As for [`verify`].
pub fn verify_stream(
    reader: Box<dyn Read>,
    path: &Path,
    stop: &Stop,
    progress: &Progress,
) -> Result<Verified> {
    streamed::read(Input::new(reader, path, stop)?, None, (stop, progress), &mut |_| Ok(()))
}

/// Verify a tar stream by reading it through, and show each of its entries as it comes by.
///
/// # Errors
/// If `stop` asks, `each` ends it, or more comes out of the input than may.
pub fn verify_entries(
    input: Input,
    stop: &Stop,
    progress: &Progress,
    each: &mut dyn FnMut(&Member) -> Result<()>,
) -> Result<Verified> {
    streamed::read(input, None, (stop, progress), each)
}

/// The message without the path, which the caller says.
fn index_problem(error: &Error, path: &Path) -> String {
    let text = error.to_string();
    let front = format!("archive {}: ", printable_path(path));
    text.strip_prefix(&front).map_or(text.clone(), str::to_string)
}
