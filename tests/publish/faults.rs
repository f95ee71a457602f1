//! Every system call on the way fails once, and then for good.

use std::fs;
use std::path::Path;

use crate::child::{self, BYTES, PUBLISHED, archive, assert_none_or_whole, left, writer};
use crate::common::trace::may_inject;

/// A writer in which a system call fails: its exit code, what it said, and whether the call came at all.
fn with_fault(root: &Path, fault: &[&str]) -> (Option<i32>, String, bool) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let log_path = log.path().to_str().unwrap().to_string();
    let calls: Vec<&str> = fault.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    let trace = format!("trace={}", calls.join(","));
    let injects: Vec<String> = fault.iter().map(|fault| format!("inject={fault}")).collect();
    let mut before = vec!["strace", "-f", "-qq", "--seccomp-bpf", "-o", &log_path, "-e", &trace];
    for inject in &injects {
        before.extend(["-e", inject]);
    }
    let output = writer(&before, root, BYTES).output().unwrap();
    let hit = fs::read_to_string(&log_path).unwrap().contains("(INJECTED)");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), hit)
}

#[test]
fn a_system_call_that_fails_leaves_nothing_or_a_whole_archive() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    // Those that may leave the temporary file behind stand in the test below.
    for (call, error) in [
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("close", "EDQUOT"),
        ("renameat2", "EIO"),
        ("mkdirat", "EROFS"),
        ("flock", "ENOLCK"),
        ("fchmod", "EIO"),
        ("fstat,newfstatat,statx", "EIO"),
        ("openat", "EMFILE"),
        ("lseek", "EIO"),
        ("getdents64", "EIO"),
    ] {
        let mut published = false;
        for when in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let fault = format!("{call}:error={error}:when={when}");
            let (code, said, hit) = with_fault(root, &[&fault]);
            let there = assert_none_or_whole(root, BYTES, &fault);
            if !hit {
                assert_eq!(code, Some(0), "{fault}: {said}");
                published = there;
                break;
            }
            // A fault that did no harm (a close, a look at the locale) is as good as none.
            assert_eq!(there, code == Some(0), "{fault}: {code:?}, {said}");
            assert_eq!(left(root), if there { PUBLISHED.to_vec() } else { vec![] }, "{fault}: {said}");
            if !there && matches!(call, "fsync" | "renameat2" | "mkdirat" | "flock" | "fchmod") {
                assert!(
                    said.contains("os error") && said.contains(root.to_str().unwrap()),
                    "{fault}: {said}"
                );
            }
            assert!(when < 2000, "{call} is called without end");
        }
        assert!(published, "{call}: the run that met no fault published nothing");
    }
}

#[test]
fn what_could_not_be_removed_is_swept_by_the_next_run() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // Publishing fails, and then so does removing.
    let (code, said, hit) = with_fault(root, &["fsync:error=ENOSPC:when=1", "unlinkat:error=EIO:when=1+"]);
    assert!(hit && code == Some(1), "{code:?} {said}");
    assert!(said.contains("no space left on device (os error 28)"), "{said}");
    assert!(!archive(root).exists());
    assert_ne!(left(root), Vec::<String>::new());
    child::run(root, BYTES).unwrap();
    assert_eq!(left(root), PUBLISHED);
}

#[test]
fn a_sync_that_failed_is_never_tried_again() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The second call would succeed, as on a full loop device.
    let (code, said, _) = with_fault(folder.path(), &["fsync:error=EIO:when=1"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("sync archive") && said.contains("01-00-00.tar.gz"), "{said}");
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

#[test]
fn an_archive_whose_folder_could_not_be_synced_loses_its_name() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, said, _) = with_fault(folder.path(), &["fsync:error=EIO:when=2+"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("sync folder"), "{said}");
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

#[test]
fn file_systems_without_links_or_exclusive_renames_replace_nothing_either() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    for faults in [
        // NFS: no flag for renaming.
        &["renameat2:error=EINVAL"][..],
        &["renameat2:error=ENOSYS"],
        // vfat on an old kernel: no links either. The plain rename is another system call.
        &["renameat2:error=EINVAL", "linkat:error=EPERM"],
        &["renameat2:error=EOPNOTSUPP", "linkat:error=EOPNOTSUPP"],
        &["renameat2:error=EPERM", "linkat:error=ENOSYS"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut wanted = vec!["2026-11-20".to_string()];
        for number in 1..=3 {
            let (code, said, hit) = with_fault(root, faults);
            assert!(hit && code == Some(0), "{faults:?}: {code:?} {said}");
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            wanted.push(format!("2026-11-20/01-00-00{number}.tar.gz"));
            wanted.sort();
            assert_eq!(left(root), wanted, "{faults:?}");
            assert!(fs::read(root.join(wanted.last().unwrap())).unwrap() == child::content(BYTES));
        }
    }
}
