//! Encryption with age (<https://age-encryption.org/v1>): who can open archives, and what opens them.
//!
//! Everything that knows the `age` crate is below here. Built without it, settings of encryption are refused, and an
//! archive that is encrypted is one that cannot be read.

use std::fs::File;
#[cfg(feature = "age")]
use std::io::Write;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::printable::printable_path;

#[cfg(feature = "age")]
mod keys;
#[cfg(feature = "age")]
mod opened;
#[cfg(feature = "age")]
mod recipients;
#[cfg(feature = "age")]
mod refused;

#[cfg(feature = "age")]
pub use self::{keys::Keys, opened::Opened, recipients::Recipients, recipients::Sealed};

#[cfg(not(feature = "age"))]
mod absent;
#[cfg(not(feature = "age"))]
pub use self::absent::{Keys, Opened, Recipients, Sealed};

/// What the name of an encrypted archive ends with.
pub const ENDING: &str = ".age";

/// What an encrypted file begins with, and one that was made with `age --armor`.
const MAGIC: &[u8] = b"age-encryption.org/";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Whether a file that begins so is encrypted.
fn is_encrypted(start: &[u8]) -> bool {
    start.starts_with(MAGIC) || start.starts_with(ARMOR)
}

/// Whether this file is encrypted.
///
/// # Errors
/// If it cannot be read.
pub fn is_encrypted_file(file: &File) -> io::Result<bool> {
    let mut start = [0; ARMOR.len()];
    let mut length = 0;
    while length < start.len() {
        match file.read_at(&mut start[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(is_encrypted(&start[..length]))
}

/// What comes from a reader, decrypted if it is encrypted; the path is for messages.
///
/// # Errors
/// If it cannot be read, or no key opens it.
pub fn decrypted(mut reader: Box<dyn Read>, path: &Path, keys: &Keys) -> Result<Box<dyn Read>> {
    let mut start = Vec::with_capacity(ARMOR.len());
    let read = reader.by_ref().take(ARMOR.len() as u64).read_to_end(&mut start);
    read.map_err(|e| Error::io("read archive", path, e))?;
    let encrypted = is_encrypted(&start);
    let whole = Cursor::new(start).chain(reader);
    if encrypted { keys.decrypt(whole, path) } else { Ok(Box::new(whole)) }
}

/// An archive cannot be opened without another key: wrong usage, and nothing is wrong with the archive.
fn locked(path: &Path, why: &str) -> Error {
    Error::usage(format!("archive {} is encrypted with age, and {why}", printable_path(path)))
}

/// Passes on what is written, counts it, and hashes it.
#[cfg(feature = "age")]
struct Hashing<'a> {
    out: &'a mut (dyn Write + Send),
    bytes: u64,
    hasher: blake3::Hasher,
}

#[cfg(feature = "age")]
impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
