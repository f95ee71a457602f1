//! Reading without leaving traces in the page cache: what was cached stays, what only this read brought in goes.
//! `docs/decisions/page-cache.md` has the measurements.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// `RWF_DONTCACHE` of `linux/fs.h`, Linux 6.14 and later: the kernel drops the pages that this read brought in.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// The kernel does it all.
const DROPPED: u8 = 0;
/// We look what is cached before, and drop the rest after.
const LOOKED: u8 = 1;
/// Neither is possible, as on tmpfs, where the cache is the file.
const PLAIN: u8 = 2;

/// Files up to this size are looked at with one read that does not wait.
const SMALL: u64 = 64 * 1024;
/// Larger ones are looked at in windows of this size, always one ahead of reading: the kernel reads ahead too.
const WINDOW: u64 = 32 * 1024 * 1024;

/// How files of one file system are read: the best way until it turns out not to be there.
pub type Way = Arc<AtomicU8>;

/// The ways by file system.
#[derive(Debug, Default)]
pub struct Ways {
    last: Option<(u64, Way)>,
    all: HashMap<u64, Way>,
}

impl Ways {
    /// The way for files on this device.
    pub fn of(&mut self, device: u64) -> Way {
        match &self.last {
            Some((last, way)) if *last == device => Arc::clone(way),
            _ => {
                let way = Arc::clone(self.all.entry(device).or_default());
                self.last = Some((device, Arc::clone(&way)));
                way
            }
        }
    }
}

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

/// A file that several threads read, each where it likes.
#[derive(Debug)]
pub struct Shared {
    file: File,
    way: AtomicU8,
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

/// The smallest page; where pages are larger, several of these are one, and are cached or not together.
const PAGE: u64 = 4096;

/// Which pages of a part of a file were cached when it was looked at.
#[derive(Debug)]
struct Window {
    start: u64,
    /// The part, in pages of the size that the kernel has.
    page: u64,
    cached: Vec<u8>,
}

impl Window {
    fn look(file: BorrowedFd<'_>, start: u64, size: u64) -> Result<Self, Errno> {
        let page = rustix::param::page_size() as u64;
        let length = (size - start).min(WINDOW);
        let cached = cached_pages(file, start, length as usize, page as usize)?;
        Ok(Self { start, page, cached })
    }

    /// Drop what was not cached, in runs.
    fn drop_new_pages(&self, file: BorrowedFd<'_>) {
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
fn forget(file: BorrowedFd<'_>, from: u64, to: u64) {
    let length = to.saturating_sub(from).next_multiple_of(PAGE);
    let _ = fadvise(file, from, std::num::NonZeroU64::new(length), Advice::DontNeed);
}

/// For each page of this part of the file, whether it is cached, in the lowest bit. The kernel says that all are when it
/// does not want to tell, and then nothing is dropped. Where a file cannot be mapped, as with FUSE and direct I/O, nobody can
/// look.
#[allow(unsafe_code, reason = "mincore asks about a mapping, and no safe call tells which pages are cached")]
fn cached_pages(file: BorrowedFd<'_>, start: u64, length: usize, page: usize) -> Result<Vec<u8>, Errno> {
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

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    const WAYS: [(Reader, u8); 4] =
        [(in_order, DROPPED), (in_order, LOOKED), (shared, DROPPED), (shared, LOOKED)];

    /// Which pages of this file are cached.
    fn cached(file: &File, size: usize) -> Vec<bool> {
        let page = rustix::param::page_size();
        cached_pages(file.as_fd(), 0, size, page).unwrap().iter().map(|byte| byte & 1 == 1).collect()
    }

    fn share(pages: &[bool]) -> f64 {
        pages.iter().filter(|cached| **cached).count() as f64 / pages.len() as f64
    }

    /// Reads a whole file in one of the ways.
    type Reader = fn(u8, &File, usize);

    fn in_order(way: u8, file: &File, size: usize) {
        let mut pages = Pages::new(Arc::new(AtomicU8::new(way)), size as u64);
        let mut buffer = vec![0; 256 * 1024];
        let mut offset = 0;
        loop {
            let length = pages.read(file.as_fd(), &mut buffer, offset).unwrap();
            if length == 0 {
                break;
            }
            assert!(buffer[..length].iter().all(|byte| *byte == 7));
            offset += length as u64;
        }
        assert_eq!(offset, size as u64);
        pages.done(file.as_fd());
    }

    /// As an archive is read: the end first, then from the beginning on in pieces that are no whole pages.
    fn shared(way: u8, file: &File, size: usize) {
        let shared = Shared { file: file.try_clone().unwrap(), way: AtomicU8::new(way) };
        if way == LOOKED {
            fadvise(file, 0, None, Advice::Random).unwrap();
        }
        let mut buffer = vec![0; 300_001];
        let length = size.min(1000);
        shared.read_exact_at(&mut buffer[..length], (size - length) as u64).unwrap();
        for at in (0..size).step_by(buffer.len()) {
            let part = &mut buffer[..(size - at).min(300_001)];
            part.fill(0);
            shared.read_exact_at(part, at as u64).unwrap();
            assert!(part.iter().all(|byte| *byte == 7));
        }
        assert!(shared.read_exact_at(&mut buffer, (size - 1) as u64).is_err());
        assert_eq!(shared.read_at(&mut buffer, size as u64).unwrap(), 0);
    }

    /// Read a file of which these pieces are cached, and see what is cached then: of the pieces, and of the rest.
    fn read(reader: Reader, way: u8, size: usize, pieces: &[std::ops::Range<usize>]) -> Option<(f64, f64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; size]).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        forget(file.as_fd(), 0, size as u64);
        if share(&cached(&file, size)) > 0.01 {
            return None;
        }
        // The reader's descriptor is another one, and reads nothing ahead.
        let other = File::open(&path).unwrap();
        fadvise(&other, 0, None, Advice::Random).unwrap();
        for piece in pieces {
            pread(&other, &mut vec![0; piece.len()][..], piece.start as u64).unwrap();
        }
        let before = cached(&file, size);

        reader(way, &file, size);
        let after = cached(&file, size);
        let of = |wanted: bool| -> Vec<bool> {
            before
                .iter()
                .zip(&after)
                .filter(|(before, _)| **before == wanted)
                .map(|(_, after)| *after)
                .collect()
        };
        Some((share(&of(true)), share(&of(false))))
    }

