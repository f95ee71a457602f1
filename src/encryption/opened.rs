//! An encrypted file that was opened, read by offset.
//!
//! What age encrypts stands in chunks of 64 KiB, each with a sum of its own, so that any of them can be decrypted without
//! those before it. The crate's readers have a position; threads that read at the same time have one each.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::armor::ArmoredReader;
use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Identity};
use age_core::format::{FileKey, Stanza};

use super::keys::{Keys, Limited, Opening, copy};
use super::refused::{io as io_error, refused};
use super::{ARMOR, is_encrypted};
use crate::error::{Error, Result};
use crate::uncached::Shared;

/// A file whose key is known.
pub struct Opened {
    file: Arc<Shared>,
    key: FileKey,
    shape: Shape,
}

enum Shape {
    /// So many bytes, which can be read anywhere, by readers that nobody uses at the moment.
    Chunks { length: u64, idle: Mutex<Vec<Chunks>> },
    /// It can only be read from its beginning on: it is armored.
    Stream,
    /// It can only be read from its beginning to where it was cut, or its end is damaged.
    Cut,
}

type Chunks = StreamReader<BufReader<At>>;

impl Opened {
    /// Open a file; the path is for messages.
    ///
    /// # Errors
    /// If no key opens it, its beginning is damaged, or it cannot be read.
    pub fn open(file: impl Into<Shared>, path: &Path, keys: &Keys) -> Result<Self> {
        let file = Arc::new(file.into());
        let failed = |e| Error::io("read archive", path, e);
        let mut start = [0; ARMOR.len()];
        let count = file.read_at(&mut start, 0).map_err(failed)?;
        debug_assert!(is_encrypted(&start[..count]));
        let (reader, limit) = Limited::new(At::start(&file));
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(BufReader::new(reader)));
        let decryptor = decryptor.map_err(|e| refused(&e, keys, false, path))?;
        limit.set(u64::MAX);
        let by_passphrase = decryptor.is_scrypt();
        let opening = Opening::with(keys, by_passphrase);
        let opened = decryptor.decrypt(std::iter::once(&opening as _));
        opened.map_err(|e| refused(&e, keys, by_passphrase, path))?;
        let key = opening.found().ok_or_else(|| Error::failed("the key of an archive was found and lost"))?;
        let mut opened = Self { file, key, shape: Shape::Stream };
        if start.starts_with(ARMOR) {
            return Ok(opened);
        }
        let mut chunks = opened.chunks().map_err(failed)?;
        // This decrypts the last chunk, which says that it is the last.
        opened.shape = match chunks.seek(SeekFrom::End(0)) {
            Ok(length) => Shape::Chunks { length, idle: Mutex::new(vec![chunks]) },
            Err(e) if e.raw_os_error().is_some() => return Err(failed(e)),
            Err(_) => Shape::Cut,
        };
        Ok(opened)
    }

    /// How many bytes can be read, if they can be read anywhere.
    pub fn length(&self) -> Option<u64> {
        match &self.shape {
            Shape::Chunks { length, .. } => Some(*length),
            Shape::Stream | Shape::Cut => None,
        }
    }

    /// How many bytes the file has.
    pub fn stored(&self) -> u64 {
        self.file.file().metadata().map_or(0, |about| about.len())
    }

    /// Whether its end is missing or damaged.
    pub fn is_cut(&self) -> bool {
        matches!(self.shape, Shape::Cut)
    }

    /// Fill the buffer from this offset on.
    ///
    /// # Errors
    /// Of the kind `InvalidData` if what is encrypted there is damaged; if it ends before, or cannot be read.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let Shape::Chunks { length, idle } = &self.shape else {
            return Err(io::Error::from(io::ErrorKind::NotSeekable));
        };
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > *length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let free = lock(idle).pop();
        let mut chunks = free.map_or_else(|| self.chunks(), Ok)?;
        chunks.seek(SeekFrom::Start(at)).and_then(|_| chunks.read_exact(buffer)).map_err(|e| {
            match e.kind() {
                // Within the length, so the file was cut while it was read.
                io::ErrorKind::UnexpectedEof => io::ErrorKind::InvalidData.into(),
                _ => io_error(e),
            }
        })?;
        // One that failed is not used again: nobody knows where it stands.
        lock(idle).push(chunks);
        Ok(())
    }

    /// Reads all of it from its beginning on, armored or not, cut or not.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reader(&self) -> io::Result<impl Read + 'static> {
        let reader = ArmoredReader::new(BufReader::new(At::start(&self.file)));
        let decryptor = Decryptor::new_buffered(reader).map_err(again)?;
        decryptor.decrypt(std::iter::once(&Known(&self.key) as _)).map(InOurWords).map_err(again)
    }

    fn chunks(&self) -> io::Result<Chunks> {
        let decryptor = Decryptor::new_buffered(BufReader::new(At::start(&self.file))).map_err(again)?;
        decryptor.decrypt(std::iter::once(&Known(&self.key) as _)).map_err(again)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({:?})", self.file)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What opened once did not open again: it was changed meanwhile.
fn again(error: DecryptError) -> io::Error {
    match error {
        DecryptError::Io(e) => io_error(e),
        _ => io::Error::new(io::ErrorKind::InvalidData, "it has changed since it was opened"),
    }
}

/// The key that opened the file.
struct Known<'a>(&'a FileKey);

impl Identity for Known<'_> {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<std::result::Result<FileKey, DecryptError>> {
        Some(Ok(copy(self.0)))
    }
}

/// Says what is wrong as the rest of the program does.
pub(super) struct InOurWords<R>(pub R);

impl<R: Read> Read for InOurWords<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(io_error)
    }
}

/// A file with a position of its own.
struct At {
    file: Arc<Shared>,
    at: u64,
}

impl At {
    fn start(file: &Arc<Shared>) -> Self {
        Self { file: Arc::clone(file), at: 0 }
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.file().metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
