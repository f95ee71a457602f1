//! Listed and verified.

use std::fs;

use tarkeep::archive::codec::Codec;

use crate::common::program::{said, tarkeep, text};
use crate::common::{made, skip};
use crate::{has, run, tree};

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
    for (start, name) in
        [(&b"\x04\x22\x4d\x18\x64"[..], "lz4"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"\xfd7zXZ\0\0", "xz")]
    {
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
    let output = tarkeep(&["restore", "other", "--to", "out"], folder);
    assert_eq!(output.status.code(), Some(5));
    // There is nothing that could be saved.
    assert!(text(&output.stderr).ends_with("; nothing was touched\n"), "{}", text(&output.stderr));
    fs::write(folder.join("other"), b"").unwrap();
    let output = tarkeep(&["verify", "other"], folder);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "archive other is empty\n".into()));
}
