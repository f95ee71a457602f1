//! Promise 19, on the way back: whatever is flipped or cut in an archive, `restore`, `cat` and `list` end with an error or
//! with what was archived, and never call anything else right.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Output;

use common::made::{self, entry, file};
use common::program::{command_in, stderr, text};
use common::tree::fingerprint;
use tarkeep::archive::codec::Codec;
use tarkeep::entry::{Entry, Kind};

const FILES: [&str; 3] = ["data/a", "data/large", "data/z"];

fn entries() -> Vec<Entry> {
    let own = |entry: Entry| Entry { uid: 0, gid: 0, ..entry };
    vec![
        own(entry(b"data", Kind::Directory)),
        own(file(b"data/a", b"the first file\n")),
        // Larger than a segment: it has pieces.
        own(file(b"data/large", &b"0123456789abcdef\n".repeat(20_000))),
        own(entry(b"data/link", Kind::Symlink(b"a".to_vec()))),
        own(file(b"data/z", b"the last file\n")),
    ]
}

/// The same tar stream as other tools compress it.
fn without_index(archive: &[u8]) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

/// What came of one damaged archive, held against the whole one.
struct Bench<'a> {
    folder: &'a Path,
    /// Of the restored tree, without the folder that it was restored to.
    tree: BTreeMap<Vec<u8>, String>,
    bodies: Vec<u8>,
    list: BTreeSet<String>,
    ours: bool,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, whole: &[u8], ours: bool) -> Self {
        fs::write(folder.join("x.tar.gz"), whole).unwrap();
        let mut bench =
            Self { folder, tree: BTreeMap::new(), bodies: Vec::new(), list: BTreeSet::new(), ours };
        assert_eq!(bench.run("whole", &["restore", "x.tar.gz", "--to", "out"]).0, 0);
        bench.tree = bench.taken("out").unwrap();
        assert_eq!(bench.tree.len(), 5);
        let (code, output) = bench.run("whole", &[&["cat", "x.tar.gz"], &FILES[..]].concat());
        bench.bodies = output.stdout;
        assert_eq!((code, bench.bodies.len()), (0, 15 + 340_000 + 14));
        let (code, output) = bench.run("whole", &["list", "x.tar.gz"]);
        bench.list = text(&output.stdout).lines().map(str::to_owned).collect();
        assert_eq!((code, bench.list.len()), (0, 5));
        bench
    }

    fn run(&self, when: &str, arguments: &[&str]) -> (i32, Output) {
        let output = command_in(arguments, self.folder).output().unwrap();
        let said = stderr(&output);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1 | 2 | 5)), "{when}: {arguments:?} ended with {code:?}: {said}");
        assert!(
            code == Some(0)
                || said.starts_with("tarkeep: ")
                || said.contains("\ntarkeep: ")
                || said.contains(" lost"),
            "{when}: {said}"
        );
        assert!(!said.contains("panicked"), "{when}: {arguments:?}: {said}");
        (code.unwrap(), output)
    }

    /// What a restore put here, taken away again.
    fn taken(&self, to: &str) -> Option<BTreeMap<Vec<u8>, String>> {
        let out = self.folder.join(to);
        if !out.exists() {
            return None;
        }
        let mut tree = fingerprint(&out);
        tree.remove(&Vec::new());
        fs::remove_dir_all(out).unwrap();
        Some(tree)
    }

    /// With these bytes in the archive's place.
    fn look(&self, when: &str, bytes: &[u8]) {
        fs::write(self.folder.join("x.tar.gz"), bytes).unwrap();
        let (code, output) = self.run(when, &["restore", "x.tar.gz", "--to", "out"]);
        match self.taken("out") {
            Some(tree) => assert!(code == 0 && tree == self.tree, "{when}: {code}: {}", stderr(&output)),
            None => assert!(code != 0, "{when}: nothing restored, and nothing said"),
        }
        let (code, output) = self.run(when, &["restore", "x.tar.gz", "--to", "out", "--salvage"]);
        let said = stderr(&output);
        let tree = self.taken("out").unwrap_or_default();
        if code == 0 {
            assert_eq!(tree, self.tree, "{when}: {said}");
        } else if self.ours {
            // Whatever is missing or not as it was is named, or stands behind the place from which on nothing is left.
            let from = said.split("everything ").nth(1).and_then(|rest| rest.split(" is lost, ").next());
            let from = from.map(|from| from.trim_start_matches("from ").trim_end_matches(" on"));
            let from = from.map(|from| from.trim_start_matches("after the beginning of "));
            for (name, line) in &self.tree {
                let name = String::from_utf8_lossy(name);
                let cut =
                    from.is_some_and(|from| from == "its beginning" || *name >= *from || *name == *"data");
                let whole = tree.get(name.as_bytes()) == Some(line);
                let nothing = tree.is_empty() && said.contains("tarkeep: ");
                assert!(
                    whole || cut || nothing || said.contains(&format!("{name}: ")),
                    "{when}: {name}: {said}"
                );
            }
        }
        let (code, output) = self.run(when, &[&["cat", "x.tar.gz"], &FILES[..]].concat());
        if self.ours || code == 0 {
            assert!(self.bodies.starts_with(&output.stdout), "{when}: cat gave out what is not so");
        }
        assert!(code != 0 || output.stdout == self.bodies, "{when}: cat: {}", stderr(&output));
        let (code, output) = self.run(when, &["list", "x.tar.gz"]);
        let list: BTreeSet<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        if self.ours || code == 0 {
            assert!(list.is_subset(&self.list), "{when}: {list:?}");
        }
        assert!(code != 0 || list == self.list, "{when}: list: {list:?}");
    }
}

fn every_damage(ours: bool) {
    let whole = made::archive(entries(), Codec::Gzip(6));
    let whole = if ours { whole } else { without_index(&whole) };
    std::thread::scope(|scope| {
        for part in 0..2 {
            let whole = &whole;
            scope.spawn(move || {
                // Thousands of restores, each of which is synced: in memory where there is such a place.
                let memory = Path::new("/dev/shm");
                let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
                let folder = folder.unwrap();
                let bench = Bench::new(folder.path(), whole, ours);
                for at in (part..whole.len()).step_by(2) {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 1 << (at / 2 % 8);
                    bench.look(&format!("byte {at} flipped"), &flipped);
                    bench.look(&format!("cut to {at}"), &whole[..at]);
                }
            });
        }
    });
}

#[test]
fn every_damage_to_an_archive_of_ours_is_said_and_no_wrong_byte_called_right() {
    every_damage(true);
}

#[test]
fn every_damage_to_an_archive_without_an_index_is_said_too() {
    every_damage(false);
}
