//! The power fails, or the process is killed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::ioctl::{Setter, ioctl};

use crate::child::{self, BYTES, OLDER, PUBLISHED, Stopped, assert_none_or_whole, left};
use crate::common::disk::Disk;

/// `FS_IOC_SHUTDOWN` with the flag `NOLOGFLUSH`: nothing reaches the disk from here on, not even the journal.
#[allow(
    unsafe_code,
    reason = "the number and the argument are those of the kernel's include/uapi/linux/fs.h"
)]
fn cut_off(mount: &Path) {
    let folder = fs::File::open(mount).unwrap();
    unsafe { ioctl(&folder, Setter::<0x8004_587d, u32>::new(2)) }.unwrap();
}

#[test]
fn a_power_failure_at_any_step_leaves_no_archive_or_a_whole_one() {
    if !child::can_stop() {
        return;
    }
    for step in child::steps() {
        let Some(disk) = Disk::ext4(24, None) else { return };
        fs::create_dir(disk.path().join("2026-11-19")).unwrap();
        let older = disk.path().join("2026-11-19/01-00-00.tar.gz");
        fs::write(&older, child::content(5000)).unwrap();
        rustix::fs::sync();

        let writer = Stopped::at(step, disk.path());
        cut_off(disk.path());
        let output = writer.go_on();
        let disk = disk.as_found_later();
        let older = disk.path().join("2026-11-19/01-00-00.tar.gz");

        let there = assert_none_or_whole(disk.path(), BYTES, step);
        assert_eq!(output.status.code(), Some(i32::from(!matches!(step, "synced" | "done"))), "{step}");
        assert!(there || !output.status.success(), "{step}: it was promised, and is not there");
        assert_eq!(fs::read(&older).unwrap(), child::content(5000), "{step}");

        child::run(disk.path(), BYTES).unwrap();
        let mut wanted = vec!["2026-11-19", "2026-11-19/01-00-00.tar.gz", PUBLISHED[0]];
        wanted.extend(there.then_some("2026-11-20/01-00-00-2.tar.gz"));
        wanted.push(PUBLISHED[1]);
        assert_eq!(left(disk.path()), wanted, "{step}: the next run sweeps");
    }
}

#[test]
fn a_power_failure_at_any_step_of_a_link_leaves_no_name_or_one_of_the_whole_archive() {
    if !child::can_stop() {
        return;
    }
    for step in ["folders-made", "temporary-made", "before-link", "link-noted", "named", "synced", "done"] {
        let Some(disk) = Disk::ext4(24, None) else { return };
        fs::create_dir(disk.path().join("2026-11-19")).unwrap();
        fs::write(disk.path().join(OLDER), child::content(BYTES)).unwrap();
        rustix::fs::sync();

        let writer = Stopped::linking_at(step, disk.path());
        cut_off(disk.path());
        let output = writer.go_on();
        let disk = disk.as_found_later();

        let there = assert_none_or_whole(disk.path(), BYTES, step);
        assert_eq!(output.status.code(), Some(i32::from(!matches!(step, "synced" | "done"))), "{step}");
        assert!(there || !output.status.success(), "{step}: it was promised, and is not there");
        assert_eq!(fs::read(disk.path().join(OLDER)).unwrap(), child::content(BYTES), "{step}");

        child::run_linking(disk.path()).unwrap();
        let mut wanted = vec!["2026-11-19", OLDER, PUBLISHED[0]];
        wanted.extend(there.then_some("2026-11-20/01-00-00-2.tar.gz"));
        wanted.push(PUBLISHED[1]);
        assert_eq!(left(disk.path()), wanted, "{step}: the next run sweeps");
        let names = fs::metadata(disk.path().join(OLDER)).unwrap().nlink();
        assert_eq!(names, 2 + u64::from(there), "{step}");
    }
}

#[test]
fn a_kill_at_any_step_leaves_no_archive_or_a_whole_one() {
    if !child::can_stop() {
        return;
    }
    for step in child::steps() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let status = Stopped::at(step, root).kill();
        assert!(!status.success());
        let there = assert_none_or_whole(root, BYTES, step);
        assert_eq!(there, matches!(step, "named" | "synced" | "done"), "{step}");

        let published = child::run(root, BYTES).unwrap();
        assert_eq!(published.name.unwrap().number, 1 + u32::from(there), "{step}");
        let mut wanted = vec![PUBLISHED[0]];
        wanted.extend(there.then_some("2026-11-20/01-00-00-2.tar.gz"));
        wanted.push(PUBLISHED[1]);
        assert_eq!(left(root), wanted, "{step}: the next run sweeps");
    }
}
