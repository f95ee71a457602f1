//! Standard output, for data.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write, stdout};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::stop::Stop;

/// Standard output, buffered. When nobody reads any more (`tarkeep list | head`), the rest is dropped without a word and
/// the command ends as it would have; every other failure is an error, since a list that was cut looks like a whole one.
pub struct Output {
    to: BufWriter<Box<dyn Write>>,
    closed: bool,
}

impl Output {
    /// Standard output of a command that a signal ends at once.
    pub fn new() -> Self {
        Self::to(stdout().lock())
    }

    /// Standard output of a command that listens to signals. They are heard while nobody reads, too.
    ///
    /// # Errors
    /// If the system gives no descriptor for it.
    pub fn until(stop: &Stop) -> Result<Self> {
        Outlet::new(stop).map(Self::to)
    }

    fn to(to: impl Write + 'static) -> Self {
        let to: Box<dyn Write> = Box::new(to);
        Self { to: BufWriter::with_capacity(64 * 1024, to), closed: false }
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
            written => written.map_err(|cause| {
                cause.downcast().unwrap_or_else(|cause| Error::io("write", "standard output", cause))
            }),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

/// How long nobody may read before it is looked whether to stop.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// What a pipe takes without keeping its writer waiting once poll(2) says that it takes anything: `PIPE_BUF` of pipe(7).
const AT_ONCE: usize = 4096;

/// Standard output as it is. Writing fails when nobody reads and somebody asks to stop: a write alone would not end then,
/// as signals restart it.
#[derive(Debug)]
pub struct Outlet {
    file: File,
    stop: Stop,
    /// Whether it is a file, which is never full for a while only.
    ready: bool,
}

impl Outlet {
    /// It, until somebody asks to stop.
    ///
    /// # Errors
    /// If the system gives no descriptor for it.
    pub fn new(stop: &Stop) -> Result<Self> {
        let copy = stdout().as_fd().try_clone_to_owned();
        let file = File::from(copy.map_err(|e| Error::io("write", "to standard output", e))?);
        let mut outlet = Self { file, stop: stop.clone(), ready: false };
        outlet.ready = outlet.metadata()?.is_file();
        Ok(outlet)
    }

    /// What it is.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn metadata(&self) -> Result<Metadata> {
        self.file.metadata().map_err(|e| Error::io("write", "to standard output", e))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.ready {
            // Once somebody has asked, what there is room for is still written, and nothing is waited for.
            let asked = self.stop.check();
            let wait = if asked.is_ok() { WAIT } else { NOT_AT_ALL };
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&wait)) {
                Ok(0) | Err(Errno::INTR) => asked.map_err(io::Error::other)?,
                Ok(_) => return self.file.write(&bytes[..bytes.len().min(AT_ONCE)]),
                Err(e) => return Err(e.into()),
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
