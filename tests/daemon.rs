//! The daemon as a process: signals, start, restart, and what it costs while nothing is due.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use common::trace::may_inject;
use rustix::process::{Pid, Signal, kill_process};
use tarkeep::agenda::OnStart;
use tarkeep::clock::SystemClock;
use tarkeep::daemon::signals::{self, Signals};
use tarkeep::daemon::{self, Planned, Ran, Runner};
use tarkeep::error::Error;
use tarkeep::exit::Exit;
use tarkeep::stop::Stop;
use tarkeep::zone::Tz;
use tempfile::TempDir;

/// Nothing here takes a second on a machine that has nothing else to do.
const DEADLINE: Duration = Duration::from_mins(2);

const NONE: Vec<PathBuf> = Vec::new();

/// A process whose log is read as it is written, and which does not outlive its test.
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(lines.lock().unwrap(), "{line}");
            }
        });
        Self { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        let mut ended = false;
        while !condition() {
            assert!(!ended && start.elapsed() < DEADLINE, "no {what} came; the log:\n{}", self.log());
            // What it did at the very end is looked at once more, but for what its log may still bring.
            ended = self.child.try_wait().unwrap().is_some() && start.elapsed() > Duration::from_secs(5);
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn says(&mut self, text: &str) {
        let log = Arc::clone(&self.log);
        self.wait_for(text, || log.lock().unwrap().contains(text));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        let start = Instant::now();
        while status.is_none() {
            assert!(start.elapsed() < DEADLINE, "it does not end; the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
            status = self.child.try_wait().unwrap();
        }
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time of day so many hours from now, so that nothing is due while a test runs.
fn hours_on(hours: i64) -> String {
    (Utc::now() + TimeDelta::hours(hours)).format("%H:%M").to_string()
}

/// A source, a destination, and the binary on them.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::create_dir(folder.path().join("backup")).unwrap();
        fs::write(folder.path().join("data/file"), "content").unwrap();
        Self { folder }
    }

    /// A source that takes a good while: words that the slowest level compresses at some megabytes a second.
    fn slow() -> Self {
        let place = Self::new();
        let words = ["backup ", "archive ", "segment ", "index ", "codec ", "entry ", "source ", "night "];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut text = Vec::with_capacity(96 << 20);
        while text.len() < 96 << 20 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.extend_from_slice(words[(seed % 8) as usize].as_bytes());
            text.push(b'a' + (seed >> 32 & 15) as u8);
        }
        fs::write(place.folder.path().join("data/words"), text).unwrap();
        place
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn command(&self, word: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarkeep"));
        self.prepare(&mut command, settings);
        command.arg(word);
        command
    }

    fn prepare(&self, command: &mut Command, settings: &[(&str, &str)]) {
        command
            .env_clear()
            .env("TARKEEP_SOURCE", self.folder.path().join("data"))
            .env("TARKEEP_DESTINATION", self.backup())
            .env("TARKEEP_LOG", "info")
            .env("TARKEEP_ON_START", "never")
            .env("TARKEEP_SCHEDULE", hours_on(12))
            .envs(settings.iter().copied());
    }

    fn run(&self, settings: &[(&str, &str)]) -> Process {
        Process::start(&mut self.command("run", settings))
    }

    /// Files below the destination whose names end in this.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    below(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        below(&self.backup(), &mut found);
        found.retain(|path| path.to_string_lossy().ends_with(ending));
        found
    }

    fn state(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.backup().join(".tarkeep/data.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

#[test]
fn stopped_while_idle_it_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut process = place.run(&[]);
        process.says("next run at");
        process.signal(signal);
        assert_eq!(process.ends().code(), Some(0), "{}", process.log());
        process.says("stopped by SIG");
    }
}

#[test]
fn a_run_is_abandoned_and_the_process_dies_of_the_signal() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
        let place = Place::slow();
        let mut process = place.run(&[
            ("TARKEEP_ON_START", "always"),
            ("TARKEEP_CODEC", "gzip:12"),
            ("TARKEEP_THREADS", "1"),
        ]);
        process.wait_for("temporary file", || !place.files(".tmp").is_empty());
        process.signal(signal);
        assert_eq!(process.ends().signal(), Some(number), "{}", process.log());
        process.says("abandoning the run");
        assert_eq!(place.files(".tmp"), NONE);
        assert_eq!(place.files(".tar.gz"), NONE);
        // It is made up for at the next start.
        assert_eq!(place.state()["last"]["exit"], 128 + number);
        let mut process = place.run(&[("TARKEEP_CODEC", "none")]);
        process.says("was cut short: making up for it");
        process.wait_for("archive", || place.state()["last"]["exit"] == 0);
        process.signal(Signal::TERM);
        assert_eq!(process.ends().code(), Some(0), "{}", process.log());
        assert_eq!(place.files(".tar").len(), 1);
    }
}

