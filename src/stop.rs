//! The wish to stop, shared by everything that works for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Set once by a signal, looked at by every loop between two pieces of work. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Ask everybody to stop because of this signal. The first one counts.
    pub fn ask(&self, signal: i32) {
        let _ = self.0.compare_exchange(0, signal as usize, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The signal that asked, if one did.
    pub fn asked(&self) -> Option<i32> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// What a signal handler stores the signal's number in; 0 is none.
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Go on, or end with the signal as the reason.
    ///
    /// # Errors
    /// If somebody asked to stop.
    pub fn check(&self) -> Result<()> {
        self.asked().map_or(Ok(()), |signal| Err(Error::signal(signal)))
    }
}
