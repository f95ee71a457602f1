//! What a walk finds, in which order, and what it leaves out.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use common::found::body;
use common::skip;
use proptest::prelude::*;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, mkdirat, mknodat, openat,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tarkeep::entry::{Entry, Found, Kind, Miss, Missed, Timestamp};
use tarkeep::exit::Exit;
use tarkeep::source::{DatabaseKind, Options, Source, walk};

fn source(path: &Path, name: &str) -> Source {
    Source { path: path.into(), name: name.into() }
}

/// What a walk of this folder finds, under the name `s`.
fn found(path: &Path, options: &Options) -> (Vec<Entry>, Vec<Missed>) {
    split(walk(&[source(path, "s")], options).unwrap())
}

fn split(found: impl Iterator<Item = Found>) -> (Vec<Entry>, Vec<Missed>) {
    let (mut entries, mut missed) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            // The body stays behind: a test that wants it reads it on the way, as an archive does.
            Found::Entry(mut entry) => {
                entry.content = None;
                entries.push(*entry);
            }
            Found::Missed(miss) => missed.push(miss),
        }
    }
    (entries, missed)
}

/// Only the names, of a walk that misses nothing.
fn names(path: &Path, options: &Options) -> Vec<String> {
    let (entries, missed) = found(path, options);
    assert_eq!(missed, []);
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
}

/// Make these files, and the folders that they need; a name with a slash at its end is a folder.
fn make(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }
}

#[test]
fn every_kind_of_entry_comes_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    make(root, &["file", "dir/"]);
    fs::set_permissions(root.join("file"), fs::Permissions::from_mode(0o6751)).unwrap();
    fs::set_permissions(root.join("dir"), fs::Permissions::from_mode(0o1705)).unwrap();
    symlink("../outside/\n", root.join("link")).unwrap();
    symlink("file", root.join("link-to-file")).unwrap();
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: -2, tv_nsec: 750_000_000 },
    };
    rustix::fs::utimensat(CWD, root.join("file"), &times, rustix::fs::AtFlags::empty()).unwrap();
    let devices =
        mknodat(CWD, root.join("char"), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3))
            .is_ok()
            && mknodat(
                CWD,
                root.join("block"),
                FileType::BlockDevice,
                Mode::RUSR,
                rustix::fs::makedev(7, 300),
            )
            .is_ok();
    if !devices {
        skip("root, to make devices");
    }

    let (entries, missed) = found(root, &Options::default());
    assert_eq!(missed, []);
    let by_name: BTreeMap<&str, &Entry> =
        entries.iter().map(|entry| (std::str::from_utf8(&entry.name).unwrap(), entry)).collect();
    assert_eq!(by_name["s"].kind, Kind::Directory);
    let file = by_name["s/file"];
    let meta = fs::metadata(root.join("file")).unwrap();
    assert_eq!((&file.kind, file.mode, file.size), (&Kind::File, 0o6751, 4));
    assert_eq!((file.uid, file.gid), (meta.uid(), meta.gid()));
    assert_eq!((file.device, file.inode), (meta.dev(), meta.ino()));
    assert_eq!(file.mtime, Timestamp { seconds: -2, nanos: 750_000_000 });
    assert_eq!((file.ctime.seconds, i64::from(file.ctime.nanos)), (meta.ctime(), meta.ctime_nsec()));
    if meta.uid() == 0 {
        assert_eq!(file.user, b"root");
    }
    assert_eq!(
        (&by_name["s/dir"].kind, by_name["s/dir"].mode, by_name["s/dir"].size),
        (&Kind::Directory, 0o1705, 0)
    );
    assert_eq!(by_name["s/link"].kind, Kind::Symlink(b"../outside/\n".to_vec()));
    assert_eq!(by_name["s/link-to-file"].kind, Kind::Symlink(b"file".to_vec()));
    assert_eq!(by_name["s/link"].size, 0);
    assert_eq!((&by_name["s/fifo"].kind, by_name["s/fifo"].mode), (&Kind::Fifo, 0o640));
    assert!(!by_name.contains_key("s/socket"));
    if devices {
        assert_eq!(by_name["s/char"].kind, Kind::CharDevice(1, 3));
        assert_eq!(by_name["s/block"].kind, Kind::BlockDevice(7, 300));
    }
}

