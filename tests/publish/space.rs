//! Full disks.

use std::fs;
use std::io::Write;

use tarkeep::destination::{Local, Space};

use crate::child::{self, content, left, name, options, run};
use crate::common::backups;
use crate::common::disk::{Disk, soon};

#[test]
fn what_does_not_fit_is_said_before_a_byte_is_written() {
    let Some(disk) = Disk::tmpfs("size=2m,nr_inodes=64") else { return };
    let local = Local::open(disk.path(), options()).unwrap();
    let space = local.space().unwrap();
    assert_eq!(space.bytes, Some(2 << 20));
    assert!(space.inodes.unwrap() < 64);
    local.require_space(2 << 20).unwrap();
    let error = local.require_space(3 << 20).unwrap_err().to_string();
    assert!(error.contains("has 2.0 MiB free, and 3.0 MiB are needed"), "{error}");
    for number in 0..60 {
        if fs::write(disk.path().join(format!("f{number}")), "").is_err() {
            break;
        }
    }
    let error = local.require_space(0).unwrap_err().to_string();
    assert!(error.contains("more files, and for 8 is needed") || error.contains("1 more file,"), "{error}");
}

#[test]
fn a_file_system_without_limits_is_not_taken_for_a_full_one() {
    let Some(disk) = Disk::tmpfs("size=0,nr_inodes=0") else { return };
    let local = Local::open(disk.path(), options()).unwrap();
    assert_eq!(local.space().unwrap(), Space { bytes: None, inodes: None });
    local.require_space(u64::MAX).unwrap();
    run(disk.path(), 1 << 20).unwrap();
}

#[test]
fn a_disk_that_gets_full_fails_the_run_and_gets_its_space_back() {
    let Some(disk) = Disk::tmpfs("size=2m,nr_inodes=64") else { return };
    run(disk.path(), 1 << 20).unwrap();
    let before = left(disk.path());
    let error = run(disk.path(), 4 << 20).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("write archive ") && text.ends_with("no space left on device (os error 28)"),
        "{text}"
    );
    assert_eq!(left(disk.path()), before, "nothing half, and nothing older touched");
    assert!(fs::read(child::archive(disk.path())).unwrap() == content(1 << 20));
    // Another test's child, between fork and exec, may hold the removed file open for a moment.
    assert!(soon(|| run(disk.path(), 1 << 19).is_ok()));
}

#[test]
fn a_disk_without_inodes_fails_the_run() {
    for inodes in 1..9 {
        let Some(disk) = Disk::tmpfs(&format!("size=8m,nr_inodes={inodes}")) else { return };
        match run(disk.path(), 1000) {
            Ok(_) => assert_eq!(left(disk.path()), child::PUBLISHED),
            Err(e) => {
                assert!(e.to_string().ends_with("no space left on device (os error 28)"), "{e}");
                assert_eq!(left(disk.path()), Vec::<String>::new());
            }
        }
    }
}

/// The loop device takes every write into the cache; only a sync says that there is no room.
#[test]
fn a_disk_that_notices_late_fails_the_run_too() {
    let Some(below) = Disk::tmpfs("size=12m") else { return };
    let Some(disk) = Disk::ext4(64, Some(&below.path().join("image"))) else { return };
    let local = Local::open(disk.path(), options()).unwrap();
    local.require_space(20 << 20).unwrap();
    let lock = local.lock("test", "now").unwrap();
    let mut upload = local.begin(&lock, &name()).unwrap();
    let failure = match upload.write_all(&content(20 << 20)) {
        Ok(()) => upload.publish(|_| Ok(())).unwrap_err(),
        Err(e) => upload.failed(e),
    };
    assert!(failure.to_string().contains("os error"), "{failure}");
    assert!(!child::archive(disk.path()).exists());
}

/// The first archive has none before it to go by.
#[test]
fn a_first_archive_that_cannot_fit_is_refused_and_one_that_may_not_is_announced() {
    let Some(disk) = Disk::tmpfs("size=2m,nr_inodes=64") else { return };
    let source = tempfile::tempdir().unwrap();
    let backup = |codec: &str| {
        let mut command = backups::backup(&[], source.path(), disk.path());
        backups::run(command.args(["--codec", codec, "--threads", "1"]))
    };
    // Twice 3 MiB under one name each, and under a second one, which takes no room; and a hole, which takes none either.
    fs::write(source.path().join("a"), vec![b'a'; 3 << 20]).unwrap();
    fs::write(source.path().join("b"), vec![b'b'; 3 << 20]).unwrap();
    fs::hard_link(source.path().join("a"), source.path().join("c")).unwrap();
    fs::File::create(source.path().join("hole")).unwrap().set_len(100 << 30).unwrap();
    let (code, said) = backup("none");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("free, and 6.0 MiB are needed: make room there"), "{said}");
    assert_eq!(left(disk.path()), Vec::<String>::new());
    let (code, said) = backup("gzip:1");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("the source has 6.0 MiB and") && said.contains("fits only if it is compressed to"),
        "{said}"
    );
    // The next one goes by this.
    let (code, said) = backup("gzip:1");
    assert!(code == Some(0) && !said.contains("fits only"), "{said}");
}

#[test]
fn a_first_archive_that_did_not_fit_leaves_nothing() {
    let Some(disk) = Disk::tmpfs("size=2m,nr_inodes=64") else { return };
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("noise"), content(3 << 20)).unwrap();
    let (code, said) = backups::run(&mut backups::backup(&[], source.path(), disk.path()));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("the source has 3.0 MiB and") && said.contains("no space left on device"),
        "{said}"
    );
    assert_eq!(left(disk.path()), Vec::<String>::new());
}
