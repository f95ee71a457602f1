//! There and back, with every kind of key.

use std::fs;
use std::path::Path;

use common::tree::{everything, fingerprint};

use crate::{Pair, Place, all, common, ssh, text, x25519};

/// Back up without the private key, and get everything back with it.
fn there_and_back(mut place: Place, pair: &Pair) {
    everything(&place.path("data"));
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    place.said(&["backup"]);
    let archive = place.archive();
    assert!(archive.to_str().unwrap().ends_with(".tar.gz.age"), "{}", archive.display());
    assert!(fs::read(&archive).unwrap().starts_with(b"age-encryption.org/v1\n"));
    with_key(&place, &archive, &["--identity", pair.private.to_str().unwrap()], INDEXED);
}

/// How an archive with an index is verified.
pub const INDEXED: &str = "segments checked";

/// These words, and those that give the key.
fn with<'a>(words: &[&'a str], key: &[&'a str]) -> Vec<&'a str> {
    [words, key].concat()
}

/// All that is done with an archive of `data`, by who has the key; `verified_by` says how it is verified.
pub fn with_key(place: &Place, archive: &Path, key: &[&str], verified_by: &str) {
    let verified = place.said(&with(&["verify"], key));
    assert!(verified.contains("sound") && verified.trim_end().ends_with(verified_by), "{verified}");
    let listed = place.said(&with(&["list", "latest"], key));
    assert!(listed.contains("data/folder/small"), "{listed}");
    assert_eq!(place.said(&with(&["cat", "latest", "data/folder/small"], key)), "small\n");
    place.said(&with(&["diff", "latest", place.path("data").to_str().unwrap()], key));
    place.said(&with(&["restore", "latest", "--to", "out"], key));
    assert_eq!(fingerprint(&place.path("out/data")), fingerprint(&place.path("data")));
    // As a stream: from standard input, which is kept encrypted until it is read.
    let input = fs::read(archive).unwrap();
    for (words, wanted) in [
        (vec!["list", "-"], "data/folder/small"),
        (vec!["cat", "-", "data/folder/small"], "small\n"),
        (vec!["verify", "-"], "sound"),
    ] {
        let output = place.piped(&with(&words, key), &input);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", all(&output));
        assert!(text(&output.stdout).contains(wanted), "{words:?}: {}", all(&output));
    }
    let output = place.piped(&with(&["restore", "-", "--to", "from a pipe"], key), &input);
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    assert_eq!(fingerprint(&place.path("from a pipe/data")), fingerprint(&place.path("data")));
}

#[test]
fn a_reset_needs_no_private_key_and_what_it_emptied_comes_back_with_it() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    everything(&place.path("data"));
    let was = fingerprint(&place.path("data"));
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_ALLOW_RESET", "1");
    place.said(&["reset", "--yes"]);
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 0);
    let archive = place.archive();
    assert!(fs::read(&archive).unwrap().starts_with(b"age-encryption.org/v1\n"));
    place.said(&["restore", "latest", "--identity", pair.private.to_str().unwrap()]);
    assert_eq!(fingerprint(&place.path("data")), was);
    // With the key at hand it is read back through it.
    place.set("TARKEEP_AGE_IDENTITY_FILE", &pair.private);
    place.said(&["reset", "--yes"]);
    assert_eq!((fs::read_dir(place.path("data")).unwrap().count(), place.archives().len()), (0, 2));
}

#[test]
fn with_a_key_of_age() {
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    there_and_back(place, &pair);
}

#[test]
fn with_an_ed25519_key_of_ssh() {
    let place = Place::with_data();
    if let Some(pair) = ssh(&place, &["ed25519"], "") {
        there_and_back(place, &pair);
    }
}

#[test]
fn with_an_rsa_key_of_ssh() {
    let place = Place::with_data();
    if let Some(pair) = ssh(&place, &["rsa", "-b", "2048"], "") {
        there_and_back(place, &pair);
    }
}

