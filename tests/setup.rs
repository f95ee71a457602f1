//! A whole deployment with the real binary: checked, run, asked about its health, and with its destination taken away.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::disk::soon;
use common::program::{self, Daemon, TARKEEP};
use tempfile::TempDir;

/// A source with one file in it, an empty destination, and room for more.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("data")).unwrap();
        fs::write(place.path("data/file"), "content").unwrap();
        fs::create_dir(place.path("backup")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program as this place has it, with nothing else in its environment.
    fn tarkeep(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(arguments);
        command.env("TARKEEP_CONFIG", "/dev/null").env("TARKEEP_SCHEDULE", "0 0 1 1 *");
        command.env("TARKEEP_SOURCE", self.path("data")).env("TARKEEP_DESTINATION", self.path("backup"));
        command
    }

    fn archives(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.path("backup")).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if file.file_name().to_str().is_some_and(|name| name.ends_with(".tar.gz")) {
                    found.push(file.path());
                }
            }
        }
        found
    }
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn a_new_deployment_is_checked_makes_an_archive_and_is_healthy_until_its_destination_is_gone() {
    let place = Place::new();
    let (code, stdout, stderr) = output(&mut place.tarkeep(&["check"]));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.lines().count() == 4 && stdout.lines().all(|line| line.starts_with("ok ")), "{stdout}");
    assert!(stdout.contains("0 archives\n"), "{stdout}");

    let (code, stdout, _) = output(&mut place.tarkeep(&["health"]));
    assert_eq!((code, stdout.as_str()), (1, "failed  data: the daemon is not running\n"));

    let mut command = place.tarkeep(&["run"]);
    command.env("TARKEEP_LOG_FORMAT", "json").env("TZ", "Asia/Kolkata");
    let mut daemon = Daemon::start(&mut command, &place.path("log"));
    let health = || output(place.tarkeep(&["health", "--json"]).env("TZ", "Asia/Kolkata"));
    let verified = || {
        let (code, stdout, _) = health();
        let health: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_default();
        code == 0 && health["status"] == "healthy" && health["jobs"][0]["health"]["complete"].is_string()
    };
    assert!(soon(verified), "{}\n{:?}", daemon.said(), health());
    assert_eq!(place.archives().len(), 1, "{}", daemon.said());

    // The destination away, and back again.
    fs::rename(place.path("backup"), place.path("away")).unwrap();
    let (code, stdout, _) = output(&mut place.tarkeep(&["health"]));
    assert_eq!((code, stdout.contains("does not exist")), (1, true), "{stdout}");
    fs::rename(place.path("away"), place.path("backup")).unwrap();
    assert!(soon(|| health().0 == 0), "{:?}", health());

    // The newest archive away, and back again.
    let archive = place.archives().remove(0);
    fs::rename(&archive, place.path("kept")).unwrap();
    let (code, stdout, _) = output(&mut place.tarkeep(&["health"]));
    assert_eq!((code, stdout.contains("is not there any more")), (1, true), "{stdout}");
    fs::rename(place.path("kept"), &archive).unwrap();
    assert!(soon(|| health().0 == 0), "{:?}", health());

    daemon.stop();
    for line in daemon.said().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["time"].as_str().unwrap().ends_with("+05:30"), "{line}");
        assert!(line["level"] == "info" && line["message"].is_string(), "{line}");
    }
    for part in [concat!("tarkeep ", env!("CARGO_PKG_VERSION")), "gzip:6", "next run at", "stopped by"] {
        assert!(daemon.said().contains(part), "{part}: {}", daemon.said());
    }
    let (code, _, stderr) = output(&mut place.tarkeep(&["list"]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn check_says_what_is_wrong_and_what_to_do() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    symlink(place.path("nowhere"), place.path("dangling")).unwrap();
    for (name, value, said) in [
        ("TARKEEP_SOURCE", "missing", "does not exist: mount a folder there, or correct its path"),
        ("TARKEEP_SOURCE", "empty", "empty"),
        (
            "TARKEEP_SOURCE",
            "backup",
            "is the source and the destination; give the archives a folder of their own",
        ),
        ("TARKEEP_DESTINATION", "missing", "does not exist: mount a folder there, or make one with mkdir -p"),
        ("TARKEEP_DESTINATION", "file", "is not a folder"),
        ("TARKEEP_DESTINATION", "dangling", "does not exist"),
        ("TARKEEP_STATE", "file/state", "is not a folder; write the path of a folder that can be written to"),
    ] {
        let mut command = place.tarkeep(&["check"]);
        // So that it is not empty when it is the source.
        fs::write(place.path("backup/note"), "").unwrap();
        let (code, stdout, stderr) = output(command.env(name, place.path(value)));
        assert_eq!((code, stderr.as_str()), (1, ""), "{name}={value}: {stdout}");
        let problems: Vec<_> = stdout.lines().filter(|line| line.starts_with("problem  data: ")).collect();
        assert!(problems.len() == 1 && problems[0].contains(said), "{name}={value}: {stdout}");
        assert!(stdout.ends_with("1 problem\n"), "{stdout}");
    }
    for side in ["source", "destination"] {
        let mut command = place.tarkeep(&["check"]);
        let (code, stdout, _) = output(command.env("TARKEEP_REQUIRE_MOUNT", side));
        assert_eq!((code, stdout.contains("is not a mount point")), (1, true), "{stdout}");
    }
    let (code, stdout, _) = output(place.tarkeep(&["check", "--json"]).env("TARKEEP_SOURCE", "/no/such"));
    let check: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &check["ok"], &check["checks"][0]["ok"]), (1, &false.into(), &false.into()));
    // A folder that is a source is whole after all that: nothing was made in it, or in the destination.
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(place.path("backup")).unwrap().count(), 1);
}

