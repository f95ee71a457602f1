//! The real program, with nothing in its environment but what a test says.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::disk::soon;

/// The program's path.
pub const TARKEEP: &str = env!("CARGO_BIN_EXE_tarkeep");

/// To be run with these arguments. It does not step back behind others, which would only take time here.
pub fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(TARKEEP);
    command.args(arguments).env_clear().env("TARKEEP_NICE", "0").stdin(Stdio::null());
    command
}

/// In a folder, which is its destination too.
pub fn command_in(arguments: &[&str], folder: &Path) -> Command {
    let mut command = command(arguments);
    command.current_dir(folder).env("TARKEEP_DESTINATION", folder);
    command
}

/// In a folder, and in a zone that is not UTC, for what shows times.
pub fn command_in_berlin(arguments: &[&str], folder: &Path) -> Command {
    let mut command = command_in(arguments, folder);
    command.env("TZ", "Europe/Berlin");
    command
}

/// Run it there to its end.
pub fn tarkeep(arguments: &[&str], folder: &Path) -> Output {
    command_in(arguments, folder).output().unwrap()
}

/// What it printed, after it ended well and said nothing besides.
pub fn said(arguments: &[&str], folder: &Path) -> String {
    of(command_in(arguments, folder))
}

/// The same of any command.
pub fn of(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(text(&output.stderr), "", "{command:?}");
    assert_eq!(output.status.code(), Some(0), "{command:?}: {}", text(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// Bytes to be read by people.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it said on standard error.
pub fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// Run a command to its end with this on standard input, of which it need not read all.
pub fn feed(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// A daemon, which does not outlive its test.
pub struct Daemon {
    /// The process.
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Start it; what it says on standard error goes to this file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let child = command.stdout(Stdio::null()).stderr(File::create(log).unwrap()).spawn().unwrap();
        Self { child, log: log.to_path_buf() }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Wait until it has said this.
    #[track_caller]
    pub fn says(&self, what: &str) {
        assert!(soon(|| self.said().contains(what)), "not said: {what}: {}", self.said());
    }

    /// Ask it to stop, which it does well when it has nothing to do.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.said());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
