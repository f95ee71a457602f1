//! Which pages of a part of a file are cached, and dropping those that were not.

use std::os::fd::BorrowedFd;

use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Large files are looked at in windows of this size, always one ahead of reading: the kernel reads ahead too.
pub(super) const WINDOW: u64 = 32 * 1024 * 1024;

/// The smallest page; where pages are larger, several of these are one, and are cached or not together.
pub(super) const PAGE: u64 = 4096;

/// Which pages of a part of a file were cached when it was looked at.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) start: u64,
    /// The part, in pages of the size that the kernel has.
    page: u64,
    cached: Vec<u8>,
}

impl Window {
    pub(super) fn look(file: BorrowedFd<'_>, start: u64, size: u64) -> Result<Self, Errno> {
        let page = rustix::param::page_size() as u64;
        let length = (size - start).min(WINDOW);
        let cached = cached_pages(file, start, length as usize, page as usize)?;
        Ok(Self { start, page, cached })
    }

    /// Drop what was not cached, in runs.
    pub(super) fn drop_new_pages(&self, file: BorrowedFd<'_>) {
        let mut at = self.start;
        for run in self.cached.chunk_by(|a, b| a & 1 == b & 1) {
            let length = run.len() as u64 * self.page;
            if run[0] & 1 == 0 {
                forget(file, at, at + length);
            }
            at += length;
        }
    }
}

/// Drop these pages from the cache, if nobody else uses them. Advice: what fails does no harm.
pub(super) fn forget(file: BorrowedFd<'_>, from: u64, to: u64) {
    let length = to.saturating_sub(from).next_multiple_of(PAGE);
    let _ = fadvise(file, from, std::num::NonZeroU64::new(length), Advice::DontNeed);
}

/// For each page of this part of the file, whether it is cached, in the lowest bit. The kernel says that all are when it
/// does not want to tell, and then nothing is dropped. Where a file cannot be mapped, as with FUSE and direct I/O, nobody can
/// look.
#[allow(unsafe_code, reason = "mincore asks about a mapping, and no safe call tells which pages are cached")]
pub(super) fn cached_pages(
    file: BorrowedFd<'_>,
    start: u64,
    length: usize,
    page: usize,
) -> Result<Vec<u8>, Errno> {
    let mut cached = vec![1_u8; length.div_ceil(page)];
    // SAFETY: a new mapping, at a place that the kernel chooses. It is never read, so that the file may shrink, and is
    // gone before this returns. The list has one byte for each of its pages, as mincore wants.
    unsafe {
        let map = mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, start)
            .map_err(|_| Errno::OPNOTSUPP)?;
        let outcome = libc::mincore(map, length, cached.as_mut_ptr());
        munmap(map, length)?;
        if outcome != 0 { Err(Errno::OPNOTSUPP) } else { Ok(cached) }
    }
}
