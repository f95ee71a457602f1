//! One file out of an archive of very many: only what it needs is read.

mod common;

use std::fs;

use common::made::{self, entry, file};
use common::program::text;
use common::trace::{read_of, reads_of};
use common::tree::noise;
use tarkeep::archive::codec::Codec;
use tarkeep::entry::{Entry, Kind};

const ENTRIES: usize = 52_000;

/// Source files of a large project: folders of 100, long names, bodies that compress as text does.
fn tree() -> Vec<Entry> {
    let mut entries = vec![entry(b"data", Kind::Directory)];
    for number in 0..ENTRIES - ENTRIES / 100 {
        if number % 100 == 0 {
            entries.push(entry(folder(number).as_bytes(), Kind::Directory));
        }
        entries.push(file(name(number).as_bytes(), &body_of(number)));
    }
    entries
}

/// Long enough that the archive is far larger than what may be read of it.
fn body_of(number: usize) -> Vec<u8> {
    let text = "let mut several = words.iter().map(|word| word.len()).sum::<usize>();\n";
    [text.repeat(4).into_bytes(), noise(600, (number % 251) as u8)].concat()
}

fn folder(number: usize) -> String {
    format!("data/modules/of-a-project-{:04}", number / 100)
}

fn name(number: usize) -> String {
    format!("{}/a_source_file_with_a_name_{:02}.rs", folder(number), number % 100)
}

#[test]
fn of_an_archive_of_52_000_entries_less_than_2_mib_is_read_for_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz");
    fs::write(&path, made::archive(tree(), Codec::Gzip(1))).unwrap();
    let length = path.metadata().unwrap().len();
    assert!(length > 20 << 20, "{length}");
    for number in [0, 25_750, ENTRIES - ENTRIES / 100 - 1] {
        let wanted = name(number);
        let cat = ["cat", "x.tar.gz", &wanted];
        let Some((read, output)) = read_of("x.tar.gz", &cat, folder.path()) else { return };
        let body = output.stdout;
        assert_eq!(body.len(), body_of(number).len(), "{wanted}: {}", text(&output.stderr));
        assert!(body == body_of(number), "{wanted}");
        assert!(read < 2 << 20, "cat {wanted}: {read} of {length}");
        let out = format!("out-{number}");
        let restore = ["restore", "x.tar.gz", &wanted, "--to", &out];
        let (read, times, output) = reads_of("x.tar.gz", &restore, folder.path()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(fs::read(folder.path().join(&out).join(&wanted)).unwrap() == body, "{wanted}");
        assert!(read < 2 << 20, "restore {wanted}: {read} of {length}");
        // Decompressing the same page of the index for each folder and each question took longer than all the rest.
        assert!(times <= 2, "restore {wanted}: the same bytes are read {times} times");
    }
}
