//! `reset` as people use it: what it empties can be got back, what it must not touch it does not, and it says what it did.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod bounds;
mod interrupted;
mod mounts;
mod services;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use bench::{Bench, code, ok, said};
use common::skip;
use common::tree::{everything, fingerprint};

#[test]
fn what_a_reset_empties_comes_back_from_its_last_archive() {
    let bench = Bench::new(everything);
    let was = fingerprint(&bench.data());
    let about = bench.data().metadata().unwrap();
    let output = bench.reset(&["--yes"]);
    ok(&output);
    assert_eq!(bench.left(), [""; 0]);
    let now = bench.data().metadata().unwrap();
    assert_eq!(
        (now.ino(), now.mode(), now.uid()),
        (about.ino(), about.mode(), about.uid()),
        "the source itself stays"
    );
    assert_eq!(bench.archives().len(), 1);
    let said = said(&output);
    for part in ["reset of job data\n", "go from", " and verified\n", "removed ", "runs of job data fail"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    ok(&bench.tarkeep(&["verify", "--all"]).output().unwrap());
    ok(&bench.tarkeep(&["restore", "latest"]).output().unwrap());
    let is = fingerprint(&bench.data());
    for name in was.keys().chain(is.keys()) {
        assert_eq!(is.get(name), was.get(name), "{}", String::from_utf8_lossy(name));
    }
}

#[test]
fn one_slip_is_not_enough() {
    let bench = Bench::small();
    for (arguments, allow, why) in [
        (&["--yes"][..], "", "set TARKEEP_ALLOW_RESET=1 too"),
        (&["--yes"], "0", "set TARKEEP_ALLOW_RESET=1 too"),
        (&[], "1", "TARKEEP_ALLOW_RESET=1 alone is not enough"),
        (&[], "", "nobody is there to type the job's name"),
        (&["--yes", "--force", "--no-backup"], "", "set TARKEEP_ALLOW_RESET=1 too"),
    ] {
        let mut command = bench.tarkeep(&["reset"]);
        let output = command.args(arguments).env("TARKEEP_ALLOW_RESET", allow).output().unwrap();
        assert_eq!(code(&output), 2, "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
        bench.untouched();
    }
}

/// On a terminal, which Python makes, as `script` is not everywhere: the answer is typed when it is asked for.
fn typed(bench: &Bench, answer: &str) -> (Option<i32>, String) {
    const TERMINAL: &str = "
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:-1])
said = b''
answered = False
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if not answered and b'to go on: ' in said:
        answered = True
        os.write(fd, sys.argv[-1].encode() + b'\\n')
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";
    let program = bench.tarkeep(&["reset"]);
    let mut command = Command::new("/usr/bin/python3");
    command
        .env_clear()
        .args(["-c", TERMINAL])
        .arg(program.get_program())
        .args(program.get_args())
        .arg(answer);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_name_of_the_job_is_asked_for_on_a_terminal() {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("python3");
    }
    let bench = Bench::small();
    for wrong in ["yes", "", "DATA", "datas"] {
        let (code, said) = typed(&bench, wrong);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("type the job's name, data, to go on: "), "{said}");
        assert!(said.contains("not confirmed; nothing was touched"), "{said}");
        bench.untouched();
    }
    // Ctrl-C: it ends of the signal, and waits for no answer.
    let (code, said) = typed(&bench, "\x03");
    assert_eq!(code, Some(256 - 2), "{said}");
    bench.untouched();
    let (code, said) = typed(&bench, "data");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 1));
}

#[test]
fn a_dry_run_says_what_would_go_and_touches_nothing() {
    let bench = Bench::small();
    fs::write(bench.data().join("a.cache"), "12345").unwrap();
    let before = fs::read_dir(bench.destination()).unwrap().count();
    // Nobody has to be asked for it.
    let mut command = bench.tarkeep(&["reset", "--dry-run", "--json"]);
    let output = command.env("TARKEEP_EXCLUDE", "*.cache").output().unwrap();
    ok(&output);
    assert!(said(&output).contains("3 entries, 7 B go from"), "{}", said(&output));
    assert!(said(&output).contains("1 entry, 5 B stay in"), "{}", said(&output));
    assert!(said(&output).contains("data/a.cache\n  what stays is left out by the job"), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["sources"][0]["goes"]["entries"], &json["sources"][0]["stays"]["bytes"]),
        (&3.into(), &5.into()),
        "{json}"
    );
    assert_eq!((&json["dry_run"], &json["backup"]), (&true.into(), &true.into()), "{json}");
    fs::remove_file(bench.data().join("a.cache")).unwrap();
    bench.untouched();
    assert_eq!(fs::read_dir(bench.destination()).unwrap().count(), before, "no lock, no state");
}

