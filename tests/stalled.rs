//! Somebody holds a stream open and does not read or write: one signal ends every command that waits for standard output. A
//! daemon does not wait for its log. Of one that waits for something else, `health` says so.

mod common;

use std::fs;
use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use common::disk::{run, soon};
use common::{program, tree};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::{ioctl_fionbio, write};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A source with an archive of it, older ones to prune, and an empty place.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["data", "backup", "empty"] {
            fs::create_dir(place.at(folder)).unwrap();
        }
        // More than any pipe holds, whatever compresses it.
        fs::write(place.at("data/noise"), tree::noise(3_000_000, 1)).unwrap();
        for _ in 0..2 {
            assert!(place.command(&["backup"]).stderr(Stdio::null()).status().unwrap().success());
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.0.path()).env("TARKEEP_CONFIG", "/dev/null");
        command.env("TARKEEP_SOURCE", self.at("data")).env("TARKEEP_DESTINATION", self.at("backup"));
        command.env("TARKEEP_KEEP", "last=1");
    }
}

/// A pipe that nobody reads, and that is full or will be.
struct Stalled {
    _reader: PipeReader,
    writer: OwnedFd,
}

impl Stalled {
    fn new(full: bool) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let stalled = Self { _reader: reader, writer: writer.into() };
        if full {
            stalled.fill();
        }
        stalled
    }

    fn fill(&self) {
        ioctl_fionbio(&self.writer, true).unwrap();
        while write(&self.writer, &[b'.'; 4096]).is_ok() {}
        ioctl_fionbio(&self.writer, false).unwrap();
    }

    fn is_full(&self) -> bool {
        let mut writer = [PollFd::new(&self.writer, PollFlags::OUT)];
        poll(&mut writer, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
    }

    /// Started with this as its standard output, and signalled once it waits for it to be read.
    fn ends(&self, command: &mut Command, inner: impl Fn(Pid) -> Option<Pid>) -> Option<ExitStatus> {
        command.stdout(Stdio::from(self.writer.as_fd().try_clone_to_owned().unwrap()));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let outer = Pid::from_child(&child);
        let stuck = soon(|| self.is_full() && inner(outer).is_some_and(waits));
        if stuck {
            kill_process(inner(outer).unwrap(), Signal::TERM).unwrap();
        }
        let status = ended(&mut child);
        assert!(stuck, "{command:?} does not wait, and ended with {status:?}");
        status
    }
}

/// How it ended; killed if it did not.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let status = std::cell::RefCell::new(None);
    let cell = std::cell::RefCell::new(child);
    if !soon(|| {
        *status.borrow_mut() = cell.borrow_mut().try_wait().unwrap();
        status.borrow().is_some()
    }) {
        let _ = cell.borrow_mut().kill();
        let _ = cell.borrow_mut().wait();
    }
    status.into_inner()
}

/// Whether a thread of this process sleeps in a call that writes, or that waits until it can be written.
fn waits(pid: Pid) -> bool {
    waits_in(pid, &[libc::SYS_write, libc::SYS_ppoll])
}

fn waits_in(pid: Pid, calls: &[i64]) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().any(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let sleeps = read("stat").rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'));
        let call = read("syscall").split(' ').next().and_then(|number| number.parse().ok());
        sleeps && call.is_some_and(|call| calls.contains(&call))
    })
}

/// Whether the kernel says which call a process is in.
fn calls_are_shown() -> bool {
    let shown = fs::read_to_string("/proc/self/syscall").is_ok();
    if !shown {
        common::skip("/proc/PID/syscall");
    }
    shown
}

#[test]
fn an_archive_to_standard_output_is_given_up_on() {
    if !calls_are_shown() {
        return;
    }
    let place = Place::new();
    let before = tree::fingerprint(&place.at("backup"));
    for arguments in [&["backup", "-o", "-"][..], &["backup", "-o", "-", "--codec", "none"]] {
        let status = Stalled::new(false).ends(&mut place.command(arguments), Some);
        assert_eq!(status.and_then(|status| status.signal()), Some(15), "{arguments:?}: {status:?}");
    }
    assert_eq!(tree::fingerprint(&place.at("backup")), before);
}

#[test]
fn every_command_that_prints_ends() {
    if !calls_are_shown() {
        return;
    }
    let place = Place::new();
    let noise = place.at("data/noise").to_str().unwrap()[1..].to_owned();
    for arguments in [
        &["list"][..],
        &["list", "latest"],
        &["cat", "latest", &noise],
        &["diff", "latest", "empty"],
        &["verify"],
        &["verify", "--all", "--json"],
        &["next"],
        &["check"],
        &["info"],
        &["health"],
        &["completions", "bash"],
        &["prune", "--dry-run"],
        &["prune", "--json"],
        &["restore", "latest", "--to", "new", "--json"],
        &["reset", "--dry-run", "--json"],
        &["backup", "--json"],
    ] {
        let status = Stalled::new(true).ends(&mut place.command(arguments), Some);
        assert_eq!(status.and_then(|status| status.signal()), Some(15), "{arguments:?}: {status:?}");
    }
    // What was to be done before is done.
    assert_eq!(fs::read(place.at("new").join(&noise)).unwrap(), fs::read(place.at("data/noise")).unwrap());
}

