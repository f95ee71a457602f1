//! `list`, `cat` and `diff` as people use them to look into archives.

mod common;

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use common::made::{self, entry, file};
use common::program::{TARKEEP, command_in_berlin as command, feed, text};
use common::trace::read_of;
use common::tree::{everything, noise};
use serde_json::Value;
use tarkeep::archive::codec::Codec;
use tarkeep::archive::reader::{self, Opened};
use tarkeep::entry::{Entry, Kind, Timestamp};

fn tarkeep(arguments: &[&str], folder: &Path) -> Output {
    command(arguments, folder).output().unwrap()
}

/// What it printed; it ended with this code.
fn said(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = tarkeep(arguments, folder);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What it complained of; it ended with this code.
fn refused(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = tarkeep(arguments, folder);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn archive(folder: &Path, name: &str, entries: Vec<Entry>, codec: Codec) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, made::archive(entries, codec)).unwrap();
    path
}

fn assortment(folder: &Path, name: &str) -> PathBuf {
    archive(folder, name, made::assortment(), Codec::Gzip(6))
}

/// The same archive without its index: only the gzip member that every reader knows.
fn without_index(path: &Path, to: &Path) {
    let mut raw = Vec::new();
    let bytes = fs::read(path).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut raw).unwrap();
    fs::write(to, raw).unwrap();
}

fn piped(arguments: &[&str], folder: &Path, archive: &Path) -> Output {
    feed(&mut command(arguments, folder), &fs::read(archive).unwrap())
}

#[test]
fn a_file_is_given_out_whatever_it_is_stored_as() {
    let folder = tempfile::tempdir().unwrap();
    let indexed = assortment(folder.path(), "indexed.tar.gz");
    let plain = folder.path().join("plain.tar");
    without_index(&indexed, &plain);
    let mut hole = vec![0; 70 << 20];
    hole[1 << 20..][..5].copy_from_slice(b"hello");
    for archive in ["indexed.tar.gz", "plain.tar"] {
        for (name, body) in [
            ("data/a", b"the first file\n".to_vec()),
            ("/data/a", b"the first file\n".to_vec()),
            ("./data/another name of a", b"the first file\n".to_vec()),
            ("data/empty", Vec::new()),
            ("data/big", vec![b'x'; 600_000]),
            ("data/hole", hole.clone()),
        ] {
            let output = tarkeep(&["cat", archive, name], folder.path());
            assert_eq!(output.status.code(), Some(0), "{archive} {name}: {}", text(&output.stderr));
            assert!(output.stdout == body, "{archive} {name}");
        }
        let both = format!("long{}", "the first file\n");
        let long = format!("data/long-{}", "n".repeat(120));
        assert_eq!(said(&["cat", archive, &long, "data/a"], folder.path(), 0), both, "{archive}");
        for (name, code, why) in [
            ("data", 2, "data is a folder"),
            ("data/fifo", 2, "is a pipe"),
            ("data/device", 2, "is a device"),
            ("data/link", 2, "is a symbolic link to ../else\\xffwhere"),
            ("data/none", 1, "no entry data/none; "),
        ] {
            let error = refused(&["cat", archive, "data/a", name], folder.path(), code);
            assert!(error.contains(why), "{archive} {name}: {error}");
        }
    }
    // By its index from a file, in the order of the archive from a pipe.
    let mut from_file = command(&["cat", "-", "data/a"], folder.path());
    let output = from_file.stdin(File::open(&indexed).unwrap()).output().unwrap();
    assert_eq!(text(&output.stdout), "the first file\n");
    let output = piped(&["cat", "-", "data/empty", "data/a"], folder.path(), &indexed);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "the first file\n".into()));
    let output = piped(&["cat", "-", "data/another name of a"], folder.path(), &indexed);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is a link to data/a"), "{}", text(&output.stderr));
}

#[test]
fn when_nobody_reads_on_cat_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    assortment(folder.path(), "x.tar.gz");
    let mut cat = command(&["cat", "x.tar.gz", "data/hole"], folder.path());
    let mut child = cat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn of_a_damaged_file_only_what_is_sound_is_given_out_and_what_is_lost_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let body = noise(600_000, 1);
    let entries = vec![entry(b"data", Kind::Directory), file(b"data/a", b"sound"), file(b"data/big", &body)];
    let path = archive(folder.path(), "x.tar.gz", entries, Codec::Gzip(6));
    // The bytes of a third piece of what does not compress.
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(16).position(|window| window == &body[550_000..550_016]).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"!", at as u64).unwrap();
    let output = tarkeep(&["cat", "x.tar.gz", "data/big"], folder.path());
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(output.stdout == body[..524_288]);
    let error = text(&output.stderr);
    assert!(error.contains("hash of the stored bytes differs"), "{error}");
    assert!(error.ends_with("given out: 524288 of the 600000 bytes of data/big\n"), "{error}");
    assert_eq!(said(&["cat", "x.tar.gz", "data/a"], folder.path(), 0), "sound");
    // Cut, so that it has no index either: what stands before that is there, and the damage is told.
    File::options().write(true).open(&path).unwrap().set_len(400_000).unwrap();
    assert_eq!(said(&["cat", "x.tar.gz", "data/a"], folder.path(), 5), "sound");
    let output = tarkeep(&["cat", "x.tar.gz", "data/big"], folder.path());
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(output.stdout.len() > 300_000 && body.starts_with(&output.stdout));
    let error = text(&output.stderr);
    assert!(error.contains("given out: ") && error.contains(" of the 600000 bytes"), "{error}");
}

