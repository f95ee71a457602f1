//! The binary as people call it: what it prints, where, and how it ends.

mod common;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TARKEEP: &str = env!("CARGO_BIN_EXE_tarkeep");
const COMMANDS: [&str; 13] = [
    "run",
    "backup",
    "list",
    "cat",
    "diff",
    "verify",
    "restore",
    "prune",
    "next",
    "check",
    "info",
    "health",
    "completions",
];

/// The program with nothing in its environment, and no configuration file but an empty one.
fn tarkeep(arguments: &[&str]) -> Command {
    let mut command = Command::new(TARKEEP);
    command.env_clear().env("TARKEEP_CONFIG", "/dev/null").args(arguments).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn without_a_command_it_prints_its_help_and_ends_with_2() {
    let (code, stdout, stderr) = output(&mut tarkeep(&[]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    for command in COMMANDS {
        assert!(stderr.contains(&format!("\n  {command} ")), "{stderr}");
    }
}

#[test]
fn every_command_has_help_and_a_version() {
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let (code, stdout, stderr) = output(&mut tarkeep(&[command, flag]));
            assert_eq!((code, stderr.as_str()), (0, ""), "{command} {flag}");
            assert!(stdout.contains(&format!("Usage: tarkeep {command}")), "{stdout}");
            assert!(stdout.lines().all(|line| line.len() <= 110), "{stdout}");
        }
        let (code, stdout, _) = output(&mut tarkeep(&[command, "--version"]));
        assert_eq!((code, stdout.contains(env!("CARGO_PKG_VERSION"))), (0, true), "{stdout}");
    }
}

#[test]
fn wrong_words_are_refused_with_the_nearest_one() {
    for (line, said) in [
        (&["bakcup"][..], "'backup'"),
        (&["backup", "--exclud", "x"], "'--exclude'"),
        (&["backup", "--codec"], "--codec <CODEC>"),
        (&["backup", "-o", "x", "--destination", "/backup"], "cannot be used with"),
        (&["backup", "-o", "-", "--json"], "would both go to standard output"),
        (&["verify", "x", "--all"], "cannot be used with"),
        (&["next", "-n", "0"], "1..=1000"),
        (&["next", "-n", "many"], "invalid"),
        (&["completions", "dos"], "bash"),
        (&["info", "extra"], "unexpected argument"),
        (
            &["run", "--schedule", "02:00"],
            "tip: set TARKEEP_SCHEDULE in the environment, or schedule in the file",
        ),
        (
            &["list", "--destination=/backup"],
            "tip: set TARKEEP_DESTINATION in the environment, or destination in",
        ),
        (&["backup", "/srv/photos"], "no such job; the jobs are: data; to archive a folder: --source FOLDER"),
    ] {
        let (code, stdout, stderr) = output(&mut tarkeep(line));
        assert_eq!((code, stdout.as_str()), (2, ""), "{line:?}: {stderr}");
        assert!(stderr.contains(said), "{line:?}: {stderr}");
    }
}

/// A wrong configuration ends every command before it touches anything, with one line that says where the mistake is.
/// `tests/config.rs` has all the mistakes; these go through the binary.
#[test]
fn a_wrong_configuration_ends_every_command_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().to_str().unwrap();
    for (name, value, said) in [
        ("TARKEEP_SCHEDULE", "25:00", "tarkeep: TARKEEP_SCHEDULE: schedule '25:00': "),
        ("TARKEEP_SCHEDULE", "0 0 31 2 *", "tarkeep: TARKEEP_SCHEDULE: schedule '0 0 31 2 *': "),
        ("TARKEEP_SCHEDULE", "", "tarkeep: TARKEEP_SCHEDULE: the schedule is empty; "),
        ("TARKEEP_CODEC", "gzip:13", "tarkeep: TARKEEP_CODEC: codec \"gzip:13\": "),
        ("TARKEEP_CATCH_UP", "367d", "tarkeep: TARKEEP_CATCH_UP: \"367d\": longer than 366d; "),
        ("TARKEEP_CODEK", "none", "tarkeep: TARKEEP_CODEK: no such setting; did you mean TARKEEP_CODEC?"),
        ("TARKEEP_NAME", "../%Y%m%d", "tarkeep: TARKEEP_NAME: name pattern \"../%Y%m%d\": "),
        ("TARKEEP_EXCLUDE", "[z-a]", "tarkeep: TARKEEP_EXCLUDE: "),
        ("TARKEEP_EXCLUDE_FROM", "/no/such/file", "tarkeep: TARKEEP_EXCLUDE_FROM: "),
    ] {
        for command in ["run", "backup", "list", "verify", "next", "check", "info"] {
            let mut line = tarkeep(&[command]);
            let (code, stdout, stderr) =
                output(line.env("TARKEEP_DESTINATION", destination).env(name, value));
            assert_eq!((code, stdout.as_str()), (2, ""), "{command} with {name}={value}: {stderr}");
            assert!(stderr.starts_with(said), "{command} with {name}={value}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    assert_eq!(std::fs::read_dir(destination).unwrap().count(), 0);
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_it_is() {
    for (name, value) in [
        ("TARKEEP_CODEC", "\x1b[31mred"),
        ("TARKEEP_SCHEDULE", "01:00\n\x1b]0;x\x07"),
        ("TARKEEP_TIMEZONE", "\u{202e}x\x08"),
        ("TARKEEP_SOURCE", "postgres://\x1b[2J"),
        ("TARKEEP_CONFIG", "/no/\x1b[31m"),
        ("TARKEEP_\x1b[31m", "x"),
        ("TARKEEP_CODEC_FILE", "/no/\x1b[31m"),
    ] {
        let (code, _, stderr) = output(tarkeep(&["info"]).env(name, value));
        assert_eq!(code, 2, "{stderr}");
        let bad = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!stderr.trim_end().contains(bad) && stderr.lines().count() == 1, "{stderr:?}");
    }
    let (code, _, stderr) = output(tarkeep(&["info"]).env("TARKEEP_CODEC", OsStr::from_bytes(b"gz\xff\x1b")));
    assert_eq!((code, stderr.as_str()), (2, "tarkeep: TARKEEP_CODEC: gz\\xff\\x1b: not UTF-8\n"));
}

#[test]
fn info_shows_what_is_in_force_and_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tarkeep.toml");
    std::fs::write(&file, "timezone = \"Europe/Berlin\"\n[[job]]\nname = \"db\"\nmode = \"600\"\n").unwrap();
    let file = file.to_str().unwrap();
    let mut command = tarkeep(&["info", "--config", file]);
    let (code, stdout, stderr) = output(command.env("TARKEEP_CODEC", "none").env("RUST_LOG", "warn"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        format!("tarkeep {}", env!("CARGO_PKG_VERSION")),
        format!("configuration file {file}"),
        "TARKEEP_LOG = warn (RUST_LOG)".into(),
        "job \"db\"".into(),
        "  TARKEEP_SOURCE = /data (default)".into(),
        "  TARKEEP_CODEC = none (TARKEEP_CODEC)".into(),
        format!("  TARKEEP_TIMEZONE = Europe/Berlin ({file})"),
        format!("  TARKEEP_MODE = 600 ({file}: job \"db\")"),
        "  TARKEEP_OWNER = (default)".into(),
    ] {
        assert!(stdout.lines().any(|shown| shown == line), "{line}: {stdout}");
    }

    let mut command = tarkeep(&["info", "--json", "--config", file]);
    let (code, stdout, _) = output(&mut command);
    let info: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 0);
    assert_eq!(info["jobs"][0]["name"], "db");
    assert_eq!(info["jobs"][0]["settings"]["mode"]["value"], "600");
    assert_eq!(info["jobs"][0]["settings"]["codec"]["from"], "default");
}

#[test]
fn next_prints_due_times_with_their_offsets() {
    let mut command = tarkeep(&["next", "-n", "5"]);
    let (code, stdout, stderr) =
        output(command.env("TARKEEP_TIMEZONE", "Asia/Kolkata").env("TARKEEP_SCHEDULE", "01:00"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 5);
    for (line, after) in lines.iter().zip(&lines[1..]) {
        assert!(line.ends_with("T01:00:00+05:30  data") && line < after, "{stdout}");
    }
    let (_, stdout, _) = output(tarkeep(&["next"]).env("TARKEEP_SCHEDULE", "off"));
    assert_eq!(stdout, "never  data  (schedule off)\n");
    let (_, stdout, _) = output(tarkeep(&["next", "--json", "-n", "2"]).env("TARKEEP_SCHEDULE", "@hourly"));
    let next: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((next[0]["job"].as_str(), next[0]["due"].as_array().unwrap().len()), (Some("data"), 2));
}

#[test]
fn completions_are_what_the_shell_understands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, _) = output(&mut tarkeep(&["completions", shell]));
        assert_eq!((code, stdout.contains("tarkeep")), (0, true), "{shell}");
    }
    let Ok(mut bash) = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() else {
        return common::skip("bash");
    };
    let (_, script, _) = output(&mut tarkeep(&["completions", "bash"]));
    io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_ends_a_list_quietly() {
    for line in
        [&["info"][..], &["info", "--json"], &["next", "-n", "1000"], &["completions", "bash"], &["--help"]]
    {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let Output { status, stderr, .. } = tarkeep(line).stdout(writer).output().unwrap();
        assert_eq!((status.code(), stderr), (Some(0), vec![]), "{line:?}");
    }
}

#[test]
fn a_list_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, _, stderr) = output(tarkeep(&["info"]).stdout(full));
    assert_eq!(code, 1);
    assert_eq!(stderr, "tarkeep: write standard output: no space left on device (os error 28)\n");
}

#[test]
fn nobody_reading_errors_changes_nothing() {
    let (mut reader, writer) = io::pipe().unwrap();
    let (gone, closed) = io::pipe().unwrap();
    drop(gone);
    let mut command = tarkeep(&["info", "--codec"]);
    assert_eq!(command.stderr(closed.try_clone().unwrap()).status().unwrap().code(), Some(2));
    let mut command = tarkeep(&["info"]);
    command.env("TARKEEP_LOG", "trace").env("TARKEEP_NICE", "no").stdout(writer).stderr(closed);
    assert_eq!(command.status().unwrap().code(), Some(2));
    drop(command);
    let mut stdout = String::new();
    reader.read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
}

#[test]
fn a_program_called_backup_is_the_command_backup() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("backup");
    std::os::unix::fs::symlink(Path::new(TARKEEP), &link).unwrap();
    let (code, stdout, _) = output(Command::new(&link).env_clear().arg("-h"));
    assert_eq!((code, stdout.contains("Usage: tarkeep backup")), (0, true), "{stdout}");
    let (code, _, stderr) = output(Command::new(&link).env_clear().arg("--json"));
    assert_eq!((code, stderr.contains("would both go to standard output")), (2, true), "{stderr}");
}
