//! Encryption around every codec.

use std::fs;

use crate::common::tree::everything;
use crate::round::{INDEXED, with_key};
use crate::stock::{age, untarred_as};
use crate::{Pair, Place, all, has, x25519};

/// What comes behind gzip: the setting, the ending, how it is verified, and what `tar` is told of it.
const CODECS: [(&str, &str, &str, &str); 3] = [
    ("zstd", ".tar.zst.age", INDEXED, "-x --zstd"),
    ("bzip2", ".tar.bz2.age", "checked by reading: no index", "-xj"),
    ("none", ".tar.age", "checked by reading: no index", "-x"),
];

fn place() -> (Place, Pair) {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    (place, pair)
}

#[test]
fn what_any_codec_made_comes_back_with_the_key() {
    for (codec, ending, verified_by, _) in CODECS {
        let (mut place, pair) = place();
        everything(&place.path("data"));
        place.set("TARKEEP_CODEC", codec);
        place.said(&["backup"]);
        let archive = place.archive();
        assert!(archive.to_str().unwrap().ends_with(ending), "{}", archive.display());
        assert!(fs::read(&archive).unwrap().starts_with(b"age-encryption.org/v1\n"), "{codec}");
        with_key(&place, &archive, &["--identity", pair.private.to_str().unwrap()], verified_by);
    }
}

#[test]
fn a_byte_that_changed_is_found_in_any_codec_with_and_without_the_key() {
    for (codec, ending, ..) in CODECS {
        let (place, pair) = place();
        let mut place = place;
        place.set("TARKEEP_CODEC", codec);
        place.said(&["backup"]);
        let archive = place.archive();
        let mut bytes = fs::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&archive, &bytes).unwrap();
        let key = pair.private.to_str().unwrap();
        assert!(place.refused(&["verify"], 5).contains("not those that were written"), "{ending}");
        place.refused(&["verify", "-i", key], 5);
        place.refused(&["restore", "latest", "--to", "out", "-i", key], 5);
        assert!(!place.path("out").exists(), "{ending}");
    }
}

#[test]
fn any_codec_is_known_by_its_record_and_pruned() {
    let (mut place, _) = place();
    for (codec, ..) in CODECS.iter().chain([&("gzip", "", "", "")]) {
        place.set("TARKEEP_CODEC", codec);
        place.said(&["backup"]);
    }
    let listed = place.said(&["list"]);
    for (_, ending, ..) in CODECS {
        let line = listed.lines().find(|line| line.contains(&format!("{ending} "))).unwrap_or_default();
        assert!(line.contains("5 entries") && line.ends_with("complete, encrypted"), "{ending}: {listed}");
    }
    assert_eq!(place.said(&["verify", "--all"]).matches("sound: 5 entries").count(), 4);
    place.set("TARKEEP_KEEP", "last=1");
    let said = place.said(&["prune"]);
    assert!(said.contains("3 archives deleted"), "{said}");
    assert!(place.archive().to_str().unwrap().ends_with(".tar.gz.age"));
}

#[test]
fn the_name_of_a_file_says_the_codec_and_the_bytes_do_too() {
    let (place, pair) = place();
    let key = pair.private.to_str().unwrap();
    for (_, ending, verified_by, _) in CODECS {
        let (file, misnamed) = (format!("x{ending}"), format!("{ending}.bin"));
        place.said(&["backup", "-o", &file]);
        fs::rename(place.path(&file), place.path(&misnamed)).unwrap();
        let verified = place.said(&["verify", &misnamed, "-i", key]);
        assert!(verified.trim_end().ends_with(verified_by), "{ending}: {verified}");
        assert_eq!(place.said(&["cat", &misnamed, "data/folder/small", "-i", key]), "small\n");
    }
}

#[test]
fn what_is_called_encrypted_and_would_not_be_is_refused_and_the_other_way_round() {
    let (mut place, _) = place();
    let said = place.refused(&["backup", "-o", "x.tar.gz"], 2);
    assert!(said.contains("does not say that it is encrypted, and it would be: add .age"), "{said}");
    assert!(!place.path("x.tar.gz").exists(), "{said}");
    place.unset("TARKEEP_AGE_RECIPIENTS");
    let said = place.refused(&["backup", "-o", "x.tar.gz.age"], 2);
    assert!(said.contains("its name says that it is encrypted, and it would not be"), "{said}");
    assert!(said.contains("--recipient KEY") && !place.path("x.tar.gz.age").exists(), "{said}");
}

#[test]
fn the_age_program_and_tar_open_any_of_them() {
    if !has("age", "age") || !has("bzip2", "bzip2") || !has("zstd", "zstd") {
        return;
    }
    for (codec, _, _, flag) in CODECS {
        let (mut place, pair) = place();
        place.set("TARKEEP_CODEC", codec);
        place.said(&["backup"]);
        let archive = place.archive();
        let output = age(&["-d", "-i", pair.private.to_str().unwrap(), archive.to_str().unwrap()]);
        assert!(output.status.success(), "{codec}: {}", all(&output));
        untarred_as(&place, &output.stdout, flag);
    }
}
