//! A file as the source of a tar stream.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::gzip::{Format, Gunzip, Trailing};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::stop::Stop;

/// The tar stream in a file, whatever it is compressed with. Reading fails as soon as somebody asks to stop.
#[derive(Debug)]
pub struct Input {
    bytes: Bytes,
    stop: Stop,
}

#[derive(Debug)]
enum Bytes {
    Gzip(Box<Gunzip<File>>),
    Tar(BufReader<File>),
}

impl Input {
    /// From the beginning of this file; the path is for messages.
    ///
    /// # Errors
    /// If it is of a kind that this version cannot read, or cannot be read at all.
    pub fn new(file: File, path: &Path, stop: &Stop) -> Result<Self> {
        let mut start = [0; 512];
        let mut length = 0;
        while length < start.len() {
            match file.read_at(&mut start[length..], length as u64) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read archive", path, e)),
            }
        }
        (&file).rewind().map_err(|e| Error::io("read archive", path, e))?;
        let bytes = match Format::of(&start[..length]) {
            Format::Gzip => Bytes::Gzip(Box::new(Gunzip::new(file))),
            Format::Tar => Bytes::Tar(BufReader::with_capacity(128 * 1024, file)),
            Format::Empty => {
                return Err(Error::damaged(format!("archive {} is empty", printable_path(path))));
            }
            Format::Other(name) => {
                let path = printable_path(path);
                return Err(Error::usage(format!(
                    "archive {path}: this version reads gzip and plain tar, and this is {name}"
                )));
            }
        };
        Ok(Self { bytes, stop: stop.clone() })
    }

    /// Whether it has gzip's checksums.
    pub fn is_gzip(&self) -> bool {
        matches!(self.bytes, Bytes::Gzip(_))
    }

    /// How far a gzip file has been decompressed.
    pub fn gzip_position(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Gzip(gunzip) => Some(gunzip.position()),
            Bytes::Tar(_) => None,
        }
    }

    /// What stands behind the last gzip member, once all has been read.
    pub fn trailing(&self) -> Option<Trailing> {
        match &self.bytes {
            Bytes::Gzip(gunzip) => gunzip.trailing(),
            Bytes::Tar(_) => None,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        match &mut self.bytes {
            Bytes::Gzip(gunzip) => gunzip.read(buffer),
            Bytes::Tar(file) => file.read(buffer),
        }
    }
}
