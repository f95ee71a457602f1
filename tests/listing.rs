//! `list` and `verify` as people use them.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::made;
use common::program::{self, command_in_berlin as command, feed, text};
use serde_json::Value;
use tarkeep::archive::codec::Codec;
use tarkeep::entry::Kind;

fn tarkeep(arguments: &[&str], folder: &Path) -> Output {
    command(arguments, folder).output().unwrap()
}

fn said(arguments: &[&str], folder: &Path) -> String {
    program::of(command(arguments, folder))
}

/// A destination with the assortment, called like a run's archive, and its path.
fn stored(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, made::archive(made::assortment(), Codec::Gzip(6))).unwrap();
    path
}

#[test]
fn entries_are_listed_as_tar_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    let expected = "\
drwxr-xr-x 1000/1000         0 2023-11-14 23:13:20 data/
-rw-r--r-- 1000/1000        15 2023-11-14 23:13:20 data/a
hrw-r--r-- 1000/1000         0 2023-11-14 23:13:20 data/another name of a link to data/a
-rw-r--r-- 1000/1000    600000 2023-11-14 23:13:20 data/big
crw-r--r-- 1000/1000       1,3 2023-11-14 23:13:20 data/device
-rw-r--r-- 1000/1000         0 2023-11-14 23:13:20 data/empty
prw-r--r-- 1000/1000         0 2023-11-14 23:13:20 data/fifo
-rw-r--r-- 1000/1000  73400320 2023-11-14 23:13:20 data/hole
lrw-r--r-- 1000/1000         0 2023-11-14 23:13:20 data/link -> ../else\\xffwhere
";
    let listed = said(&["list", "latest"], folder.path());
    let (front, last) = listed.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(format!("{front}\n"), expected);
    assert!(last.ends_with(&format!("data/long-{}", "n".repeat(120))), "{last}");
    for word in ["2026-11-20/01-00-00", "2026-11-20/01-00-00.tar.gz", "2026", "./2026-11-20/01-00-00.tar.gz"]
    {
        assert_eq!(said(&["list", word], folder.path()), listed, "{word}");
    }
}

#[test]
fn only_what_is_asked_for_is_listed_and_what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    assert_eq!(said(&["list", "latest", "/data/a"], folder.path()).lines().count(), 1);
    assert_eq!(said(&["list", "latest", "data/fifo", "data/a", "data/a"], folder.path()).lines().count(), 2);
    assert_eq!(said(&["list", "latest", "data/", "data/a"], folder.path()).lines().count(), 10);
    assert_eq!(said(&["list", "latest", "."], folder.path()).lines().count(), 10);
    let output = tarkeep(&["list", "latest", "data/a", "data/x\x1b"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert!(
        text(&output.stderr).contains(": no entry data/x\\x1b; the first in it is "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn json_has_one_object_a_line_and_every_byte_of_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let name = b"data/\xff\n";
    let entries = vec![made::entry(b"data", Kind::Directory), made::file(name, b"x")];
    fs::write(folder.path().join("x.tar.gz"), made::archive(entries, Codec::Gzip(6))).unwrap();
    let listed = said(&["list", "--json", "x.tar.gz"], folder.path());
    let lines: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["name"], "data");
    assert_eq!(lines[0]["type"], "folder");
    assert_eq!(lines[0]["mtime"], "2023-11-14T22:13:20.123456789Z");
    assert_eq!(lines[1]["name"], "data/\\xff\\n");
    assert_eq!(lines[1]["name_hex"], "646174612fff0a");
    assert_eq!(lines[1]["mode"], "0644");
    assert_eq!(lines[1]["size"], 1);
}

#[test]
fn archives_are_listed_newest_first_whatever_state_they_are_in() {
    let folder = tempfile::tempdir().unwrap();
    assert!(said(&["list"], folder.path()).starts_with("no archive in "));
    stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    let cut = stored(folder.path(), "2026-11-21/01-00-00.tar.gz");
    File::options().write(true).open(&cut).unwrap().set_len(1000).unwrap();
    let list = said(&["list"], folder.path());
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("2026-11-21/01-00-00.tar.gz ") && lines[0].contains("damaged: "), "{list}");
    assert!(lines[1].starts_with("2026-11-20/01-00-00.tar.gz "), "{list}");
    assert!(lines[1].contains("  10 entries  ") && lines[1].ends_with("  complete"), "{list}");
    let json = said(&["list", "--json"], folder.path());
    let second: Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["instant"], "2026-11-20T01:00:00+01:00");
    assert_eq!(second["entries"], 10);
    assert_eq!(second["complete"], true);
}

