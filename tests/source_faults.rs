//! What goes wrong with single entries while a source is read, and that nothing outside it is ever read.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::found::read as read_body;
use common::skip;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, Timespec, Timestamps, mknodat, renameat_with};
use tarkeep::entry::{Entry, Found, Kind, Miss, Missed};
use tarkeep::source::{Options, Source, Walk, walk};

fn begin(path: &Path) -> Walk {
    walk(&[Source { path: path.into(), name: b"s".to_vec() }], &Options::default()).unwrap()
}

/// Name, kind and body.
type Read = (String, Kind, Vec<u8>);

/// Read all that a walk finds, and what it missed.
fn read(walk: Walk) -> (Vec<Read>, Vec<Missed>) {
    let (mut entries, mut missed) = (Vec::new(), Vec::new());
    for found in walk {
        match found {
            Found::Missed(miss) => missed.push(miss),
            Found::Entry(mut entry) => {
                let bytes = match entry.content.as_deref_mut() {
                    Some(content) => read_body(content),
                    None => Vec::new(),
                };
                entries.push((String::from_utf8_lossy(&entry.name).into_owned(), entry.kind, bytes));
            }
        }
    }
    (entries, missed)
}

fn summary(missed: &[Missed]) -> Vec<(&str, Miss, &str)> {
    missed
        .iter()
        .map(|miss| (std::str::from_utf8(&miss.name).unwrap(), miss.what, miss.cause.as_str()))
        .collect()
}

/// The only file of a source, as it was found.
fn only_file(path: &Path) -> Box<Entry> {
    match begin(path).next() {
        Some(Found::Entry(entry)) if entry.kind == Kind::File => entry,
        other => panic!("{other:?}"),
    }
}

/// Set the time of change back, so that the next change is seen whatever the clock's resolution.
fn age(path: &Path) {
    let long_ago = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: long_ago, last_modification: long_ago };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

#[test]
fn what_is_gone_before_it_is_opened_has_vanished() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("x", folder.path().join("link")).unwrap();
    let mut walk = begin(folder.path());
    let first = walk.next().unwrap();
    assert!(matches!(first, Found::Entry(entry) if entry.kind == Kind::Directory));
    fs::remove_file(folder.path().join("b")).unwrap();
    fs::remove_file(folder.path().join("link")).unwrap();
    fs::remove_dir(folder.path().join("dir")).unwrap();
    let (entries, missed) = read(walk);
    assert_eq!(entries.iter().map(|entry| entry.0.as_str()).collect::<Vec<_>>(), ["s/a", "s/c"]);
    assert_eq!(
        summary(&missed),
        [
            ("s/b", Miss::Vanished, "open source file: no such file or directory (os error 2)"),
            ("s/dir", Miss::Vanished, "open source folder: no such file or directory (os error 2)"),
            ("s/link", Miss::Vanished, "look at: no such file or directory (os error 2)"),
        ]
    );
}

#[test]
fn a_tree_that_is_deleted_meanwhile_only_vanishes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for outer in 0..30 {
        for inner in 0..30 {
            let path = root.join(format!("{outer:02}/{inner:02}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), "body").unwrap();
        }
    }
    let walk = begin(&root);
    let (entries, missed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for outer in (0..30).rev() {
                fs::remove_dir_all(root.join(format!("{outer:02}"))).unwrap();
            }
        });
        read(walk)
    });
    assert!(!entries.is_empty());
    for (name, kind, bytes) in entries {
        assert!(kind != Kind::File || bytes == b"body", "{name} {bytes:?}");
    }
    assert!(missed.iter().all(|miss| miss.what == Miss::Vanished), "{missed:?}");
}

#[test]
fn a_first_name_that_vanished_leaves_the_body_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "body").unwrap();
    fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
    fs::hard_link(folder.path().join("a"), folder.path().join("c")).unwrap();
    let mut walk = begin(folder.path());
    walk.next().unwrap();
    fs::remove_file(folder.path().join("a")).unwrap();
    let (entries, missed) = read(walk);
    assert_eq!(missed.len(), 1);
    assert_eq!(entries[0], ("s/b".into(), Kind::File, b"body".to_vec()));
    assert_eq!(entries[1], ("s/c".into(), Kind::Hardlink(b"s/b".to_vec()), Vec::new()));
}

