//! Who can read archives on the host, and what a destination must be.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use tarkeep::destination::{Local, Options};

use crate::child::{BYTES, archive, options, run, writer};
use crate::common::disk::Disk;
use crate::common::skip;

fn access(path: &Path) -> (u32, u32, u32) {
    let about = fs::metadata(path).unwrap();
    (about.uid(), about.gid(), about.mode() & 0o7777)
}

#[test]
fn archives_belong_to_the_owner_of_the_destination_whatever_the_umask() {
    if !rustix::process::geteuid().is_root() {
        return skip("root, to give files away");
    }
    for umask in ["000", "077", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        chown(root, Some(1234), Some(2345)).unwrap();
        fs::set_permissions(root, fs::Permissions::from_mode(0o2755)).unwrap();
        let shell = format!("umask {umask}; exec \"$@\"");
        let output = writer(&["sh", "-c", &shell, "sh"], root, BYTES).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(access(&archive(root)), (1234, 2345, 0o640), "umask {umask}");
        assert_eq!(access(&root.join("2026-11-20")), (1234, 2345, 0o2755), "umask {umask}");
        assert_eq!(access(&root.join(".tarkeep")), (1234, 2345, 0o700), "umask {umask}");
        assert_eq!(access(&root.join(".tarkeep/lock")), (1234, 2345, 0o600), "umask {umask}");
    }
}

#[test]
fn owner_and_permissions_can_be_chosen() {
    if !rustix::process::geteuid().is_root() {
        return skip("root, to give files away");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let chosen = Options { mode: Some(0o604), owner: Some((7, 8)), ..Options::default() };
    let local = Local::open(folder.path(), chosen).unwrap();
    let lock = local.lock("test", "now").unwrap();
    let published = local.begin(&lock, &crate::child::name()).unwrap().publish(|_| Ok(())).unwrap();
    assert_eq!(access(&published.path), (7, 8, 0o604));
    assert_eq!(access(published.path.parent().unwrap()), (7, 8, 0o700));
}

#[test]
fn who_is_not_root_keeps_what_is_written() {
    if !rustix::process::geteuid().is_root() || !crate::common::disk::run("setpriv", &["true"]) {
        return skip("root and setpriv, to be somebody else");
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o777)).unwrap();
    let unprivileged = ["setpriv", "--reuid=1234", "--regid=2345", "--clear-groups"];
    let mut command = writer(&unprivileged, root, BYTES);
    let output = command.output().unwrap();
    if !output.status.success()
        && !crate::common::disk::run("setpriv", &["--reuid=1234", "test", "-x", "/proc/self/exe"])
    {
        return skip("a build folder that others may read");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(access(&archive(root)), (1234, 2345, 0o640));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_destination_must_be_a_folder_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Local::open(path, options()).map(|_| ()).unwrap_err().to_string();
    let missing = folder.path().join("missing");
    let error = open(&missing);
    assert!(error.contains("does not exist") && error.contains("mkdir -p"), "{error}");
    assert!(!missing.exists(), "it is not made");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(open(&file).ends_with("is not a folder"), "{}", open(&file));
    let dangling = folder.path().join("dangling");
    symlink("missing", &dangling).unwrap();
    assert!(open(&dangling).contains("does not exist"));
    let round = folder.path().join("round");
    symlink("round", &round).unwrap();
    assert!(open(&round).contains("too many levels"), "{}", open(&round));
}

#[test]
fn a_link_to_a_folder_is_a_destination() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    symlink("real", &link).unwrap();
    run(&link, BYTES).unwrap();
    assert!(archive(&real).exists());
    assert_eq!(Local::open(&link, options()).unwrap().root(), real.canonicalize().unwrap());
}

#[test]
fn a_destination_can_be_required_to_be_mounted() {
    let required = || Options { require_mount: true, ..Options::default() };
    let folder = tempfile::tempdir().unwrap();
    let error = Local::open(folder.path(), required()).unwrap_err().to_string();
    assert!(error.contains("is not a mount point"), "{error}");
    let Some(disk) = Disk::tmpfs("size=1m") else { return };
    Local::open(disk.path(), required()).unwrap();
}

#[test]
fn a_read_only_destination_is_said_and_can_be_listed() {
    let Some(disk) = Disk::tmpfs("size=4m") else { return };
    run(disk.path(), BYTES).unwrap();
    disk.make_read_only();
    let local = Local::open(disk.path(), options()).unwrap();
    assert_eq!(local.archives(&tarkeep::archive::name::Pattern::default()).unwrap().len(), 1);
    let error = local.check_writable().unwrap_err().to_string();
    assert!(error.contains("read-only file system"), "{error}");
    assert!(run(disk.path(), BYTES).unwrap_err().to_string().contains("read-only file system"));
}