#[test]
fn for_one_file_little_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = vec![entry(b"data", Kind::Directory)];
    for n in 0..3000 {
        entries.push(file(format!("data/{n:05}").as_bytes(), &noise(3000, (n % 251) as u8)));
    }
    let path = archive(folder.path(), "x.tar.gz", entries, Codec::Gzip(1));
    let length = path.metadata().unwrap().len();
    assert!(length > 7 << 20, "{length}");
    let Some((read, output)) = read_of("x.tar.gz", &["cat", "x.tar.gz", "data/02345"], folder.path()) else {
        return;
    };
    assert!(output.stdout == noise(3000, (2345 % 251) as u8), "{}", text(&output.stderr));
    // One segment of at most 2 MiB, and pages of the index.
    assert!((3000..2_400_000).contains(&read) && read < length / 2, "{read} of {length}");
}

#[test]
fn globs_and_human_sizes_are_understood_by_list() {
    let folder = tempfile::tempdir().unwrap();
    assortment(folder.path(), "x.tar.gz");
    without_index(&folder.path().join("x.tar.gz"), &folder.path().join("x.tar"));
    let names = |arguments: &[&str]| -> Vec<String> {
        let listed = said(&[&["list", "--json"], arguments].concat(), folder.path(), 0);
        let name =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
        listed.lines().map(name).collect()
    };
    for archive in ["x.tar.gz", "x.tar"] {
        assert_eq!(names(&[archive, "*i*"]), ["data/big", "data/device", "data/fifo", "data/link"]);
        assert_eq!(names(&[archive, "data/e?pty", "/data/a"]), ["data/a", "data/empty"]);
        assert_eq!(names(&[archive, "d[a]ta"]).len(), 10);
        let error = refused(&["list", archive, "data/a", "*.rs"], folder.path(), 1);
        assert!(
            error.contains(": no entry *.rs; the first in it is data, and `tarkeep list ARCHIVE`"),
            "{error}"
        );
        assert_eq!(refused(&["list", archive, "data/["], folder.path(), 2).lines().count(), 1);
        let human = said(&["list", archive, "--human", "data/big"], folder.path(), 0);
        assert_eq!(human, "-rw-r--r-- 1000/1000 585.9 KiB 2023-11-14 23:13:20 data/big\n");
    }
}

/// Two archives that differ in everything that can.
fn pair(folder: &Path) {
    let first = vec![
        entry(b"data", Kind::Directory),
        file(b"data/a", b"the first file\n"),
        file(b"data/big", &noise(600_000, 1)),
        file(b"data/body", b"one"),
        entry(b"data/device", Kind::CharDevice(1, 3)),
        entry(b"data/gone", Kind::Directory),
        file(b"data/gone/file", b"x"),
        entry(b"data/link", Kind::Symlink(b"a".to_vec())),
        file(b"data/mode", b"x"),
        file(b"data/same big", &noise(600_000, 3)),
        file(b"data/time", b"x"),
        file(b"data/type", b"x"),
        file(b"data/xattr", b"x"),
    ];
    let later = |entry: Entry| Entry { mtime: Timestamp { seconds: 1_700_000_060, nanos: 0 }, ..entry };
    let mut big = noise(600_000, 1);
    big[599_999] ^= 1;
    let second = vec![
        entry(b"data", Kind::Directory),
        file(b"data/a", b"the first file\n"),
        file(b"data/big", &big),
        file(b"data/body", b"two"),
        entry(b"data/device", Kind::CharDevice(1, 5)),
        entry(b"data/link", Kind::Symlink(b"b".to_vec())),
        Entry { mode: 0o600, uid: 7, ..file(b"data/mode", b"x") },
        file(b"data/new", b"x"),
        Entry { inode: 77, ..file(b"data/same big", &noise(600_000, 3)) },
        later(file(b"data/time", b"x")),
        entry(b"data/type", Kind::Symlink(b"x".to_vec())),
        Entry { xattrs: vec![(b"user.note".to_vec(), b"n".to_vec())], ..file(b"data/xattr", b"x") },
    ];
    for (name, entries) in [("first.tar.gz", first), ("second.tar.gz", second)] {
        let path = archive(folder, name, entries, Codec::Gzip(6));
        without_index(&path, &path.with_extension(""));
    }
}

