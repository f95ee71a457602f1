//! What is never emptied. What stands for the machine itself is only ever tried with `--dry-run`, which refuses as well.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::bench::{Bench, code, said};
use super::common::disk::{Disk, run};
use super::common::skip;

/// That this source is refused, and why. Nothing is done even if it is not.
fn refused(bench: &Bench, source: &Path, environment: &[(&str, &Path)], why: &str) {
    let mut command = bench.tarkeep(&["reset", "--dry-run"]);
    let output = command.env("TARKEEP_SOURCE", source).envs(environment.iter().copied()).output().unwrap();
    let said = said(&output);
    assert_eq!(code(&output), 2, "{}: {said}", source.display());
    assert!(said.contains(why) && said.contains("not emptied"), "{}: {said}", source.display());
}

/// Bound to another place, as long as this lives.
struct Bound(tempfile::TempDir);

impl Bound {
    fn new(what: &Path) -> Option<Self> {
        let bound = Self(tempfile::tempdir().unwrap());
        if run("mount", &["--bind", what.to_str().unwrap(), bound.0.path().to_str().unwrap()]) {
            Some(bound)
        } else {
            skip("root and the right to mount");
            None
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Before the folder is removed: what is bound there must not be.
        assert!(super::common::disk::soon(|| run("umount", &[self.path().to_str().unwrap()])));
    }
}

#[test]
fn the_folders_of_the_machine_are_not_emptied() {
    let bench = Bench::small();
    for path in ["/", "/etc", "/usr", "/var", "/dev", "/proc", "/tmp", "/usr/lib", "//etc/", "/usr/../etc"] {
        refused(&bench, Path::new(path), &[], "is a folder of the system");
    }
    for path in [
        "/usr/include",
        "/usr/local/bin",
        "/etc/ssh",
        "/var/lib/dpkg",
        "/var/lib/dpkg/info",
        "/sys/kernel",
        "/dev/shm",
    ] {
        if Path::new(path).exists() {
            refused(&bench, Path::new(path), &[], "is in a folder of the system");
        }
    }
    if Path::new("/var/cache").exists() {
        refused(&bench, Path::new("/var/cache"), &[], "is a folder of the system");
    }
    if Path::new("/bin").is_symlink() {
        refused(&bench, Path::new("/bin"), &[], "is a symbolic link");
    }
    bench.untouched();
}

#[test]
fn homes_are_not_emptied() {
    let bench = Bench::small();
    refused(&bench, &bench.data(), &[("HOME", &bench.data())], "is somebody's home");
    refused(&bench, Path::new("/root"), &[], "is a folder of the system");
    let home = Bench::new(|data| {
        for name in [".bashrc", ".profile", "notes"] {
            fs::write(data.join(name), "x").unwrap();
        }
    });
    refused(&home, &home.data(), &[], "looks like somebody's home");
    bench.untouched();
}

#[test]
fn what_looks_like_a_system_is_not_emptied() {
    let bench = Bench::new(|data| {
        for name in ["etc", "usr", "var", "lib", "home", "file"] {
            fs::create_dir(data.join(name)).unwrap();
        }
    });
    refused(&bench, &bench.data(), &[], "looks like the root of a system");
    fs::remove_dir(bench.data().join("lib")).unwrap();
    let mut command = bench.tarkeep(&["reset", "--dry-run"]);
    assert_eq!(code(&command.output().unwrap()), 0, "four such names may be chance");
}

#[test]
fn where_archives_are_kept_is_not_emptied() {
    let bench = Bench::small();
    fs::create_dir(bench.destination().join("inside")).unwrap();
    fs::write(bench.destination().join("inside/x"), "x").unwrap();
    fs::create_dir_all(bench.data().join("folder/backups")).unwrap();
    let inner = bench.data().join("folder/backups");
    refused(&bench, &bench.destination(), &[], "is the destination of job data");
    refused(&bench, &bench.destination().join("inside"), &[], "is in the destination of job data");
    refused(&bench, &bench.data(), &[("TARKEEP_DESTINATION", &inner)], "holds the destination of job data");
    refused(&bench, &bench.data(), &[("TARKEEP_STATE", &inner)], "holds the state of job data");
    // By whatever name.
    let link = bench.at("link");
    symlink(bench.at(""), &link).unwrap();
    refused(&bench, &link.join("backup"), &[], "is the destination of job data");
    refused(&bench, &link.join("backup/inside"), &[], "is in the destination of job data");
}

#[test]
fn an_archive_among_the_data_is_not_removed() {
    let bench = Bench::small();
    let made = bench.tarkeep(&["backup"]).output().unwrap();
    assert_eq!(code(&made), 0, "{}", said(&made));
    let archive = bench.archives().remove(0);
    fs::hard_link(&archive, bench.data().join("folder/copy.tar.gz")).unwrap();
    refused(&bench, &bench.data(), &[], "an archive of job data");
    assert!(archive.exists());
}

/// The destination of somebody else: this configuration does not know it.
#[test]
fn archives_of_others_among_the_data_are_not_removed() {
    let bench = Bench::small();
    let others = bench.data().join("folder/others");
    fs::create_dir(&others).unwrap();
    let mut other = bench.tarkeep(&["backup"]);
    other.env("TARKEEP_SOURCE", bench.destination()).env("TARKEEP_DESTINATION", &others);
    fs::write(bench.destination().join("file"), "x").unwrap();
    let made = other.output().unwrap();
    assert_eq!(code(&made), 0, "{}", said(&made));
    let before = bench.left();
    for arguments in
        [&["--no-backup", "--yes"][..], &["--yes"], &["--dry-run"], &["--dry-run", "--no-backup"]]
    {
        let output = bench.reset(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", said(&output));
        let words = format!("is {}, where archives are kept: that is not emptied", others.display());
        assert!(said(&output).contains(&words), "{arguments:?}: {}", said(&output));
    }
    assert_eq!((bench.left(), bench.archives().len()), (before, 0));
    // Left out it stays, as all that is left out.
    let output = bench.reset_with(&["--yes"], &[("TARKEEP_EXCLUDE", "/folder/others")]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(others.join(".tarkeep/lock").exists());
    // The folder that archives were kept in is a folder.
    fs::remove_dir_all(&others).unwrap();
    fs::create_dir_all(others.join(".tarkeep")).unwrap();
    fs::write(bench.data().join("a"), "a").unwrap();
    let output = bench.reset(&["--yes"]);
    assert_eq!((code(&output), bench.left().len()), (0, 0), "{}", said(&output));
}

#[test]
fn a_link_is_not_emptied() {
    let bench = Bench::small();
    let link = bench.at("link");
    symlink(bench.data(), &link).unwrap();
    refused(&bench, &link, &[], "is a symbolic link");
    refused(&bench, &bench.at("link/"), &[], "is a symbolic link");
    bench.untouched();
}

#[test]
fn the_machines_folders_are_known_under_other_names() {
    let bench = Bench::small();
    let Some(root) = Bound::new(Path::new("/")) else { return };
    refused(&bench, root.path(), &[], "is a folder of the system");
    drop(root);
    let destination = Bound::new(&bench.destination()).unwrap();
    refused(&bench, destination.path(), &[], "is the destination of job data");
    drop(destination);

    // As a container sees a home of its host: by its path on the disk alone.
    let Some(disk) = Disk::ext4(16, None) else { return };
    fs::create_dir_all(disk.path().join("home/me/data")).unwrap();
    fs::write(disk.path().join("home/me/data/x"), "x").unwrap();
    let home = Bound::new(&disk.path().join("home/me")).unwrap();
    refused(&bench, home.path(), &[], "is /home/me of another system");
    drop(home);
    let data = Bound::new(&disk.path().join("home/me/data")).unwrap();
    let mut command = bench.tarkeep(&["reset", "--dry-run"]);
    let output = command.env("TARKEEP_SOURCE", data.path()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn what_is_in_the_machines_folders_is_known_under_other_names_and_a_volume_there_is_data() {
    let bench = Bench::small();
    let Some(etc) = Bound::new(Path::new("/etc")) else { return };
    let below = fs::read_dir(etc.path()).unwrap().map(|entry| entry.unwrap().path());
    let below = below.filter(|path| path.is_dir() && !path.is_symlink()).min().unwrap();
    refused(&bench, &below, &[], "is in a folder of the system, /etc");
    drop(etc);
    // As images of databases have it: /usr/share/elasticsearch/data.
    let inside = tempfile::tempdir_in("/usr/share").unwrap();
    refused(&bench, inside.path(), &[], "is in a folder of the system, /usr");
    assert!(run("mount", &["--bind", bench.data().to_str().unwrap(), inside.path().to_str().unwrap()]));
    let mut command = bench.tarkeep(&["reset", "--dry-run"]);
    let output = command.env("TARKEEP_SOURCE", inside.path()).output();
    assert!(super::common::disk::soon(|| run("umount", &[inside.path().to_str().unwrap()])));
    let output = output.unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn what_is_mounted_among_the_data_is_looked_at_too() {
    let bench = Bench::small();
    let holds_all = bench.data().join("folder/all");
    fs::create_dir(&holds_all).unwrap();
    fs::write(bench.destination().join("note"), "x").unwrap();
    // The folder that holds the destination, bound into the source.
    let around = tempfile::tempdir().unwrap();
    fs::create_dir(around.path().join("kept")).unwrap();
    let kept = around.path().join("kept");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    if !run("mount", &["--bind", &text(around.path()), &text(&holds_all)]) {
        return skip("root and the right to mount");
    }
    let mut command = bench.tarkeep(&["reset", "--dry-run"]);
    let output = command.env("TARKEEP_DESTINATION", &kept).output();
    assert!(super::common::disk::soon(|| run("umount", &[&text(&holds_all)])));
    let output = output.unwrap();
    assert_eq!(code(&output), 2, "{}", said(&output));
    assert!(said(&output).contains("the destination of job data: that is not emptied"), "{}", said(&output));
}
