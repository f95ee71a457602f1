//! What went wrong: what was being done, to what, and why.

use std::fmt;
use std::io;
use std::path::Path;

use crate::exit::Exit;
use crate::printable::printable_path;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure. It reads `doing what, to what: cause`, in lower case and without a full stop.
#[derive(Debug)]
pub struct Error {
    exit: Exit,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    /// The run failed for a reason that no system call gave.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), source: None }
    }

    /// Something that was typed or configured is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), source: None }
    }

    /// An archive is not what it should be.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { exit: Exit::Damaged, message: message.into(), source: None }
    }

    /// Another process holds the lock.
    pub fn locked(message: impl Into<String>) -> Self {
        Self { exit: Exit::Locked, message: message.into(), source: None }
    }

    /// The work was abandoned because this signal asked for it.
    pub fn signal(signal: i32) -> Self {
        Self { exit: Exit::Signal(signal), message: "stopped by a signal".into(), source: None }
    }

    /// A system call failed: `Error::io("open source file", path, e)`.
    pub fn io(doing: &str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let message = format!("{doing} {}", printable_path(path.as_ref()));
        Self { exit: Exit::Failed, message, source: Some(source.into()) }
    }

    /// The same failure, ending the process in another way.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// How the process ends when nothing handles this.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The cause that the system gave, where it gave one.
    pub fn cause(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {}", cause_text(source))?;
        }
        Ok(())
    }
}

/// The system's words for a cause, in lower case: `permission denied (os error 13)`.
pub fn cause_text(cause: &io::Error) -> String {
    let text = cause.to_string();
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), &text[first.len_utf8()..])
        }
        _ => text,
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