const AS_NOBODY: &str = "SOURCE_FAULTS_AS_NOBODY";

#[test]
fn what_may_not_be_read_is_skipped_and_named() {
    if let Some(root) = std::env::var_os(AS_NOBODY) {
        return check_as_nobody(Path::new(&root));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("closed/below")).unwrap();
    fs::create_dir_all(root.join("open")).unwrap();
    for (name, mode) in [("a", 0o600), ("open/b", 0o644)] {
        fs::write(root.join(name), name).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    if !rustix::process::geteuid().is_root() {
        return skip("root, to run as somebody else");
    }
    // The folder of the build may be closed to others: the test runs from here.
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(&program)
        .args(["--exact", "what_may_not_be_read_is_skipped_and_named", "--nocapture"])
        .env(AS_NOBODY, &root)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn check_as_nobody(root: &Path) {
    let (entries, missed) = read(begin(root));
    let names: Vec<_> = entries.iter().map(|entry| entry.0.as_str()).collect();
    assert_eq!(names, ["s", "s/closed", "s/open", "s/open/b"]);
    assert_eq!(
        summary(&missed),
        [
            ("s/a", Miss::Skipped, "open source file: permission denied (os error 13)"),
            ("s/closed", Miss::Skipped, "open source folder: permission denied (os error 13)"),
        ]
    );
    let closed = Source { path: root.join("closed"), name: b"closed".to_vec() };
    let error = walk(&[closed], &Options::default()).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[test]
fn an_input_error_is_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mem");
    fs::write(&path, "").unwrap();
    let mem = format!("/proc/{}/mem", std::process::id());
    let mounted = Command::new("mount").args(["--bind", &mem]).arg(&path).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skip("the right to mount");
    }
    let mut found: Vec<Found> = begin(folder.path()).collect();
    // Before anything is asserted: the folder must be free to be removed.
    let outcome = match found.last_mut() {
        Some(Found::Entry(entry)) => entry.content.as_mut().map(|content| content.changed()),
        _ => None,
    };
    drop(found);
    assert!(Command::new("umount").arg(&path).status().unwrap().success());
    let error = outcome.expect("the last entry is the file").expect_err("its first page cannot be read");
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
}

#[test]
fn a_file_that_is_written_while_it_is_read_has_changed() {
    type Change = fn(&Path);
    let append: Change =
        |path| fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    let changes: [(&str, Change, bool, usize); 8] = [
        ("left alone", |_| {}, false, 5000),
        ("grown", append, true, 5000),
        (
            "cut",
            |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3000).unwrap(),
            true,
            3000,
        ),
        ("emptied", |path| drop(fs::File::create(path).unwrap()), true, 1000),
        ("rewritten", |path| fs::write(path, [1; 5000]).unwrap(), true, 5000),
        ("removed", |path| fs::remove_file(path).unwrap(), false, 5000),
        ("linked", |path| fs::hard_link(path, path.with_extension("2")).unwrap(), false, 5000),
        (
            "replaced",
            |path| {
                fs::write(path.with_extension("new"), "other").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
            false,
            5000,
        ),
    ];
    for (name, change, expected, length) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [0; 5000]).unwrap();
        age(&path);
        let mut entry = only_file(&path);
        let content = entry.content.as_deref_mut().unwrap();
        let mut buffer = [0; 1000];
        assert_eq!(content.read(&mut buffer).unwrap(), 1000);
        change(&path);
        assert_eq!(1000 + read_body(content).len(), length, "{name}");
        assert_eq!(content.changed().unwrap(), expected, "{name}");
    }
}

