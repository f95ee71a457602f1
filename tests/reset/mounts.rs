//! Mount points stay; what is in them goes as far as it is archived.

use std::fs;
use std::path::{Path, PathBuf};

use super::bench::{Bench, code, ok, said};
use super::common::disk::{run, soon};
use super::common::skip;

/// Mounts below a bench, gone when dropped.
struct Mounts(Vec<PathBuf>);

impl Mounts {
    fn add(&mut self, arguments: &[&str], at: &Path) -> bool {
        let mounted = run("mount", &[arguments, &[at.to_str().unwrap()]].concat());
        if mounted {
            self.0.push(at.to_path_buf());
        }
        mounted
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            assert!(soon(|| run("umount", &[at.to_str().unwrap()])));
        }
    }
}

#[test]
fn mount_points_stay_and_are_emptied_and_mounted_files_stay() {
    let bench = Bench::small();
    let mut mounts = Mounts(Vec::new());
    let (disk, bound, file) =
        (bench.data().join("disk"), bench.data().join("folder/bound"), bench.data().join("file"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&bound).unwrap();
    fs::write(&file, "").unwrap();
    let elsewhere = bench.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("x"), "x").unwrap();
    fs::write(bench.at("one file"), "one file").unwrap();
    if !mounts.add(&["-t", "tmpfs", "tarkeep-test"], &disk) {
        return skip("root and the right to mount");
    }
    // Within one file system, which no device number shows.
    assert!(mounts.add(&["--bind", elsewhere.to_str().unwrap()], &bound));
    assert!(mounts.add(&["--bind", bench.at("one file").to_str().unwrap()], &file));
    // The source is one itself.
    assert!(mounts.add(&["--bind", bench.data().to_str().unwrap()], &bench.data()));
    assert!(mounts.add(&["-t", "tmpfs", "tarkeep-test"], &disk));
    assert!(mounts.add(&["--bind", elsewhere.to_str().unwrap()], &bound));
    assert!(mounts.add(&["--bind", bench.at("one file").to_str().unwrap()], &file));
    fs::create_dir(disk.join("deep")).unwrap();
    fs::write(disk.join("deep/y"), "y").unwrap();

    let output = bench.reset(&["--yes", "--json"]);
    ok(&output);
    // Of the two file systems it is said of the one in memory, and once.
    let words = "does not tell every write";
    // The disk that tests run on may be one too.
    let steady = tarkeep::source::Steady::default().is_at(0, &bench.at(""));
    let first = if steady { disk.join("deep/y") } else { bench.data().join("a") };
    let named = format!("the file system of {} {words}", first.display());
    assert!(said(&output).contains(&named), "{}", said(&output));
    assert_eq!(said(&output).matches(words).count(), 1, "{}", said(&output));
    assert_eq!(bench.left(), ["disk", "file", "folder", "folder/bound"]);
    assert_eq!(fs::read(bench.at("one file")).unwrap(), b"one file");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "what is mounted is archived, and so emptied");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["mounted"]["count"], &json["left"]["count"]), (&3.into(), &0.into()), "{json}");
    assert!(said(&output).contains("3 entries were mounted, and kept"), "{}", said(&output));
}

#[test]
fn another_file_system_stays_full_where_it_is_not_archived() {
    let bench = Bench::small();
    let mut mounts = Mounts(Vec::new());
    let disk = bench.data().join("disk");
    fs::create_dir(&disk).unwrap();
    if !mounts.add(&["-t", "tmpfs", "tarkeep-test"], &disk) {
        return skip("root and the right to mount");
    }
    fs::write(disk.join("y"), "y").unwrap();
    let only = [("TARKEEP_ONE_FILE_SYSTEM", "yes")];
    for arguments in [&["--yes"][..], &["--yes", "--no-backup"]] {
        fs::write(bench.data().join("a"), "a").unwrap();
        ok(&bench.reset_with(arguments, &only));
        assert_eq!(bench.left(), ["disk", "disk/y"]);
    }
}

#[test]
fn on_a_read_only_mount_the_command_that_does_it_is_said() {
    let bench = Bench::small();
    let mut mounts = Mounts(Vec::new());
    let data = bench.data();
    if !mounts.add(&["--bind", data.to_str().unwrap()], &data) {
        return skip("root and the right to mount");
    }
    assert!(run("mount", &["-o", "remount,bind,ro", data.to_str().unwrap()]));
    let output = bench.reset(&["--yes", "--force"]);
    assert_eq!(code(&output), 1, "{}", said(&output));
    let wanted = "it is mounted read-only, as it should be for backups; run this instead: docker compose run --rm reset --force";
    assert!(said(&output).contains(wanted), "{}", said(&output));
    bench.untouched();
}
