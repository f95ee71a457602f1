//! Archives that other tools made: listed and verified by reading them through.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::tree::fingerprint;
use common::{made, skip};
use tarkeep::archive::codec::Codec;

fn tarkeep(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tarkeep"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("TARKEEP_DESTINATION", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The standard output of a command that ends well and has nothing to say besides.
fn said(arguments: &[&str], folder: &Path) -> String {
    let output = tarkeep(arguments, folder);
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stdout)
}

fn has(tool: &str) -> bool {
    // That it starts is enough: busybox does not know the option.
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn run(tool: &str, arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(tool).args(arguments).current_dir(folder).env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder `data` with something of everything that needs no privilege to make.
fn tree(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir_all(data.join("sub/folder")).unwrap();
    fs::write(data.join("a"), b"a").unwrap();
    fs::write(data.join("sub/b"), vec![b'b'; 100_000]).unwrap();
    fs::write(data.join("sub").join("n".repeat(150)), b"long name").unwrap();
    fs::write(data.join("sub").join(std::ffi::OsStr::from_bytes(b"odd \n\xff name")), b"odd").unwrap();
    fs::hard_link(data.join("a"), data.join("sub/again")).unwrap();
    std::os::unix::fs::symlink("../a", data.join("sub/link")).unwrap();
    let sparse = fs::File::create(data.join("sub/sparse")).unwrap();
    sparse.set_len(50_000_000).unwrap();
    for at in 0..40 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", at * 1_000_000).unwrap();
    }
    data
}

#[test]
fn what_gnu_tar_writes_is_listed_as_gnu_tar_lists_it() {
    if !has("tar") || !has("gzip") {
        return skip("tar and gzip");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(folder);
    for (name, arguments) in [
        ("gnu.tar", &["--format=gnu"][..]),
        ("gnu-sparse.tar", &["--format=gnu", "--sparse"]),
        ("pax.tar", &["--format=pax"]),
        ("pax-sparse.tar", &["--format=pax", "--sparse"]),
        ("pax-sparse-0.0.tar", &["--format=pax", "--sparse", "--sparse-version=0.0"]),
        ("pax-sparse-0.1.tar", &["--format=pax", "--sparse", "--sparse-version=0.1"]),
        ("old.tar.gz", &["--format=oldgnu", "-z"]),
        ("gnu.tar.gz", &["-z"]),
        ("incremental.tar.gz", &["-z", "--listed-incremental=snapshot"]),
    ] {
        run("tar", &[arguments, &["-cf", name, "data"]].concat(), folder);
        let theirs =
            run("tar", &["--numeric-owner", "--full-time", "--quoting-style=literal", "-tf", name], folder);
        let theirs = theirs.stdout.split(|byte| *byte == b'\n').count();
        let listed = said(&["list", name], folder);
        // The odd name has a newline, and tar does not say so.
        assert_eq!(listed.lines().count(), theirs - 2, "{name}");
        assert!(listed.contains("data/sub/odd \\n\\xff name\n"), "{name}: {listed}");
        assert!(listed.contains(" link to ") && listed.contains("data/sub/link -> ../a"), "{name}: {listed}");
        let sparse = listed.lines().find(|line| line.ends_with("data/sub/sparse")).unwrap();
        assert!(sparse.contains(" 50000000 "), "{name}: {sparse}");
        let verified = said(&["verify", name], folder);
        assert!(verified.contains(": sound: 10 entries, "), "{name}: {verified}");
        assert!(verified.contains("checked by reading: no index"), "{name}: {verified}");
    }
    // These know neither long names nor links of any length.
    fs::remove_file(folder.join("data/sub").join("n".repeat(150))).unwrap();
    for name in ["v7", "ustar"] {
        run("tar", &[&format!("--format={name}"), "-cf", name, "data"], folder);
        assert_eq!(said(&["list", name], folder).lines().count(), 9);
        assert!(said(&["verify", name], folder).contains(": sound: 9 entries, "));
    }
    let line = said(&["list", "ustar", "./data/a/"], folder);
    let theirs = run("tar", &["--numeric-owner", "--full-time", "-tvf", "ustar", "data/a"], folder);
    assert_eq!(line, text(&theirs.stdout));
}

#[test]
fn the_old_daemons_archives_are_listed_and_verified() {
    if !has("python3") {
        return skip("python3");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(folder);
    fs::create_dir(folder.join("2020-01-02")).unwrap();
    let script =
        "import tarfile; f = tarfile.open('2020-01-02/01-00-00.tar.gz', 'w:gz'); f.add('data'); f.close()";
    run("python3", &["-c", script], folder);
    let list = said(&["list"], folder);
    assert!(list.starts_with("2020-01-02/01-00-00.tar.gz "), "{list}");
    assert!(list.ends_with(" days ago  no index\n"), "{list}");
    assert_eq!(said(&["list", "latest"], folder).lines().count(), 10);
    assert!(said(&["verify"], folder).contains(": sound: 10 entries, "));
    assert_eq!(said(&["list", "2020", "data/sub/folder"], folder).lines().count(), 1);
}

#[test]
fn gzip_members_and_zeros_behind_them_are_read_and_garbage_is_said() {
    if !has("gzip") {
        return skip("gzip");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tar = made::archive(vec![made::file(b"data/a", &[b'a'; 3000])], Codec::None);
    let mut gzipped = Vec::new();
    for part in tar.chunks(1000) {
        fs::write(folder.join("part"), part).unwrap();
        gzipped.extend(run("gzip", &["-c", "part"], folder).stdout);
    }
    fs::write(folder.join("members"), &gzipped).unwrap();
    assert!(said(&["verify", "members"], folder).contains("sound: 1 entry"));
    fs::write(folder.join("zeros"), [&gzipped[..], &[0; 5000]].concat()).unwrap();
    assert!(said(&["verify", "zeros"], folder).contains("sound: 1 entry"));
    fs::write(folder.join("garbage"), [&gzipped[..], b"garbage"].concat()).unwrap();
    let output = tarkeep(&["verify", "garbage"], folder);
    assert_eq!(output.status.code(), Some(5));
    let expected = format!("  the bytes from offset {} on are not gzip\n", gzipped.len());
    assert!(text(&output.stdout).ends_with(&expected), "{}", text(&output.stdout));
    for at in (0..gzipped.len()).step_by(7) {
        fs::write(folder.join("cut"), &gzipped[..at]).unwrap();
        assert_ne!(tarkeep(&["verify", "cut"], folder).status.code(), Some(0), "cut to {at}");
    }
    for back in 1..=8 {
        let mut flipped = gzipped.clone();
        let at = gzipped.len() - back;
        flipped[at] ^= 4;
        fs::write(folder.join("flipped"), &flipped).unwrap();
        assert_eq!(tarkeep(&["verify", "flipped"], folder).status.code(), Some(5), "byte {at}");
    }
}

#[test]
fn other_formats_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (start, name) in [
        (&b"\x04\x22\x4d\x18\x64"[..], "lz4"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"age-encryption.org/v1\n", "encrypted with age"),
    ] {
        fs::write(folder.join("other"), start).unwrap();
        for command in ["list", "verify"] {
            let output = tarkeep(&[command, "other"], folder);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(&format!("this is {name}")), "{said}");
        }
    }
    fs::write(folder.join("other"), "this is no archive at all, only some text\n".repeat(50)).unwrap();
    let output = tarkeep(&["verify", "other"], folder);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stdout).contains("it is no tar header (before the first entry)"));
    fs::write(folder.join("other"), b"").unwrap();
    let output = tarkeep(&["verify", "other"], folder);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "archive other is empty\n".into()));
}

