//! What was cut, changed, or is for somebody else: found, and said.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use tarkeep::archive::codec::Codec;
use tarkeep::archive::reader::from_store;
use tarkeep::archive::store::Store;
use tarkeep::archive::verify::{Depth, Options, verify_opened};
use tarkeep::encryption::{Keys, Recipients};
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

use crate::common::made;
use crate::common::tree::noise;
use crate::{Place, x25519};

/// An archive, encrypted, and what opens it.
fn sealed(entries: Vec<tarkeep::entry::Entry>) -> (Vec<u8>, Keys) {
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    let keys = Keys::identities(&fs::read_to_string(pair.private).unwrap(), None).unwrap();
    let plain = made::archive(entries, Codec::Gzip(6));
    let mut bytes = Vec::new();
    let mut sealed = Recipients::keys(&[pair.public]).unwrap().seal(&mut bytes).unwrap();
    sealed.write_all(&plain).unwrap();
    let (length, hash) = sealed.finish().unwrap();
    assert_eq!((length, hash), (bytes.len() as u64, blake3::hash(&bytes)));
    (bytes, keys)
}

/// Whether it is sound, as far as it can be opened.
fn sound(path: &Path, keys: &Keys) -> bool {
    let (stop, progress) = (Stop::default(), Progress::default());
    let options = Options { depth: Depth::Full, threads: 1 };
    let opened = Store::open(File::open(path).unwrap(), path, keys).and_then(|store| from_store(store, path));
    opened
        .and_then(|opened| verify_opened(opened, path, options, &stop, &progress))
        .is_ok_and(|verified| verified.sound())
}

#[test]
fn every_cut_and_every_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz.age");
    let (bytes, keys) = sealed(vec![made::file(b"data/a", b"a"), made::file(b"data/b", b"bb")]);
    fs::write(&path, &bytes).unwrap();
    assert!(sound(&path, &keys));
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(!sound(&path, &keys), "cut to {length} bytes");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, changed).unwrap();
        assert!(!sound(&path, &keys), "byte {at} changed");
    }
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert!(!sound(&path, &keys), "with something behind its end");
}

/// Over chunks of 64 KiB: cut where they end and near it, changed and exchanged.
#[test]
fn damage_in_any_chunk_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz.age");
    let (bytes, keys) =
        sealed(vec![made::file(b"data/a", b"a"), made::file(b"data/noise", &noise(400_000, 9))]);
    let chunk = 64 * 1024 + 16;
    // The header ends behind its last line and 16 bytes.
    let mac = bytes.windows(5).position(|part| part == b"\n--- ").unwrap() + 1;
    let start = mac + bytes[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16;
    let chunks = (bytes.len() - start).div_ceil(chunk);
    assert!(chunks > 4);
    fs::write(&path, &bytes).unwrap();
    assert!(sound(&path, &keys));
    for number in 0..chunks {
        for off in [-17, -1, 0, 1, 17] {
            let Some(length) = (start + number * chunk).checked_add_signed(off) else { continue };
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(!sound(&path, &keys), "cut to {length} bytes");
        }
        let mut changed = bytes.clone();
        changed[start + number * chunk + 5] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(!sound(&path, &keys), "chunk {number} changed");
    }
    let mut exchanged = bytes.clone();
    let (one, two) = (start + chunk, start + 2 * chunk);
    exchanged[one..two].copy_from_slice(&bytes[two..two + chunk]);
    exchanged[two..two + chunk].copy_from_slice(&bytes[one..two]);
    fs::write(&path, exchanged).unwrap();
    assert!(!sound(&path, &keys), "two chunks exchanged");
}

