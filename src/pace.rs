//! Reading no faster than somebody wants, so that others have the disk too.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::stop::Stop;

/// Whoever asks to stop waits no longer than this.
const NAP: Duration = Duration::from_millis(50);

/// So many bytes a second, and no more. What was not read in time is not made up for: a disk that was slow for a minute is
/// not read in a burst afterwards.
#[derive(Debug)]
pub struct Pace {
    rate: u64,
    /// From when on something may be read.
    next: Mutex<Instant>,
    stop: Stop,
}

impl Pace {
    /// Bytes a second.
    pub fn new(rate: u64, stop: &Stop) -> Self {
        Self { rate, next: Mutex::new(Instant::now()), stop: stop.clone() }
    }

    /// So many bytes were read: wait until the next ones may be, or somebody asks to stop.
    pub fn took(&self, bytes: u64) {
        let until = self.count(bytes, Instant::now());
        while self.stop.asked().is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            sleep(left.min(NAP));
        }
    }

    /// When bytes that were read now have had their time.
    pub fn count(&self, bytes: u64, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(now) + Duration::from_secs_f64(bytes as f64 / self.rate.max(1) as f64);
        *next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_their_time_one_after_the_other_and_no_lost_time_is_made_up_for() {
        let pace = Pace::new(1 << 20, &Stop::default());
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(pace.count(3 << 20, now), now + 3 * second);
        assert_eq!(pace.count(1 << 20, now + second), now + 4 * second);
        assert_eq!(pace.count(1 << 20, now + 60 * second), now + 61 * second);
        assert_eq!(pace.count(0, now), now + 61 * second);
    }

    #[test]
    fn whoever_asks_to_stop_does_not_wait() {
        let stop = Stop::default();
        stop.ask(15);
        // A year, if it did.
        Pace::new(1, &stop).took(365 * 86_400);
    }
}
