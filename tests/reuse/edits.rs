//! What has changed is read again, whatever it looks like.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use chrono::TimeDelta;
use rustix::fs::{XattrFlags, setxattr};

use crate::common::disk::Disk;
use crate::nights::{Nights, Opens, archive, body, compressed, noise};

/// Twenty small files and a large one of four pieces.
fn nights() -> Option<Nights> {
    let nights = Nights::new()?;
    fill(&nights.source());
    Some(nights)
}

fn fill(source: &Path) {
    for number in 0..20 {
        fs::write(source.join(format!("small-{number:02}")), noise(20_000, number)).unwrap();
    }
    fs::write(source.join("large"), noise(1 << 20, 99)).unwrap();
    // Attributes stand in the headers, and are read without opening the file.
    for name in ["small-07", "large"] {
        setxattr(source.join(name), c"user.tarkeep", b"value", XattrFlags::empty()).unwrap();
    }
}

fn set_modified(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn ctime(path: &Path) -> (i64, i64) {
    let about = fs::metadata(path).unwrap();
    (about.ctime(), about.ctime_nsec())
}

#[test]
fn nothing_changed_is_taken_over_without_opening_a_file() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    let opens = Opens::of(&nights.source());
    let second = nights.next();
    assert_eq!(opens.names(), BTreeSet::new());
    // The end of the tar stream, and the header of the large file.
    assert_eq!(compressed(&second), 2);
    assert_eq!(second.report.files, 21);
    assert!(second.report.complete());
    nights.assert_as_in_full(&second);
    // And it stands alone: without the first, which it was built on.
    let third = nights.next();
    for entry in fs::read_dir(nights.destination()).unwrap() {
        let path = entry.unwrap().path();
        if path != third.path.as_ref().unwrap().parent().unwrap() && !path.ends_with(".tarkeep") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    assert_eq!(body(&third, "/large"), noise(1 << 20, 99));
    assert_eq!(body(&third, "/small-07"), noise(20_000, 7));
}

/// After a crash a file can have new bytes and its old times.
#[test]
fn after_a_start_of_the_machine_everything_is_read_once() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    nights.boot = "second";
    let opens = Opens::of(&nights.source());
    let second = nights.next();
    assert_eq!(opens.names().len(), 21);
    assert_eq!(compressed(&second), 2);
    nights.assert_as_in_full(&second);
    let opens = Opens::of(&nights.source());
    let third = nights.next();
    assert_eq!(opens.names(), BTreeSet::new());
    // It has been read, and not been compared: that is still due when it was.
    let began = |made| chrono::DateTime::parse_from_rfc3339(&archive(made).about().unwrap().read.unwrap());
    assert_eq!(began(&second).unwrap(), began(&third).unwrap());
}

#[test]
fn an_edit_with_a_forged_mtime_is_seen() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    for name in ["small-05", "large"] {
        let path = nights.source().join(name);
        let before = fs::metadata(&path).unwrap();
        fs::write(&path, noise(before.len() as usize, 1234)).unwrap();
        set_modified(&path, before.modified().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
    }
    let made = nights.next();
    assert_eq!(body(&made, "/small-05"), noise(20_000, 1234));
    assert_eq!(body(&made, "/large"), noise(1 << 20, 1234));
    nights.assert_as_in_full(&made);
}

#[test]
fn what_was_written_shortly_before_the_last_scan_is_read_again() {
    let Some(mut nights) = nights() else { return };
    // By the real clock all files are younger than two minutes: an edit after the scan could have the same time of change.
    nights.at_once();
    let opens = Opens::of(&nights.source());
    let made = nights.next();
    assert_eq!(opens.names().len(), 21, "all of them");
    // What turns out to be the same is copied, though it was read.
    assert_eq!(compressed(&made), 2);
    nights.assert_as_in_full(&made);
    opens.names();
    nights.next();
    assert_eq!(opens.names(), BTreeSet::new(), "that scan was later");
}

#[test]
fn a_store_through_a_mapping_after_the_scan_is_seen() {
    let Some(mut nights) = nights() else { return };
    let path = nights.source().join("large");
    let mut map = Map::of(&path);
    // The first store makes the page writable and moves the times; those that follow move nothing until writeback.
    map.store(1000, b"before");
    nights.at_once();
    let before = ctime(&path);
    map.store(1000, b"after!");
    println!("the store left ctime alone: {}", ctime(&path) == before);
    let made = nights.next();
    assert_eq!(&body(&made, "/large")[1000..1006], b"after!");
}

