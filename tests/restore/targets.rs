//! Targets that are not plain folders of one's own: what cannot be replaced is said before anything is touched, and what
//! was never archived keeps what it is.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{XattrFlags, listxattr, setxattr};

use super::bench::{Bench, ok, same};
use super::common::disk::{Disk, run, soon};
use super::common::program::{TARKEEP, stderr as text};
use super::common::skip;
use super::common::trace::may_inject;
use super::common::tree::fingerprint;

const REPLACE: [&str; 3] = ["--force", "--delete", "--yes"];

/// Something mounted on another path of the same file system, gone when dropped.
struct Bound(PathBuf);

impl Bound {
    fn new(what: &Path, at: &Path) -> Option<Self> {
        let mounted = run("mount", &["--bind", what.to_str().unwrap(), at.to_str().unwrap()]);
        if !mounted {
            skip("root and the right to mount");
        }
        mounted.then(|| Self(at.to_path_buf()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        assert!(soon(|| run("umount", &[self.0.to_str().unwrap()])));
    }
}

fn plain(source: &Path) {
    fs::create_dir(source.join("folder")).unwrap();
    for name in ["a", "folder/file", "z"] {
        fs::write(source.join(name), b"old").unwrap();
    }
}

/// It is said what is in the way, nothing is different from before, and nothing is left behind.
fn refused(bench: &Bench, arguments: &[&str], says: &[&str]) {
    let was = fingerprint(bench.folder.path());
    let output = bench.restore(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for says in says {
        assert!(text(&output).contains(says), "{says}: {}", text(&output));
    }
    let (mut is, mut was) = (fingerprint(bench.folder.path()), was);
    // A folder that something was made in and removed from has another time.
    for name in ["", "data"] {
        is.remove(name.as_bytes());
        was.remove(name.as_bytes());
    }
    assert_eq!(is, was);
    bench.no_litter();
}

/// Volumes of one disk have its device number, which tells nothing then.
#[test]
fn what_is_mounted_in_the_target_from_the_same_disk_keeps_its_content() {
    let bench = Bench::new(plain);
    let (elsewhere, at) = (bench.at("elsewhere"), bench.at("data/mounted"));
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(&at).unwrap();
    fs::write(elsewhere.join("precious"), b"precious").unwrap();
    let Some(_bound) = Bound::new(&elsewhere, &at) else { return };
    fs::write(bench.at("data/more"), b"more").unwrap();
    let output = bench.restore(&REPLACE);
    ok(&output);
    assert!(text(&output).contains("data/mounted stays: it is mounted there"), "{}", text(&output));
    assert_eq!(fs::read(elsewhere.join("precious")).unwrap(), b"precious");
    assert!(!bench.at("data/more").exists());
    bench.no_litter();
}

/// Nothing can be renamed into a mount from around it, of the same disk or of another.
#[test]
fn what_is_mounted_in_the_target_is_restored_with_it() {
    let fill = |source: &Path| {
        plain(source);
        fs::create_dir_all(source.join("bound/disk/deep")).unwrap();
        fs::create_dir(source.join("bare")).unwrap();
        fs::write(source.join("bound/disk/deep/file"), b"old").unwrap();
        fs::write(source.join("bound/file"), b"old").unwrap();
        fs::hard_link(source.join("bound/file"), source.join("bound/disk/linked")).unwrap();
    };
    for codec in ["gzip:6", "none"] {
        let bench = Bench::new(fill);
        let (data, archive) = (bench.at("data"), bench.at("again.tar"));
        ok(&bench.tarkeep(&["backup", "--codec", codec, "-o", archive.to_str().unwrap()], &[]));
        let was = fingerprint(&data);
        let elsewhere = ["bound", "disk", "bare"].map(|name| bench.at(&format!("elsewhere {name}")));
        elsewhere.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        fs::create_dir(elsewhere[0].join("disk")).unwrap();
        fs::write(elsewhere[2].join("never archived"), b"never archived").unwrap();
        let Some(_bound) = Bound::new(&elsewhere[0], &data.join("bound")) else { return };
        let _disk = Bound::new(&elsewhere[1], &data.join("bound/disk")).unwrap();
        // The archive has no more of it than the folder: as if the job kept to one file system.
        let _bare = Bound::new(&elsewhere[2], &data.join("bare")).unwrap();
        for (step, more) in [("", ""), ("restore-noted", "had been interrupted, and was finished")] {
            fs::write(data.join("bound/more"), b"more").unwrap();
            fs::write(data.join("folder/file"), b"new").unwrap();
            let run = |step| {
                let arguments = [&["restore", archive.to_str().unwrap()], &REPLACE[..]].concat();
                bench.tarkeep(&arguments, &[("TARKEEP_FAILPOINT", step)])
            };
            if !step.is_empty() {
                assert_eq!(run(step).status.code(), None, "{codec}: it was killed");
            }
            let output = run("");
            ok(&output);
            assert!(text(&output).contains(more), "{codec}: {}", text(&output));
            assert!(!text(&output).contains("bound stays"), "{codec}: {}", text(&output));
            assert!(text(&output).contains("bare stays"), "{codec}: {}", text(&output));
            assert!(elsewhere[2].join("never archived").exists(), "{codec}");
            fs::remove_file(elsewhere[2].join("never archived")).unwrap();
            let mut is = fingerprint(&data);
            let mut was = was.clone();
            for name in ["bare", "bound/disk/linked", "bound/file"] {
                is.remove(name.as_bytes());
                was.remove(name.as_bytes());
            }
            assert_eq!(is, was, "{codec} {step}");
            // No link leads from one file system to another: it is a file.
            assert_eq!(fs::read(data.join("bound/disk/linked")).unwrap(), b"old", "{codec}");
            fs::write(elsewhere[2].join("never archived"), b"never archived").unwrap();
            bench.no_litter();
        }
    }
}

#[test]
fn a_mounted_file_in_the_way_is_said_before_anything_is_touched() {
    for name in ["folder/file", "z"] {
        let bench = Bench::new(plain);
        let at = bench.at("data").join(name);
        let elsewhere = bench.at("elsewhere");
        fs::write(&elsewhere, b"mine").unwrap();
        fs::write(bench.at("data/a"), b"new").unwrap();
        let Some(_bound) = Bound::new(&elsewhere, &at) else { return };
        let says = format!("data/{name} is a mount or a subvolume by itself");
        refused(&bench, &REPLACE, &[&says, "nothing was touched"]);
    }
}

/// As homes have it where each may take so much of the disk: the file system refuses what comes from around them.
#[test]
fn a_folder_that_is_of_another_project_is_said_before_anything_is_touched() {
    let Some(disk) = Disk::xfs(300) else { return };
    let bench = Bench::new(plain);
    let (target, archive) = (disk.path().join("target"), bench.archive.to_str().unwrap());
    let own = target.join(bench.name("folder"));
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("file"), b"new").unwrap();
    if !run("chattr", &["+P", "-p", "5", own.to_str().unwrap()]) {
        return skip("chattr that knows projects");
    }
    let to = |folder: &Path| {
        let arguments = ["restore", archive, "--to", folder.to_str().unwrap()];
        bench.tarkeep(&[&arguments[..], &REPLACE].concat(), &[])
    };
    let output = to(&target);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for says in ["folder is a mount or a subvolume by itself, or of a quota's project", "nothing was touched"]
    {
        assert!(text(&output).contains(says), "{}", text(&output));
    }
    assert_eq!(fs::read(own.join("file")).unwrap(), b"new");
    assert!(!own.parent().unwrap().join("a").exists());
    // From within nothing is in the way.
    ok(&to(&own));
    assert!(own.join(bench.name("folder/file")).exists());
}

#[test]
fn what_is_protected_from_changes_is_said_before_anything_is_touched() {
    for name in ["folder", "folder/file", "more"] {
        let bench = Bench::new(plain);
        fs::write(bench.at("data/a"), b"new").unwrap();
        fs::write(bench.at("data/more"), b"more").unwrap();
        let at = bench.at("data").join(name);
        if !run("chattr", &["+i", at.to_str().unwrap()]) {
            return skip("root, and a file system that knows chattr");
        }
        let checked = std::panic::catch_unwind(|| {
            let says = format!("data/{name} is protected from changes");
            refused(&bench, &REPLACE, &[&says, "nothing was touched"]);
        });
        assert!(run("chattr", &["-i", at.to_str().unwrap()]));
        checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ok(&bench.restore(&REPLACE));
    }
}

#[test]
fn folders_that_are_in_no_archive_stay_as_they_are() {
    for codec in ["gzip:6", "none"] {
        let bench = Bench::new(plain);
        let archive = bench.at("again.tar");
        ok(&bench.tarkeep(&["backup", "--codec", codec, "-o", archive.to_str().unwrap()], &[]));
        // On the way to what is restored, as `/home` is to `/home/me/documents`.
        let root = bench.at("root");
        let way = bench.below("root").parent().unwrap().to_path_buf();
        fs::create_dir_all(&way).unwrap();
        fs::set_permissions(&way, fs::Permissions::from_mode(0o1777)).unwrap();
        let owner = if std::os::unix::fs::chown(&way, Some(1234), Some(2345)).is_ok() {
            1234
        } else {
            way.metadata().unwrap().uid()
        };
        let to = ["restore", archive.to_str().unwrap(), "--to", root.to_str().unwrap(), "--force", "--yes"];
        ok(&bench.tarkeep(&to, &[]));
        let about = way.metadata().unwrap();
        assert_eq!((about.mode() & 0o7777, about.uid()), (0o1777, owner), "{codec}");
        same(&bench.below("root"), &fingerprint(&bench.at("data")), codec);
        // And those that were not there are as folders are.
        let to = ["restore", archive.to_str().unwrap(), "--to", &format!("{}/new", root.display())];
        ok(&bench.tarkeep(&to, &[]));
        let way = bench.below("root/new").parent().unwrap().to_path_buf();
        assert_eq!(way.metadata().unwrap().mode() & 0o7777, 0o755, "{codec}");
    }
}

/// An ACL that a folder hands down is as if the restored files had been given it.
#[test]
fn nobody_is_let_in_by_an_acl_that_the_archive_does_not_have() {
    let bench = Bench::new(plain);
    let was = fingerprint(&bench.at("data"));
    // Version 2: the owner, user 1234, the group, the mask and the others, each with its rights.
    let entries =
        [(1_u16, 7_u16, u32::MAX), (2, 7, 1234), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(rights.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    for name in ["data", "data/folder"] {
        for attribute in ["system.posix_acl_default", "system.posix_acl_access", "user.not in the archive"] {
            let value = if attribute.starts_with("user.") { b"1" } else { acl.as_slice() };
            if setxattr(bench.at(name), attribute, value, XattrFlags::empty()).is_err() {
                return skip("a file system with ACLs");
            }
        }
    }
    ok(&bench.restore(&REPLACE));
    for name in ["", "a", "folder", "folder/file"] {
        let mut list = vec![0; 1000];
        let length = listxattr(bench.at("data").join(name), &mut list[..]).unwrap();
        let list = String::from_utf8_lossy(&list[..length]);
        assert!(!list.contains("posix_acl") && !list.contains("user."), "{name}: {list}");
    }
    same(&bench.at("data"), &was, "");
}

#[test]
fn a_link_that_leads_nowhere_is_no_target_and_no_later_restore_stumbles_over_it() {
    let bench = Bench::new(plain);
    symlink("/nowhere/at all", bench.at("link")).unwrap();
    let output = bench.restore(&["--to", bench.at("link").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("link is a link, and what it leads to is not there"), "{}", text(&output));
    bench.no_litter();
    ok(&bench.restore(&["--to", bench.at("out").to_str().unwrap()]));
}

#[test]
fn a_target_that_somebody_else_makes_meanwhile_is_theirs() {
    let bench = Bench::new(plain);
    let out = bench.at("out");
    let restore = |target: &Path, step: &str| {
        let arguments = ["restore", bench.archive.to_str().unwrap(), "--to", target.to_str().unwrap()];
        bench.tarkeep(&arguments, &[("TARKEEP_FAILPOINT", step)])
    };
    assert_eq!(restore(&out, "restore-noted").status.code(), None, "it was killed");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("theirs"), b"theirs").unwrap();
    let output = restore(&bench.at("other"), "");
    ok(&output);
    assert!(text(&output).contains("was undone"), "{}", text(&output));
    assert_eq!(fs::read(out.join("theirs")).unwrap(), b"theirs");
    assert_eq!(out.read_dir().unwrap().count(), 1);
    bench.no_litter();
}

/// The program as nobody in particular, who owns all of the bench.
fn as_somebody(bench: &Bench, arguments: &[&str], step: &str) -> Option<Output> {
    let program = bench.at("tarkeep");
    if !program.exists() {
        if !rustix::process::geteuid().is_root() || !run("setpriv", &["true"]) {
            skip("root and setpriv, to be somebody else");
            return None;
        }
        fs::copy(TARKEEP, &program).unwrap();
        fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(run("chown", &["-R", "1234:2345", bench.folder.path().to_str().unwrap()]));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1234", "--regid=2345", "--clear-groups"]).arg(program);
    command.args(["restore", bench.archive.to_str().unwrap()]).args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TARKEEP_FAILPOINT", step);
    command.env("TARKEEP_SOURCE", bench.at("data")).env("TARKEEP_DESTINATION", bench.folder.path());
    Some(command.output().unwrap())
}

/// As the module cache of Go has them, for one.
fn read_only_folders(source: &Path) {
    fs::create_dir_all(source.join("both/below")).unwrap();
    fs::create_dir(source.join("only new")).unwrap();
    for (name, mode) in [("both/below", 0o500), ("both", 0o555), ("only new", 0o555)] {
        fs::write(source.join(name).join("file"), b"old").unwrap();
        fs::set_permissions(source.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn without_root_folders_that_their_owner_may_not_write_to_are_replaced_as_well() {
    let bench = Bench::new(read_only_folders);
    if as_somebody(&bench, &["--dry-run", "--force"], "").is_none() {
        return;
    }
    let data = bench.at("data");
    let was = fingerprint(&data);
    for step in ["restore-extracted", "restore-noted", "restore-deleted", "restore-swapped", ""] {
        fs::remove_dir_all(data.join("only new")).unwrap();
        fs::write(data.join("both/below/file"), b"new").unwrap();
        fs::create_dir_all(data.join("only old/below")).unwrap();
        fs::write(data.join("only old/below/file"), b"more").unwrap();
        for name in ["only old/below", "only old"] {
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o555)).unwrap();
        }
        assert!(run("chown", &["-R", "1234:2345", data.to_str().unwrap()]));
        if !step.is_empty() {
            let killed = as_somebody(&bench, &REPLACE, step).unwrap();
            assert_ne!(killed.status.code(), Some(0), "{step}: {}", text(&killed));
        }
        let output = as_somebody(&bench, &REPLACE, "").unwrap();
        ok(&output);
        assert_eq!(text(&output).contains("had been interrupted"), !step.is_empty(), "{}", text(&output));
        let is = fingerprint(&data);
        assert!(is.keys().eq(was.keys()), "{step}: {:?}", is.keys());
        let modes = ["both", "both/below", "only new"]
            .map(|name| data.join(name).metadata().unwrap().mode() & 0o7777);
        assert_eq!(modes, [0o555, 0o500, 0o555], "{step}");
        assert_eq!(fs::read(data.join("both/below/file")).unwrap(), b"old");
        bench.no_litter();
    }
}

/// Whatever it is that fails when it has been decided, the message says how far it came, and the next one finishes it.
#[test]
fn it_is_said_that_not_all_is_replaced() {
    if !may_inject("syncfs:error=EIO") {
        return;
    }
    let bench = Bench::new(plain);
    let [one, two] = ["one", "two"].map(|name| bench.at(name));
    let write = |what: &str| {
        for source in [&one, &two] {
            let _ = fs::create_dir(source);
            fs::write(source.join("file"), what).unwrap();
        }
    };
    let read = || [&one, &two].map(|source| fs::read_to_string(source.join("file")).unwrap());
    write("archived");
    let archive = bench.at("both.tar.gz");
    let environment = [("TARKEEP_SOURCE", format!("{},{}", one.display(), two.display()))];
    let run = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(environment.clone()).env("TARKEEP_DESTINATION", bench.folder.path()).output().unwrap()
    };
    let archive = archive.to_str().unwrap();
    ok(&run(&[TARKEEP, "backup", "-o", archive]));
    let (parts, all) = (
        format!("in {} and {} some of the old is", one.display(), two.display()),
        "everything has its place",
    );
    // Each is synced when it is extracted, and when it is in its place; of what is removed the last is its folder.
    for (fault, says) in [
        ("syncfs:error=EIO:when=3", parts.as_str()),
        ("syncfs:error=EIO:when=4", &parts),
        ("renameat:error=EIO:when=6", &parts),
        ("unlinkat:error=EIO:when=1", all),
    ] {
        write("now");
        let (call, _) = fault.split_once(':').unwrap();
        let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, TARKEEP];
        let output = run(&[&strace[..], &["restore", archive], &REPLACE].concat());
        assert_eq!(output.status.code(), Some(1), "{fault}: {}", text(&output));
        assert!(text(&output).contains(says), "{fault}: {}", text(&output));
        let next = two.join("next");
        ok(&run(&[TARKEEP, "restore", archive, "--to", next.to_str().unwrap()]));
        fs::remove_dir_all(next).unwrap();
        assert_eq!(read(), ["archived"; 2], "{fault}");
        assert_eq!([&one, &two].map(|source| source.read_dir().unwrap().count()), [1, 1], "{fault}");
    }
}

/// It could not be looked into, and is removed all the same when the restore is undone.
#[test]
fn without_root_a_folder_that_nobody_may_look_into_leaves_nothing_behind() {
    let bench = Bench::new(|source| {
        fs::create_dir_all(source.join("shut/below")).unwrap();
        fs::write(source.join("shut/below/file"), b"old").unwrap();
        fs::set_permissions(source.join("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    });
    let Some(output) = as_somebody(&bench, &REPLACE, "") else { return };
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("shut: permission denied"), "{}", text(&output));
    assert!(bench.at("data/shut/below/file").exists());
    bench.no_litter();
}

/// The source was a part of what it is now: what came to it was never archived, and could not be brought back.
#[test]
fn of_a_source_that_an_archive_is_only_a_part_of_nothing_is_deleted() {
    let bench = Bench::new(plain);
    let folder = bench.at("data/folder");
    let folder = folder.to_str().unwrap();
    // With an index, and read as a stream.
    for archive in ["part.tar.gz", "part.tar"].map(|name| bench.at(name)) {
        let archive = archive.to_str().unwrap();
        ok(&bench.tarkeep(&["backup", "-o", archive], &[("TARKEEP_SOURCE", folder)]));
        fs::write(bench.at("data/folder/more"), b"more").unwrap();
        let restore =
            |more: &[&str]| bench.tarkeep(&[&["restore", archive], &REPLACE[..], more].concat(), &[]);
        let output = restore(&[]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let says =
            format!("{} is not in the archive as a whole, and --delete would", bench.at("data").display());
        assert!(text(&output).contains(&says), "{}", text(&output));
        assert!(bench.at("data/a").exists() && bench.at("data/folder/more").exists());
        ok(&restore(&[&bench.name("folder")]));
        assert!(bench.at("data/a").exists() && !bench.at("data/folder/more").exists());
    }
}

/// A share of somebody's that even root may not look into, say, or one of root's.
#[test]
fn what_is_mounted_in_the_target_and_cannot_be_listed_is_no_hindrance() {
    let bench = Bench::new(plain);
    let at = bench.at("data/share");
    fs::create_dir(&at).unwrap();
    if as_somebody(&bench, &["--dry-run", "--force"], "").is_none() {
        return;
    }
    let Some(disk) = Disk::tmpfs("mode=700") else { return };
    let Some(_bound) = Bound::new(disk.path(), &at) else { return };
    fs::write(bench.at("data/a"), b"new").unwrap();
    let output = as_somebody(&bench, &REPLACE, "").unwrap();
    ok(&output);
    assert!(text(&output).contains("data/share stays: it is mounted there"), "{}", text(&output));
    assert_eq!(fs::read(bench.at("data/a")).unwrap(), b"old");
}

/// Somebody finds that a volume was missing, mounts it, and has the restore finished.
#[test]
fn what_was_mounted_since_a_restore_was_interrupted_keeps_its_content() {
    let bench = Bench::new(plain);
    let (volume, at) = (bench.at("volume"), bench.at("data/folder"));
    for folder in [&volume, &at] {
        fs::create_dir_all(folder.join("more")).unwrap();
        fs::write(folder.join("more/file"), b"mine").unwrap();
        fs::write(folder.join("file"), b"mine").unwrap();
    }
    let archive = bench.archive.to_str().unwrap();
    let killed = bench
        .tarkeep(&[&["restore", archive], &REPLACE[..]].concat(), &[("TARKEEP_FAILPOINT", "restore-noted")]);
    assert_eq!(killed.status.code(), None);
    let was = fingerprint(&volume);
    let Some(bound) = Bound::new(&volume, &at) else { return };
    let output = bench.restore(&REPLACE);
    same(&volume, &was, &text(&output));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("folder has been mounted since"), "{}", text(&output));
    drop(bound);
    ok(&bench.restore(&REPLACE));
    assert_eq!(fs::read(at.join("file")).unwrap(), b"old");
    bench.no_litter();
}

#[test]
fn a_tree_that_is_deeper_than_there_are_descriptors_is_replaced() {
    let bench = Bench::new(|source| {
        let mut path = source.to_path_buf();
        for _ in 0..600 {
            path.push("d");
            fs::create_dir(&path).unwrap();
        }
        fs::write(path.join("file"), b"old").unwrap();
    });
    let deep = bench.at("data").join("d/".repeat(600)).join("file");
    fs::write(&deep, b"new").unwrap();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=256", "--stack=1048576", TARKEEP, "restore", bench.archive.to_str().unwrap()]);
    command.args(REPLACE).env_clear().env("TARKEEP_SOURCE", bench.at("data"));
    command.env("TARKEEP_DESTINATION", bench.folder.path());
    ok(&command.output().unwrap());
    assert_eq!(fs::read(&deep).unwrap(), b"old");
    bench.no_litter();
}

#[test]
fn of_several_sources_all_are_restored_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for source in [&one, &two] {
        fs::create_dir(source).unwrap();
        fs::write(source.join("file"), b"old").unwrap();
    }
    let tarkeep = |arguments: &[&str], step: &str| {
        let mut command = super::common::program::command(arguments);
        command.env("TARKEEP_SOURCE", format!("{},{}", one.display(), two.display()));
        command.env("TARKEEP_DESTINATION", folder.path()).env("TARKEEP_FAILPOINT", step).output().unwrap()
    };
    ok(&tarkeep(&["backup"], ""));
    let change = || [&one, &two].map(|source| fs::write(source.join("file"), b"new").unwrap());
    let read = || [&one, &two].map(|source| fs::read(source.join("file")).unwrap());
    let restore = [&["restore", "latest"], &REPLACE[..]].concat();
    for (step, comes) in
        [("restore-extracted", b"new"), ("restore-noted", b"old"), ("restore-deleted", b"old")]
    {
        change();
        assert_eq!(tarkeep(&restore, step).status.code(), None, "{step}: it was killed");
        // Whatever comes next, of the sources of this job, makes good what was interrupted.
        let output = tarkeep(&["restore", "latest", "--force"], "");
        assert_eq!(output.status.code(), Some(2), "{step}: {}", text(&output));
        assert_eq!(read(), [comes, comes], "{step}: {}", text(&output));
    }
    change();
    // The second cannot be replaced, which shows when it is looked at; by then the first was, once.
    if !run("chattr", &["+i", two.join("file").to_str().unwrap()]) {
        return skip("root, and a file system that knows chattr");
    }
    let output = tarkeep(&restore, "");
    let is = read();
    assert!(run("chattr", &["-i", two.join("file").to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(is, [b"new", b"new"], "{}", text(&output));
}

/// As SELinux has it, which gives everything a label when it is made and lets hardly anybody give another.
#[test]
fn a_label_that_the_system_does_not_let_be_changed_keeps_nothing_from_its_place() {
    if !may_inject("fsetxattr:error=EACCES") {
        return;
    }
    let label = |folder: &Path, value: &[u8]| setxattr(folder, "security.label", value, XattrFlags::empty());
    let bench = Bench::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        fs::write(source.join("folder/file"), b"archived").unwrap();
        let _ = label(&source.join("folder"), b"one");
    });
    let folder = bench.at("data").join("folder");
    if label(&folder, b"two").is_err() {
        return skip("attributes of the system, and the right to set them");
    }
    fs::write(folder.join("file"), b"changed").unwrap();
    // The first call gives the new folder its label, the second would give it to the one that is there.
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsetxattr"]);
    command.args(["-e", "inject=fsetxattr:error=EACCES:when=2+", TARKEEP, "restore"]).arg(&bench.archive);
    command
        .args(REPLACE)
        .env("TARKEEP_SOURCE", bench.at("data"))
        .env("TARKEEP_DESTINATION", bench.folder.path());
    ok(&command.output().unwrap());
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"archived");
    bench.no_litter();
}

/// Two sources that belong together, as a database's tables and its journal: never one of this night and one of another.
#[test]
fn several_sources_are_restored_all_or_none_wherever_it_is_killed() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"old").unwrap());
    let [one, two] = ["one", "two"].map(|name| bench.at(name));
    let write = |what: &str| {
        for source in [&one, &two] {
            fs::write(source.join("file"), what).unwrap();
        }
    };
    let read = || [&one, &two].map(|source| fs::read_to_string(source.join("file")).unwrap());
    for source in [&one, &two] {
        fs::create_dir(source).unwrap();
    }
    write("archived");
    let sources = format!("{},{}", one.display(), two.display());
    let archive = bench.at("both.tar.gz");
    let run = |arguments: &[&str], step: &str| {
        bench.tarkeep(arguments, &[("TARKEEP_SOURCE", &sources), ("TARKEEP_FAILPOINT", step)])
    };
    ok(&run(&["backup", "-o", archive.to_str().unwrap()], ""));
    let archive = archive.to_str().unwrap();
    for (step, outcome) in [
        ("restore-follower-noted", "now"),
        ("restore-noted", "archived"),
        ("restore-deleted", "archived"),
        ("restore-swapped", "archived"),
    ] {
        // Whichever of the two is restored from next, and be it somewhere else in it.
        for next in [&one, &two] {
            write("now");
            let all = [&["restore", archive], &REPLACE[..]].concat();
            assert_eq!(run(&all, step).status.code(), None, "{step}: it was killed");
            let elsewhere = next.join("elsewhere");
            ok(&run(&["restore", archive, "--to", elsewhere.to_str().unwrap()], ""));
            fs::remove_dir_all(elsewhere).unwrap();
            let other = if next == &one { &two } else { &one };
            if outcome == "archived" {
                assert_eq!(read(), [outcome; 2], "{step} {}", next.display());
            }
            // What was not decided is undone in the other one as well when somebody comes there.
            let elsewhere = other.join("elsewhere");
            ok(&run(&["restore", archive, "--to", elsewhere.to_str().unwrap()], ""));
            fs::remove_dir_all(elsewhere).unwrap();
            assert_eq!(read(), [outcome; 2], "{step} {}", next.display());
            for source in [&one, &two] {
                assert_eq!(source.read_dir().unwrap().count(), 1, "{step}: {}", source.display());
            }
        }
    }
}

/// What was made since is not taken for what was there before: where all is in its place, nothing is done again.
#[test]
fn a_restore_that_was_killed_when_all_was_in_its_place_deletes_nothing_later() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"archived").unwrap());
    let data = bench.at("data");
    fs::write(data.join("upload"), b"before").unwrap();
    let killed = bench.tarkeep(
        &[&["restore", bench.archive.to_str().unwrap()], &REPLACE[..]].concat(),
        &[("TARKEEP_FAILPOINT", "restore-done")],
    );
    assert_eq!(killed.status.code(), None);
    assert!(!data.join("upload").exists());
    fs::write(data.join("upload"), b"since").unwrap();
    ok(&bench.restore(&["--to", data.join("elsewhere").to_str().unwrap()]));
    assert_eq!(fs::read(data.join("upload")).unwrap(), b"since");
    bench.no_litter();
}

