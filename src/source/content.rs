//! The body of a regular file.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{SeekFrom, Statx, seek};
use rustix::io::{Errno, pread};

use super::open::{stat, times};
use crate::entry::Content;
use crate::uncached::{Pages, Way};

/// More pieces of data than this are not listed, and the holes between them are read as zeros.
const MOST_PIECES: usize = 100_000;

/// An open file, read up to the size that it had when it was opened.
#[derive(Debug)]
pub(super) struct Body {
    file: OwnedFd,
    opened: Statx,
    offset: u64,
    ended_early: bool,
    data: Option<Vec<Range<u64>>>,
    pages: Pages,
}

impl Body {
    pub(super) fn new(file: OwnedFd, opened: Statx, way: Way) -> Self {
        // Fewer blocks than bytes: there are holes, or the file system compresses, which the search finds out.
        let sparse = opened.stx_blocks.saturating_mul(512) < opened.stx_size;
        let data = if sparse { data_ranges(&file, opened.stx_size) } else { None };
        let pages = Pages::new(way, opened.stx_size);
        Self { file, opened, offset: 0, ended_early: false, data, pages }
    }
}

impl Content for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.opened.stx_size.saturating_sub(self.offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.pages.read(self.file.as_fd(), &mut buffer[..wanted], self.offset)?;
        self.ended_early |= length == 0;
        self.offset += length as u64;
        Ok(length)
    }

    fn data(&self) -> Option<&[Range<u64>]> {
        self.data.as_deref()
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.offset = self.offset.max(offset);
        Ok(())
    }

    fn changed(&mut self) -> io::Result<bool> {
        if self.opened.stx_size == 0 {
            // An empty file can only have grown, and some files of the kernel say that they are empty and are not. One
            // that would make us wait has nothing yet.
            return match pread(&self.file, &mut [0; 1], 0) {
                Ok(length) => Ok(length > 0),
                Err(Errno::AGAIN) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        if self.ended_early {
            return Ok(true);
        }
        let now = stat(&self.file)?;
        if now.stx_size != self.opened.stx_size {
            return Ok(true);
        }
        let ((was_mtime, was_ctime), (mtime, ctime)) = (times(&self.opened), times(&now));
        // A name more or less moves the time of change too, and leaves the body alone: files are often replaced by
        // renaming another over them.
        Ok(mtime != was_mtime || (ctime != was_ctime && now.stx_nlink == self.opened.stx_nlink))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.pages.done(self.file.as_fd());
    }
}

/// Where there is data, or `None` if there are no holes, too many, or the file system does not know.
fn data_ranges(file: &OwnedFd, size: u64) -> Option<Vec<Range<u64>>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < size => start,
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if start < at || end <= start {
            return None;
        }
        if ranges.len() == MOST_PIECES {
            return None;
        }
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
        at = end;
    }
    let whole = ranges.len() == 1 && ranges[0] == (0..size);
    (!whole).then_some(ranges)
}
