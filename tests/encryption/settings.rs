//! Mistakes in the settings: named, with the reason, before anything is touched.

use std::fs;

use crate::{Place, ssh, x25519};

/// What a run says that is refused for its settings.
fn refused(place: &Place) -> String {
    let said = place.refused(&["backup"], 2);
    assert_eq!(place.path("backup").read_dir().unwrap().count(), 0, "{said}");
    said
}

#[test]
fn recipients_and_a_passphrase_do_not_go_together() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    place.set("TARKEEP_AGE_RECIPIENTS", pair.public).set("TARKEEP_AGE_PASSPHRASE", "open sesame");
    let said = refused(&place);
    assert!(said.contains("TARKEEP_AGE_RECIPIENTS and TARKEEP_AGE_PASSPHRASE are both set"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

/// What a compose file passes on that has `${NAME}` in it, and a name nobody set.
#[test]
fn an_empty_setting_of_encryption_is_not_taken_for_none() {
    for name in ["TARKEEP_AGE_RECIPIENTS", "TARKEEP_AGE_PASSPHRASE"] {
        for name in [name.to_string(), format!("{name}_FILE")] {
            for value in ["", " \n"] {
                let mut place = Place::with_data();
                place.set(&name, value);
                let said = refused(&place);
                assert!(
                    said.contains(&format!("{name}: it is empty, and nothing would be encrypted")),
                    "{said}"
                );
            }
        }
    }
}

#[test]
fn a_recipient_that_is_none_is_named_and_why() {
    let mut place = Place::with_data();
    let good = x25519(&place, "key").public;
    let mut typing_error = good.clone().into_bytes();
    typing_error[20] = if typing_error[20] == b'q' { b'p' } else { b'q' };
    let typing_error = String::from_utf8(typing_error).unwrap();
    for (text, wanted) in [
        (format!("{good},{typing_error}"), vec!["recipient 2 ", &typing_error[..], "a letter may be wrong"]),
        ("age1abc".into(), vec!["recipient age1abc: ", "not a public key of age"]),
        (
            format!("{good}\nssh-ed25519 AAAAB3"),
            vec!["recipient 2 ssh-ed25519 AAAAB3", "not an SSH public key"],
        ),
        (format!("somebody,{good}"), vec!["recipient 1: not a public key; write age1"]),
        ("#".into(), vec!["no recipient"]),
    ] {
        place.set("TARKEEP_AGE_RECIPIENTS", &text);
        let said = refused(&place);
        assert!(said.contains("TARKEEP_AGE_RECIPIENTS: "), "{said}");
        wanted.iter().for_each(|wanted| assert!(said.contains(wanted), "{text}: {said}"));
    }
    if let Some(pair) = ssh(&place, &["ecdsa"], "") {
        place.set("TARKEEP_AGE_RECIPIENTS", pair.public);
        let said = refused(&place);
        assert!(said.contains("ecdsa-sha2-nistp256 cannot be used; ssh-ed25519 and ssh-rsa can"), "{said}");
    }
    if let Some(pair) = ssh(&place, &["rsa", "-b", "1024"], "") {
        place.set("TARKEEP_AGE_RECIPIENTS", pair.public);
        assert!(refused(&place).contains("less than 2,048 bits"));
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_by_its_line_and_not_shown() {
    let mut place = Place::with_data();
    let pair = x25519(&place, "key");
    let secret = fs::read_to_string(&pair.private).unwrap();
    let key = secret.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    let mut broken = key.clone();
    broken.truncate(key.len() - 1);
    for (text, wanted) in [
        (
            format!("# x\n{key}\n{broken}\n"),
            "line 3: not a private key of age: a letter may be wrong or missing",
        ),
        (format!("{key}\nhunter2hunter2\n"), "line 2: not a private key; "),
        (pair.public.clone(), "line 1: this is a public key"),
        ("# nothing\n".into(), "there is no private key in it"),
        ("/run/secrets/key".into(), "the path of a file stands in the setting that ends with _FILE"),
        ("AGE-PLUGIN-YUBIKEY-1ABC".into(), "keys of plugins are not supported"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n".into(),
            "line 1: not a private key of OpenSSH, or not all of one",
        ),
        ("-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----".into(), "line 1: this is a public key"),
    ] {
        place.set("TARKEEP_AGE_IDENTITY", &text);
        let said = refused(&place);
        assert!(said.contains("TARKEEP_AGE_IDENTITY: ") && said.contains(wanted), "{wanted}: {said}");
        assert!(!said.contains(&broken[..30]) && !said.contains("hunter"), "{said}");
    }
    place.unset("TARKEEP_AGE_IDENTITY").set("TARKEEP_AGE_RECIPIENTS", &key);
    let said = refused(&place);
    assert!(said.contains("this is a private key") && !said.contains(&key[..30]), "{said}");
    place.unset("TARKEEP_AGE_RECIPIENTS");
    if let Some(pair) = ssh(&place, &["ed25519"], "protected") {
        place.set("TARKEEP_AGE_IDENTITY_FILE", pair.private);
        let said = refused(&place);
        assert!(
            said.contains("protected by a passphrase: set TARKEEP_AGE_IDENTITY_PASSPHRASE_FILE"),
            "{said}"
        );
        place.set("TARKEEP_AGE_IDENTITY_PASSPHRASE", "canary");
        let said = refused(&place);
        assert!(said.contains("TARKEEP_AGE_IDENTITY_PASSPHRASE is not the one"), "{said}");
        assert!(!said.contains("canary"), "{said}");
        place.unset("TARKEEP_AGE_IDENTITY_PASSPHRASE");
        place.unset("TARKEEP_AGE_IDENTITY_FILE");
    }
    let said = place.refused(&["list", "-i", "nowhere"], 2);
    assert!(said.contains("--identity: read file nowhere: no such file"), "{said}");
}

#[test]
fn a_passphrase_that_nobody_could_type_is_refused() {
    let mut blank = Place::with_data();
    let file = blank.path("passphrase");
    fs::write(&file, "  \n").unwrap();
    blank.set("TARKEEP_AGE_PASSPHRASE_FILE", file.to_str().unwrap());
    let said = refused(&blank);
    assert!(said.contains("empty"), "{said}");
    let mut place = Place::with_data();
    fs::write(place.path("two lines"), "canary\ncanary\n").unwrap();
    let file = place.path("two lines");
    place.set("TARKEEP_AGE_PASSPHRASE_FILE", file);
    let said = refused(&place);
    assert!(said.contains("could not be typed") && !said.contains("canary"), "{said}");
    fs::write(place.path("two lines"), b"canary \xff").unwrap();
    let said = refused(&place);
    assert!(said.contains("not UTF-8") && !said.contains("canary"), "{said}");
}

#[test]
fn each_job_of_a_file_has_its_own() {
    let mut place = Place::with_data();
    let (one, two) = (x25519(&place, "one"), x25519(&place, "two"));
    fs::create_dir(place.path("backup/two")).unwrap();
    fs::create_dir(place.path("backup/three")).unwrap();
    fs::write(place.path("recipients"), format!("{}\n", two.public)).unwrap();
    let file = format!(
        "age-recipients = [\"{}\"]\nsource = \"data\"\n[[job]]\nname = \"one\"\ndestination = \"backup\"\n\
         age-identity-file = \"{}\"\n[[job]]\nname = \"two\"\ndestination = \"backup/two\"\nage-recipients-file = \
         \"recipients\"\nage-identity-file = \"{}\"\n",
        one.public,
        one.private.display(),
        two.private.display()
    );
    fs::write(place.path("tarkeep.toml"), &file).unwrap();
    place.set("TARKEEP_CONFIG", "tarkeep.toml");
    let run = |place: &Place, words: &[&str]| {
        let mut command = place.command(&[], words);
        let output = command.env_remove("TARKEEP_SOURCE").env_remove("TARKEEP_DESTINATION").output().unwrap();
        (output.status.code(), crate::all(&output))
    };
    let (code, said) = run(&place, &["backup"]);
    assert_eq!(code, Some(0), "{said}");
    for job in ["one", "two"] {
        let (code, said) = run(&place, &["cat", "latest", "data/folder/small", "--job", job]);
        assert_eq!((code, &said[..]), (Some(0), "small\n"));
    }
    let (_, said) = run(&place, &["cat", "latest", "data/folder/small", "--job", "one", "-i", "two"]);
    assert!(said.contains("made for another"), "{said}");
    let (_, said) = run(&place, &["info"]);
    assert!(
        said.contains("TARKEEP_AGE_IDENTITY = (set, and not shown)") && said.contains("age-identity-file"),
        "{said}"
    );
    assert!(!said.contains("AGE-SECRET"), "{said}");
    for (line, wanted) in [
        ("age-identity-file = 5", "age-identity-file: write the path of a file in quotes"),
        ("age-identity-file = \"nowhere\"", "age-identity-file: read file nowhere: no such file"),
        ("age-passphrase = \"x\"\nage-passphrase-file = \"recipients\"", "is set too; remove one of them"),
        ("age-passphrase = \"x\"", "age-passphrase are both set"),
        ("age-recipient = \"x\"", "did you mean"),
    ] {
        fs::write(place.path("tarkeep.toml"), format!("{line}\n{file}")).unwrap();
        let (code, said) = run(&place, &["backup"]);
        assert!(code == Some(2) && said.contains(wanted), "{line}: {said}");
    }
}
