//! Backups into destinations that are bad, full, taken, or fail on the way.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::backups::{Archives, backup, litter, run, source};
use common::disk::Disk;
use common::trace::may_inject;
use tarkeep::destination::{Local, Options};

/// A run that must fail, with this exit code and these words; nothing is to be left of it.
fn fails(source: &Path, destination: &Path, code: i32, words: &[&str]) {
    let (found, said) = run(&mut backup(&[], source, destination));
    assert_eq!(found, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert_eq!(said.trim_end().lines().count(), 1, "one line says it: {said}");
}

#[test]
fn a_destination_that_is_no_folder_is_refused_and_not_made() {
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    fails(source.path(), &missing, 1, &["does not exist", "mkdir -p"]);
    assert!(!missing.exists());
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    fails(source.path(), &file, 1, &["is not a folder"]);
    let dangling = folder.path().join("dangling");
    symlink("missing", &dangling).unwrap();
    fails(source.path(), &dangling, 1, &["does not exist"]);
    assert!(!missing.exists());
    let sealed = Path::new("/proc/self");
    fails(source.path(), sealed, 1, &["make folder /proc/"]);
}

#[test]
fn a_destination_may_be_a_link_and_may_lie_in_the_source() {
    let source = source();
    let real = source.path().join("backups");
    fs::create_dir(&real).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink(&real, &link).unwrap();
    let mut archives = Archives::default();
    let mut sizes = Vec::new();
    for round in 1..=3 {
        let (code, said) = run(&mut backup(&[], source.path(), &link));
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(archives.look(&real, "inside the source"), 1, "{round}");
        let size = |path: PathBuf| fs::metadata(path).unwrap().len();
        sizes.push(
            fs::read_dir(&real)
                .unwrap()
                .map(|day| {
                    let day = day.unwrap().path();
                    fs::read_dir(day).unwrap().map(|file| size(file.unwrap().path())).max().unwrap()
                })
                .max()
                .unwrap(),
        );
    }
    // Archives that held one another would grow every time.
    assert!(sizes[2] < sizes[0] + sizes[0] / 2, "{sizes:?}");
    fails(source.path(), source.path(), 2, &["is the folder that archives are kept in"]);
}

#[test]
fn a_full_disk_fails_the_run_and_keeps_what_it_has() {
    let source = source();
    let Some(disk) = Disk::tmpfs("size=1m,nr_inodes=64") else { return };
    let destination = disk.path();
    let mut archives = Archives::default();
    let (code, said) = run(&mut backup(&[], source.path(), destination));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(archives.look(destination, "there is room"), 1);

    // The last archive was larger than what is left: said before a byte is written.
    fs::write(destination.join("ballast"), vec![1; 700 << 10]).unwrap();
    fails(source.path(), destination, 1, &["free, and", "are needed", "nothing is deleted"]);
    // There is room for the last archive, and not for this one.
    fs::write(destination.join("ballast"), vec![1; 400 << 10]).unwrap();
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().update(b"more").finalize_xof().fill(&mut noise);
    fs::write(source.path().join("more"), noise).unwrap();
    fails(source.path(), destination, 1, &["write archive ", "no space left on device (os error 28)"]);
    fs::remove_file(destination.join("ballast")).unwrap();
    assert_eq!(archives.look(destination, "after two failures"), 0);
    assert_eq!(litter(destination), Vec::<PathBuf>::new());

    fs::remove_file(source.path().join("more")).unwrap();
    for number in 0..64 {
        if fs::write(destination.join(format!("inode {number}")), "").is_err() {
            break;
        }
    }
    fails(source.path(), destination, 1, &["has room for", "and for 8 is needed"]);
}

#[test]
fn a_read_only_destination_fails_the_run() {
    let source = source();
    let Some(disk) = Disk::tmpfs("size=4m") else { return };
    let mut archives = Archives::default();
    assert_eq!(run(&mut backup(&[], source.path(), disk.path())).0, Some(0));
    archives.look(disk.path(), "while it can be written to");
    disk.make_read_only();
    fails(source.path(), disk.path(), 1, &["read-only file system (os error 30)"]);
    assert_eq!(archives.look(disk.path(), "read-only"), 0);
}

#[test]
fn a_file_that_is_there_is_not_replaced() {
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz");
    let to_file = |path: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tarkeep"));
        run(command.arg("backup").arg("--source").arg(source.path()).arg("-o").arg(path).env_clear())
    };
    let (code, said) = to_file(&path);
    assert_eq!(code, Some(0), "{said}");
    let whole = fs::read(&path).unwrap();
    let (code, said) = to_file(&path);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is there already, and nothing is ever replaced"), "{said}");
    assert!(fs::read(&path).unwrap() == whole);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is touched");
}

/// Fail call number 1, 2, 3, … of each kind, until a run meets no fault.
#[test]
fn a_system_call_that_fails_costs_at_most_this_run() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut archives = Archives::default();
    for (call, error) in [
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("renameat2", "EDQUOT"),
        ("mkdirat", "EROFS"),
        ("flock", "ENOLCK"),
        ("fchmod", "EIO"),
        ("fstatfs", "EIO"),
        ("lseek", "EIO"),
        ("pread64,preadv,preadv2", "EIO"),
        ("fadvise64", "EINVAL"),
    ] {
        for when in 1.. {
            let inject = format!("inject={call}:error={error}:when={when}");
            let trace = format!("trace={call}");
            let path = log.path().to_str().unwrap();
            let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", path, "-e", &trace, "-e", &inject];
            let (code, said) = run(&mut backup(&strace, source.path(), destination));
            let published = archives.look(destination, &inject);
            assert_eq!(published, usize::from(matches!(code, Some(0 | 3))), "{inject}: {code:?} {said}");
            let not_begun = code == Some(127) && said.contains("shared libraries");
            assert!(matches!(code, Some(0 | 1 | 3)) || not_begun, "{inject}: {code:?} {said}");
            assert_eq!(litter(destination), Vec::<PathBuf>::new(), "{inject}: {said}");
            if !fs::read_to_string(log.path()).unwrap().contains("(INJECTED)") {
                assert_eq!(code, Some(0), "{inject}: {said}");
                break;
            }
            assert!(when < 1000, "{call} is called without end");
        }
    }
}

/// A restore that looks whether somebody reads what it is to replace, just as a run begins.
#[test]
fn who_only_looks_at_the_lock_keeps_nobody_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Local::open(folder.path(), Options::default()).unwrap();
    drop(open().lock("test", "now").unwrap());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let local = open();
            while !done.load(Ordering::Relaxed) {
                let _ = local.require_unlocked();
            }
        });
        let local = open();
        let taken = (0..20_000).try_for_each(|_| local.lock("test", "now").map(drop));
        done.store(true, Ordering::Relaxed);
        looks.join().unwrap();
        taken.unwrap();
    });
}