#[test]
fn one_run_by_hand_is_abandoned_in_the_same_way() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        let place = Place::slow();
        let mut process = Process::start(
            &mut place.command("backup", &[("TARKEEP_CODEC", "gzip:12"), ("TARKEEP_THREADS", "1")]),
        );
        process.wait_for("temporary file", || !place.files(".tmp").is_empty());
        process.signal(signal);
        assert_eq!(process.ends().signal(), Some(number), "{}", process.log());
        assert_eq!(place.files(".tmp"), NONE);
        assert_eq!(place.files(".tar.gz"), NONE);
    }
}

#[test]
fn a_run_missed_while_it_was_down_is_made_up_for() {
    let place = Place::new();
    let hour_ago = hours_on(-1);
    let days_ago = (Utc::now() - TimeDelta::days(3)).to_rfc3339();
    fs::create_dir(place.backup().join(".tarkeep")).unwrap();
    let state = format!(r#"{{"since": "{days_ago}", "seen": "{days_ago}"}}"#);
    fs::write(place.backup().join(".tarkeep/data.json"), state).unwrap();
    let settings = [("TARKEEP_SCHEDULE", hour_ago.as_str())];
    let mut process = place.run(&settings);
    process.says("making up for it");
    process.wait_for("archive", || place.state()["last"]["exit"] == 0);
    assert_eq!(place.files(".tar.gz").len(), 1);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0), "{}", process.log());
    // Once.
    let mut process = place.run(&settings);
    process.says("next run at");
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
    assert_eq!(place.files(".tar.gz").len(), 1, "{}", process.log());
}