#[test]
fn as_pid_1_too() {
    if !calls_are_shown() {
        return;
    }
    if !run("unshare", &["-pf", "--mount-proc", "true"]) {
        return common::skip("root, to be PID 1 of a namespace");
    }
    let place = Place::new();
    for (arguments, full) in [("backup -o -", false), ("list latest", true), ("verify", true), ("info", true)]
    {
        let mut command = Command::new("unshare");
        place.prepare(command.env_clear());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let script = format!("exec \"$0\" {arguments}");
        command.args(["-pf", "--kill-child", "--mount-proc", "sh", "-c", &script, program::TARKEEP]);
        let inner = |outer: Pid| {
            let id = outer.as_raw_nonzero();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
        };
        let status = Stalled::new(full).ends(&mut command, inner);
        assert_eq!(status.and_then(|status| status.code()), Some(128 + 15), "{arguments}: {status:?}");
    }
}

/// Started with a log that is full before it says its first word.
fn stalled(mut command: Command) -> (Child, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let log = Stalled { _reader: reader.try_clone().unwrap(), writer: writer.into() };
    log.fill();
    (command.stderr(log.writer).spawn().unwrap(), reader)
}

/// What is read from the log once somebody reads it, behind the dots that it was full of.
fn read_on(mut log: PipeReader) -> (Arc<Mutex<String>>, thread::JoinHandle<()>) {
    let said = Arc::<Mutex<String>>::default();
    let all = Arc::clone(&said);
    let reads = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = log.read(&mut bytes) {
            all.lock().unwrap().push_str(program::text(&bytes[..read]).trim_start_matches('.'));
        }
    });
    (said, reads)
}

/// As where a container's engine takes no log any more: that is no reason to have no backup.
#[test]
fn a_daemon_whose_log_nobody_reads_makes_its_archive_and_ends_when_asked() {
    let place = Place::new();
    let last = || tarkeep::state::Folder::new(place.at("backup/.tarkeep")).load("data").last;
    let mut command = place.command(&["run"]);
    command.env("TARKEEP_ON_START", "always");
    let before = last();
    let (mut daemon, log) = stalled(command);
    let made = soon(|| last() != before && last().is_some_and(|last| last.exit == 0));
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    let status = ended(&mut daemon);
    drop(log);
    assert!(made, "{:?}", last());
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[test]
fn who_reads_the_log_on_has_what_waited_and_the_number_of_what_did_not() {
    let place = Place::new();
    let mut jobs = String::new();
    for number in 0..60 {
        let folder = place.at("backup").join(number.to_string());
        fs::create_dir(&folder).unwrap();
        let source = place.at("data");
        let job = format!("[[job]]\nname = \"{number}\"\nsource = {source:?}\ndestination = {folder:?}\n");
        jobs.push_str(&job);
    }
    fs::write(place.at("jobs.toml"), jobs).unwrap();
    let config = place.at("jobs.toml");
    // A line for each setting of each job, and of nothing else.
    let with = |word: &str| {
        let mut command = program::command(&[word]);
        command.env("TARKEEP_CONFIG", &config).env("TARKEEP_LOG", "tarkeep::command::run=debug");
        command.env("TARKEEP_SCHEDULE", "off").env("TARKEEP_ON_START", "never").stdout(Stdio::null());
        command
    };
    let healthy = || with("health").status().unwrap().success();
    let (mut daemon, log) = stalled(with("run"));
    let pid = Pid::from_child(&daemon);
    let alive = soon(healthy);
    let (said, reads) = read_on(log);
    let counted = soon(|| said.lock().unwrap().contains("are missing here"));
    kill_process(pid, Signal::HUP).unwrap();
    let again = soon(|| said.lock().unwrap().matches("job 59: TARKEEP_ALLOW_RESET").count() == 1);
    kill_process(pid, Signal::TERM).unwrap();
    let status = ended(&mut daemon);
    reads.join().unwrap();
    let said = said.lock().unwrap().clone();
    assert!(alive && counted && again, "{alive} {counted} {again}");
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let lines: Vec<_> = said.lines().collect();
    let gap = lines.iter().position(|line| line.contains("are missing here")).unwrap();
    let missing: usize = lines[gap].split(' ').find_map(|word| word.parse().ok()).unwrap();
    // Said twice: at the start, behind its own name, with the gap; and when the configuration was read again.
    let all = lines.len() - gap - 1;
    assert!(lines[0].contains("60 jobs"), "{}", lines[0]);
    assert!(lines[gap + 1].contains("job 0: ") && missing > 0, "{}", lines[gap + 1]);
    assert_eq!(gap + missing, all + 1, "{missing} are said to be missing");
}

/// A loop that hangs is no stopped process.
#[test]
fn health_says_that_a_daemon_hangs_that_waits_for_its_configuration() {
    let place = Place::new();
    let file = place.at("tarkeep.toml");
    fs::write(&file, "").unwrap();
    let settings = [("TARKEEP_SCHEDULE", "0 0 1 1 *"), ("TARKEEP_LOG", "off")];
    let mut command = place.command(&["run"]);
    let mut daemon = command.envs(settings).env("TARKEEP_CONFIG", &file).spawn().unwrap();
    let health = || {
        let output = place.command(&["health"]).envs(settings).output().unwrap();
        (output.status.code(), program::text(&output.stdout))
    };
    let healthy = soon(|| health().0 == Some(0));
    fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let pid = Pid::from_child(&daemon);
    kill_process(pid, Signal::HUP).unwrap();
    let hangs = soon(|| waits_in(pid, &[libc::SYS_openat]));
    let (code, said) = health();
    // Once it has it, it goes on.
    fs::write(&file, "").unwrap();
    let back = soon(|| health().0 == Some(0));
    kill_process(pid, Signal::TERM).unwrap();
    let status = ended(&mut daemon);
    if !calls_are_shown() {
        return;
    }
    assert!(healthy && hangs && back, "{healthy} {hangs} {back}");
    assert!(code == Some(1) && said.contains("does not answer: its loop hangs"), "{code:?} {said}");
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}