/// Whether two trees look alike, as far as a format can say: fractions of seconds, and attributes.
fn alike(was: &Path, is: &Path, fractions: bool, attributes: bool, when: &str) {
    let seen = |tree: &Path| -> Vec<(Vec<u8>, String)> {
        let told = |line: String| {
            let line = if attributes { &line } else { &line[..line.rfind(" [").unwrap()] };
            let mut words: Vec<_> = line.splitn(4, ' ').collect();
            if !fractions {
                words[2] = words[2].split('.').next().unwrap();
            }
            words.join(" ")
        };
        fingerprint(tree).into_iter().map(|(name, line)| (name, told(line))).collect()
    };
    let (was, is) = (seen(was), seen(is));
    for pair in was.iter().zip(&is) {
        assert_eq!(pair.1, pair.0, "{when}: {}", String::from_utf8_lossy(&pair.0.0));
    }
    assert_eq!(was.len(), is.len(), "{when}");
}

/// Restore an archive into a new folder, and hold that against where it came from.
fn restored_alike(folder: &Path, archive: &str, fractions: bool, attributes: bool) {
    let output = tarkeep(&["restore", archive, "--to", "out", "--trust"], folder);
    assert_eq!(output.status.code(), Some(0), "{archive}: {}", text(&output.stderr));
    alike(&folder.join("data"), &folder.join("out/data"), fractions, attributes, archive);
    let sparse = folder.join("out/data/sub/sparse").metadata();
    assert!(sparse.is_ok_and(|about| about.blocks() < 2000), "{archive}: holes are holes");
    fs::remove_dir_all(folder.join("out")).unwrap();
}

