//! How far a run has come, counted by whoever works and read by whoever draws.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one run. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    entries: AtomicU64,
    bytes: AtomicU64,
    stored: AtomicU64,
    expected: AtomicU64,
}

impl Progress {
    /// One more entry has been read.
    pub fn entry(&self) {
        self.0.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more bytes of bodies have been read.
    pub fn read(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many more bytes have been written.
    pub fn stored(&self, bytes: u64) {
        self.0.stored.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes will be read, about: as many as last time, or as were counted. 0 where nobody knows.
    pub fn expect(&self, bytes: u64) {
        self.0.expected.store(bytes, Ordering::Relaxed);
    }

    /// What [`Progress::expect`] was told.
    pub fn expected(&self) -> u64 {
        self.0.expected.load(Ordering::Relaxed)
    }

    /// Entries and bytes read, bytes written.
    pub fn so_far(&self) -> (u64, u64, u64) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (get(&self.0.entries), get(&self.0.bytes), get(&self.0.stored))
    }
}
