//! A file that is read here and there, by several threads.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, pread, preadv2};

use super::window::{WINDOW, Window};
use super::{DONTCACHE, DROPPED, LOOKED, PLAIN, retry};

/// A file that several threads read, each where it likes.
#[derive(Debug)]
pub struct Shared {
    pub(super) file: File,
    pub(super) way: AtomicU8,
}

impl From<File> for Shared {
    /// Read in the ordinary way.
    fn from(file: File) -> Self {
        Self { file, way: AtomicU8::new(PLAIN) }
    }
}

impl Shared {
    /// Reading it leaves the page cache as it is.
    pub fn new(file: File) -> Self {
        Self { file, way: AtomicU8::new(DROPPED) }
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Read at this offset; no more than is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file.as_fd();
        loop {
            let way = self.way.load(Ordering::Relaxed);
            let outcome = match way {
                DROPPED => preadv2(file, &mut [IoSliceMut::new(buffer)], offset, DONTCACHE),
                LOOKED => read_and_drop(file, buffer, offset),
                _ => return retry(|| pread(file, &mut *buffer, offset)),
            };
            match outcome {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    if way == DROPPED {
                        // What the kernel reads ahead would be taken for what was cached before.
                        let _ = fadvise(file, 0, None, Advice::Random);
                    }
                    // Another thread may have found it out at the same time.
                    let _ = self.way.compare_exchange(way, way + 1, Ordering::Relaxed, Ordering::Relaxed);
                }
                other => return Ok(other?),
            }
        }
    }

    /// Fill the buffer from this offset on.
    ///
    /// # Errors
    /// If it ends before, or cannot be read.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }
}

/// We look at each page before and drop those after that were not cached. Nothing is read ahead here, so there is nothing
/// else to drop. A read that does not wait would say as well whether all is cached, but the kernel has it begin to read what
/// is not: what had come by the time that we look would be taken for what was cached before.
fn read_and_drop(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let start = offset - offset % rustix::param::page_size() as u64;
    let length = buffer.len().min((start + WINDOW - offset) as usize);
    let window = Window::look(file, start, offset + length as u64)?;
    let read = pread(file, &mut buffer[..length], offset);
    window.drop_new_pages(file);
    read
}
