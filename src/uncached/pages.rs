//! A file that is read once, from its beginning to its end.

use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::window::{PAGE, WINDOW, Window, forget};
use super::{DONTCACHE, DROPPED, LOOKED, PLAIN, Way, retry};

/// Files up to this size are looked at with one read that does not wait.
pub(super) const SMALL: u64 = 64 * 1024;

/// What reading one file does to the cache.
#[derive(Debug)]
pub struct Pages {
    way: Way,
    size: u64,
    /// A small file from here on was not cached.
    drop_from: Option<u64>,
    window: Option<Window>,
    ahead: Option<Window>,
}

impl Pages {
    /// Of a file of this size, not read yet.
    pub fn new(way: Way, size: u64) -> Self {
        Self { way, size, drop_from: None, window: None, ahead: None }
    }

    /// Read at this offset; no more than is there.
    pub fn read(&mut self, file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let outcome = match self.way.load(Ordering::Relaxed) {
                DROPPED => preadv2(file, &mut [IoSliceMut::new(buffer)], offset, DONTCACHE),
                LOOKED if self.size <= SMALL => self.read_small(file, buffer, offset),
                LOOKED => self.read_large(file, buffer, offset),
                _ => return retry(|| pread(file, &mut *buffer, offset)),
            };
            match outcome {
                Err(Errno::INTR) => {}
                // Only the kernel's answer to the flags looks like this, never a failing disk.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.way.fetch_add(1, Ordering::Relaxed);
                    self.way.fetch_min(PLAIN, Ordering::Relaxed);
                }
                other => return Ok(other?),
            }
        }
    }

    /// What is cached comes without waiting; from the first byte that does not, the file was not cached.
    fn read_small(&mut self, file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if self.drop_from.is_none() {
            match preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
                Err(Errno::AGAIN) => self.drop_from = Some(offset),
                other => return other,
            }
        }
        pread(file, buffer, offset)
    }

    fn read_large(&mut self, file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if self.window.as_ref().is_none_or(|window| offset >= window.start + WINDOW) {
            self.drop_window(file);
            let start = offset / WINDOW * WINDOW;
            self.window = Some(match self.ahead.take() {
                Some(ahead) if ahead.start == start => ahead,
                _ => Window::look(file, start, self.size)?,
            });
            let next = start + WINDOW;
            if next < self.size {
                self.ahead = Some(Window::look(file, next, self.size)?);
            }
        }
        pread(file, buffer, offset)
    }

    fn drop_window(&mut self, file: BorrowedFd<'_>) {
        if let Some(window) = self.window.take() {
            window.drop_new_pages(file);
        }
    }

    /// Reading has ended.
    pub fn done(&mut self, file: BorrowedFd<'_>) {
        if let Some(from) = self.drop_from.take() {
            forget(file, from / PAGE * PAGE, self.size);
        }
        self.drop_window(file);
        // What the kernel read ahead of where reading stopped.
        if let Some(ahead) = self.ahead.take() {
            ahead.drop_new_pages(file);
        }
    }
}
