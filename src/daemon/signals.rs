//! Signals: what they set, what they wake, and how a process ends that one of them stopped.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{WaitOptions, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::{Error, Result, cause_text};
use crate::exit::Exit;
use crate::stop::Stop;

/// What the daemon hears of signals, besides [`Stop`].
#[derive(Debug)]
pub struct Signals {
    stop: Stop,
    wake: UnixStream,
    hangup: Arc<AtomicBool>,
    child: Arc<AtomicBool>,
}

impl Signals {
    /// For a command that does one thing and ends: `SIGTERM`, `SIGINT`, and `SIGHUP` of a terminal that is closed
    /// (unless whoever started us has it ignored, as `nohup` does), ask to stop. A second one ends the process at once.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn one_shot(stop: &Stop) -> Result<()> {
        let hangup = (!ignored(SIGHUP)).then_some(SIGHUP);
        ask_to_stop(stop, [SIGTERM, SIGINT].into_iter().chain(hangup)).map_err(|e| refused(&e))
    }

    /// For a command that only looks: a signal ends it at once, wherever it is, as in a write to a pipe that nobody reads
    /// or in a read from a server that is gone, which a handler would not end. That is what the kernel does by default,
    /// but with PID 1.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn at_once() -> Result<()> {
        let always = Arc::new(AtomicBool::new(true));
        let end = |signal| flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&always));
        let signals = if is_init() { &[SIGTERM, SIGINT][..] } else { &[] };
        signals.iter().try_for_each(|signal| end(*signal).map(|_| ())).map_err(|e| refused(&e))
    }

    /// For the daemon: `SIGTERM` and `SIGINT` ask to stop, a second one ends the process at once, `SIGHUP` asks for
    /// the configuration to be read again. As PID 1, children that nobody waits for are reaped.
    ///
    /// # Errors
    /// If the system refuses a handler or the pipe that they wake the daemon with.
    pub fn daemon(stop: &Stop) -> Result<Self> {
        Self::listen(stop).map_err(|e| refused(&e))
    }

    fn listen(stop: &Stop) -> std::io::Result<Self> {
        let (wake, bell) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        ask_to_stop(stop, [SIGTERM, SIGINT])?;
        let (hangup, child) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        flag::register(SIGHUP, Arc::clone(&hangup))?;
        // Handlers run in the order in which they were registered, so the bell comes after the flags.
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            low_level::pipe::register(signal, bell.try_clone()?)?;
        }
        if is_init() {
            flag::register(SIGCHLD, Arc::clone(&child))?;
            // Whatever died before there was a handler is waiting.
            child.store(true, Ordering::SeqCst);
            low_level::pipe::register(SIGCHLD, bell)?;
        }
        Ok(Self { stop: stop.clone(), wake, hangup, child })
    }

    /// Readable when a signal has come.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Take note of what has come: empty the pipe, and reap.
    pub fn take(&self) {
        let mut bytes = [0; 64];
        while (&self.wake).read(&mut bytes).is_ok_and(|read| read > 0) {}
        if self.child.swap(false, Ordering::SeqCst) {
            // Nothing here starts children and waits for them, so whatever has died was left to PID 1.
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        }
    }

    /// The signal that asked to stop, if one did.
    pub fn stopped(&self) -> Option<i32> {
        self.stop.asked()
    }

    /// What a run looks at.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether the configuration should be read again; asked once.
    pub fn reload(&self) -> bool {
        self.hangup.swap(false, Ordering::SeqCst)
    }
}

/// The end of the process. Who was stopped by a signal dies of it, so that a shell or a service manager sees what
/// happened. PID 1 cannot, for the kernel shields it from the default action of signals: it exits with 128+n.
pub fn end(exit: Exit) -> ExitCode {
    if let Exit::Signal(signal) = exit
        && !is_init()
    {
        // It returns only for a signal whose default is to do nothing.
        let _ = low_level::emulate_default_handler(signal);
    }
    exit.into()
}

fn ask_to_stop(stop: &Stop, signals: impl IntoIterator<Item = i32>) -> std::io::Result<()> {
    let second = Arc::new(AtomicBool::new(false));
    for signal in signals {
        // The first signal finds the flag unset, goes past the shutdown, and sets it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&second))?;
        flag::register(signal, Arc::clone(&second))?;
        flag::register_usize(signal, stop.flag(), signal as usize)?;
    }
    Ok(())
}

fn is_init() -> bool {
    std::process::id() == 1
}

/// Whether this signal was ignored when the process started. `SigIgn` of proc(5) is a mask in hexadecimal.
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn refused(error: &std::io::Error) -> Error {
    Error::failed(format!("handle signals: {}", cause_text(error)))
}
