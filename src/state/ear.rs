//! What a daemon hears a health check with, and answers it: a loop that hangs does neither.
//!
//! It is a socket without a file (unix(7), abstract): no disk is written to, the daemon wakes only when it is asked, and
//! the kernel removes it with the process. Its name cannot be guessed; it stands in the file that says who keeps a job.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long an answer may take. The loop is held up by its own writes of the state, for the time that a disk takes to wake;
/// the image's `HEALTHCHECK` gives up after 10 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions that are answered at once.
const AT_ONCE: usize = 64;

/// The ear of a daemon.
#[derive(Debug)]
pub struct Ear {
    socket: UnixDatagram,
    name: String,
}

impl Ear {
    /// Listen from here on.
    ///
    /// # Errors
    /// If the system has no such sockets.
    pub fn open() -> io::Result<Self> {
        let (socket, name) = bound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, name })
    }

    /// By what others find it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Answer whoever has asked.
    pub fn answer(&self) {
        for _ in 0..AT_ONCE {
            let Ok((_, who)) = self.socket.recv_from(&mut [0]) else { return };
            // Who does not wait any more needs no answer.
            let _ = self.socket.send_to_addr(b"!", &who);
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Who was asked, and what came of it: a daemon that keeps several jobs is waited for once.
#[derive(Debug, Default)]
pub struct Asked(BTreeMap<String, Option<bool>>);

impl Asked {
    /// Whether the ear of this name answers. None where that cannot be found out, as from another network namespace.
    pub(super) fn answers(&mut self, name: &str) -> Option<bool> {
        *self.0.entry(name.into()).or_insert_with(|| answers(name))
    }
}

fn answers(name: &str) -> Option<bool> {
    let (socket, _) = bound().ok()?;
    socket.set_nonblocking(true).ok()?;
    match socket.send_to_addr(b"?", &SocketAddr::from_abstract_name(name).ok()?) {
        Ok(_) => {}
        // Nothing of what others have asked was taken away.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Some(false),
        Err(_) => return None,
    }
    socket.set_nonblocking(false).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(socket.recv(&mut [0]).is_ok())
}

fn bound() -> io::Result<(UnixDatagram, String)> {
    let random = RandomState::new();
    let name = format!("tarkeep {:016x}{:016x}", random.hash_one(0), random.hash_one(1));
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    Ok((socket, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_answers_and_who_is_not_there_is_not_said_to_be_silent() {
        let ear = Ear::open().unwrap();
        let name = ear.name().to_owned();
        let asked = std::thread::spawn(move || (answers(&name), answers("nobody has this name")));
        while !asked.is_finished() {
            ear.answer();
            std::thread::yield_now();
        }
        assert_eq!(asked.join().unwrap(), (Some(true), None));
    }
}
