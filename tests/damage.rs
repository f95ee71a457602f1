//! Promise 19: any flipped bit and any cut in an archive is found, and what is read is right or an error.

mod common;

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use common::made;
use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::EntryRecord;
use tarkeep::archive::reader::{self, Opened};
use tarkeep::archive::stream::Input;
use tarkeep::archive::verify::{By, Depth, Options, Verified, verify};
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

fn check(path: &Path, depth: Depth) -> Verified {
    verify(path, Options { depth, threads: 1 }, &Stop::default(), &Progress::default()).unwrap()
}

fn small(codec: Codec) -> Vec<u8> {
    // Without the file of 70 MB: its map is read, but its zeros would take time.
    let entries = made::assortment().into_iter().filter(|entry| entry.name != b"data/hole").collect();
    made::archive(entries, codec)
}

/// Run on two threads: this one's share of all positions.
fn share(part: usize, length: usize) -> impl Iterator<Item = usize> {
    (part..length).step_by(2)
}

fn in_two_parts(length: usize, work: impl Fn(usize, &mut dyn Iterator<Item = usize>) + Sync) {
    std::thread::scope(|scope| {
        for part in 0..2 {
            let work = &work;
            scope.spawn(move || work(part, &mut share(part, length)));
        }
    });
}

fn copy(folder: &Path, name: &str, bytes: &[u8]) -> (PathBuf, File) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    (path, file)
}

#[test]
fn a_whole_archive_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    for codec in made::codecs() {
        let (path, _) = copy(folder.path(), "whole", &made::archive(made::assortment(), codec));
        let by = match codec {
            Codec::Gzip(_) | Codec::Zstd(_) => By::Index,
            Codec::Bzip2 => By::Reading,
            Codec::None => By::Headers,
        };
        for threads in [1, 3] {
            let options = Options { depth: Depth::Full, threads };
            let verified = verify(&path, options, &Stop::default(), &Progress::default()).unwrap();
            assert_eq!(verified.problems, [""; 0], "{codec}");
            assert_eq!(verified.notes, [""; 0], "{codec}");
            assert_eq!((verified.by, verified.entries), (by, 10), "{codec}");
        }
        assert!(check(&path, Depth::Stored).sound(), "{codec}");
    }
}

#[test]
fn every_flipped_bit_is_found_and_its_place_said() {
    for codec in made::indexed() {
        let whole = small(codec);
        let folder = tempfile::tempdir().unwrap();
        in_two_parts(whole.len(), |part, positions| {
            let (path, file) = copy(folder.path(), &format!("flipped-{part}"), &whole);
            for at in positions {
                // Every bit would take minutes in a debug build: one in turn, and all together.
                for flip in [1 << (at / 2 % 8), 0xff] {
                    file.write_all_at(&[whole[at] ^ flip], at as u64).unwrap();
                    let verified = check(&path, Depth::Full);
                    assert!(!verified.sound(), "{codec}: byte {at} ^ {flip:#04x} was not found");
                    assert!(verified.problems.iter().all(|problem| !problem.is_empty()));
                }
                file.write_all_at(&whole[at..=at], at as u64).unwrap();
            }
            assert!(check(&path, Depth::Full).sound());
        });
    }
}

#[test]
fn stored_bytes_alone_show_every_flipped_byte_too() {
    for codec in made::indexed() {
        let whole = small(codec);
        let folder = tempfile::tempdir().unwrap();
        in_two_parts(whole.len(), |part, positions| {
            let (path, file) = copy(folder.path(), &format!("stored-{part}"), &whole);
            for at in positions {
                file.write_all_at(&[whole[at] ^ 0x10], at as u64).unwrap();
                assert!(!check(&path, Depth::Stored).sound(), "{codec}: byte {at} was not found");
                file.write_all_at(&whole[at..=at], at as u64).unwrap();
            }
        });
    }
}

#[test]
fn every_cut_is_found() {
    for codec in made::indexed() {
        let whole = small(codec);
        let folder = tempfile::tempdir().unwrap();
        in_two_parts(whole.len(), |part, lengths| {
            let (path, file) = copy(folder.path(), &format!("cut-{part}"), &whole);
            for length in lengths.collect::<Vec<_>>().into_iter().rev() {
                file.set_len(length as u64).unwrap();
                let verified = verify(
                    &path,
                    Options { depth: Depth::Full, threads: 1 },
                    &Stop::default(),
                    &Progress::default(),
                );
                // An empty file is refused as what it is.
                assert!(
                    verified.map_or(length == 0, |verified| !verified.sound()),
                    "{codec}: cut to {length}"
                );
            }
        });
    }
}