#[test]
fn hangup_reads_the_configuration_again_or_keeps_what_it_had() {
    let place = Place::new();
    let file = place.folder.path().join("tarkeep.toml");
    let job = |schedule: &str| {
        let [source, destination] = ["data", "backup"].map(|name| place.folder.path().join(name));
        let text = format!(
            "[[job]]\nname = \"data\"\nsource = {source:?}\ndestination = {destination:?}\nschedule = \"{schedule}\"\n"
        );
        fs::write(&file, text).unwrap();
    };
    let [first, second, third] = [3, 4, 5].map(hours_on);
    job(&first);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarkeep"));
    command.env_clear().env("TARKEEP_CONFIG", &file).env("TARKEEP_ON_START", "never").arg("run");
    let mut process = Process::start(&mut command);
    process.says(&format!("{first}:00 +00:00"));
    job(&second);
    process.signal(Signal::HUP);
    process.says(&format!("{second}:00 +00:00"));
    job("25:00");
    process.signal(Signal::HUP);
    process.says("the configuration stays as it was");
    process.says("there is no hour 25");
    job(&third);
    process.signal(Signal::HUP);
    process.says(&format!("{third}:00 +00:00"));
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn a_second_daemon_with_the_same_state_is_refused() {
    let place = Place::new();
    let mut first = place.run(&[]);
    first.says("next run at");
    let mut second = place.run(&[]);
    assert_eq!(second.ends().code(), Some(11));
    second.says("another daemon keeps the job data");
}

#[test]
fn while_nothing_is_due_it_does_nothing() {
    let place = Place::new();
    let mut process = place.run(&[]);
    process.says("next run at");
    let status = format!("/proc/{}/status", process.child.id());
    let field = |name: &str| -> u64 {
        let text = fs::read_to_string(&status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    };
    // The one that waits for the next due time, and the one that waits for something to log.
    assert_eq!(field("Threads"), 2);
    // It says when it wakes before it has stored that and lies down, so the first seconds may be busier.
    process.wait_for("quiet second", || {
        let before = field("voluntary_ctxt_switches");
        thread::sleep(Duration::from_secs(1));
        field("voluntary_ctxt_switches") == before
    });
}

#[test]
fn after_a_run_its_memory_is_given_back() {
    let place = Place::new();
    let data = place.folder.path().join("data");
    for folder in 0..20 {
        let folder = data.join(format!("folder {folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..1000 {
            fs::write(folder.join(format!("a file with a name of some length {file}")), "content").unwrap();
        }
    }
    let mut process = place.run(&[("TARKEEP_ON_START", "always"), ("TARKEEP_THREADS", "8")]);
    process.wait_for("archive", || place.state()["last"]["exit"] == 0);
    let status = format!("/proc/{}/status", process.child.id());
    let anonymous = || -> u64 {
        let text = fs::read_to_string(&status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    };
    // Allocated by the process itself; what is mapped from its file the kernel takes back when it needs to.
    process.wait_for("memory", || anonymous() < 2048);
}

/// What a health check says, beside the daemon or in its namespace.
fn health(place: &Place, before: &[String]) -> (Option<i32>, String) {
    let mut words = before.to_vec();
    words.push(env!("CARGO_BIN_EXE_tarkeep").into());
    let mut command = Command::new(&words[0]);
    place.prepare(&mut command, &[]);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.args(&words[1..]).arg("health").output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Whether a process is stopped, as the kernel says it.
fn is_stopped(id: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).unwrap().contains(") T ")
}

#[test]
fn health_says_that_the_daemon_is_stopped_long_before_a_run_is_due() {
    let place = Place::new();
    let mut process = place.run(&[]);
    process.says("next run at");
    let id = Pid::from_child(&process.child);
    assert_eq!(health(&place, &[]).0, Some(0));
    process.signal(Signal::STOP);
    process.wait_for("stop", || is_stopped(id));
    let (code, said) = health(&place, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("the daemon's process {} is stopped", id.as_raw_nonzero())), "{said}");
    process.signal(Signal::CONT);
    process.wait_for("going on", || !is_stopped(id));
    assert_eq!(health(&place, &[]).0, Some(0));
    process.signal(Signal::KILL);
    process.ends();
    let (code, said) = health(&place, &[]);
    assert!(code == Some(1) && said.contains("the daemon is not running"), "{said}");
}

#[test]
fn health_in_the_same_container_says_that_pid_1_is_stopped() {
    if !may_be_init() {
        return;
    }
    let place = Place::new();
    let mut process = as_init(&place, "", &[]);
    process.says("next run at");
    let id = inner(&mut process);
    let there = ["nsenter", "-p", "-m", "-t", &id.as_raw_nonzero().to_string()].map(str::to_owned);
    assert_eq!(health(&place, &there).0, Some(0));
    kill_process(id, Signal::STOP).unwrap();
    process.wait_for("stop", || is_stopped(id));
    let (code, said) = health(&place, &there);
    assert!(code == Some(1) && said.contains("the daemon's process 1 is stopped"), "{said}");
    // From outside its number means another process, and nothing is said of that one.
    assert_eq!(health(&place, &[]).0, Some(0));
}

/// The process that `unshare` or `strace` has forked, by the number that it has here.
fn inner(process: &mut Process) -> Pid {
    let id = process.child.id();
    let path = format!("/proc/{id}/task/{id}/children");
    let mut child = None;
    process.wait_for("child", || {
        child = fs::read_to_string(&path).unwrap().split_whitespace().next().and_then(|id| id.parse().ok());
        child.is_some()
    });
    Pid::from_raw(child.unwrap()).unwrap()
}

/// Whether a process may be made PID 1 of a namespace of its own here.
fn may_be_init() -> bool {
    let probe = Command::new("unshare").args(["-pf", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    let children = Path::new("/proc/self/task").join(std::process::id().to_string()).join("children");
    let may = probe.is_ok_and(|status| status.success()) && children.exists();
    if !may {
        common::skip("root, and unshare(1)");
    }
    may
}

/// The binary as PID 1; `before` is a shell command that comes first.
fn as_init(place: &Place, before: &str, settings: &[(&str, &str)]) -> Process {
    let mut command = Command::new("unshare");
    place.prepare(&mut command, settings);
    let path = std::env::var_os("PATH").unwrap();
    let script = format!("{before} exec \"$0\" run");
    command.env("PATH", path).args(["-pf", "--kill-child", "--mount-proc", "sh", "-c", &script]);
    Process::start(command.arg(env!("CARGO_BIN_EXE_tarkeep")))
}

#[test]
fn as_pid_1_it_exits_with_the_number_of_the_signal() {
    if !may_be_init() {
        return;
    }
    let place = Place::new();
    let mut process = as_init(&place, "", &[]);
    process.says("next run at");
    kill_process(inner(&mut process), Signal::TERM).unwrap();
    assert_eq!(process.ends().code(), Some(0), "{}", process.log());

    let place = Place::slow();
    let settings = [("TARKEEP_ON_START", "always"), ("TARKEEP_CODEC", "gzip:12"), ("TARKEEP_THREADS", "1")];
    let mut process = as_init(&place, "", &settings);
    process.wait_for("temporary file", || !place.files(".tmp").is_empty());
    kill_process(inner(&mut process), Signal::TERM).unwrap();
    assert_eq!(process.ends().code(), Some(128 + 15), "{}", process.log());
    assert_eq!(place.files(".tmp"), NONE);
}

#[test]
fn as_pid_1_it_reaps_what_others_left() {
    if !may_be_init() {
        return;
    }
    let place = Place::new();
    let orphan = place.folder.path().join("orphan");
    let held = rustix::fs::CWD;
    rustix::fs::mknodat(
        held,
        &orphan,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    // A process that reads until somebody has written, and whose parent is gone.
    let before = format!("(cat '{}' > /dev/null &);", orphan.display());
    let mut process = as_init(&place, &before, &[]);
    process.says("next run at");
    let id = inner(&mut process).as_raw_nonzero();
    let children = || fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    process.wait_for("orphan", || !children().trim().is_empty());
    fs::write(&orphan, "go").unwrap();
    process.wait_for("reaping", || children().trim().is_empty());
    kill_process(inner(&mut process), Signal::TERM).unwrap();
    assert_eq!(process.ends().code(), Some(0), "{}", process.log());
}

/// This test binary again, as a daemon with a runner of its own; see [`child`].
fn with_runner(kind: &str) -> (Process, TempDir) {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env("DAEMON_TEST_RUNNER", kind).env("DAEMON_TEST_STATE", folder.path().join("state"));
    command.stdout(Stdio::null());
    (Process::start(&mut command), folder)
}

/// A runner of the kind that its name says.
struct Odd(String);

impl Runner for Odd {
    fn run(&mut self, _job: &str, _due: Option<DateTime<Tz>>, _stop: &Stop) -> Ran {
        eprintln!("running");
        match self.0.as_str() {
            "stubborn" => loop {
                thread::park();
            },
            "panics" => panic!("a bug"),
            _ => Ran::from(Error::failed("it went wrong")),
        }
    }

    fn give_up() {
        eprintln!("given up");
    }
}

/// Not a test: the daemon that the tests below start, with a run that no real job has.
#[test]
fn child() {
    let Ok(kind) = std::env::var("DAEMON_TEST_RUNNER") else { return };
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let stop = Stop::default();
    let signals = Signals::daemon(&stop).unwrap();
    let plan = Planned {
        name: "odd".into(),
        schedule: "01:00".parse().unwrap(),
        zone: Tz::UTC,
        catch_up: Duration::ZERO,
        on_start: OnStart::Always,
        has_archive: false,
        state: std::env::var_os("DAEMON_TEST_STATE").unwrap().into(),
    };
    let reload = || Err(Error::usage("no"));
    let exit = daemon::run(vec![plan], Odd(kind), reload, &signals, &SystemClock).unwrap();
    let _ = signals::end(exit);
    std::process::exit(i32::from(exit.code()));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in
        [(Signal::TERM, Signal::TERM, 143), (Signal::INT, Signal::INT, 130), (Signal::TERM, Signal::INT, 130)]
    {
        let (mut process, _folder) = with_runner("stubborn");
        process.says("running");
        process.signal(first);
        process.says("abandoning the run");
        process.signal(second);
        let status = process.ends();
        // On a machine that has no time the first one may have been enough.
        let late = process.log().contains("does not answer");
        assert!(status.code() == Some(code) || late, "{status:?}: {}", process.log());
    }
}

#[test]
fn a_run_that_does_not_hear_is_given_up_and_made_up_for() {
    let (mut process, folder) = with_runner("stubborn");
    process.says("running");
    process.signal(Signal::TERM);
    assert_eq!(process.ends().signal(), Some(15), "{}", process.log());
    assert!(process.log().contains("what it reads or writes does not answer"), "{}", process.log());
    assert!(process.log().contains("given up"), "{}", process.log());
    let state = tarkeep::state::Folder::new(folder.path().join("state")).load("odd");
    assert_eq!(state.last.map(|last| last.exit), Some(128 + 15));
    assert_eq!(state.open.map(|open| open.attempt), Some(0));
}

/// As when a network disk is gone: the call that lists the source does not return.
#[test]
fn a_source_that_does_not_answer_holds_nobody_up_and_leaves_nothing_half_written() {
    if !may_inject("getdents64:delay_enter=1") {
        return;
    }
    let place = Place::new();
    let settings = [("TARKEEP_ON_START", "always"), ("TARKEEP_NAME", "%Y-%m-%d-%H%M%S/archive")];
    // Without an archive the source would be counted first.
    assert!(place.command("backup", &settings).output().unwrap().status.success());
    let mut command = Command::new("strace");
    place.prepare(&mut command, &settings);
    let source = place.folder.path().join("data");
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(source);
    command.args(["-e", "trace=getdents64", "-e", "inject=getdents64:delay_enter=3600000000"]);
    let mut process = Process::start(command.arg(env!("CARGO_BIN_EXE_tarkeep")).arg("run"));
    process.wait_for("temporary file", || !place.files(".tmp").is_empty());
    let daemon = inner(&mut process);
    let mut held = 0;
    process.wait_for("call that does not return", || {
        held = if a_thread_is_held(daemon) { held + 1 } else { 0 };
        held > 20
    });
    kill_process(daemon, Signal::TERM).unwrap();
    process.says("what it reads or writes does not answer");
    // strace may not get over it.
    let stat = format!("/proc/{}/stat", daemon.as_raw_nonzero());
    process.wait_for("end", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    // Nor the folder that was made for it.
    assert_eq!(fs::read_dir(place.backup()).unwrap().count(), 2);
    assert_eq!((place.files(".tmp"), place.files(".tar.gz").len()), (NONE, 1));
    assert_eq!(place.state()["last"]["exit"], 128 + 15);
}

/// Whether the tracer keeps a thread of this process.
fn a_thread_is_held(process: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('t'))
    })
}

#[test]
fn a_run_that_fails_or_panics_is_survived() {
    for (kind, said) in [("fails", "it went wrong"), ("panics", "the run ended in a panic")] {
        let (mut process, folder) = with_runner(kind);
        process.says(said);
        let state = folder.path().join("state/odd.json");
        process.wait_for("end of the run", || {
            fs::read_to_string(&state).is_ok_and(|text| text.contains("\"exit\": 1"))
        });
        process.signal(Signal::TERM);
        assert_eq!(process.ends().code(), Some(0), "{}", process.log());
    }
}

#[test]
fn a_run_that_was_on_is_known_after_kill() {
    let (mut process, folder) = with_runner("stubborn");
    process.says("running");
    process.signal(Signal::KILL);
    assert_eq!(process.ends().signal(), Some(9));
    let state = tarkeep::state::Folder::new(folder.path().join("state"));
    assert!(state.load("odd").running().is_some());
    assert!(!state.occupied("odd"));
    assert_eq!(state.load("odd").last, None);
    assert_eq!(Exit::Signal(9).code(), 137);
}
