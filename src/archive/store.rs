//! Where the bytes of an archive are. What reads archives reads them here, by offset, and does not know what is below.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// The bytes of one archive. Threads share it, and each may read anywhere in it; a clone is the same bytes.
#[derive(Debug, Clone)]
pub struct Store(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    file: File,
    length: u64,
}

impl Store {
    /// A file as it is; its length is what it is now.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn plain(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self(Arc::new(Bytes { file, length })))
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// Fill the buffer from this offset on.
    ///
    /// # Errors
    /// If it ends before, or cannot be read.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.file.read_exact_at(buffer, at)
    }

    /// Reads it from its beginning to its end, whoever else reads it.
    pub fn reader(&self) -> StoreReader {
        StoreReader { store: self.clone(), at: 0 }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.file.read_at(buffer, at)
    }
}

/// See [`Store::reader`].
#[derive(Debug)]
pub struct StoreReader {
    store: Store,
    at: u64,
}

impl Read for StoreReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.store.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
