//! Where the bytes of an archive are. What reads archives reads them here, by offset, and does not know whether they are
//! encrypted where they stand.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::encryption::{self, Keys, Opened};
use crate::error::{Error, Result};
use crate::pace::Pace;
use crate::printable::printable_path;
use crate::uncached::Shared;

/// The bytes of one archive. Threads share it, and each may read anywhere in it; a clone is the same bytes.
#[derive(Debug, Clone)]
pub struct Store {
    bytes: Arc<Bytes>,
    /// How fast it may be read, if not as fast as can be.
    pace: Option<Arc<Pace>>,
}

#[derive(Debug)]
enum Bytes {
    Plain { file: Shared, length: u64 },
    Encrypted(Opened),
}

impl Store {
    /// A file as it is; its length is what it is now.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn plain(file: impl Into<Shared>) -> io::Result<Self> {
        let file = file.into();
        let length = file.file().metadata()?.len();
        Ok(Self::of(Bytes::Plain { file, length }))
    }

    fn of(bytes: Bytes) -> Self {
        Self { bytes: Arc::new(bytes), pace: None }
    }

    /// Read at this pace from now on.
    #[must_use]
    pub fn at(self, pace: Arc<Pace>) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// What is in a file, decrypted if it is encrypted; the path is for messages.
    ///
    /// # Errors
    /// If it is no regular file, cannot be read, or no key opens it.
    pub fn open(file: impl Into<Shared>, path: &Path, keys: &Keys) -> Result<Self> {
        let failed = |e| Error::io("open archive", path, e);
        let file = file.into();
        if !file.file().metadata().map_err(failed)?.is_file() {
            return Err(Error::usage(format!("archive {} is not a regular file", printable_path(path))));
        }
        if encryption::is_encrypted_file(file.file()).map_err(|e| Error::io("read archive", path, e))? {
            let opened = Opened::open(file, path, keys)?;
            return Ok(Self::of(Bytes::Encrypted(opened)));
        }
        Self::plain(file).map_err(failed)
    }

    /// How many bytes there are; of what can only be read through, how many its file has.
    pub fn length(&self) -> u64 {
        match &*self.bytes {
            Bytes::Plain { length, .. } => *length,
            Bytes::Encrypted(opened) => opened.length().unwrap_or_else(|| opened.stored()),
        }
    }

    /// Whether they are encrypted where they stand.
    pub fn is_encrypted(&self) -> bool {
        matches!(&*self.bytes, Bytes::Encrypted(_))
    }

    /// The file that they are in, as they are.
    pub(super) fn file(&self) -> Option<&File> {
        match &*self.bytes {
            Bytes::Plain { file, .. } => Some(file.file()),
            Bytes::Encrypted(_) => None,
        }
    }

    /// Whether it can be read anywhere, and not only from its beginning on.
    pub fn is_seekable(&self) -> bool {
        match &*self.bytes {
            Bytes::Plain { .. } => true,
            Bytes::Encrypted(opened) => opened.length().is_some(),
        }
    }

    /// What is wrong with it as a whole, if that is known.
    pub fn damage(&self) -> Option<&'static str> {
        match &*self.bytes {
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
        match &*self.bytes {
            Bytes::Plain { file, .. } => file.read_exact_at(buffer, at),
            Bytes::Encrypted(opened) => opened.read_exact_at(buffer, at),
        }?;
        if let Some(pace) = &self.pace {
            pace.took(buffer.len() as u64);
        }
        Ok(())
    }

    /// Reads it from its beginning to its end, whoever else reads it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reader(&self) -> io::Result<Box<dyn Read>> {
        match &*self.bytes {
            Bytes::Plain { .. } => Ok(Box::new(Plain { store: self.clone(), at: 0 })),
            Bytes::Encrypted(opened) => {
                Ok(Box::new(Paced { reader: opened.reader()?, pace: self.pace.clone() }))
            }
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
        let Bytes::Plain { file, .. } = &*self.store.bytes else { return Ok(0) };
        let count = file.read_at(buffer, self.at)?;
        self.at += count as u64;
        if let Some(pace) = &self.store.pace {
            pace.took(count as u64);
        }
        Ok(count)
    }
}

/// What is decrypted while it is read.
struct Paced<R> {
    reader: R,
    pace: Option<Arc<Pace>>,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if let Some(pace) = &self.pace {
            pace.took(count as u64);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::stop::Stop;

    #[test]
    fn every_byte_that_is_read_is_counted_for_the_pace() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(30).unwrap();
        // Asked to stop, nobody waits; what is counted is counted.
        let stop = Stop::default();
        stop.ask(15);
        let began = Instant::now();
        let pace = Arc::new(Pace::new(1, &stop));
        let store = Store::plain(file).unwrap().at(Arc::clone(&pace));
        store.read_exact_at(&mut [0; 10], 5).unwrap();
        store.clone().reader().unwrap().read_to_end(&mut Vec::new()).unwrap();
        assert!(pace.count(0, began) >= began + Duration::from_secs(40));
    }
}
