//! From standard input, which cannot be read twice.

use std::fs;
use std::path::Path;
use std::process::Output;

use tarkeep::archive::codec::Codec;

use crate::common::made;
use crate::common::program::{command_in, feed, text};
use crate::common::tree::{fingerprint, noise};

/// `restore -` with these bytes on standard input, through a pipe.
fn restore_stdin(bytes: &[u8], arguments: &[&str], folder: &Path) -> Output {
    feed(&mut command_in(&[&["restore", "-"], arguments].concat(), folder), bytes)
}

#[test]
fn standard_input_is_restored_when_it_is_whole_and_else_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let entries =
        || (0..40).map(|n| made::file(format!("data/{n:02}").as_bytes(), &noise(5000, n))).collect();
    let ours = made::archive(entries(), Codec::Gzip(6));
    let plain = made::archive(entries(), Codec::None);
    fs::create_dir_all(folder.join("out/data")).unwrap();
    fs::write(folder.join("out/data/00"), b"old").unwrap();
    let arguments = ["--to", "out", "--force", "--yes"];
    let before = fingerprint(folder);
    for (whole, name) in [(&ours, "ours"), (&plain, "plain")] {
        let near = plain.len().min(whole.len()) - 1100;
        let mut cuts = vec![0, 1, 10, 511, 512, 20_000, whole.len() / 2, near];
        // In the index too, where all the data has come.
        cuts.extend((name == "ours").then_some([whole.len() - 500, whole.len() - 1]).into_iter().flatten());
        for at in cuts {
            let output = restore_stdin(&whole[..at], &arguments, folder);
            assert_eq!(output.status.code(), Some(5), "{name} cut to {at}: {}", text(&output.stderr));
            assert_eq!(fingerprint(folder), before, "{name} cut to {at}");
        }
        let output = restore_stdin(whole, &arguments, folder);
        // Without an index it is anybody's, but there is nothing in it to refuse.
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        for n in 0..40 {
            let body = fs::read(folder.join(format!("out/data/{n:02}"))).unwrap();
            assert!(body == noise(5000, n), "{name}: {n}");
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
fn what_stands_behind_the_end_of_an_archive_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let part = |name: &str| made::archive(vec![made::file(name.as_bytes(), b"body")], Codec::None);
    // As `cat a.tar b.tar` makes it. All that read tar end at the end of the first.
    let output = restore_stdin(&[part("a"), part("b")].concat(), &["--to", "out"], folder);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let note = "WARN  archive standard input: what follows the end of the tar stream was not looked at";
    assert!(text(&output.stderr).contains(note), "{}", text(&output.stderr));
    assert!(folder.join("out/a").exists() && !folder.join("out/b").exists());
}