#[test]
fn every_difference_between_two_archives_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    pair(folder.path());
    let expected = "\
~ data/big (content)
~ data/body (content)
~ data/device (device 1,3 → 1,5)
- data/gone/
- data/gone/file
~ data/link (target a → b)
~ data/mode (mode 644 → 600, owner 1000:1000 → 7:1000)
+ data/new
~ data/time (mtime 2023-11-14 23:13:20 → 2023-11-14 23:14:20)
~ data/type (file → symlink)
~ data/xattr (user.note)
";
    let all = [
        ("first.tar.gz", "second.tar.gz"),
        ("first.tar", "second.tar"),
        ("first.tar.gz", "second.tar"),
        ("first.tar", "second.tar.gz"),
    ];
    for (first, second) in all {
        let differs = said(&["diff", first, second], folder.path(), 1);
        assert_eq!(differs, expected, "{first} {second}");
    }
    for same in ["first.tar.gz", "first.tar"] {
        assert_eq!(said(&["diff", "first.tar.gz", same], folder.path(), 0), "");
        assert_eq!(said(&["diff", "first.tar", same, "data/gone"], folder.path(), 0), "");
    }
    let some = said(&["diff", "first.tar.gz", "second.tar.gz", "data/gone", "*e"], folder.path(), 1);
    assert_eq!(some.lines().count(), 6, "{some}");
    let json = said(&["diff", "--json", "first.tar.gz", "second.tar.gz"], folder.path(), 1);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 11);
    assert_eq!((&lines[0]["content"], &lines[0]["size"][1]), (&true.into(), &600_000.into()));
    assert_eq!(lines[6]["mode"], serde_json::json!(["0644", "0600"]));
    assert_eq!(lines[7], serde_json::json!({ "name": "data/new", "change": "added" }));
    assert_eq!(lines[10]["attributes"][0], "user.note");
    let output = piped(&["diff", "-", "second.tar.gz"], folder.path(), &folder.path().join("first.tar.gz"));
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), expected));
}

#[test]
fn trouble_is_never_taken_for_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    pair(folder.path());
    for (arguments, why) in [
        (&["diff", "first.tar.gz", "none.tar.gz"][..], "no such file"),
        (&["diff", "-", "-"], "one of the two"),
        (&["diff", "first.tar.gz", "second.tar.gz", "data/none"], "no entry data/none"),
        (&["diff", "first.tar.gz", ".", "data/none"], "no entry data/none"),
        (&["diff", "first.tar.gz"], "required"),
        (
            &["diff", ".", "first.tar.gz"],
            "archive . is a folder; of archives in it: TARKEEP_DESTINATION=. tarkeep list; a folder to compare with comes second",
        ),
    ] {
        let error = refused(arguments, folder.path(), 2);
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    let mut wrong = command(&["diff", "first.tar.gz", "second.tar.gz"], folder.path());
    let output = wrong.env("TARKEEP_CONFIG", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    // A group that has to be read.
    let path = folder.path().join("first.tar.gz");
    let Opened::Indexed(opened) = reader::open(&path).unwrap() else { panic!("it has an index") };
    let group = opened.segment(opened.find(b"data/xattr").unwrap().unwrap().segment).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"!!", group.offset + 20).unwrap();
    let error = refused(&["diff", "first.tar.gz", "second.tar.gz"], folder.path(), 2);
    assert!(error.contains("hash of the stored bytes differs"), "{error}");
    // Nothing of it is read where all hashes are equal: `verify` is for that.
    fs::copy(&path, folder.path().join("copy.tar.gz")).unwrap();
    assert_eq!(said(&["diff", "first.tar.gz", "copy.tar.gz"], folder.path(), 0), "");
}