#[test]
fn an_unclear_name_is_refused_with_what_it_could_mean() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    stored(folder.path(), "2026-11-20/01-00-00-2.tar.gz");
    let output = tarkeep(&["list", "2026-11"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("2 archives begin so: 2026-11-20/01-00-00-2.tar.gz, 2026-11-20/01-00-00.tar.gz"),
        "{error}"
    );
    // What is a whole name is not unclear.
    assert_eq!(said(&["list", "2026-11-20/01-00-00"], folder.path()).lines().count(), 10);
    let output = tarkeep(&["list", "2027"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("archive 2027: no such file, and no archive of that name in /"));
    let output = tarkeep(&["verify", "2027", "latest"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(": sound: 10 entries"));
}

#[test]
fn damage_is_exit_5_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    stored(folder.path(), "2026-11-21/01-00-00.tar.gz");
    assert!(said(&["verify"], folder.path()).ends_with("segments checked\n"));
    assert_eq!(said(&["verify", "--all"], folder.path()).lines().count(), 2);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"!!", 100).unwrap();
    let output = tarkeep(&["verify", "--all"], folder.path());
    assert_eq!(output.status.code(), Some(5));
    let said = text(&output.stdout);
    assert!(said.contains(": sound: 10 entries"), "{said}");
    assert!(said.contains(": damaged, 1 problem: 10 entries"), "{said}");
    assert!(said.contains(
        "  segment 0 (offset 16, data to data/another name of a): hash of the stored bytes differs"
    ));
    let output = tarkeep(&["verify", "--json", "2026-11-20"], folder.path());
    assert_eq!(output.status.code(), Some(5));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["sound"], &json["result"]["damage"]), (&Value::from(false), &Value::from(1)));
}

#[test]
fn without_its_index_an_archive_is_listed_all_the_same_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = stored(folder.path(), "2026-11-20/01-00-00.tar.gz");
    let whole = said(&["list", "latest"], folder.path());
    let file = File::options().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(b"!", length - 20).unwrap();
    let output = tarkeep(&["list", "latest"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), whole);
    assert!(text(&output.stderr).contains("the footer at offset"), "{}", text(&output.stderr));
    let output = tarkeep(&["verify"], folder.path());
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stdout).contains("10 entries"), "{}", text(&output.stdout));
}

#[test]
fn standard_input_is_read_from_a_file_by_its_index_and_from_a_pipe_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = stored(folder.path(), "x.tar.gz");
    let whole = said(&["list", "x.tar.gz"], folder.path());
    for verb in ["list", "verify"] {
        let mut from_file = command(&[verb, "-"], folder.path());
        let output = from_file.stdin(File::open(&path).unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let piped = feed(&mut command(&[verb, "-"], folder.path()), &fs::read(&path).unwrap());
        assert_eq!(piped.status.code(), Some(0));
        if verb == "list" {
            assert_eq!((text(&output.stdout), text(&piped.stdout)), (whole.clone(), whole.clone()));
        } else {
            assert!(text(&output.stdout).contains("segments checked"));
            assert!(text(&piped.stdout).contains("standard input: sound: 10 entries"));
        }
    }
}
