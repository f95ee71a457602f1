//! The real program, with nothing in its environment but what a test says.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
