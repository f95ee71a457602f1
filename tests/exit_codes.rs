//! Every exit code of every command, each brought about for real. The codes are those of `tarkeep --help` and the README.

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::disk::soon;
use common::program::{self, Daemon, stderr};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A source, a destination with an archive of it, and what else is asked for.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["data/sub", "backup"] {
            fs::create_dir_all(place.at(folder)).unwrap();
        }
        fs::write(place.at("data/file"), "content").unwrap();
        // Larger than a segment, so that damage to what comes before does not reach it.
        fs::write(place.at("data/sub/other"), vec![b'x'; 3_000_000]).unwrap();
        place.ends(0, &["backup"]);
        let archive = fs::read_dir(place.at("backup")).unwrap().map(|day| day.unwrap().path());
        let day = archive.into_iter().find(|day| !day.ends_with(".tarkeep")).unwrap();
        let archive = fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
        fs::copy(archive, place.at("whole.tar.gz")).unwrap();
        let mut bytes = fs::read(place.at("whole.tar.gz")).unwrap();
        bytes[100] ^= 1;
        fs::write(place.at("damaged.tar.gz"), bytes).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The name of something in the source, as the archive has it.
    fn name(&self, name: &str) -> String {
        self.at("data").join(name).to_str().unwrap()[1..].to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(arguments);
        command.current_dir(self.0.path()).env("TARKEEP_CONFIG", "/dev/null");
        command.env("TARKEEP_SOURCE", self.at("data")).env("TARKEEP_DESTINATION", self.at("backup"));
        command
    }

    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        self.ends_with(code, arguments, &[])
    }

    /// It ends with this code, and an error of ours, not a panic, says why. What it said.
    fn ends_with(&self, code: i32, arguments: &[&str], settings: &[(&str, &str)]) -> String {
        let output = self.command(arguments).envs(settings.iter().copied()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {settings:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        said
    }

    /// A signal while it works: the process dies of it, which a shell sees as 128 and the signal.
    fn dies(&self, arguments: &[&str], ready: impl Fn(&mut Child) -> bool) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        assert!(ready(&mut child), "{arguments:?}");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut status = None;
        let child = std::cell::RefCell::new(child);
        let ended = soon(|| child.borrow_mut().try_wait().unwrap().is_some());
        if ended {
            status = child.borrow_mut().try_wait().unwrap();
        } else {
            let _ = child.borrow_mut().kill();
            let _ = child.borrow_mut().wait();
        }
        assert_eq!(status.and_then(|status| status.signal()), Some(15), "{arguments:?}: {status:?}");
    }
}

/// Whether it listens to signals: it has read what it was given.
fn has_read(child: &mut Child, bytes: &[u8]) -> bool {
    use rustix::io::ioctl_fionread;
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(bytes).unwrap();
    let read = soon(|| ioctl_fionread(&pipe).unwrap() == 0);
    // It stays open: nothing more comes, and it is not the end.
    std::mem::forget(pipe);
    read
}

