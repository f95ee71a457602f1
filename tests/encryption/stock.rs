//! The `age` program reads what is written here, and what it writes is restored.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::program::feed;
use crate::{Place, all, has, ssh, text, x25519};

/// Types the passphrase where `age` asks for it, which it does on a terminal only.
const TYPIST: &str = r"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said = b''
while True:
    try:
        more = os.read(terminal, 1024)
    except OSError:
        break
    if not more:
        break
    said += more
    if said.rstrip().endswith(b':'):
        said = b''
        os.write(terminal, sys.argv[1].encode() + b'\n')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

pub fn age(arguments: &[&str]) -> Output {
    Command::new("age").args(arguments).output().unwrap()
}

fn typed(passphrase: &str, arguments: &[&str]) {
    let mut command = Command::new("python3");
    let output = command.args(["-c", TYPIST, passphrase, "age"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
}

fn untarred(place: &Place, tar: &[u8]) {
    untarred_as(place, tar, "-xz");
}

/// What is decrypted comes back with `tar`, told by these flags what it is.
pub fn untarred_as(place: &Place, tar: &[u8], flags: &str) {
    fs::create_dir_all(place.path("untarred")).unwrap();
    let mut command = Command::new("tar");
    command.args(flags.split(' ')).current_dir(place.path("untarred"));
    let output = feed(&mut command, tar);
    assert!(output.status.success(), "{}", all(&output));
    same(&place.path("untarred/data"), &place.path("data"));
    fs::remove_dir_all(place.path("untarred")).unwrap();
}

pub fn same(one: &Path, other: &Path) {
    let output = Command::new("diff").arg("-r").args([one, other]).output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
}

/// What other tools made: a tar.gz of the data, without an index.
fn foreign(place: &Place) -> String {
    let to = place.path("foreign.tar.gz");
    let mut command = Command::new("tar");
    let output = command.arg("-czf").arg(&to).arg("data").current_dir(place.path(".")).output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
    to.to_str().unwrap().into()
}

#[test]
fn it_decrypts_what_was_made_for_every_kind_of_key() {
    if !has("age", "age") {
        return;
    }
    let mut place = Place::with_data();
    let mut pairs = vec![x25519(&place, "key")];
    pairs.extend(ssh(&place, &["ed25519"], ""));
    pairs.extend(ssh(&place, &["rsa", "-b", "2048"], ""));
    let all_of_them: Vec<_> = pairs.iter().map(|pair| pair.public.trim()).collect();
    place.set("TARKEEP_AGE_RECIPIENTS", all_of_them.join(","));
    place.said(&["backup"]);
    let archive = place.archive();
    for pair in &pairs {
        let output = age(&["-d", "-i", pair.private.to_str().unwrap(), archive.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        untarred(&place, &output.stdout);
    }
}

#[test]
fn it_decrypts_what_was_made_with_a_passphrase() {
    if !has("age", "age") || !has("python3", "python3") {
        return;
    }
    let mut place = Place::with_data();
    place.set("TARKEEP_AGE_PASSPHRASE", "open sesame");
    place.said(&["backup"]);
    let to = place.path("decrypted");
    typed("open sesame", &["-d", "-o", to.to_str().unwrap(), place.archive().to_str().unwrap()]);
    untarred(&place, &fs::read(to).unwrap());
}

#[test]
fn what_it_encrypted_is_read_and_restored_armored_or_not() {
    if !has("age", "age") {
        return;
    }
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    let key = pair.private.to_str().unwrap();
    place.said(&["backup", "-o", "ours.tar.gz"]);
    let ours = place.path("ours.tar.gz");
    for plain in [&foreign(&place)[..], ours.to_str().unwrap()] {
        for armor in [&[][..], &["--armor"]] {
            let out = format!("{plain}.age");
            let output = age(&[armor, &["-r", &pair.public, "-o", &out, plain]].concat());
            assert!(output.status.success(), "{}", all(&output));
            let verified = place.said(&["verify", &out, "-i", key]);
            assert!(verified.contains("sound"), "{verified}");
            assert_eq!(place.said(&["cat", &out, "data/folder/small", "-i", key]), "small\n");
            place.said(&["restore", &out, "--to", "out", "-i", key]);
            same(&place.path("out/data"), &place.path("data"));
            fs::remove_dir_all(place.path("out")).unwrap();
            let output = place.piped(&["restore", "-", "--to", "out", "-i", key], &fs::read(&out).unwrap());
            assert_eq!(output.status.code(), Some(0), "{armor:?} {plain}: {}", all(&output));
            same(&place.path("out/data"), &place.path("data"));
            fs::remove_dir_all(place.path("out")).unwrap();
            let output = place.piped(&["list", "-", "-i", key], &fs::read(&out).unwrap());
            assert!(text(&output.stdout).contains("data/folder/small"), "{}", all(&output));
            fs::remove_file(out).unwrap();
        }
    }
}

#[test]
fn an_archive_of_ours_that_it_armored_comes_back_with_set_id_bits_and_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has("age", "age") {
        return;
    }
    let place = Place::with_data();
    let pair = x25519(&place, "key");
    fs::set_permissions(place.path("data/text"), fs::Permissions::from_mode(0o4755)).unwrap();
    place.said(&["backup", "-o", "ours.tar.gz"]);
    let plain = place.path("ours.tar.gz");
    let armored = format!("{}.age", plain.display());
    assert!(age(&["-a", "-r", &pair.public, "-o", &armored, plain.to_str().unwrap()]).status.success());
    place.said(&["restore", &armored, "--to", "out", "-i", pair.private.to_str().unwrap()]);
    assert_eq!(place.path("out/data/text").metadata().unwrap().permissions().mode() & 0o7777, 0o4755);
}

#[test]
fn what_it_encrypted_with_a_passphrase_is_restored() {
    if !has("age", "age") || !has("python3", "python3") {
        return;
    }
    let mut place = Place::with_data();
    let plain = foreign(&place);
    let out = format!("{plain}.age");
    typed("open sesame", &["-p", "-o", &out, &plain]);
    place.set("TARKEEP_AGE_PASSPHRASE", "open sesame");
    place.said(&["restore", &out, "--to", "out"]);
    same(&place.path("out/data"), &place.path("data"));
}