#[test]
fn a_file_that_says_it_is_empty_and_is_not_has_changed() {
    let mut entry = only_file(Path::new("/proc/version"));
    assert_eq!(entry.size, 0);
    let content = entry.content.as_deref_mut().unwrap();
    assert_eq!(read_body(content), b"");
    assert!(content.changed().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    fs::write(&path, "").unwrap();
    let mut entry = only_file(&path);
    let content = entry.content.as_deref_mut().unwrap();
    assert!(!content.changed().unwrap());
    fs::write(&path, "x").unwrap();
    assert!(content.changed().unwrap());
}

/// Exchange these two again and again while the source is walked and read so many times.
fn while_exchanging(a: &Path, b: &Path, root: &Path, times: usize, check: impl Fn(&str, &Kind, &[u8])) {
    if let Err(error) = renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        return skip(&format!("a file system that exchanges names ({error})"));
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..times {
                let (entries, _) = read(begin(root));
                for (name, kind, bytes) in entries {
                    check(&name, &kind, &bytes);
                }
            }
        }));
        done.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn a_link_put_in_the_place_of_a_file_is_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (root, side) = (folder.path().join("root"), folder.path().join("side"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&side).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(root.join("x"), "inside").unwrap();
    symlink(folder.path().join("secret"), side.join("x")).unwrap();
    while_exchanging(&root.join("x"), &side.join("x"), &root, 1000, |name, kind, bytes| match kind {
        Kind::File => assert_eq!(bytes, b"inside", "{name}"),
        _ => assert_eq!(bytes, b"", "{name}"),
    });
}

#[test]
fn a_link_put_in_the_place_of_a_folder_is_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (root, side) = (folder.path().join("root"), folder.path().join("side"));
    fs::create_dir_all(root.join("x/sub")).unwrap();
    fs::create_dir_all(&side).unwrap();
    fs::create_dir_all(folder.path().join("secrets/sub")).unwrap();
    fs::write(folder.path().join("secrets/sub/file"), "secret").unwrap();
    fs::write(root.join("x/sub/file"), "inside").unwrap();
    symlink(folder.path().join("secrets"), side.join("x")).unwrap();
    while_exchanging(&root.join("x"), &side.join("x"), &root, 1000, |name, kind, bytes| match kind {
        Kind::File => assert_eq!(bytes, b"inside", "{name}"),
        _ => assert_eq!(bytes, b"", "{name}"),
    });
}

#[test]
fn a_fifo_without_a_writer_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let (root, side) = (folder.path().join("root"), folder.path().join("side"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&side).unwrap();
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(root.join("x"), "inside").unwrap();
    mknodat(CWD, side.join("x"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (entries, missed) = read(begin(&root));
    assert_eq!((entries[1].1.clone(), missed.len()), (Kind::Fifo, 0));
    while_exchanging(&root.join("x"), &side.join("x"), &root, 1000, |name, kind, bytes| match kind {
        Kind::File => assert_eq!(bytes, b"inside", "{name}"),
        _ => assert_eq!(bytes, b"", "{name}"),
    });
}

#[test]
fn a_file_that_samba_holds_a_lease_on_is_read_when_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "body").unwrap();
    let holder = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    if lease(&holder, libc::F_WRLCK).is_err() {
        return skip("a file system with leases");
    }
    let (entries, missed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Asked to let go, what the lease is to become is not what it was.
            let deadline = Instant::now() + Duration::from_secs(40);
            while held(&holder) == libc::F_WRLCK && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            lease(&holder, libc::F_UNLCK).unwrap();
        });
        read(begin(folder.path()))
    });
    assert_eq!(missed, []);
    assert_eq!(entries[1].2, b"body");
}

/// Take this kind of lease, or give it back. The holder is told by `SIGURG`, which nobody minds.
#[allow(unsafe_code, reason = "no safe wrapper knows leases")]
fn lease(file: &fs::File, kind: libc::c_int) -> std::io::Result<()> {
    /// `linux/fcntl.h`; the crate does not have it.
    const F_SETSIG: libc::c_int = 10;
    // SAFETY: both take a number and touch no memory.
    let outcome = unsafe {
        libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG);
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind)
    };
    if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[allow(unsafe_code, reason = "no safe wrapper knows leases")]
fn held(file: &fs::File) -> libc::c_int {
    // SAFETY: takes no argument.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) }
}

/// `tarkeep backup` of this folder with these arguments and settings.
fn backup(source: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarkeep"));
    command
        .env_clear()
        .envs(settings.iter().copied())
        .arg("backup")
        .arg("--source")
        .arg(source)
        .args(arguments);
    command.stdin(Stdio::null());
    command
}