#[test]
fn delete_removes_nothing_where_another_job_keeps_its_archives() {
    let bench = Bench::new(|source| {
        fs::create_dir_all(source.join("backups/2026-11-20")).unwrap();
        fs::write(source.join("backups/2026-11-20/01-00-00.tar.gz"), b"monday").unwrap();
    });
    let data = bench.at("data");
    let config = format!(
        "[[job]]\nname = \"a\"\nsource = {data:?}\ndestination = {:?}\n\n[[job]]\nname = \"b\"\nsource = {:?}\ndestination = {:?}\n",
        bench.folder.path(),
        bench.at("other"),
        data.join("backups"),
    );
    fs::create_dir(bench.at("other")).unwrap();
    fs::write(bench.at("jobs.toml"), config).unwrap();
    fs::create_dir_all(data.join("backups/2026-11-21")).unwrap();
    fs::create_dir_all(data.join("backups/.tarkeep")).unwrap();
    let since = ["2026-11-21/01-00-00.tar.gz", ".tarkeep/b.json", "of another pattern.tar.gz"];
    for name in since {
        fs::write(data.join("backups").join(name), b"since").unwrap();
    }
    fs::write(data.join("goes"), b"").unwrap();
    let mut command = Command::new(TARKEEP);
    command.env_clear().env("TARKEEP_CONFIG", bench.at("jobs.toml"));
    command.args(["restore", "--job", "a"]).arg(&bench.archive).args(REPLACE);
    ok(&command.output().unwrap());
    for name in since {
        assert!(data.join("backups").join(name).exists(), "{name}");
    }
    assert!(!data.join("goes").exists());
}