/// A tree, and an archive of it called `x.tar.gz`.
fn live() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    everything(&data);
    let output = tarkeep(&["backup", "--source", "data", "-o", "x.tar.gz"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    (folder, data)
}

#[test]
fn a_folder_is_compared_with_the_archive_of_it() {
    let (folder, data) = live();
    without_index(&folder.path().join("x.tar.gz"), &folder.path().join("x.tar"));
    for archive in ["x.tar.gz", "x.tar"] {
        assert_eq!(said(&["diff", archive, "data"], folder.path(), 0), "");
        assert_eq!(said(&["diff", archive, "data/folder", "data/folder"], folder.path(), 0), "");
    }
    let time = |name: &str| {
        let path = data.join(name);
        let at = path.metadata().unwrap().modified().unwrap();
        (File::open(path).unwrap(), FileTimes::new().set_modified(at))
    };
    let (root, times) = time("");
    let (large, large_times) = time("large noise");
    File::options().write(true).open(data.join("large noise")).unwrap().write_all_at(b"!", 899_999).unwrap();
    large.set_times(large_times).unwrap();
    fs::set_permissions(data.join("empty"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(data.join("pipe")).unwrap();
    fs::write(data.join("more"), b"more").unwrap();
    let touched = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let text = File::options().write(true).open(data.join("folder/text")).unwrap();
    text.set_times(FileTimes::new().set_modified(touched)).unwrap();
    root.set_times(times).unwrap();
    for archive in ["x.tar.gz", "x.tar"] {
        let differs = said(&["diff", archive, "data"], folder.path(), 1);
        let lines: Vec<_> = differs.lines().collect();
        assert_eq!(lines.len(), 5, "{differs}");
        assert!(lines[0].starts_with("~ data/empty (mode 6"), "{differs}");
        assert!(lines[1].starts_with("~ data/folder/text (mtime "), "{differs}");
        assert_eq!(lines[2..], ["~ data/large noise (content)", "+ data/more", "- data/pipe"], "{differs}");
    }
    // The same under another name, and with all of an archive.
    let in_place = said(&["diff", "x.tar.gz", ".", "."], folder.path(), 1);
    assert!(
        in_place.contains("~ data/large noise (content)\n") && in_place.contains("+ x.tar\n"),
        "{in_place}"
    );
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let gone = said(&["diff", "x.tar.gz", "data", "data/folder"], folder.path(), 1);
    assert!(gone.lines().count() > 3 && gone.lines().all(|line| line.starts_with("- ")), "{gone}");
}

#[test]
fn what_a_job_leaves_out_is_left_out_of_the_comparison_with_its_source() {
    let (folder, data) = live();
    fs::write(data.join("folder/x.tmp"), b"x").unwrap();
    let arguments = ["diff", "x.tar.gz", "data"];
    assert!(said(&arguments, folder.path(), 1).contains("+ data/folder/x.tmp\n"));
    let mut excluded = command(&arguments, folder.path());
    excluded.env("TARKEEP_EXCLUDE", "*.tmp").env("TARKEEP_SOURCE", "data");
    let output = excluded.output().unwrap();
    let differs = text(&output.stdout);
    assert!(!differs.contains("x.tmp") && differs.starts_with("~ data/folder (mtime "), "{differs}");
}

#[test]
fn a_folder_that_cannot_be_read_is_trouble_and_not_gone() {
    if !rustix::process::geteuid().is_root() {
        return common::skip("root, to become somebody else");
    }
    let (folder, data) = live();
    fs::set_permissions(data.join("folder"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join("x.tar.gz"), Permissions::from_mode(0o644)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", TARKEEP])
        .args(["diff", "x.tar.gz", "data"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output();
    let Ok(output) = output else { return common::skip("setpriv") };
    if output.status.code() == Some(126) || text(&output.stderr).contains("failed to execute") {
        return common::skip("a test binary that another user may run");
    }
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("not compared: data/folder"), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("data/folder/text"), "{}", text(&output.stdout));
}

#[test]
fn sparse_files_of_gnu_tar_are_whole_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let file = File::create(folder.path().join("data/holes")).unwrap();
    file.set_len(40 << 20).unwrap();
    for at in 1..8 {
        file.write_all_at(b"island", at * 4_500_000).unwrap();
    }
    let body = fs::read(folder.path().join("data/holes")).unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let made = Command::new("tar")
            .arg("-cSf")
            .args(["x.tar", "data"])
            .args(format)
            .current_dir(&folder)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return common::skip("GNU tar");
        }
        if folder.path().join("x.tar").metadata().unwrap().len() > 1 << 20 {
            return common::skip("a file system with holes");
        }
        let output = tarkeep(&["cat", "x.tar", "data/holes"], folder.path());
        assert_eq!(output.status.code(), Some(0), "{format:?}: {}", text(&output.stderr));
        assert!(output.stdout == body, "{format:?}");
        assert_eq!(said(&["diff", "x.tar", "data"], folder.path(), 0), "", "{format:?}");
    }
}

#[test]
fn the_folder_that_another_tool_was_in_has_a_name_in_a_comparison() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let data = folder.path().join("data");
    fs::write(data.join("a"), "a").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [data.join("a"), data.clone()] {
        // This tar keeps whole seconds.
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::open(path).unwrap().set_modified(time).unwrap();
    }
    let made = Command::new("tar").args(["-cf", "x.tar", "-C", "data", "."]).current_dir(&folder).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return common::skip("tar");
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(said(&["diff", "x.tar", "data"], folder.path(), 1), "~ . (mode 755 → 700)\n");
}