#[test]
fn a_damaged_archive_is_not_restored_and_what_is_sound_of_it_can_be() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let key = pair.private.to_str().unwrap();
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    // In a segment of its own, and a long way behind the others.
    fs::write(place.path("data/zz"), noise(900_000, 4)).unwrap();
    place.said(&["backup", "-o", "x.age"]);
    let bytes = fs::read(place.path("x.age")).unwrap();
    let mut changed = bytes.clone();
    changed[bytes.len() - 400_000] ^= 1;
    fs::write(place.path("changed.age"), changed).unwrap();
    fs::write(place.path("cut.age"), &bytes[..bytes.len() - 400_000]).unwrap();
    for name in ["changed.age", "cut.age"] {
        let said = place.refused(&["verify", name, "-i", key], 5);
        assert!(said.contains("damaged"), "{said}");
        let said = place.refused(&["restore", name, "--to", "out", "-i", key], 5);
        assert!(said.contains("nothing was touched") && !place.path("out").exists(), "{said}");
        let said = place.refused(&["cat", name, "data/zz", "-i", key], 5);
        assert!(said.contains("x.age") || said.contains(name), "{said}");
        place.refused(&["restore", name, "--to", "out", "--salvage", "-i", key], 5);
        assert_eq!(
            fs::read(place.path("out/data/text")).unwrap(),
            fs::read(place.path("data/text")).unwrap()
        );
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    assert!(place.refused(&["verify", "cut.age", "-i", key], 5).contains("cut"));
    // A stream that ends early changes nothing.
    let output = place.piped(&["restore", "-", "--to", "out", "-i", key], &bytes[..bytes.len() - 400_000]);
    assert_eq!(output.status.code(), Some(5), "{}", crate::all(&output));
    assert!(!place.path("out").exists());
}

#[test]
fn damage_in_the_first_chunk_is_damage_and_says_which_files_are_hit() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let key = pair.private.to_str().unwrap();
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    fs::write(place.path("data/zz"), noise(900_000, 4)).unwrap();
    place.said(&["backup", "-o", "x.age"]);
    let bytes = fs::read(place.path("x.age")).unwrap();
    let mac = bytes.windows(5).position(|part| part == b"\n--- ").unwrap() + 1;
    let start = mac + bytes[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16;
    let mut changed = bytes.clone();
    changed[start + 5] ^= 1;
    fs::write(place.path("changed.age"), changed).unwrap();
    let said = place.refused(&["verify", "changed.age", "-i", key], 5);
    assert!(said.contains("data/text") && !said.contains("data/zz"), "{said}");
    place.refused(&["restore", "changed.age", "--to", "out", "-i", key], 5);
    place.refused(&["restore", "changed.age", "--to", "out", "--salvage", "-i", key], 5);
    assert!(fs::read(place.path("out/data/zz")).unwrap() == noise(900_000, 4));
    fs::remove_dir_all(place.path("out")).unwrap();
    for length in [start, start + 1, start + 17, start + 60_000] {
        fs::write(place.path("cut.age"), &bytes[..length]).unwrap();
        for words in
            [&["list", "cut.age"][..], &["verify", "cut.age"], &["restore", "cut.age", "--to", "out"]]
        {
            let said = place.refused(&[words, &["-i", key]].concat(), 5);
            assert!(said.contains("cut"), "{length}: {words:?}: {said}");
        }
        assert!(!place.path("out").exists());
    }
}

