//! Whether a file that was written is what was meant to be written, read back from the disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::archive::Proof;
use crate::archive::verify::{self, Depth, Options};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::stop::Stop;

/// Read everything back and hold it against its hashes, on so many threads.
///
/// # Errors
/// If a single byte differs: the disk, the memory or the file system is at fault, and nothing is published.
pub fn check(proof: &Proof, file: &File, path: &Path, threads: usize, stop: &Stop) -> Result<()> {
    match proof {
        Proof::Hash(expected) => whole(*expected, file, path, stop),
        Proof::Footer(expected) => {
            let mut footer = vec![0; expected.len()];
            let length = file.metadata().map_err(|e| read_failed(path, e))?.len();
            file.read_exact_at(&mut footer, length.saturating_sub(expected.len() as u64))
                .map_err(|e| read_failed(path, e))?;
            if footer != *expected {
                return Err(differs(path, "its end"));
            }
            let copy = file.try_clone().map_err(|e| read_failed(path, e))?;
            let options = Options { depth: Depth::Stored, threads };
            let verified = verify::verify_file(copy, path, options, stop, &Progress::default())?;
            verified.problems.first().map_or(Ok(()), |problem| Err(differs(path, problem)))
        }
    }
}

fn whole(expected: blake3::Hash, file: &File, path: &Path, stop: &Stop) -> Result<()> {
    let found = digest(file, stop, |e| read_failed(path, e), |_| {})?;
    (found == expected).then_some(()).ok_or_else(|| differs(path, "its bytes"))
}

fn read_failed(path: &Path, error: std::io::Error) -> Error {
    Error::io("read back archive", path, error)
}

fn differs(path: &Path, what: &str) -> Error {
    Error::failed(format!(
        "read back archive {}: not what was written: {what}; check the disk and the machine's memory",
        printable_path(path)
    ))
}
