//! The program as it is without encryption.

use crate::Place;

#[test]
fn a_setting_of_encryption_is_refused_before_anything_is_touched() {
    for (name, value) in [
        ("TARKEEP_AGE_RECIPIENTS", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"),
        ("TARKEEP_AGE_PASSPHRASE", "a passphrase"),
        ("TARKEEP_AGE_IDENTITY", "AGE-SECRET-KEY-1"),
    ] {
        let mut place = Place::with_data();
        place.set(name, value);
        let said = place.refused(&["backup"], 2);
        assert!(said.contains(name) && said.contains("built without age"), "{said}");
        assert!(!said.contains(value), "{said}");
        assert_eq!(place.path("backup").read_dir().unwrap().count(), 0);
    }
}

#[test]
fn an_archive_that_is_encrypted_is_told_from_a_damaged_one() {
    let place = Place::with_data();
    let archive = place.path("x.tar.gz.age");
    std::fs::write(&archive, "age-encryption.org/v1\n-> X25519 abc\n").unwrap();
    let said = place.refused(&["list", "x.tar.gz.age"], 2);
    assert!(said.contains("encrypted with age") && said.contains("built without age"), "{said}");
    let output = place.piped(&["list", "-"], &std::fs::read(archive).unwrap());
    assert_eq!(output.status.code(), Some(2), "{}", crate::all(&output));
}
