//! Whether a file that was written is what was meant to be written, read back from the disk.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::archive::Proof;
use crate::archive::reader::{self, Opened};
use crate::archive::verify::{self, Depth};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::stop::Stop;

/// Read everything back and hold it against its hashes, on so many threads.
///
/// # Errors
/// If a single byte differs: the disk, the memory or the file system is at fault, and nothing is published.
pub fn check(proof: &Proof, file: &File, path: &Path, threads: usize, stop: &Stop) -> Result<()> {
    todo!()
}