/// Archive this folder into a pipe, and make the change when its large file has been read in part: the pipe holds no
/// more, and neither does the program. The exit code, what was said, and what `tar` lists.
fn changed_on_the_way(settings: &[(&str, &str)], change: fn(&Path)) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    fs::write(&file, vec![b'x'; LARGE]).unwrap();
    fs::write(folder.path().join("next"), "next").unwrap();
    age(&file);
    let mut run = backup(folder.path(), &["--codec", "none", "--threads", "1", "-o", "-"], settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = run.stdout.take().unwrap();
    let mut stderr = run.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut archive = vec![0; 100_000];
    stdout.read_exact(&mut archive).unwrap();
    change(&file);
    stdout.read_to_end(&mut archive).unwrap();
    let code = run.wait().unwrap().code();
    let stored = folder.path().join("archive.tar");
    fs::write(&stored, &archive).unwrap();
    let listed = Command::new("tar").arg("tvf").arg(&stored).output().unwrap();
    (code, said.join().unwrap(), String::from_utf8_lossy(&listed.stdout).into_owned())
}

/// Far more than the pipe and the program hold at a time.
const LARGE: usize = 24 << 20;

#[test]
fn a_file_that_changes_during_a_run_is_archived_as_long_as_its_header_says() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("grown", |path| fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap()),
        ("cut", |path| {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(LARGE as u64 / 2).unwrap();
        }),
        ("rewritten", |path| fs::write(path, vec![b'y'; LARGE]).unwrap()),
    ];
    for (name, change) in changes {
        let (code, said, listed) = changed_on_the_way(&[], change);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains("large") && said.contains("while it was read"), "{name}: {said}");
        assert!(listed.contains(&format!(" {LARGE} ")) && listed.contains("/next"), "{name}: {listed}");
    }
    let (code, said, _) = changed_on_the_way(&[("TARKEEP_ON_CHANGED", "fail")], changes[0].1);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn a_run_that_could_not_read_something_is_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let (root, kept) = (folder.path().join("root"), folder.path().join("kept"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&kept).unwrap();
    let bad = root.join("bad");
    fs::write(&bad, "").unwrap();
    fs::write(root.join("good"), "good").unwrap();
    // Root may read everything, but not what has no pages.
    let root_user = rustix::process::geteuid().is_root();
    if root_user {
        let mem = format!("/proc/{}/mem", std::process::id());
        let mounted = Command::new("mount").args(["--bind", &mem]).arg(&bad).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return skip("the right to mount");
        }
    } else {
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let kept = kept.to_str().unwrap();
    let warned = backup(&root, &["--destination", kept], &[]).output().unwrap();
    let failed = backup(&root, &["--destination", kept], &[("TARKEEP_ON_SKIPPED", "fail")]).output().unwrap();
    if root_user {
        assert!(Command::new("umount").arg(&bad).status().unwrap().success());
    }
    let said = String::from_utf8_lossy(&warned.stderr);
    assert_eq!(warned.status.code(), Some(3), "{said}");
    assert!(said.contains("/bad: "), "{said}");
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    let archives = Command::new("find").args([kept, "-name", "*.tar.gz"]).output().unwrap();
    assert_eq!(archives.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn an_archive_written_into_its_source_does_not_hold_itself() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    let file = folder.path().join("file.tar.gz");
    let run = backup(folder.path(), &["-o", file.to_str().unwrap()], &[]).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let piped = folder.path().join("piped.tar.gz");
    let run = backup(folder.path(), &["--exclude", "file.tar.gz", "-o", "-"], &[])
        .stdout(fs::File::create(&piped).unwrap())
        .status()
        .unwrap();
    assert_eq!(run.code(), Some(0));
    for archive in [file, piped] {
        let listed = Command::new("tar").arg("tf").arg(&archive).output().unwrap();
        let names = String::from_utf8(listed.stdout).unwrap();
        let names: Vec<_> =
            names.lines().map(|name| name.rsplit('/').find(|part| !part.is_empty()).unwrap()).collect();
        assert_eq!(names[1..], ["a"], "{}", archive.display());
    }
}