/// Entries with their bodies, as far as they can be read.
fn read(path: &Path) -> Vec<Option<(EntryRecord, Option<Vec<u8>>)>> {
    let Ok(Opened::Indexed(archive)) = reader::open(path) else { return Vec::new() };
    archive
        .entries()
        .map(|entry| {
            let entry = entry.ok()?;
            let mut body = Vec::new();
            let whole = archive.body(&entry).read_to_end(&mut body).is_ok();
            Some((entry, whole.then_some(body)))
        })
        .collect()
}

#[test]
fn what_is_read_from_a_damaged_archive_is_right_or_an_error() {
    for codec in made::indexed() {
        let whole = small(codec);
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = copy(folder.path(), "whole", &whole);
        let right = read(&path);
        assert_eq!(right.len(), 9);
        in_two_parts(whole.len(), |part, positions| {
            let (path, file) = copy(folder.path(), &format!("read-{part}"), &whole);
            for at in positions {
                file.write_all_at(&[whole[at] ^ (1 << (at / 2 % 8))], at as u64).unwrap();
                for (number, found) in read(&path).into_iter().enumerate() {
                    let Some((entry, body)) = found else { continue };
                    let (entry_before, body_before) = right[number].as_ref().unwrap();
                    assert_eq!(&entry, entry_before, "{codec}: byte {at}");
                    assert!(
                        body.is_none() || &body == body_before,
                        "{codec}: byte {at}: the body of entry {number}"
                    );
                }
                file.write_all_at(&whole[at..=at], at as u64).unwrap();
            }
        });
    }
}

#[test]
fn the_place_of_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = small(Codec::Gzip(6));
    let (path, file) = copy(folder.path(), "archive", &whole);
    let Opened::Indexed(archive) = reader::open(&path).unwrap() else { panic!("no index") };
    let entry = archive.find(b"data/big").unwrap().unwrap();
    let piece = archive.segment(entry.segment + 2).unwrap();
    file.write_all_at(&[0x55; 3], piece.offset + 10).unwrap();
    let problems = check(&path, Depth::Full).problems;
    let expected = format!(
        "segment {} (offset {}, data/big, bytes 262144 to 524288 of its body): hash of the stored bytes differs",
        piece.number, piece.offset
    );
    assert_eq!(problems, [expected]);
}

#[test]
fn a_plain_tar_shows_a_damaged_header_and_a_cut_between_entries() {
    let folder = tempfile::tempdir().unwrap();
    let entries = vec![made::file(b"data/a", b"a"), made::file(b"data/b", b"b")];
    let whole = made::archive(entries, Codec::None);
    let (path, file) = copy(folder.path(), "tar", &whole);
    let verified = check(&path, Depth::Full);
    assert_eq!((verified.by, verified.entries, verified.sound()), (By::Headers, 2, true));
    let second = whole.len() / 2 - 512;
    for at in [0, 100, 124, 148, 156, second, second + 511] {
        file.write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
        assert!(!check(&path, Depth::Full).sound(), "byte {at}");
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    for length in (1..whole.len() - 512).rev() {
        file.set_len(length as u64).unwrap();
        assert!(!check(&path, Depth::Full).sound(), "cut to {length}");
    }
}

#[test]
fn every_cut_of_an_archive_in_bzip2_is_found_and_a_flipped_byte_changes_nothing_unnoticed() {
    if Codec::Bzip2.built().is_err() {
        return common::skip("a build with bzip2");
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = small(Codec::Bzip2);
    let tar = |bytes: &[u8]| {
        let mut tar = Vec::new();
        let input =
            Input::new(Box::new(std::io::Cursor::new(bytes.to_vec())), Path::new("x"), &Stop::default());
        input.is_ok_and(|mut input| input.read_to_end(&mut tar).is_ok()).then_some(tar)
    };
    let right = tar(&whole);
    assert!(right.is_some());
    in_two_parts(whole.len(), |part, positions| {
        let (path, file) = copy(folder.path(), &format!("bzip2-{part}"), &whole);
        for at in positions {
            let flipped = [whole[at] ^ (1 << (at / 2 % 8))];
            file.write_all_at(&flipped, at as u64).unwrap();
            if check(&path, Depth::Full).sound() {
                // A few bits of a bzip2 stream say nothing.
                assert_eq!(tar(&std::fs::read(&path).unwrap()), right, "byte {at}");
            }
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
        }
        for length in (1..whole.len()).rev().filter(|length| length % 2 == part) {
            file.set_len(length as u64).unwrap();
            assert!(!check(&path, Depth::Full).sound(), "cut to {length}");
        }
    });
}
