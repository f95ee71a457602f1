//! The answer to a question, on a terminal.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _, stderr, stdin};
use std::os::fd::AsFd as _;

use crate::archive::stream::Pipe;
use crate::error::{Error, Result};
use crate::stop::Stop;

/// Ask, and read a line. A signal ends it, also while nobody types.
///
/// # Errors
/// If there is no answer to read, or somebody asked to stop.
pub fn answer(question: &str, stop: &Stop) -> Result<String> {
    let failed = |e| Error::io("read", "the answer", e);
    let _ = stderr().write_all(question.as_bytes());
    let terminal = stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut answer = String::new();
    let read = BufReader::new(Pipe::new(File::from(terminal), stop)).read_line(&mut answer);
    stop.check()?;
    read.map_err(failed)?;
    Ok(answer.trim().to_owned())
}