#[test]
fn a_foreign_archive_that_was_cut_is_no_more_trusted_than_a_whole_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    fs::set_permissions(place.path("data/text"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mut command = std::process::Command::new("tar");
    let tar = command.args(["-c", "data"]).current_dir(place.path(".")).output().unwrap().stdout;
    let mut bytes = Vec::new();
    let mut sealed = Recipients::keys(&[pair.public]).unwrap().seal(&mut bytes).unwrap();
    sealed.write_all(&tar).unwrap();
    sealed.finish().unwrap();
    fs::write(place.path("cut.tar.age"), &bytes[..bytes.len() - 100]).unwrap();
    let key = pair.private.to_str().unwrap();
    let output = place.run(&["restore", "cut.tar.age", "--to", "out", "--salvage", "--yes", "-i", key]);
    let mode = place.path("out/data/text").metadata().map(|about| about.permissions().mode() & 0o7777);
    assert!(mode.is_ok_and(|mode| mode & 0o4000 == 0), "{}", crate::all(&output));
}

#[test]
fn a_header_without_end_is_refused_before_it_fills_the_memory() {
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    let stanza = "-> X25519 CJM36AHmTbdHSuOQL+NESqyVQE75f2e610iRdLPEN20\nC3ZAeY64NXS4QFrksLm3EGz+uPRyI0eQsWw7LWbbYig\n";
    let key = pair.private.to_str().unwrap();
    let one_line = vec![b'x'; 3 << 20];
    for rest in [stanza.repeat(20_000).into_bytes(), one_line] {
        let bytes = [&b"age-encryption.org/v1\n"[..], &rest].concat();
        fs::write(place.path("x.age"), &bytes).unwrap();
        let said = place.refused(&["list", "x.age", "-i", key], 5);
        assert!(said.contains("its header"), "{said}");
        let output = place.piped(&["list", "-", "-i", key], &bytes);
        assert_eq!(output.status.code(), Some(5), "{}", crate::all(&output));
    }
}

#[test]
fn the_wrong_key_and_no_key_are_told_apart_and_nothing_is_touched() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let other = x25519(&place, "other");
    place.said(&["backup", "-o", "x.tar.gz.age", "--recipient", &pair.public]);
    let commands: [&[&str]; 6] = [
        &["list", "x.tar.gz.age"],
        &["cat", "x.tar.gz.age", "data/text"],
        &["verify", "x.tar.gz.age"],
        &["restore", "x.tar.gz.age", "--to", "out"],
        &["diff", "x.tar.gz.age", "data"],
        &["restore", "x.tar.gz.age", "--to", "out", "--salvage"],
    ];
    for words in commands {
        let said = place.refused(words, 2);
        assert!(
            said.contains("needs a private key") && said.contains("--identity FILE"),
            "{words:?}: {said}"
        );
        let wrong = [words, &["--identity", other.private.to_str().unwrap()]].concat();
        let said = place.refused(&wrong, 2);
        assert!(said.contains("made for another"), "{words:?}: {said}");
        assert!(!place.path("out").exists());
    }
    let bytes = fs::read(place.path("x.tar.gz.age")).unwrap();
    let output = place.piped(&["restore", "-", "--to", "out"], &bytes);
    assert_eq!(output.status.code(), Some(2), "{}", crate::all(&output));
    place.set("TARKEEP_AGE_PASSPHRASE", "one");
    assert!(place.refused(&["list", "x.tar.gz.age"], 2).contains("needs a private key"));
    place.said(&["backup", "-o", "p.tar.gz.age"]);
    place.set("TARKEEP_AGE_PASSPHRASE", "two");
    let said = place.refused(&["restore", "p.tar.gz.age", "--to", "out"], 2);
    assert!(said.contains("passphrase that is configured is not the one"), "{said}");
    place.unset("TARKEEP_AGE_PASSPHRASE");
    let said = place.refused(&["restore", "p.tar.gz.age", "--to", "out"], 2);
    assert!(said.contains("needs a passphrase") && said.contains("TARKEEP_AGE_PASSPHRASE_FILE"), "{said}");
    assert!(!place.path("out").exists());
    // What asks for hours of work and gigabytes of memory is refused before any of it is done.
    let bytes = fs::read(place.path("p.tar.gz.age")).unwrap();
    let line = bytes.windows(4).position(|part| part == b" 18\n").unwrap();
    let mut greedy = bytes.clone();
    greedy[line + 1..line + 3].copy_from_slice(b"30");
    fs::write(place.path("greedy.tar.gz.age"), greedy).unwrap();
    place.set("TARKEEP_AGE_PASSPHRASE", "one");
    let said = place.refused(&["list", "greedy.tar.gz.age"], 2);
    assert!(said.contains("so much work") && said.contains("2^30"), "{said}");
}
