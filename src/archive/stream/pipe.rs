//! A pipe or a terminal: what may keep its reader waiting.

use std::fs::File;
use std::io::{self, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::stop::Stop;

/// How long nothing may come before it is looked whether to stop.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Something that can be read only once. Reading fails as soon as somebody asks to stop, also while nothing comes: a read
/// alone would not end then, as signals restart it.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    stop: Stop,
}

impl Pipe {
    /// From where it has been read up to.
    pub fn new(file: File, stop: &Stop) -> Self {
        Self { file, stop: stop.clone() }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stop.check().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&WAIT)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return self.file.read(buffer),
                Err(e) => return Err(e.into()),
            }
        }
    }
}
