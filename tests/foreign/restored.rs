//! Restored, and held against where they came from.

use std::fs;

use tarkeep::archive::codec::Codec;

use crate::common::program::{command_in, tarkeep, text};
use crate::common::{made, skip};
use crate::{alike, has, restored_alike, run, tree};

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
    crate::common::tree::everything(&folder.join("data"));
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
        let mut restore = command_in(&[&["restore", "latest"], arguments].concat(), folder);
        let output = restore.env("TARKEEP_SOURCE", &data).output().unwrap();
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