#[test]
fn on_a_tmpfs_everything_is_read() {
    let Some(disk) = Disk::tmpfs("size=16m") else { return };
    let Some(mut nights) = Nights::new() else { return };
    fill(disk.path());
    fs::remove_dir(nights.source()).unwrap();
    std::os::unix::fs::symlink(disk.path(), nights.source()).unwrap();
    let path = disk.path().join("large");
    let mut map = Map::of(&path);
    map.store(5000, b"before");
    nights.next();
    let before = ctime(&path);
    map.store(5000, b"after!");
    assert_eq!(ctime(&path), before, "nothing tells of it");
    let made = nights.next();
    assert_eq!(&body(&made, "/large")[5000..5006], b"after!");
    // What was read and is the same is copied all the same.
    assert!(!made.report.reused.is_nothing());
    // And that nothing told of it is no error when everything is compared.
    map.store(5000, b"later!");
    nights.ahead += TimeDelta::days(8);
    let made = nights.next();
    assert_eq!(&body(&made, "/large")[5000..5006], b"later!");
    assert!(made.report.complete(), "{:?}", made.report.warnings);
}

#[test]
fn the_body_of_a_hard_link_moves_with_its_first_name() {
    let Some(mut nights) = nights() else { return };
    let source = nights.source();
    fs::hard_link(source.join("small-05"), source.join("small-11-link")).unwrap();
    fs::hard_link(source.join("large"), source.join("small-99-link")).unwrap();
    nights.next();
    nights.next();
    // Another first name.
    fs::rename(source.join("small-05"), source.join("zz")).unwrap();
    fs::remove_file(source.join("large")).unwrap();
    let made = nights.next();
    assert_eq!(body(&made, "/small-11-link"), noise(20_000, 5));
    assert_eq!(body(&made, "/small-99-link"), noise(1 << 20, 99));
    nights.assert_as_in_full(&made);
    // The body is left out by a pattern, and nothing about the files has changed.
    nights.exclude = vec!["small-11-link".into(), "small-99-link".into()];
    let made = nights.next();
    assert_eq!(body(&made, "/zz"), noise(20_000, 5));
    nights.assert_as_in_full(&made);
    nights.exclude.clear();
    let made = nights.next();
    nights.assert_as_in_full(&made);
}

#[test]
fn a_folder_that_changed_is_written_anew_and_what_is_in_it_is_not_lost() {
    let Some(mut nights) = nights() else { return };
    fs::create_dir(nights.source().join("folder")).unwrap();
    fs::write(nights.source().join("folder/within"), b"within").unwrap();
    nights.next();
    // Nothing about the files has changed, nor how long any header is.
    for mode in [0o700, 0o2755] {
        fs::set_permissions(nights.source().join("folder"), fs::Permissions::from_mode(mode)).unwrap();
        let made = nights.next();
        let folder =
            archive(&made).entries().map(Result::unwrap).find(|entry| entry.name.ends_with(b"/folder"));
        assert_eq!(folder.unwrap().mode, mode);
        assert_eq!(body(&made, "/within"), b"within");
        nights.assert_as_in_full(&made);
    }
}

#[test]
fn by_mtime_a_file_may_be_another_and_by_content_it_is_read() {
    for (detection, noticed) in [("mtime", false), ("content", true), ("strict", true)] {
        let Some(nights) = nights() else { return };
        let mut nights = nights.with("TARKEEP_CHANGE_DETECTION", detection);
        nights.next();
        let path = nights.source().join("small-05");
        let mtime = fs::metadata(&path).unwrap().modified().unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, noise(20_000, 1234)).unwrap();
        set_modified(&path, mtime);
        let made = nights.next();
        let expected = if noticed { 1234 } else { 5 };
        assert_eq!(body(&made, "/small-05"), noise(20_000, expected), "{detection}");
        assert!(!made.report.reused.is_nothing(), "{detection}");
        // The folder's time of change is another.
        set_modified(&path, SystemTime::now());
        assert_eq!(body(&nights.next(), "/small-05"), noise(20_000, 1234), "{detection}");
    }
}

/// A shared mapping of a file.
struct Map {
    at: *mut u8,
    length: usize,
}

#[allow(unsafe_code)]
impl Map {
    fn of(path: &Path) -> Self {
        use std::os::fd::AsRawFd as _;
        let file = File::options().read(true).write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len() as usize;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice, of a file that is so long.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { at: at.cast(), length }
    }

    fn store(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length);
        // SAFETY: within the mapping, which nobody else in this process reads.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at.add(offset), bytes.len()) };
    }
}

#[allow(unsafe_code)]
impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: what `of` mapped, once.
        unsafe { libc::munmap(self.at.cast(), self.length) };
    }
}