/// Disks are not always there when somebody comes back: what is missing has been neither finished nor undone.
#[test]
fn a_part_whose_disk_is_missing_holds_up_the_others_until_it_is_back() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"old").unwrap());
    let sources = ["one", "two", "three"].map(|name| bench.at(name));
    let write = |what: &str| {
        for source in &sources {
            fs::write(source.join("file"), what).unwrap();
        }
    };
    for source in &sources {
        fs::create_dir(source).unwrap();
    }
    write("archived");
    let all = sources.iter().map(|source| source.to_str().unwrap()).collect::<Vec<_>>().join(",");
    let run = |arguments: &[&str], step: &str| {
        bench.tarkeep(arguments, &[("TARKEEP_SOURCE", &all), ("TARKEEP_FAILPOINT", step)])
    };
    let archive = bench.at("all.tar.gz");
    let archive = archive.to_str().unwrap();
    ok(&run(&["backup", "-o", archive], ""));
    for (step, outcome) in
        [("restore-follower-noted", "now"), ("restore-noted", "archived"), ("restore-deleted", "archived")]
    {
        for missing in &sources {
            write("now");
            assert_eq!(
                run(&[&["restore", archive], &REPLACE[..]].concat(), step).status.code(),
                None,
                "{step}"
            );
            let away = bench.at("away");
            fs::rename(missing, &away).unwrap();
            // Whoever comes to one of the others is told, or it is left to wait.
            for source in sources.iter().filter(|source| *source != missing) {
                let output = run(&["restore", archive, "--to", source.join("next").to_str().unwrap()], "");
                let said = text(&output);
                let waits = said.contains("which is not there: mount its disk");
                assert!(output.status.success() || waits, "{step}: {said}");
                let (here, there) = (source.display(), missing.display());
                assert!(waits || outcome == "now", "{step}: {here} does not wait for {there}: {said}");
                let _ = fs::remove_dir_all(source.join("next"));
            }
            fs::rename(&away, missing).unwrap();
            for source in &sources {
                ok(&run(&["restore", archive, "--to", source.join("next").to_str().unwrap()], ""));
                fs::remove_dir_all(source.join("next")).unwrap();
            }
            for source in &sources {
                assert_eq!(
                    fs::read_to_string(source.join("file")).unwrap(),
                    outcome,
                    "{step} {}",
                    missing.display()
                );
                assert_eq!(source.read_dir().unwrap().count(), 1, "{step}: {}", source.display());
            }
        }
    }
}