#[test]
fn with_keys_of_ssh_that_a_passphrase_protects() {
    for kind in [&["ed25519"][..], &["rsa", "-b", "2048"]] {
        let mut place = Place::with_data();
        let Some(pair) = ssh(&place, kind, "correct horse") else { return };
        fs::write(place.path("passphrase"), "correct horse\n").unwrap();
        let file = place.path("passphrase");
        place.set("TARKEEP_AGE_IDENTITY_PASSPHRASE_FILE", file);
        there_and_back(place, &pair);
    }
}

#[test]
fn with_a_passphrase() {
    let mut place = Place::with_data();
    fs::write(place.path("passphrase"), "correct horse battery staple\n").unwrap();
    let file = place.path("passphrase");
    place.set("TARKEEP_AGE_PASSPHRASE_FILE", file);
    place.said(&["backup"]);
    with_key(&place, &place.archive(), &[], INDEXED);
}

#[test]
fn to_several_recipients_each_of_whom_reads_it_alone() {
    let mut place = Place::with_data();
    let pairs = [x25519(&place, "one"), x25519(&place, "two")];
    fs::write(place.path("recipients"), format!("# us, and\n{}\n\n{}\n", pairs[0].public, pairs[1].public))
        .unwrap();
    let file = place.path("recipients");
    place.set("TARKEEP_AGE_RECIPIENTS_FILE", file);
    place.said(&["backup"]);
    for pair in &pairs {
        let key = pair.private.to_str().unwrap();
        assert_eq!(place.said(&["cat", "latest", "data/folder/small", "-i", key]), "small\n");
    }
    // Several keys, of which one fits.
    let both = [x25519(&place, "other").private, pairs[1].private.clone()]
        .map(|path| fs::read_to_string(path).unwrap());
    place.unset("TARKEEP_AGE_RECIPIENTS_FILE").set("TARKEEP_AGE_IDENTITY", both.concat());
    assert_eq!(place.said(&["cat", "latest", "data/folder/small"]), "small\n");
}

#[test]
fn into_a_file_and_to_standard_output() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let key = pair.private.to_str().unwrap();
    place.said(&["backup", "--recipient", &pair.public, "-o", "x.tar.gz.age"]);
    assert_eq!(place.said(&["cat", "x.tar.gz.age", "data/folder/small", "-i", key]), "small\n");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_CODEC", "none");
    let output = place.run(&["backup", "-o", "-"]);
    assert!(
        output.status.success() && output.stdout.starts_with(b"age-encryption.org/v1\n"),
        "{}",
        text(&output.stderr)
    );
    let output = place.piped(&["cat", "-", "data/folder/small", "-i", key], &output.stdout);
    assert_eq!(text(&output.stdout), "small\n", "{}", all(&output));
    assert_eq!(place.archives(), [] as [std::path::PathBuf; 0]);
    place.said(&["backup"]);
    assert!(place.archive().to_str().unwrap().ends_with(".tar.age"));
    assert!(place.said(&["verify", "-i", key]).contains("sound"));
}

#[test]
fn a_file_of_a_large_archive_costs_only_the_chunks_it_stands_in() {
    if !crate::has("strace", "strace") {
        return;
    }
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    for number in 0..8 {
        fs::write(place.path(&format!("data/noise {number}")), common::tree::noise(2_000_000, number))
            .unwrap();
    }
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    place.said(&["backup"]);
    let size = place.archive().metadata().unwrap().len();
    assert!(size > 16_000_000, "{size}");
    let log = place.path("strace");
    let archive = place.archive();
    let strace =
        ["strace", "-f", "-qq", "-e", "trace=read,pread64,readv,preadv,mmap", "-o", log.to_str().unwrap()];
    let key = pair.private.to_str().unwrap();
    let words = ["cat", archive.to_str().unwrap(), "data/folder/small", "-i", key];
    let output = place.command(&strace, &words).output().unwrap();
    if text(&output.stderr).contains("PTRACE") {
        return common::skip("the right to trace");
    }
    assert_eq!(text(&output.stdout), "small\n", "{}", all(&output));
    // All that was read by offset: nothing but the archive is.
    let read: u64 = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .filter(|line| line.contains("pread64("))
        .filter_map(|line| line.rsplit("= ").next()?.trim().parse::<u64>().ok())
        .sum();
    println!("read {read} of {size} bytes");
    assert!(read > 64 * 1024 && read < 1_000_000, "{read} of {size} bytes were read");
}
