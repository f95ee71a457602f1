use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::pread;

use super::pages::SMALL;
use super::window::{cached_pages, forget};
use super::{DROPPED, LOOKED, PLAIN, Pages, Shared, Way};

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
        before.iter().zip(&after).filter(|(before, _)| **before == wanted).map(|(_, after)| *after).collect()
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