#[test]
fn check_finds_what_may_not_be_read_or_written() {
    const NOBODY: u32 = 65534;
    let place = Place::new();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for folder in [place.path(""), place.path("data"), place.path("backup")] {
            chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    for (name, folder, mode) in [("source", "data", 0o300), ("destination", "backup", 0o500)] {
        fs::set_permissions(place.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = place.tarkeep(&["check"]);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let Ok(found) = command.output() else {
            return common::skip("a program that every user may start");
        };
        fs::set_permissions(place.path(folder), fs::Permissions::from_mode(0o700)).unwrap();
        let stdout = String::from_utf8(found.stdout).unwrap();
        assert_eq!(found.status.code(), Some(1), "{stdout}");
        let line = stdout.lines().find(|line| line.contains(&format!("data: {name} "))).unwrap();
        assert!(line.contains("permission denied") && line.contains("run as root"), "{line}");
    }
}

#[test]
fn who_owns_the_destination_runs_it_too_where_the_daemon_is_root() {
    const USER: u32 = 1234;
    if !rustix::process::geteuid().is_root() {
        return common::skip("root, to give folders to an ordinary user");
    }
    let place = Place::new();
    for folder in ["", "data", "backup"] {
        chown(place.path(folder), Some(USER), Some(USER)).unwrap();
    }
    let state = place.path("backup/.tarkeep");
    let own = |path: PathBuf| fs::metadata(path).unwrap().uid();
    let mut daemon = Daemon::start(&mut place.tarkeep(&["run"]), &place.path("log"));
    assert!(soon(|| output(&mut place.tarkeep(&["health"])).1.contains("last verified archive")));
    daemon.stop();
    let files: Vec<_> = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 2 && files.into_iter().chain([state.clone()]).all(|file| own(file) == USER));

    let by_hand = || place.tarkeep(&["backup"]).uid(USER).gid(USER).output();
    let Ok(made) = by_hand() else { return common::skip("a program that every user may start") };
    let said = program::stderr(&made);
    assert!(made.status.success() && !said.contains("WARN"), "{said}");

    // Where root has made it before.
    chown(state.join("data.lock"), Some(0), Some(0)).unwrap();
    let said = program::stderr(&by_hand().unwrap());
    let mend = format!("`sudo chown -R {USER}:{USER} {}`", state.display());
    assert!(said.contains("data.lock: permission denied (os error 13): user 0 has made it"), "{said}");
    assert!(said.contains(&mend), "{said}");

    // Whoever may read the archives need not be the one who may read that.
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let reader = program::stderr(&place.tarkeep(&["list"]).uid(USER + 1).gid(USER).output().unwrap());
    assert!(
        reader.contains(&format!("permission denied (os error 13): it is for user {USER} and for root")),
        "{reader}"
    );
}

#[test]
fn health_has_no_more_than_yes_and_no() {
    let place = Place::new();
    let (code, _, stderr) = output(place.tarkeep(&["health"]).env("TARKEEP_CODEC", "lzma"));
    assert_eq!((code, stderr.starts_with("tarkeep: TARKEEP_CODEC: ")), (1, true), "{stderr}");
}

#[test]
fn a_second_daemon_is_refused_with_11() {
    let place = Place::new();
    let _first = Daemon::start(&mut place.tarkeep(&["run"]), &place.path("log"));
    assert!(soon(|| output(&mut place.tarkeep(&["health"])).0 == 0));
    let (code, _, stderr) = output(&mut place.tarkeep(&["run"]));
    assert_eq!(code, 11, "{stderr}");
    assert!(stderr.lines().last().unwrap().starts_with("tarkeep: another daemon"), "{stderr}");
}

#[test]
fn a_program_called_backup_writes_an_archive_to_standard_output_and_nothing_else() {
    let place = Place::new();
    let link = place.path("backup-names/backup");
    fs::create_dir(place.path("backup-names")).unwrap();
    symlink(TARKEEP, &link).unwrap();
    let archive = place.path("x.tar.gz");
    let mut command = Command::new(&link);
    command.env_clear().stdin(Stdio::null()).stdout(File::create(&archive).unwrap());
    command.env("TARKEEP_SOURCE", place.path("data")).env("TARKEEP_DESTINATION", place.path("backup"));
    let (code, _, stderr) = output(&mut command);
    assert_eq!(code, 0, "{stderr}");
    let listed = Command::new("tar").arg("-tzf").arg(&archive).output();
    match listed {
        Ok(listed) => assert!(String::from_utf8(listed.stdout).unwrap().ends_with("/data/file\n")),
        Err(_) => common::skip("tar"),
    }
    assert_eq!(fs::read_dir(place.path("backup")).unwrap().count(), 0);
}

#[test]
fn a_list_of_archives_ends_quietly_when_nobody_reads_it() {
    let place = Place::new();
    assert_eq!(output(&mut place.tarkeep(&["backup"])).0, 0);
    for line in [&["list"][..], &["list", "latest"], &["list", "--json"], &["check"], &["health"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let Output { status, stderr, .. } = place.tarkeep(line).stdout(writer).output().unwrap();
        let code = i32::from(line == ["health"]);
        assert_eq!((status.code(), stderr), (Some(code), vec![]), "{line:?}");
    }
}