#[test]
fn bodies_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.path().join("a"), b"").unwrap();
    fs::write(folder.path().join("b"), b"x").unwrap();
    fs::write(folder.path().join("c"), &bytes).unwrap();
    let mut bodies = Vec::new();
    for found in walk(&[source(folder.path(), "s")], &Options::default()).unwrap() {
        let Found::Entry(mut entry) = found else { panic!("{found:?}") };
        if entry.kind == Kind::File {
            bodies.push(body(&mut entry));
            assert!(!entry.content.as_mut().unwrap().changed().unwrap());
        }
    }
    assert_eq!(bodies, [Vec::new(), b"x".to_vec(), bytes]);
}

#[test]
fn names_come_in_the_order_of_their_bytes_with_the_slash_first() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["a/x", "a/x!/y", "a-b", "a.txt", "a\u{1}", "Z", "a/x.d/", "\u{e9}", "a b/c"]);
    let expected = [
        "s", "s/Z", "s/a", "s/a/x", "s/a/x!", "s/a/x!/y", "s/a/x.d", "s/a\u{1}", "s/a b", "s/a b/c", "s/a-b",
        "s/a.txt", "s/\u{e9}",
    ];
    assert_eq!(names(folder.path(), &Options::default()), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_found_whole_and_in_order(
        paths in prop::collection::vec(prop::collection::vec("[a-c!.\\-\u{1}]{1,3}", 1..5), 1..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        // Of a path like `./..` nothing is left, and an empty source is refused.
        fs::write(folder.path().join("never empty"), "").unwrap();
        for path in &paths {
            let path: Vec<&str> = path.iter().map(String::as_str).filter(|part| *part != "." && *part != "..").collect();
            let _ = fs::create_dir_all(folder.path().join(path.join("/")));
        }
        let (entries, missed) = found(folder.path(), &Options::default());
        prop_assert_eq!(missed, vec![]);
        let ranked = |name: &[u8]| -> Vec<u16> {
            name.iter().map(|byte| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 }).collect()
        };
        for pair in entries.windows(2) {
            prop_assert!(ranked(&pair[0].name) < ranked(&pair[1].name));
        }
        let output = Command::new("find").arg(folder.path()).args(["-printf", "."]).output().unwrap();
        prop_assert_eq!(entries.len(), output.stdout.len());
    }
}

#[test]
fn names_of_any_bytes_come_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let long = [b'n'; 255];
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for name in [&b"new\nline"[..], b"\x1b[31mred", b"\xff\xfe", b"-rf", b" ", b"...", b"*", b"\\", &long] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), name).unwrap();
        expected.push([b"s/", name].concat());
    }
    expected.sort();
    let (entries, missed) = found(folder.path(), &Options::default());
    assert_eq!(missed, []);
    assert_eq!(entries.into_iter().skip(1).map(|entry| entry.name).collect::<Vec<_>>(), expected);
}

/// Descend by this name so many times, making each folder; the last one is returned.
fn dig(root: &Path, name: &str, depth: usize) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = openat(CWD, root, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&folder, name, Mode::RWXU).unwrap();
        folder = openat(&folder, name, flags, Mode::empty()).unwrap();
    }
    folder
}

/// Remove what [`dig`] made: recursion by paths, or by descriptors, would fail for the depth.
fn remove_deep(root: &Path) {
    assert!(Command::new("rm").arg("-rf").arg(root).status().unwrap().success());
}

#[test]
fn five_thousand_folders_deep_with_few_descriptors() {
    const DEPTH: usize = 5000;
    let folder = tempfile::tempdir().unwrap();
    let name = "n".repeat(100);
    let root = folder.path().join("deep");
    fs::create_dir(&root).unwrap();
    let bottom = dig(&root, &name, DEPTH);
    let file = openat(&bottom, "file", OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
    fs::File::from(file).write_all(b"deep").unwrap();
    fs::write(root.join("zzz"), "last").unwrap();
    drop(bottom);

    // Each test is a process of its own under nextest; under `cargo test` the others have to do with it too.
    let before = getrlimit(Resource::Nofile);
    let mut few = before;
    few.current = Some(64);
    setrlimit(Resource::Nofile, few).unwrap();
    let mut seen = (0, Vec::new(), Vec::new());
    for found in walk(&[source(&root, "s")], &Options::default()).unwrap() {
        let Found::Entry(mut entry) = found else { panic!("{found:?}") };
        seen.0 += 1;
        if entry.kind == Kind::File {
            seen.1.push(entry.name.len());
            seen.2.push(body(&mut entry));
        }
    }
    setrlimit(Resource::Nofile, before).unwrap();
    remove_deep(&root);
    assert_eq!(seen.0, 1 + DEPTH + 2);
    assert_eq!(seen.1, [1 + DEPTH * 101 + 5, 5]);
    assert_eq!(seen.2, [b"deep", b"last"]);
}

#[test]
fn every_folder_on_the_way_back_up_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("deep");
    fs::create_dir(&root).unwrap();
    let mut path = root.clone();
    for _ in 0..60 {
        path.push("m");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), "").unwrap();
        fs::write(path.join("z"), "").unwrap();
    }
    assert_eq!(names(&root, &Options::default()).len(), 1 + 60 * 3);
}

