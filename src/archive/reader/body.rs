//! The body of one entry, over as many segments as it spans.

use std::io::{self, Read};

use super::Archive;
use crate::archive::index::EntryRecord;
use crate::error::{Error, cause_text};

/// Reads a body from its first byte to its last; every byte has been checked before it is given out.
pub struct Body<'a> {
    archive: &'a Archive,
    segment: u64,
    bytes: Vec<u8>,
    /// Bytes to leave out: of `bytes`, or, before the first segment is read, of that.
    skip: u64,
    left: u64,
    begun: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(archive: &'a Archive, entry: &EntryRecord) -> Self {
        let skip = entry.offset.saturating_add(entry.headers);
        Self { archive, segment: entry.segment, bytes: Vec::new(), skip, left: entry.body(), begun: false }
    }
}

impl Body<'_> {
    /// What reading a body failed with, as it was before it was made an error of [`Read`]; `what` names the body.
    pub fn error(error: io::Error, what: impl std::fmt::Display) -> Error {
        match error.downcast::<Error>() {
            Ok(inner) => inner,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::damaged(format!("{what}: it ends too early"))
            }
            Err(error) => Error::damaged(format!("{what}: {}", cause_text(&error))),
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.left == 0 {
            return Ok(0);
        }
        while !self.begun || self.skip >= self.bytes.len() as u64 {
            if self.begun {
                self.skip -= self.bytes.len() as u64;
                self.segment += 1;
            }
            self.bytes = self.archive.read_segment(self.segment).map_err(io::Error::other)?;
            self.begun = true;
        }
        let rest = &self.bytes[self.skip as usize..];
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = rest.len().min(buffer.len()).min(most);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.skip += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