#[test]
fn of_backup() {
    let place = Place::new();
    place.ends(0, &["backup"]);
    place.ends(0, &["backup", "-o", "x.tar.gz"]);
    // 1: no source, and a destination that cannot be written to.
    place.ends_with(1, &["backup"], &[("TARKEEP_SOURCE", "/no/such/folder")]);
    place.ends_with(1, &["backup"], &[("TARKEEP_DESTINATION", "/proc/nowhere")]);
    place.ends(1, &["backup", "-o", "/proc/nowhere/x.tar.gz"]);
    place.ends(2, &["backup", "--codec", "gzip:13"]);
    place.ends(2, &["backup", "nobody"]);
    place.ends(2, &["backup", "-o", "x.tar.gz", "--destination", "/backup"]);
    // 11: somebody has the destination.
    let lock = fs::File::open(place.at("backup/.tarkeep/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    place.ends(11, &["backup"]);
    drop(lock);
    place.ends(0, &["backup"]);
    // 3: more than half of it is gone.
    for number in 0..60 {
        fs::write(place.at("data").join(number.to_string()), vec![b'x'; 2000]).unwrap();
    }
    place.ends(0, &["backup"]);
    for number in 0..60 {
        fs::remove_file(place.at("data").join(number.to_string())).unwrap();
    }
    place.ends(3, &["backup"]);
}

#[test]
fn of_backup_and_prune_when_a_later_step_fails() {
    let place = Place::new();
    // Something of the user's has the name of the link to the newest archive.
    fs::create_dir(place.at("backup/newest")).unwrap();
    let link = [("TARKEEP_LATEST_LINK", "newest")];
    let said = place.ends_with(4, &["backup"], &link);
    assert!(said.contains("exit 4") && said.contains("newest is there, and no run made it"), "{said}");
    // The archive is there and sound all the same.
    place.ends(0, &["verify", "--all"]);
    // Failed before anything was published is 1, whatever would have come later.
    place.ends_with(1, &["backup"], &[link[0], ("TARKEEP_SOURCE", "/no/such/folder")]);
    fs::remove_dir(place.at("backup/newest")).unwrap();
    place.ends_with(0, &["backup"], &link);
    // Pruning is a later step by itself.
    let keep = [("TARKEEP_KEEP", "last=1")];
    place.ends_with(2, &["prune", "--accept", "nobody"], &keep);
    place.ends_with(1, &["prune"], &[("TARKEEP_DESTINATION", "/no/such/folder"), keep[0]]);
    fs::rename(place.at("backup/.tarkeep"), place.at("away")).unwrap();
    fs::write(place.at("backup/.tarkeep"), "in the way").unwrap();
    place.ends_with(4, &["prune"], &keep);
    fs::remove_file(place.at("backup/.tarkeep")).unwrap();
    fs::rename(place.at("away"), place.at("backup/.tarkeep")).unwrap();
    place.ends_with(0, &["prune", "--dry-run"], &keep);
    let lock = fs::File::open(place.at("backup/.tarkeep/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    place.ends_with(11, &["prune"], &keep);
    drop(lock);
    place.ends_with(0, &["prune"], &keep);
}

#[test]
fn of_reset() {
    let place = Place::new();
    let allowed = ("TARKEEP_ALLOW_RESET", "1");
    // 2: not allowed, nobody to ask, and nobody of that name.
    place.ends(2, &["reset", "--yes"]);
    place.ends_with(2, &["reset"], &[allowed]);
    place.ends_with(2, &["reset", "nobody", "--yes"], &[allowed]);
    // 1: no source, and no destination for the last archive.
    place.ends_with(1, &["reset", "--yes"], &[allowed, ("TARKEEP_SOURCE", "/no/such/folder")]);
    place.ends_with(1, &["reset", "--yes"], &[allowed, ("TARKEEP_DESTINATION", "/proc/nowhere")]);
    let lock = fs::File::open(place.at("backup/.tarkeep/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    place.ends_with(11, &["reset", "--yes"], &[allowed]);
    drop(lock);
    place.ends_with(0, &["reset", "--dry-run"], &[allowed]);
    assert!(place.at("data/sub/other").exists(), "nothing was touched");
    // 4: it was emptied, and the link to its last archive could not be made.
    fs::create_dir(place.at("backup/newest")).unwrap();
    let said = place.ends_with(4, &["reset", "--yes"], &[allowed, ("TARKEEP_LATEST_LINK", "newest")]);
    assert!(said.contains("exit 4"), "{said}");
    assert_eq!(fs::read_dir(place.at("data")).unwrap().count(), 0);
    // 3: it was emptied, and its last archive has less than half of what the one before has.
    fs::write(place.at("data/little"), "x").unwrap();
    place.ends_with(3, &["reset", "--yes"], &[allowed]);
    assert_eq!(fs::read_dir(place.at("data")).unwrap().count(), 0);
    // 0: there is nothing to do.
    place.ends_with(0, &["reset", "--yes"], &[allowed]);
}

#[test]
fn of_backup_and_restore_where_something_is_not_allowed() {
    if !rustix::process::geteuid().is_root() {
        return common::skip("root, to become somebody else");
    }
    let place = Place::new();
    for folder in ["", "data", "data/sub", "backup"] {
        fs::set_permissions(place.at(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(place.at("data/sub/other"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(place.at("mine")).unwrap();
    std::os::unix::fs::chown(place.at("mine"), Some(65534), Some(65534)).unwrap();
    let as_nobody = |arguments: &[&str], on_skipped: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program::TARKEEP]);
        command.args(arguments).current_dir(place.at("mine")).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("TARKEEP_SOURCE", place.at("data")).env("TARKEEP_DESTINATION", place.at("mine"));
        command.env("TARKEEP_ON_SKIPPED", on_skipped);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = as_nobody(&["backup"], "warn");
    let said = stderr(&output);
    if output.status.code() == Some(126) || said.contains("failed to execute") {
        return common::skip("a test binary that another user may run");
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    // The same to a file, and what it is told to be: a failure.
    let output = as_nobody(&["backup", "-o", "x.tar.gz"], "warn");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let output = as_nobody(&["backup", "-o", "y.tar.gz"], "fail");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!place.at("mine/y.tar.gz").exists());
    // A target that is somebody else's.
    let target = place.at("data/sub/new");
    let output = as_nobody(&["restore", "x.tar.gz", "--to", target.to_str().unwrap()], "warn");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn of_restore() {
    let place = Place::new();
    place.ends(0, &["restore", "whole.tar.gz", "--to", "out"]);
    place.ends(0, &["restore", "whole.tar.gz", "--to", "dry", "--dry-run"]);
    place.ends(1, &["restore", "whole.tar.gz", "--to", "/proc/nowhere/x"]);
    place.ends(1, &["restore", "no-such.tar.gz", "--to", "other"]);
    place.ends(2, &["restore", "whole.tar.gz"]);
    place.ends(2, &["restore", "whole.tar.gz", "nothing/such", "--to", "other"]);
    place.ends(2, &["restore", "whole.tar.gz", "--delete"]);
    place.ends(2, &["restore", "whole.tar.gz", "--force"]);
    // 3: what another tool made is restored but for what could do harm.
    fs::create_dir(place.at("foreign")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.at("foreign/link")).unwrap();
    fs::write(place.at("foreign/file"), "file").unwrap();
    if common::disk::run(
        "tar",
        &[
            "-C",
            place.0.path().to_str().unwrap(),
            "-cf",
            place.at("foreign.tar").to_str().unwrap(),
            "foreign",
        ],
    ) {
        place.ends(3, &["restore", "foreign.tar", "--to", "by others"]);
    } else {
        common::skip("tar");
    }
    place.ends(5, &["restore", "damaged.tar.gz", "--to", "other"]);
    assert!(!place.at("other").exists());
    place.ends(5, &["restore", "damaged.tar.gz", "--to", "saved", "--salvage"]);
    place.dies(&["restore", "-", "--to", "never"], |child| has_read(child, b"\x1f\x8b"));
    assert!(!place.at("never").exists());
}

#[test]
fn of_list_cat_and_verify() {
    let place = Place::new();
    let file = place.name("file");
    let large = place.name("sub/other");
    for (code, arguments) in [
        (0, &["list"][..]),
        (0, &["list", "latest"]),
        (0, &["list", "whole.tar.gz", &file]),
        (1, &["list", "no-such.tar.gz"]),
        (1, &["list", "whole.tar.gz", "nothing/such"]),
        (2, &["list", "whole.tar.gz", "["]),
        (2, &["list", "--job", "nobody"]),
        (0, &["cat", "latest", &file]),
        (0, &["cat", "damaged.tar.gz", &large]),
        (1, &["cat", "whole.tar.gz", "nothing/such"]),
        (1, &["cat", "no-such.tar.gz", &file]),
        (2, &["cat", "whole.tar.gz", &place.name("sub")]),
        (2, &["cat", "whole.tar.gz"]),
        (5, &["cat", "damaged.tar.gz", &file]),
        (0, &["verify"]),
        (0, &["verify", "--all"]),
        (0, &["verify", "whole.tar.gz"]),
        (1, &["verify", "no-such.tar.gz"]),
        (2, &["verify", "whole.tar.gz", "--all"]),
        (5, &["verify", "damaged.tar.gz"]),
        (5, &["verify", "no-such.tar.gz", "damaged.tar.gz"]),
        (5, &["verify", "damaged.tar.gz", "no-such.tar.gz"]),
    ] {
        place.ends(code, arguments);
    }
    place.ends_with(1, &["list"], &[("TARKEEP_DESTINATION", "/no/such/folder")]);
    place.ends_with(1, &["verify"], &[("TARKEEP_DESTINATION", place.at("data/sub").to_str().unwrap())]);
    // 5 of list: an index that is damaged, and what it would have listed too.
    let bytes = fs::read(place.at("whole.tar.gz")).unwrap();
    fs::write(place.at("cut.tar.gz"), &bytes[..60]).unwrap();
    place.ends(5, &["list", "cut.tar.gz"]);
    for arguments in [&["list", "-"][..], &["cat", "-", &file], &["verify", "-"]] {
        place.dies(arguments, |child| has_read(child, &bytes[..40]));
    }
}

#[test]
fn of_diff() {
    let place = Place::new();
    let data = place.at("data");
    let data = data.to_str().unwrap();
    place.ends(0, &["diff", "latest", data]);
    place.ends(0, &["diff", "latest", "whole.tar.gz"]);
    fs::write(place.at("data/file"), "changed").unwrap();
    place.ends(1, &["diff", "latest", data]);
    // 1 says that something differs: all trouble is 2.
    place.ends(2, &["diff", "latest", "no-such.tar.gz"]);
    place.ends(2, &["diff", "latest", data, "nothing/such"]);
    place.ends(2, &["diff", "-", "-"]);
    place.ends_with(2, &["diff", "latest", data], &[("TARKEEP_CODEC", "no")]);
    let bytes = fs::read(place.at("whole.tar.gz")).unwrap();
    fs::write(place.at("cut.tar.gz"), &bytes[..60]).unwrap();
    place.ends(2, &["diff", "cut.tar.gz", data]);
    place.dies(&["diff", "-", data], |child| has_read(child, &bytes[..40]));
}

#[test]
fn of_what_only_looks() {
    let place = Place::new();
    place.ends(0, &["check"]);
    place.ends_with(1, &["check"], &[("TARKEEP_SOURCE", "/no/such/folder")]);
    place.ends_with(1, &["check"], &[("TARKEEP_DESTINATION", "/proc")]);
    place.ends_with(2, &["check"], &[("TARKEEP_SCHEDULE", "25:00")]);
    place.ends(0, &["info"]);
    place.ends_with(2, &["info"], &[("TARKEEP_CODEK", "none")]);
    place.ends(0, &["next"]);
    place.ends_with(2, &["next"], &[("TARKEEP_TIMEZONE", "Nowhere/Here")]);
    place.ends(2, &["next", "-n", "0"]);
    place.ends(0, &["completions", "bash"]);
    place.ends(2, &["completions", "dos"]);
    // No more than yes and no, whatever is wrong.
    place.ends_with(1, &["health"], &[("TARKEEP_SCHEDULE", "25:00")]);
    place.ends_with(1, &["health"], &[("TARKEEP_DESTINATION", "/no/such/folder")]);
    place.ends(2, &["health", "--no-such-flag"]);
    for command in ["check", "info", "next", "list"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = place.command(&[command]).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{command} to a full disk");
    }
}

#[test]
fn of_health_and_run() {
    let place = Place::new();
    // Nobody is there to make the next one.
    place.ends(1, &["health"]);
    let settings = [("TARKEEP_SCHEDULE", "0 0 1 1 *"), ("TARKEEP_LOG", "info")];
    let mut daemon = Daemon::start(place.command(&["run"]).envs(settings), &place.at("log"));
    let health = || {
        let health = place.command(&["health"]).envs(settings).stdout(Stdio::null()).status();
        health.unwrap().code() == Some(0)
    };
    let healthy = soon(health);
    // 11: a second one with the same state.
    let second = place.command(&["run"]).envs(settings).output().unwrap();
    assert!(healthy, "with a daemon: {}", daemon.said());
    assert_eq!(second.status.code(), Some(11), "{}", stderr(&second));
    daemon.stop();
    place.ends_with(2, &["run"], &[("TARKEEP_SCHEDULE", "25:00")]);
}

#[test]
fn the_help_and_the_readme_name_all_of_them() {
    let help = program::of(program::command(&["--help"]));
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let line = |text: &str, start: &str| {
        let from = text.find(start).unwrap_or_else(|| panic!("no {start}"));
        text[from..].split("\n\n").next().unwrap().replace('\n', " ")
    };
    for said in [line(&help, "Exit status: 0"), line(&readme, "Exit codes: 0")] {
        for code in
            ["0 complete", "1 failed", "2 wrong usage", "3 ", "4 published", "5 ", "11 another run", "128+n "]
        {
            assert!(said.contains(code), "{code}: {said}");
        }
    }
}
