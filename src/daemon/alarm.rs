//! The one place where the daemon waits: until a time on the wall clock, a signal, or the end of a run.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// The clock is looked at again after so long at the latest, should a kernel not tell of its steps (gVisor).
const AT_LEAST_EVERY: Timespec = Timespec { tv_sec: 3600, tv_nsec: 0 };

/// A timer on the wall clock, and a bell.
///
/// A timer on the real-time clock that is cancelled when the clock is set (timerfd_create(2)) rings after a suspend as
/// well as after a step in either direction, without anybody looking at the clock every so often.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    bell: Arc<OwnedFd>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// If the system has no timer or no event for us.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { timer, bell: Arc::new(bell) })
    }

    /// What another thread ends the wait with.
    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.bell))
    }

    /// Wait until the wall clock shows `until` or later, was set, the bell has rung, one of `others` is readable, or an
    /// hour has gone by.
    ///
    /// # Errors
    /// If the system cannot wait, which it has no reason for.
    pub fn wait(&self, until: Option<DateTime<Utc>>, others: &[BorrowedFd<'_>]) -> io::Result<()> {
        // All zero disarms. A time before 1970 has passed as well as its first second has.
        let at = until.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |until| Timespec {
            tv_sec: until.timestamp().max(1),
            tv_nsec: i64::from(until.timestamp_subsec_nanos().min(999_999_999)),
        });
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        match timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
            &spec,
        ) {
            // Set, and the clock was set since it was last read: the caller looks at it anew in any case.
            Ok(_) | Err(Errno::CANCELED) => {}
            Err(error) => return Err(error.into()),
        }
        let fds = [self.timer.as_fd(), self.bell.as_fd()].into_iter().chain(others.iter().copied());
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&AT_LEAST_EVERY)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Emptied, so that they do not ring again. ECANCELED is the clock that was set, EAGAIN that nothing rang.
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.timer, &mut count);
        let _ = rustix::io::read(&self.bell, &mut count);
        Ok(())
    }
}

/// Ends a wait.
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Ring. What rings before the wait ends it as soon as it begins.
    pub fn ring(&self) {
        // It fails only when it has been rung 2^64 times and not been heard.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn now() -> DateTime<Utc> {
        SystemTime::now().into()
    }

    #[test]
    fn a_time_that_has_passed_ends_the_wait_and_one_to_come_does_so_then() {
        let alarm = Alarm::new().unwrap();
        let (quiet, _other) = UnixStream::pair().unwrap();
        for past in [now(), now() - Duration::from_hours(1), DateTime::UNIX_EPOCH, DateTime::<Utc>::MIN_UTC] {
            alarm.wait(Some(past), &[quiet.as_fd()]).unwrap();
        }
        let soon = now() + Duration::from_millis(50);
        while now() < soon {
            alarm.wait(Some(soon), &[quiet.as_fd()]).unwrap();
        }
    }

    #[test]
    fn the_bell_and_a_signal_end_the_wait() {
        let alarm = Alarm::new().unwrap();
        let (signals, mut other) = UnixStream::pair().unwrap();
        alarm.bell().ring();
        alarm.wait(None, &[signals.as_fd()]).unwrap();
        alarm.bell().ring();
        alarm.wait(Some(now() + Duration::from_hours(1)), &[signals.as_fd()]).unwrap();
        other.write_all(b"X").unwrap();
        alarm.wait(None, &[signals.as_fd()]).unwrap();
    }
}