#[test]
fn what_no_archive_has_stays_unless_none_is_wanted() {
    let bench = Bench::new(|data| {
        fs::create_dir_all(data.join("cache")).unwrap();
        fs::create_dir_all(data.join("private/deep")).unwrap();
        for name in
            ["file", "old.tmp", "cache/CACHEDIR.TAG", "cache/x", "private/.nobackup", "private/deep/x"]
        {
            fs::write(data.join(name), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
        }
    });
    let rules = [
        ("TARKEEP_EXCLUDE", "*.tmp"),
        ("TARKEEP_EXCLUDE_CACHES", "yes"),
        ("TARKEEP_EXCLUDE_IF_PRESENT", ".nobackup"),
    ];
    let output = bench.reset_with(&["--yes", "--json"], &rules);
    ok(&output);
    // Without their marks the next archive would have what is in the folders.
    assert_eq!(
        bench.left(),
        [
            "cache",
            "cache/CACHEDIR.TAG",
            "cache/x",
            "old.tmp",
            "private",
            "private/.nobackup",
            "private/deep",
            "private/deep/x"
        ]
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["stays"]["entries"], &json["left"]["count"]), (&8.into(), &0.into()), "{json}");
    assert_eq!((&json["removed"]["entries"], &json["removed"]["bytes"]), (&1.into(), &43.into()), "{json}");
    assert!(said(&output).contains("  1 entry, 43 B go from"), "{}", said(&output));
    assert!(said(&output).contains("  8 entries, 215 B stay in"), "{}", said(&output));

    let output = bench.reset_with(&["--yes", "--no-backup"], &rules);
    ok(&output);
    assert!(said(&output).contains("NO last archive is made"), "{}", said(&output));
    assert_eq!(bench.left(), [""; 0]);
    assert_eq!(bench.archives().len(), 1, "none with --no-backup");
}

#[test]
fn an_empty_source_has_nothing_to_empty() {
    let bench = Bench::small();
    ok(&bench.reset(&["--yes"]));
    let output = bench.reset(&["--yes"]);
    ok(&output);
    assert!(said(&output).contains("nothing to empty"), "{}", said(&output));
    assert_eq!(bench.archives().len(), 1, "and nothing to archive");
    // Folders alone are not archived, and hold nothing.
    fs::create_dir_all(bench.data().join("a/b")).unwrap();
    let output = bench.reset(&["--yes"]);
    ok(&output);
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 1), "{}", said(&output));
}

