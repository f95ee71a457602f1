//! Where the bytes of an archive are. What reads archives reads them here, by offset, and does not know whether they are
//! encrypted where they stand.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::encryption::{self, Keys, Opened};
use crate::error::{Error, Result};
use crate::printable::printable_path;

/// The bytes of one archive. Threads share it, and each may read anywhere in it; a clone is the same bytes.
#[derive(Debug, Clone)]
pub struct Store(Arc<Bytes>);

#[derive(Debug)]
enum Bytes {
    Plain { file: File, length: u64 },
    Encrypted(Opened),
}

impl Store {
    /// A file as it is; its length is what it is now.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn plain(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self(Arc::new(Bytes::Plain { file, length })))
    }

    /// What is in a file, decrypted if it is encrypted; the path is for messages.
    ///
    /// # Errors
    /// If it is no regular file, cannot be read, or no key opens it.
    pub fn open(file: File, path: &Path, keys: &Keys) -> Result<Self> {
        let failed = |e| Error::io("open archive", path, e);
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::usage(format!("archive {} is not a regular file", printable_path(path))));
        }
        if encryption::is_encrypted_file(&file).map_err(|e| Error::io("read archive", path, e))? {
            let opened = Opened::open(file, path, keys)?;
            return Ok(Self(Arc::new(Bytes::Encrypted(opened))));
        }
        Self::plain(file).map_err(failed)
    }

    /// How many bytes there are; of what can only be read through, how many its file has.
    pub fn length(&self) -> u64 {
        match &*self.0 {
            Bytes::Plain { length, .. } => *length,
            Bytes::Encrypted(opened) => opened.length().unwrap_or_else(|| opened.stored()),
        }
    }

    /// Whether they are encrypted where they stand.
    pub fn is_encrypted(&self) -> bool {
        matches!(&*self.0, Bytes::Encrypted(_))
    }

    /// Whether it can be read anywhere, and not only from its beginning on.
    pub fn is_seekable(&self) -> bool {
        match &*self.0 {
            Bytes::Plain { .. } => true,
            Bytes::Encrypted(opened) => opened.length().is_some(),
        }
    }

    /// What is wrong with it as a whole, if that is known.
    pub fn damage(&self) -> Option<&'static str> {
        match &*self.0 {
            Bytes::Encrypted(opened) if opened.is_cut() => {
                Some("what is encrypted has been cut, or its end is damaged")
            }
            _ => None,
        }
    }

    /// Fill the buffer from this offset on.
    ///
    /// # Errors
    /// Of the kind `InvalidData` if what is encrypted there is damaged; if it ends before, or cannot be read.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match &*self.0 {
            Bytes::Plain { file, .. } => file.read_exact_at(buffer, at),
            Bytes::Encrypted(opened) => opened.read_exact_at(buffer, at),
        }
    }

    /// Reads it from its beginning to its end, whoever else reads it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reader(&self) -> io::Result<Box<dyn Read>> {
        match &*self.0 {
            Bytes::Plain { .. } => Ok(Box::new(Plain { store: self.clone(), at: 0 })),
            Bytes::Encrypted(opened) => Ok(Box::new(opened.reader()?)),
        }
    }
}

/// See [`Store::reader`].
struct Plain {
    store: Store,
    at: u64,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Bytes::Plain { file, .. } = &*self.store.0 else { return Ok(0) };
        let count = file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