/// What it made has been moved away since, and nothing waits for it.
#[test]
fn a_new_folder_that_was_finished_is_not_missed_later() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"archived").unwrap());
    let (first, second) = (bench.at("first"), bench.at("second"));
    let to = |folder: &Path, step| {
        let arguments = ["restore", bench.archive.to_str().unwrap(), "--to", folder.to_str().unwrap()];
        bench.tarkeep(&arguments, &[("TARKEEP_FAILPOINT", step)])
    };
    assert_eq!(to(&first, "restore-done").status.code(), None);
    fs::rename(&first, bench.at("moved")).unwrap();
    ok(&to(&second, ""));
    bench.no_litter();
}

/// Between what goes and what comes a service may make a file again.
#[test]
fn what_is_made_again_when_a_restore_was_interrupted_is_not_removed_by_who_finishes_it() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"archived").unwrap());
    let data = bench.at("data");
    fs::write(data.join("upload"), b"before").unwrap();
    let killed = bench.tarkeep(
        &[&["restore", bench.archive.to_str().unwrap()], &REPLACE[..]].concat(),
        &[("TARKEEP_FAILPOINT", "restore-swapped")],
    );
    assert_eq!(killed.status.code(), None);
    fs::write(data.join("upload"), b"since").unwrap();
    ok(&bench.restore(&["--to", data.join("elsewhere").to_str().unwrap()]));
    assert_eq!(fs::read(data.join("upload")).unwrap(), b"since");
    bench.no_litter();
}