#[test]
fn no_depth_and_no_name_is_too_much() {
    const DEPTH: usize = 5000;
    let bench = Bench::small();
    let mut folder = rustix::fs::open(
        bench.data(),
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&folder, "ab", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        folder = rustix::fs::openat(&folder, "ab", flags, rustix::fs::Mode::empty()).unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    drop(rustix::fs::openat(&folder, "bottom", flags, rustix::fs::Mode::RUSR).unwrap());
    drop(folder);
    for name in [&b"\xff\xfe"[..], b"-rf", b"line\nbreak", b" ", b"\x1b[31m", b"*", &[b'n'; 255]] {
        fs::write(bench.data().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let output = bench.reset(&["--yes", "--no-backup"]);
    ok(&output);
    assert_eq!(fs::read_dir(bench.data()).unwrap().count(), 0);
    assert!(!said(&output).contains('\x1b'), "{}", said(&output));
}

#[test]
fn links_are_removed_and_never_followed() {
    let bench = Bench::small();
    let outside = bench.at("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    symlink(&outside, bench.data().join("to a folder")).unwrap();
    symlink(outside.join("precious"), bench.data().join("to a file")).unwrap();
    symlink("/", bench.data().join("to the root")).unwrap();
    fs::hard_link(outside.join("precious"), bench.data().join("one of two")).unwrap();
    ok(&bench.reset(&["--yes"]));
    assert_eq!(bench.left(), [""; 0]);
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
}

#[test]
fn all_names_of_a_file_go_in_one_source_and_between_two() {
    let bench = Bench::small();
    let other = bench.at("other");
    fs::create_dir(&other).unwrap();
    fs::write(bench.data().join("one"), "linked").unwrap();
    fs::create_dir(bench.data().join("zzz")).unwrap();
    for name in [bench.data().join("two"), bench.data().join("zzz/three"), other.join("four")] {
        fs::hard_link(bench.data().join("one"), name).unwrap();
    }
    let both = format!("{},{}", bench.data().display(), other.display());
    ok(&bench.reset_with(&["--yes"], &[("TARKEEP_SOURCE", &both)]));
    assert_eq!(bench.left(), [""; 0]);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    // One of them may be empty already.
    fs::write(other.join("again"), "x").unwrap();
    ok(&bench.reset_with(&["--yes"], &[("TARKEEP_SOURCE", &both)]));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
}

#[test]
fn the_sockets_of_services_that_are_gone_go_too() {
    let bench = Bench::small();
    fs::create_dir_all(bench.data().join("run/deep")).unwrap();
    for name in ["s", "run/s", "run/deep/s"] {
        drop(UnixListener::bind(bench.data().join(name)).unwrap());
    }
    ok(&bench.reset(&["--yes"]));
    assert_eq!(bench.left(), [""; 0]);
}

#[test]
fn a_source_that_is_a_file_is_removed() {
    let bench = Bench::small();
    let file = bench.data().join("folder/b");
    let source = format!("{}", file.display());
    let output = bench.reset_with(&["--yes"], &[("TARKEEP_SOURCE", &source)]);
    ok(&output);
    assert_eq!(bench.left(), ["a", "folder"]);
    assert!(said(&output).contains("removed 1 entry, 4 B"), "{}", said(&output));
}

#[test]
fn a_source_with_a_relative_path_is_emptied_too() {
    let bench = Bench::small();
    let mut command = bench.tarkeep(&["reset", "--yes"]);
    command.current_dir(bench.at(".")).env("TARKEEP_SOURCE", "data").env("TARKEEP_ALLOW_RESET", "1");
    ok(&command.output().unwrap());
    assert_eq!(bench.left(), [""; 0]);
}

#[test]
fn what_cannot_be_read_keeps_everything_and_what_cannot_be_removed_is_named() {
    const NOBODY: u32 = 65534;
    let bench = Bench::small();
    let is_root = rustix::process::geteuid().is_root();
    let places = [bench.at(""), bench.data(), bench.data().join("folder"), bench.destination()];
    let as_nobody = |arguments: &[&str]| {
        let mut command = bench.tarkeep(&["reset", "--yes"]);
        command.args(arguments).env("TARKEEP_ALLOW_RESET", "1");
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output()
    };
    if is_root {
        for place in places.iter().chain([&bench.data().join("a"), &bench.data().join("folder/b")]) {
            std::os::unix::fs::chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let allow = |name: &str, mode| {
        fs::set_permissions(bench.data().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };

    allow("a", 0o000);
    let Ok(output) = as_nobody(&[]) else { return skip("a program that every user may start") };
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert!(said(&output).contains("1 entry could not be read, so the last archive"), "{}", said(&output));
    assert!(said(&output).contains("nothing was removed"), "{}", said(&output));
    assert_eq!(bench.left(), ["a", "folder", "folder/b"]);
    assert_eq!(bench.archives().len(), 1, "it is published all the same, as by backup");

    allow("a", 0o600);
    allow("folder", 0o500);
    let output = as_nobody(&[]).unwrap();
    allow("folder", 0o700);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert_eq!(bench.left(), ["folder", "folder/b"]);
    assert!(said(&output).contains("1 entry was left"), "{}", said(&output));
    assert!(said(&output).contains("data/folder/b: permission denied"), "{}", said(&output));
}

#[test]
fn one_of_several_jobs_is_named() {
    let bench = Bench::small();
    let config = bench.at("tarkeep.toml");
    let place = |name: &str| bench.at(name).display().to_string();
    fs::create_dir(bench.at("second")).unwrap();
    fs::write(bench.at("second/x"), "x").unwrap();
    fs::create_dir(bench.at("backup/second")).unwrap();
    fs::write(
        &config,
        format!(
            "[[job]]\nname = \"one\"\nsource = \"{}\"\ndestination = \"{}\"\nallow-reset = true\n\
             [[job]]\nname = \"two\"\nsource = \"{}\"\ndestination = \"{}\"\n",
            place("data"),
            place("backup"),
            place("second"),
            place("backup/second")
        ),
    )
    .unwrap();
    let reset = |arguments: &[&str]| {
        let mut command = bench.tarkeep(&["reset", "--config", config.to_str().unwrap(), "--yes"]);
        command.args(arguments).env_remove("TARKEEP_SOURCE").env_remove("TARKEEP_DESTINATION");
        command.output().unwrap()
    };
    let output = reset(&[]);
    assert_eq!(code(&output), 2);
    assert!(said(&output).contains("tarkeep reset JOB, of one, two"), "{}", said(&output));
    let output = reset(&["three"]);
    assert_eq!((code(&output), said(&output).contains("no such job; the jobs are: one, two")), (2, true));
    // It is allowed for one of them only.
    let output = reset(&["two"]);
    assert_eq!((code(&output), said(&output).contains("--yes alone")), (2, true), "{}", said(&output));
    ok(&reset(&["one"]));
    assert_eq!((bench.left().len(), fs::read_dir(bench.at("second")).unwrap().count()), (0, 1));
}

#[test]
fn a_program_called_reset_is_reset() {
    let bench = Bench::small();
    let link = bench.at("reset");
    symlink(env!("CARGO_BIN_EXE_tarkeep"), &link).unwrap();
    let mut command = Command::new(&link);
    command.env_clear().stdin(Stdio::null()).arg("--yes").env("TARKEEP_ALLOW_RESET", "1");
    command.env("TARKEEP_SOURCE", bench.data()).env("TARKEEP_DESTINATION", bench.destination());
    ok(&command.output().unwrap());
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 1));
}

#[test]
fn archives_without_an_index_are_as_good() {
    let bench = Bench::small();
    ok(&bench.reset_with(&["--yes"], &[("TARKEEP_CODEC", "none")]));
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 1));
    ok(&bench.tarkeep(&["restore", "latest", "--trust"]).output().unwrap());
    bench.filled();
}
