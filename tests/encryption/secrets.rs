//! Promise 20: secrets are in no output, and in no file that is written.

use std::fs;
use std::path::Path;

use crate::common::program::Daemon;
use crate::{Place, all, x25519};

/// All bytes of all files below a folder.
fn bytes_below(folder: &Path, found: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            bytes_below(&entry, found);
        } else {
            found.extend(fs::read(entry).unwrap());
        }
    }
}

#[test]
fn a_process_that_has_a_secret_leaves_no_core() {
    let limit = |place: &Place| {
        let mut command = place.command(&["prlimit", "--core=unlimited"], &["run"]);
        let daemon = Daemon::start(&mut command, &place.path("log"));
        // The lock of the daemon in the state folder comes after the configuration.
        let up = crate::common::disk::soon(|| place.path("backup/.tarkeep/data.daemon").exists());
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).unwrap();
        drop(daemon);
        fs::remove_dir_all(place.path("backup/.tarkeep")).unwrap();
        assert!(up);
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().nth(4).unwrap().to_owned()
    };
    let mut place = Place::with_data();
    place.set("TARKEEP_ON_START", "never");
    if limit(&place) != "unlimited" {
        return crate::common::skip("the right to raise the limit of core files");
    }
    let key = x25519(&place, "key").private;
    place.set("TARKEEP_AGE_IDENTITY_FILE", key);
    assert_eq!(limit(&place), "0");
}

#[test]
fn no_secret_is_in_any_output_or_file() {
    const PASSPHRASE: &str = "canary-in-the-passphrase";
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let identity = fs::read_to_string(&pair.private).unwrap();
    let key = identity.lines().last().unwrap().to_owned();
    let mut said = String::new();
    let mut run = |place: &Place| {
        let commands: [&[&str]; 12] = [
            &["backup"],
            &["backup", "--json"],
            &["backup", "-o", "-"],
            &["list"],
            &["list", "latest"],
            &["cat", "latest", "data/text"],
            &["verify", "--json"],
            &["restore", "latest", "--to", "out"],
            &["restore", "latest", "--to", "out"],
            &["check"],
            &["info"],
            &["info", "--json"],
        ];
        for words in commands {
            said.push_str(&all(&place.run(&[words, &["--log", "trace"]].concat())));
        }
    };
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public).set("TARKEEP_AGE_IDENTITY", &identity);
    run(&place);
    place.set("TARKEEP_AGE_IDENTITY_PASSPHRASE", PASSPHRASE);
    run(&place);
    if let Some(pair) = crate::ssh(&place, &["ed25519"], "another") {
        place.set("TARKEEP_AGE_IDENTITY", fs::read_to_string(pair.private).unwrap());
        run(&place);
        place.set("TARKEEP_AGE_IDENTITY", &identity);
    }
    place.unset("TARKEEP_AGE_RECIPIENTS").set("TARKEEP_AGE_PASSPHRASE", PASSPHRASE);
    run(&place);
    // Where they are wrong too.
    place.set("TARKEEP_AGE_RECIPIENTS", &pair.public);
    run(&place);
    place.unset("TARKEEP_AGE_PASSPHRASE").set("TARKEEP_AGE_RECIPIENTS", &key);
    run(&place);
    place.set("TARKEEP_AGE_RECIPIENTS", PASSPHRASE).set("TARKEEP_AGE_IDENTITY", PASSPHRASE);
    run(&place);
    place.unset("TARKEEP_AGE_RECIPIENTS").set("TARKEEP_AGE_IDENTITY", &key[..key.len() - 2]);
    run(&place);
    fs::write(
        place.path("tarkeep.toml"),
        format!("age-passphrase = [\"{PASSPHRASE}\", 5]\nage-identity = {{ a = \"{key}\" }}\n"),
    )
    .unwrap();
    place.unset("TARKEEP_AGE_IDENTITY").set("TARKEEP_CONFIG", "tarkeep.toml");
    run(&place);
    fs::write(place.path("tarkeep.toml"), format!("age-passphrase = \"{PASSPHRASE}\nx = {key}\n")).unwrap();
    run(&place);

    let mut written = Vec::new();
    bytes_below(&place.path("backup"), &mut written);
    assert!(said.len() > 10_000 && written.len() > 1000, "something was said and written");
    for canary in [PASSPHRASE, &key[..key.len() - 5], &key[20..40]] {
        if let Some(at) = said.find(canary) {
            panic!("said: {}", &said[at.saturating_sub(200)..at + canary.len()]);
        }
        assert!(!written.windows(canary.len()).any(|part| part == canary.as_bytes()), "it was written");
    }
}
