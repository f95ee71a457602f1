//! Standard output, for data.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// Standard output, buffered. When nobody reads any more (`tarkeep list | head`), the rest is dropped without a word and
/// the command ends as it would have; every other failure is an error, since a list that was cut looks like a whole one.
pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Output {
    /// Standard output, until this is dropped.
    pub fn new() -> Self {
        Self { to: BufWriter::with_capacity(64 * 1024, io::stdout().lock()), closed: false }
    }

    /// Whether nobody reads any more, so that a long list can end early.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Write one line.
    pub fn line(&mut self, line: impl Display) -> Result<()> {
        let written = if self.closed { Ok(()) } else { writeln!(self.to, "{line}") };
        self.outcome(written)
    }

    /// Write bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let written = if self.closed { Ok(()) } else { self.to.write_all(bytes) };
        self.outcome(written)
    }

    /// Write one value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = serde_json::to_writer(&mut self.to, value)
            .map_err(io::Error::from)
            .and_then(|()| self.to.write_all(b"\n"));
        self.outcome(written)
    }

    /// Show what was written so far.
    pub fn flush(&mut self) -> Result<()> {
        let written = if self.closed { Ok(()) } else { self.to.flush() };
        self.outcome(written)
    }

    /// Write what is still in the buffer. Without it an error of the last bytes goes unseen.
    pub fn finish(mut self) -> Result<()> {
        let written = if self.closed { Ok(()) } else { self.to.flush() };
        self.outcome(written)
    }

    fn outcome(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written.map_err(|cause| Error::io("write", "standard output", cause)),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}