#[test]
fn a_folder_that_was_moved_away_loses_only_its_own_rest() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let deep = "a/".repeat(30);
    make(&root, &["a/z", "a/a/z", &deep, "z"]);
    let mut walk = walk(&[source(&root, "s")], &Options::default()).unwrap();
    // Down to the innermost folder; those near the top are closed by then.
    let bottom = [b"s".to_vec(), b"/a".repeat(30)].concat();
    loop {
        let Some(Found::Entry(entry)) = walk.next() else { panic!("the innermost folder was not found") };
        if entry.name == bottom {
            break;
        }
    }
    // The third folder's way back leads elsewhere now, and the second is not under its name any more; the first is
    // found again from the root.
    fs::rename(root.join("a/a/a"), folder.path().join("elsewhere")).unwrap();
    fs::rename(root.join("a/a"), folder.path().join("moved")).unwrap();
    fs::write(folder.path().join("z"), "outside").unwrap();
    let (entries, missed) = split(walk);
    let left: Vec<_> =
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
    assert_eq!(left, ["s/a/z", "s/z"]);
    assert_eq!(missed.len(), 1, "{missed:?}");
    assert_eq!((missed[0].name.as_slice(), missed[0].what), (&b"s/a/a"[..], Miss::Skipped));
    assert!(missed[0].cause.contains("moved or removed while it was read"), "{}", missed[0].cause);
}

#[test]
fn patterns_leave_out_what_gitignore_would() {
    let folder = tempfile::tempdir().unwrap();
    make(
        folder.path(),
        &[
            "a.log",
            "keep.log",
            "cache/x",
            "sub/cache/x",
            "sub/cache.d",
            "sub/a.log",
            "top",
            "sub/top",
            "file/cache",
        ],
    );
    let from = folder.path().join("sub/patterns");
    fs::write(&from, "# comment\n/top\r\n!keep.log\n").unwrap();
    let options = Options {
        exclude: vec!["*.log".into(), "cache/".into(), "patterns".into()],
        exclude_from: vec![from],
        ..Options::default()
    };
    let expected = ["s", "s/file", "s/file/cache", "s/keep.log", "s/sub", "s/sub/cache.d", "s/sub/top"];
    assert_eq!(names(folder.path(), &options), expected);
    let wrong = Options { exclude: vec!["{a".into()], ..Options::default() };
    let error = walk(&[source(folder.path(), "s")], &wrong).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn marked_folders_keep_only_their_mark() {
    let folder = tempfile::tempdir().unwrap();
    make(
        folder.path(),
        &["a/.nobackup", "a/x", "a/sub/y", "b/CACHEDIR.TAG", "b/x", "c/CACHEDIR.TAG", "c/x", "d"],
    );
    fs::write(folder.path().join("b/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# cache\n")
        .unwrap();
    let all = names(folder.path(), &Options::default());
    assert_eq!(all.len(), 13);
    let options =
        Options { cachedir_tag: true, exclude_if_present: vec![".nobackup".into()], ..Options::default() };
    let expected =
        ["s", "s/a", "s/a/.nobackup", "s/b", "s/b/CACHEDIR.TAG", "s/c", "s/c/CACHEDIR.TAG", "s/c/x", "s/d"];
    assert_eq!(names(folder.path(), &options), expected);
}

/// Something mounted here, until the test ends.
struct Mount<'a>(&'a Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().unwrap().success());
    }
}

#[test]
fn one_file_system_stops_at_mounts() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["here/x", "mounted/"]);
    let mounted = folder.path().join("mounted");
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&mounted).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return skip("the right to mount");
    }
    fs::write(mounted.join("y"), "").unwrap();
    let _mount = Mount(&mounted);
    let all = found(folder.path(), &Options::default());
    let one = found(folder.path(), &Options { one_file_system: true, ..Options::default() });
    let listed = |(entries, missed): (Vec<Entry>, Vec<Missed>)| {
        assert_eq!(missed, []);
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(all), ["s", "s/here", "s/here/x", "s/mounted", "s/mounted/y"]);
    assert_eq!(listed(one), ["s", "s/here", "s/here/x", "s/mounted"]);
}

