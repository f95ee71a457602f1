//! A file or a pipe as the source of a tar stream.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use super::Bad;
use super::format::Format;
use super::parts::{Gunzip, Parts, Trailing, Unpack};
use crate::archive::codec::{Codec, bzip2, zstd};
use crate::archive::store::Store;
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::stop::Stop;

/// What was read to know the format, and the rest.
type Whole = io::Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

/// The tar stream in a file, whatever it is compressed with. Reading fails as soon as somebody asks to stop.
pub struct Input {
    bytes: Bytes,
    stop: Stop,
    /// How many bytes of the tar stream may still be read.
    left: u64,
    /// What is said when that is not enough.
    too_much: String,
}

/// What a reader says that has given as much as it may, in the words of who set the limit.
#[derive(Debug)]
struct TooMuch(String);

impl std::error::Error for TooMuch {}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

enum Bytes {
    Packed(Box<dyn Unpack>),
    Tar(BufReader<Whole>),
}

impl Input {
    /// An archive from its beginning; the path is for messages.
    ///
    /// # Errors
    /// If it is of a kind that this version cannot read, damaged before anything of it could be read, or cannot be read at
    /// all.
    pub fn of(store: &Store, path: &Path, stop: &Stop) -> Result<Self> {
        let reader = store.reader().map_err(|e| unreadable(path, e))?;
        Self::new(reader, path, stop)
    }

    /// What can be read only once, and may keep its reader waiting: a pipe.
    ///
    /// # Errors
    /// As for [`Input::of`].
    pub fn new(mut reader: Box<dyn Read>, path: &Path, stop: &Stop) -> Result<Self> {
        let mut start = Vec::with_capacity(512);
        let read = reader.by_ref().take(512).read_to_end(&mut start);
        read.map_err(|e| stop.check().err().unwrap_or_else(|| unreadable(path, e)))?;
        let format = Format::of(&start);
        let whole = Cursor::new(start).chain(reader);
        let bytes = match format {
            Format::Gzip => Bytes::Packed(Box::new(Gunzip::new(whole))),
            Format::Zstd => {
                built(Codec::Zstd(3), path)?;
                Bytes::Packed(Box::new(Parts::<zstd::Frame<_>>::new(whole)))
            }
            Format::Bzip2 => {
                built(Codec::Bzip2, path)?;
                Bytes::Packed(Box::new(Parts::<bzip2::Stream<_>>::new(whole)))
            }
            Format::Tar => Bytes::Tar(BufReader::with_capacity(128 * 1024, whole)),
            Format::Empty => {
                return Err(Error::damaged(format!("archive {} is empty", printable_path(path))));
            }
            Format::Other(name) => {
                let path = printable_path(path);
                return Err(Error::failed(format!(
                    "archive {path}: this version reads gzip, zstd, bzip2 and plain tar, and this is {name}"
                )));
            }
        };
        Ok(Self { bytes, stop: stop.clone(), left: u64::MAX, too_much: String::new() })
    }

    /// Let no more than so many bytes of the tar stream be read; reading on is this error.
    #[must_use]
    pub fn at_most(mut self, bytes: u64, otherwise: String) -> Self {
        (self.left, self.too_much) = (bytes, otherwise);
        self
    }

    /// Of an archive of ours, read the data only: what follows is the index.
    #[must_use]
    pub fn only_data(mut self) -> Self {
        if let Bytes::Packed(file) = &mut self.bytes {
            file.only_data();
        }
        self
    }

    /// Whether that is why it cannot be read on.
    pub fn is_too_much(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooMuch>)
    }

    /// What it is compressed with, if it is. Then it has checksums.
    pub fn compression(&self) -> Option<&'static str> {
        match &self.bytes {
            Bytes::Packed(file) => Some(file.name()),
            Bytes::Tar(_) => None,
        }
    }

    /// How far a compressed file has been decompressed.
    pub fn position(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Packed(file) => Some(file.position()),
            Bytes::Tar(_) => None,
        }
    }

    /// What stands behind the last part of a compressed file, once all has been read.
    pub fn trailing(&self) -> Option<Trailing> {
        match &self.bytes {
            Bytes::Packed(file) => file.trailing(),
            Bytes::Tar(_) => None,
        }
    }
}

/// The system did not let it be read, or what was encrypted is damaged at its very beginning.
fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        return Error::io("read archive", path, error);
    }
    Error::damaged(format!("archive {}: {}", printable_path(path), Bad::Read(error)))
}

fn built(codec: Codec, path: &Path) -> Result<()> {
    codec.built().map_err(|e| Error::failed(format!("archive {}: {e}", printable_path(path))))
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        let count = match &mut self.bytes {
            Bytes::Packed(file) => file.read(buffer),
            Bytes::Tar(file) => file.read(buffer),
        }?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let message = std::mem::take(&mut self.too_much);
            io::Error::other(TooMuch(message))
        })?;
        Ok(count)
    }
}