#[test]
fn what_gnu_tar_writes_is_restored_from_every_format() {
    if !has("tar") || !has("gzip") {
        return skip("tar and gzip");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = tree(folder);
    for (name, arguments) in [
        ("gnu.tar", &["--format=gnu"][..]),
        ("gnu-sparse.tar", &["--format=gnu", "--sparse"]),
        ("oldgnu-sparse.tar.gz", &["--format=oldgnu", "--sparse", "-z"]),
        ("pax.tar", &["--format=pax"]),
        ("pax-sparse.tar.gz", &["--format=pax", "--sparse", "-z"]),
        ("pax-sparse-0.0.tar", &["--format=pax", "--sparse", "--sparse-version=0.0"]),
        ("pax-sparse-0.1.tar", &["--format=pax", "--sparse", "--sparse-version=0.1"]),
        ("incremental.tar.gz", &["-z", "--listed-incremental=snapshot"]),
    ] {
        run("tar", &[arguments, &["-cf", name, "data"]].concat(), folder);
        restored_alike(folder, name, name.starts_with("pax"), false);
    }
    fs::remove_file(data.join("sub").join("n".repeat(150))).unwrap();
    for name in ["v7", "ustar"] {
        run("tar", &[&format!("--format={name}"), "-cf", name, "data"], folder);
        restored_alike(folder, name, false, false);
    }
}

#[test]
fn everything_there_is_comes_back_from_gnu_tar() {
    if !has("tar") || !rustix::process::geteuid().is_root() {
        return skip("tar and root");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    common::tree::everything(&folder.join("data"));
    let arguments =
        ["--format=pax", "--sparse", "--acls", "--xattrs", "--xattrs-include=*", "-cf", "x.tar", "data"];
    run("tar", &arguments, folder);
    let output = tarkeep(&["restore", "x.tar", "--to", "out", "--trust"], folder);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    alike(&folder.join("data"), &folder.join("out/data"), true, true, "everything");
}

#[test]
fn what_other_tools_write_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = tree(folder);
    let python = "import sys, tarfile as t; f = t.open('python.tar.gz', 'w:gz', format=int(sys.argv[1])); \
                  f.add('data'); f.close()";
    if has("bsdtar") {
        for format in ["pax", "gnutar"] {
            run("bsdtar", &["--format", format, "-czf", "bsd.tar.gz", "data"], folder);
            restored_alike(folder, "bsd.tar.gz", format == "pax", false);
        }
    } else {
        skip("bsdtar");
    }
    if has("busybox") {
        run("busybox", &["tar", "-cf", "busybox.tar", "data"], folder);
        restored_alike(folder, "busybox.tar", false, false);
    } else {
        skip("busybox");
    }
    if !has("python3") {
        return skip("python3");
    }
    for format in ["1", "2"] {
        run("python3", &["-c", python, format], folder);
        // Python's times in pax headers are floating-point numbers, which have not all the digits.
        restored_alike(folder, "python.tar.gz", false, false);
    }
    fs::remove_file(data.join("sub").join("n".repeat(150))).unwrap();
    run("python3", &["-c", python, "0"], folder);
    restored_alike(folder, "python.tar.gz", false, false);
}

#[test]
fn the_old_daemons_archives_go_back_to_where_they_came_from() {
    if !has("python3") {
        return skip("python3");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = tree(folder);
    fs::create_dir(folder.join("2020-01-02")).unwrap();
    let script = "import sys, tarfile; f = tarfile.open('2020-01-02/01-00-00.tar.gz', 'w:gz'); f.add(sys.argv[1]); \
                  f.close()";
    run("python3", &["-c", script, data.to_str().unwrap()], folder);
    let before = folder.join("before");
    fs::rename(&data, &before).unwrap();
    let restore = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tarkeep"))
            .args(["restore", "latest"])
            .args(arguments)
            .env_clear()
            .env("TARKEEP_SOURCE", &data)
            .env("TARKEEP_DESTINATION", folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    };
    restore(&["--trust"]);
    alike(&before, &data, false, false, "a source that was gone");
    // One file of it, and the rest stays as it is; then all of it, exactly.
    fs::write(data.join("a"), b"changed").unwrap();
    fs::write(data.join("sub/b"), b"changed").unwrap();
    fs::write(data.join("more"), b"more").unwrap();
    let name = data.join("sub/b");
    restore(&[&name.to_str().unwrap()[1..], "--trust", "--force", "--yes"]);
    assert_eq!(fs::read(data.join("a")).unwrap(), b"changed");
    assert_eq!(fs::read(data.join("sub/b")).unwrap().len(), 100_000);
    restore(&["**/sub/[bs]*", "--trust", "--force", "--yes"]);
    assert_eq!(fs::read(data.join("a")).unwrap(), b"changed");
    restore(&["--trust", "--force", "--delete", "--yes"]);
    alike(&before, &data, false, false, "a source that had changed");
}

/// `restore -` with these bytes on standard input, through a pipe.
fn restore_stdin(bytes: &[u8], arguments: &[&str], folder: &Path) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_tarkeep"))
        .args(["restore", "-"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("TARKEEP_DESTINATION", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

#[test]
fn standard_input_is_restored_when_it_is_whole_and_else_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let entries = || {
        (0..40)
            .map(|n| made::file(format!("data/{n:02}").as_bytes(), &common::tree::noise(5000, n)))
            .collect()
    };
    let ours = made::archive(entries(), Codec::Gzip(6));
    let plain = made::archive(entries(), Codec::None);
    fs::create_dir_all(folder.join("out/data")).unwrap();
    fs::write(folder.join("out/data/00"), b"old").unwrap();
    let arguments = ["--to", "out", "--force", "--yes"];
    let before = fingerprint(folder);
    for (whole, name) in [(&ours, "ours"), (&plain, "plain")] {
        for at in [0, 1, 10, 511, 512, 20_000, whole.len() / 2, plain.len().min(whole.len()) - 1100] {
            let output = restore_stdin(&whole[..at], &arguments, folder);
            assert_eq!(output.status.code(), Some(5), "{name} cut to {at}: {}", text(&output.stderr));
            assert_eq!(fingerprint(folder), before, "{name} cut to {at}");
        }
        let output = restore_stdin(whole, &arguments, folder);
        // Without an index it is anybody's, but there is nothing in it to refuse.
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        for n in 0..40 {
            let body = fs::read(folder.join(format!("out/data/{n:02}"))).unwrap();
            assert!(body == common::tree::noise(5000, n), "{name}: {n}");
        }
        assert_eq!(folder.read_dir().unwrap().count(), 1, "{name}: nothing is left of what was kept");
        fs::remove_dir_all(folder.join("out")).unwrap();
        fs::create_dir_all(folder.join("out/data")).unwrap();
        fs::write(folder.join("out/data/00"), b"old").unwrap();
        let set = |path: &str| {
            let old = before[path.as_bytes()].split([' ', '.']).nth(2).unwrap().parse().unwrap();
            let nanos = before[path.as_bytes()].split([' ', '.']).nth(3).unwrap().parse().unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(old, nanos);
            fs::File::open(folder.join(path)).unwrap().set_modified(time).unwrap();
        };
        ["out/data/00", "out/data", "out", ""].into_iter().for_each(set);
    }
}

#[test]
fn our_archive_with_a_damaged_index_is_restored_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = made::archive(
        vec![made::entry(b"data", tarkeep::entry::Kind::Directory), made::file(b"data/a", b"a")],
        Codec::Gzip(6),
    );
    // Its footer, all of the index from some byte on, and single bytes.
    let index = whole.windows(4).rposition(|bytes| bytes == b"data").unwrap_or(whole.len() - 300);
    let cuts = [1, 30, 100].map(|cut| whole[..whole.len() - cut].to_vec());
    let flips = (index..whole.len()).step_by(3).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        flipped
    });
    for (cut, bytes) in cuts.into_iter().chain(flips).enumerate() {
        fs::write(folder.join("x.tar.gz"), bytes).unwrap();
        let mut output = tarkeep(&["restore", "x.tar.gz", "--to", "out"], folder);
        let said = text(&output.stderr);
        if output.status.code() == Some(0) {
            assert!(said.contains("it is read from its beginning to its end instead"), "{cut}: {said}");
        } else {
            // What the index holds can be read, and something around it is wrong: that is said first.
            assert!(said.contains("nothing was touched"), "{cut}: {said}");
            output = tarkeep(&["restore", "x.tar.gz", "--to", "out", "--salvage"], folder);
        }
        assert_eq!(output.status.code(), Some(0), "{cut}: {}", text(&output.stderr));
        assert_eq!(fs::read(folder.join("out/data/a")).unwrap(), b"a");
        fs::remove_dir_all(folder.join("out")).unwrap();
    }
}
