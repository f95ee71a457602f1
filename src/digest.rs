//! The hash of all that a file holds. That takes minutes for a large one, so it ends when somebody asks to stop.

use std::io::{ErrorKind, Read};

use crate::error::{Error, Result};
use crate::stop::Stop;

const BUFFER: usize = 256 * 1024;

/// BLAKE3 of everything that is to be read here. `seen` is told of each part how many bytes it has.
///
/// # Errors
/// If it cannot be read, by `failed` with its cause; if `stop` asks.
pub fn digest(
    mut file: impl Read,
    stop: &Stop,
    failed: impl FnOnce(std::io::Error) -> Error,
    mut seen: impl FnMut(u64),
) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        stop.check()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                seen(read as u64);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
}