    /// The cache is everybody's, and the kernel may drop pages when it needs memory, and keep some that something holds just
    /// then: one of some tries must show what is promised.
    fn is_left_as_found(reader: Reader, way: u8, size: usize, pieces: &[std::ops::Range<usize>]) {
        let mut seen = Vec::new();
        for _ in 0..5 {
            let Some((kept, brought)) = read(reader, way, size, pieces) else { continue };
            // A share of nothing is not a number.
            let kept_all = kept.is_nan() || kept > 0.98;
            let dropped_all = brought.is_nan() || brought < 0.02;
            if kept_all && dropped_all {
                return;
            }
            seen.push((kept, brought));
        }
        if seen.is_empty() {
            eprintln!("skipped: needs a file system whose cache can be emptied");
            return;
        }
        panic!("kept of what was cached, cached of what was not: {seen:?}");
    }

    #[test]
    fn what_was_not_cached_is_not_cached_afterwards() {
        for (reader, way) in WAYS {
            is_left_as_found(reader, way, 40 * MIB, &[]);
            is_left_as_found(reader, way, 10_000, &[]);
        }
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one piece, the whole file")]
    fn what_was_cached_stays_cached() {
        for (reader, way) in WAYS {
            is_left_as_found(reader, way, 40 * MIB, &[0..40 * MIB]);
            is_left_as_found(reader, way, 10_000, &[0..10_000]);
        }
    }

    #[test]
    fn of_a_file_cached_in_part_that_part_stays() {
        for (reader, way) in WAYS {
            is_left_as_found(reader, way, 40 * MIB, &[5 * MIB..7 * MIB, 35 * MIB..36 * MIB]);
        }
    }

    #[test]
    fn what_is_shared_is_read_where_no_way_but_the_ordinary_one_is_there() {
        let shared = Shared::new(File::open("/proc/version").unwrap());
        let mut buffer = [0; 5];
        shared.read_exact_at(&mut buffer, 0).unwrap();
        assert_eq!(&buffer, b"Linux");
        assert_eq!(shared.way.load(Ordering::Relaxed), PLAIN);
    }

    #[test]
    fn a_way_that_is_not_there_is_given_up_for_the_next() {
        let file = File::open("/proc/version").unwrap();
        // A large one is mapped to look at it, and some cannot be mapped: these, and many of FUSE.
        for size in [10, 2 * SMALL] {
            let way = Way::default();
            let mut pages = Pages::new(Arc::clone(&way), size);
            let mut buffer = [0; 5];
            assert_eq!(pages.read(file.as_fd(), &mut buffer, 0).unwrap(), 5);
            assert_eq!(&buffer, b"Linux");
            assert_eq!(way.load(Ordering::Relaxed), PLAIN);
        }
    }
}