#[test]
fn where_archives_are_written_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["a", "backup/old.tar.gz", "z"]);
    let id = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).unwrap();
    let options = Options { leave_out: vec![id(&folder.path().join("backup"))], ..Options::default() };
    assert_eq!(names(folder.path(), &options), ["s", "s/a", "s/z"]);
    let file = Options { leave_out: vec![id(&folder.path().join("z"))], ..Options::default() };
    assert_eq!(names(folder.path(), &file), ["s", "s/a", "s/backup", "s/backup/old.tar.gz"]);
    let itself = Options { leave_out: vec![id(folder.path())], ..Options::default() };
    assert_eq!(walk(&[source(folder.path(), "s")], &itself).unwrap_err().exit(), Exit::Usage);
}

#[test]
fn a_file_with_many_names_has_one_body() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["one/b", "one/sub/", "two/"]);
    let one = folder.path().join("one/b");
    for name in ["one/a", "one/sub/c", "two/d"] {
        fs::hard_link(&one, folder.path().join(name)).unwrap();
    }
    let sources = [source(&folder.path().join("two"), "two"), source(&folder.path().join("one"), "one")];
    let (entries, missed) = split(walk(&sources, &Options::default()).unwrap());
    assert_eq!(missed, []);
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| (std::str::from_utf8(&entry.name).unwrap(), &entry.kind, entry.size))
        .collect();
    let link = Kind::Hardlink(b"one/a".to_vec());
    assert_eq!(
        kinds,
        [
            ("one", &Kind::Directory, 0),
            ("one/a", &Kind::File, 5),
            ("one/b", &link, 0),
            ("one/sub", &Kind::Directory, 0),
            ("one/sub/c", &link, 0),
            ("two", &Kind::Directory, 0),
            ("two/d", &link, 0),
        ]
    );
    // With the first name left out, the next brings the body.
    let options = Options { exclude: vec!["/a".into()], ..Options::default() };
    let (entries, _) = split(walk(&sources, &options).unwrap());
    assert_eq!((entries[1].name.as_slice(), &entries[1].kind), (&b"one/b"[..], &Kind::File));
}

#[test]
fn extended_attributes_of_any_bytes_come_sorted() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["file", "dir/", "plain"]);
    let set = |name: &str, attribute: &str, value: &[u8]| {
        rustix::fs::lsetxattr(folder.path().join(name), attribute, value, XattrFlags::empty())
    };
    if set("file", "user.z", b"a\nb\0c").is_err() {
        return skip("a file system with extended attributes");
    }
    set("file", "user.a", b"").unwrap();
    set("dir", "user.dir", b"d").unwrap();
    // Names and one value larger than the first buffers, 1 KiB, and all of them within ext4's 4 KiB.
    let value = vec![b'v'; 1200];
    for number in 0..40 {
        let name = format!("user.{}-{number:03}", "long".repeat(6));
        set("file", &name, if number == 7 { &value } else { b"1" }).unwrap();
    }
    symlink("nowhere", folder.path().join("link")).unwrap();
    let trusted = set("link", "trusted.t", b"of the link").is_ok();
    let (entries, missed) = found(folder.path(), &Options::default());
    assert_eq!(missed, []);
    let xattrs = |name: &str| {
        let name = format!("s/{name}");
        entries.iter().find(|entry| entry.name == name.as_bytes()).map(|entry| entry.xattrs.clone()).unwrap()
    };
    let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let of_file = xattrs("file");
    assert_eq!(of_file.len(), 42);
    assert!(of_file.is_sorted());
    assert_eq!(of_file[0], pair("user.a", b""));
    assert_eq!(of_file[8], (format!("user.{}-007", "long".repeat(6)).into_bytes(), value));
    assert_eq!(of_file[41], pair("user.z", b"a\nb\0c"));
    assert_eq!(xattrs("dir"), [pair("user.dir", b"d")]);
    assert_eq!(xattrs("plain"), []);
    if trusted {
        assert_eq!(xattrs("link"), [pair("trusted.t", b"of the link")]);
    } else {
        skip("root, to set attributes of a link");
    }
}

