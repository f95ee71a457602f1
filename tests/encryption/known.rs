//! What is known of encrypted archives where nobody has the key.

use std::fs;

use serde_json::Value;

use crate::common::disk::soon;
use crate::common::program::Daemon;
use crate::common::tree::noise;
use crate::{Place, all, x25519};

fn json(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(place.said(arguments).lines().next().unwrap()).unwrap()
}

#[test]
fn by_its_record_an_archive_is_listed_and_verified_without_the_key() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    place.said(&["backup"]);
    let listed = place.said(&["list"]);
    assert!(listed.contains("complete, encrypted") && listed.contains("5 entries"), "{listed}");
    let said = json(&place, &["list", "--json"]);
    assert_eq!(
        (&said["encrypted"], &said["complete"], &said["entries"]),
        (&true.into(), &true.into(), &5.into())
    );
    assert!(said["instant"].is_string() && said.get("damage").is_none(), "{said}");
    let verified = place.said(&["verify"]);
    assert!(verified.contains("sound: 5 entries") && verified.contains("nothing is decrypted"), "{verified}");
    assert!(place.said(&["verify", "--all"]).contains("sound"));
    // A key for something else is said, and does not make a sound archive a bad one.
    let other = x25519(&place, "other").private;
    let verified = place.said(&["verify", "-i", other.to_str().unwrap()]);
    assert!(
        verified.contains("sound") && verified.contains("note: ") && verified.contains("made for another"),
        "{verified}"
    );
    // No name of a file stands beside what is encrypted.
    for entry in fs::read_dir(place.path("backup/.tarkeep")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!crate::text(&bytes).contains("small"), "{}", crate::text(&bytes));
    }

    let archive = place.archive();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&archive, &bytes).unwrap();
    assert!(place.refused(&["verify"], 5).contains("not those that were written"));
    bytes.pop();
    fs::write(&archive, &bytes).unwrap();
    assert!(place.refused(&["verify"], 5).contains("not those that were written"));
    assert!(place.said(&["list"]).contains("damaged: it had"));
}

#[test]
fn without_its_record_it_is_an_encrypted_file_and_no_error() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    place.said(&["backup"]);
    fs::remove_dir_all(place.path("backup/.tarkeep")).unwrap();
    let said = json(&place, &["list", "--json"]);
    assert_eq!(said["encrypted"], true);
    assert!(
        said["bytes"].as_u64() > Some(1000) && said.get("complete").is_none() && said.get("damage").is_none(),
        "{said}"
    );
    assert!(place.said(&["list"]).trim_end().ends_with("encrypted"));
    assert!(place.refused(&["verify"], 2).contains("needs a private key"));
    assert!(place.said(&["verify", "-i", pair.private.to_str().unwrap()]).contains("sound"));
    // Another run is none the worse for it.
    place.said(&["backup"]);
    assert_eq!(place.archives().len(), 2);
}

/// Killed at the moment that the archive has its name: the record stands already.
#[cfg(debug_assertions)]
#[test]
fn an_archive_that_has_its_name_has_its_record() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_FAILPOINT", "named");
    assert_eq!(place.run(&["backup"]).status.code(), None, "it is killed");
    place.unset("TARKEEP_FAILPOINT");
    assert!(place.archive().is_file());
    assert!(place.said(&["list"]).contains("complete, encrypted"));
    assert!(place.said(&["verify"]).contains("sound: 5 entries"));
}

#[test]
fn a_source_that_has_shrunk_is_noticed_without_the_key() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    fs::write(place.path("data/large"), noise(3_000_000, 8)).unwrap();
    place.said(&["backup"]);
    fs::remove_file(place.path("data/large")).unwrap();
    let said = place.refused(&["backup"], 3);
    assert!(said.contains("has shrunk to under half"), "{said}");
    assert!(place.said(&["list"]).contains("incomplete, encrypted"));
}

#[test]
fn a_name_that_is_taken_leaves_each_archive_its_own_record() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_NAME", "%Y-%m-%d/daily");
    place.said(&["backup"]);
    fs::write(place.path("data/more"), "more").unwrap();
    place.said(&["backup"]);
    let listed = place.said(&["list"]);
    // Around midnight they are of two days, and called the same.
    assert!(listed.contains("5 entries") && listed.contains("6 entries"), "{listed}");
    assert_eq!(place.archives().len(), 2);
    assert_eq!(place.said(&["verify", "--all"]).matches("sound").count(), 2);
}

#[test]
fn the_daemon_makes_archives_that_it_cannot_read() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_ON_START", "always");
    let mut daemon = Daemon::start(&mut place.command(&[], &["run"]), &place.path("log"));
    let made =
        soon(|| place.archives().iter().any(|path| path.extension().is_some_and(|ending| ending == "age")));
    let healthy = soon(|| place.run(&["health"]).status.success());
    assert!(made && healthy, "{made} {healthy}: {}", daemon.said());
    daemon.stop();
    assert!(place.said(&["verify"]).contains("sound"));
    place.said(&["restore", "latest", "--to", "out", "-i", pair.private.to_str().unwrap()]);
    assert_eq!(fs::read(place.path("out/data/text")).unwrap(), fs::read(place.path("data/text")).unwrap());
}

#[test]
fn check_says_whether_the_key_fits() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let other = x25519(&place, "other");
    assert!(!place.said(&["check"]).contains("encryption"));
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    let said = place.said(&["check"]);
    assert!(said.contains("encryption: to 1 recipient") && said.contains("none is needed"), "{said}");
    place.set("TARKEEP_AGE_IDENTITY_FILE", &pair.private);
    assert!(place.said(&["check"]).contains("the private key that is configured opens it"));
    place.set("TARKEEP_AGE_IDENTITY_FILE", &other.private);
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", all(&output));
    assert!(all(&output).contains("opens none of it"), "{}", all(&output));
    place.unset("TARKEEP_AGE_RECIPIENTS").unset("TARKEEP_AGE_IDENTITY_FILE");
    place.set("TARKEEP_AGE_PASSPHRASE", "abc");
    assert!(place.said(&["check"]).contains("with a passphrase: takes 256 MiB"));
}