#[test]
fn holes_are_known_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let file = fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", 32 << 20).unwrap();
    file.sync_all().unwrap();
    if file.metadata().unwrap().blocks() * 512 >= 64 << 20 {
        return skip("a file system with holes");
    }
    let mut walk = walk(&[source(&path, "sparse")], &Options::default()).unwrap();
    let Some(Found::Entry(mut entry)) = walk.next() else { panic!("a file is an entry") };
    assert_eq!(entry.size, 64 << 20);
    let content = entry.content.as_mut().unwrap();
    let data = content.data().expect("there are holes").to_vec();
    assert_eq!(data.len(), 2, "{data:?}");
    assert!(data[0].start == 0 && data[0].end < 32 << 20);
    assert!(data[1].start <= 32 << 20 && data[1].end < 64 << 20);
    content.skip_to(32 << 20).unwrap();
    let mut buffer = [0; 6];
    assert_eq!(content.read(&mut buffer).unwrap(), 6);
    assert_eq!(&buffer, b"middle");
    content.skip_to((64 << 20) - 2).unwrap();
    assert_eq!(content.read(&mut buffer).unwrap(), 2);
    assert_eq!(content.read(&mut buffer).unwrap(), 0);
    assert!(!content.changed().unwrap());

    let all_hole = folder.path().join("hole");
    fs::File::create(&all_hole).unwrap().set_len(1 << 20).unwrap();
    let mut walk = tarkeep::source::walk(&[source(&all_hole, "hole")], &Options::default()).unwrap();
    let Some(Found::Entry(entry)) = walk.next() else { panic!("a file is an entry") };
    assert_eq!(entry.content.unwrap().data(), Some(&[][..]));
}

#[test]
fn a_source_can_be_a_file_or_a_link() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["real/x"]);
    symlink("real", folder.path().join("link")).unwrap();
    symlink("real/x", folder.path().join("to-file")).unwrap();
    assert_eq!(names(&folder.path().join("link"), &Options::default()), ["s", "s/x"]);
    let (entries, _) = found(&folder.path().join("to-file"), &Options::default());
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].name.as_slice(), &entries[0].kind, entries[0].size), (&b"s"[..], &Kind::File, 6));
}

#[test]
fn a_source_that_is_missing_empty_or_odd_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["empty/", "fine"]);
    mknodat(CWD, folder.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    for (name, cause) in [
        ("missing", "does not exist"),
        ("dangling", "does not exist"),
        ("fine/below", "not a directory"),
        ("empty", "is empty"),
        ("fifo", "neither a folder nor a file"),
    ] {
        let path = folder.path().join(name);
        let error = walk(&[source(&path, "s")], &Options::default()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit(), Exit::Failed, "{text}");
        assert!(text.contains(cause) && text.contains(path.to_str().unwrap()), "{text}");
    }
}

#[test]
fn running_databases_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    make(
        folder.path(),
        &[
            "my/ibdata1",
            "my/host.pid",
            "mongo/WiredTiger",
            "mongo/mongod.lock",
            "pg/PG_VERSION",
            "pg/postmaster.pid",
        ],
    );
    make(folder.path(), &["stopped/PG_VERSION", "stopped/base/"]);
    let mut walk = walk(&[source(folder.path(), "s")], &Options::default()).unwrap();
    let _ = walk.by_ref().count();
    let kinds: Vec<_> =
        walk.databases().iter().map(|database| (database.name.as_slice(), database.kind)).collect();
    assert_eq!(
        kinds,
        [
            (&b"s/mongo"[..], DatabaseKind::Mongo),
            (b"s/my", DatabaseKind::Mysql),
            (b"s/pg", DatabaseKind::Postgres),
        ]
    );
    let text = walk.databases()[2].to_string();
    assert!(text.starts_with("s/pg looks like") && text.contains("pg_dump"), "{text}");
}

#[test]
fn reading_moves_no_time_of_access() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &["dir/file"]);
    let long_ago = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: long_ago, last_modification: long_ago };
    for name in ["dir/file", "dir"] {
        rustix::fs::utimensat(CWD, folder.path().join(name), &times, rustix::fs::AtFlags::empty()).unwrap();
    }
    for found in walk(&[source(folder.path(), "s")], &Options::default()).unwrap() {
        let Found::Entry(mut entry) = found else { panic!("{found:?}") };
        if entry.kind == Kind::File {
            body(&mut entry);
        }
    }
    for name in ["dir/file", "dir"] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().atime(), 1_000_000_000, "{name}");
    }
}
