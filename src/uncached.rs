//! Reading without leaving traces in the page cache: what was cached stays, what only this read brought in goes.
//! `docs/decisions/page-cache.md` has the measurements.

mod pages;
mod shared;
#[cfg(test)]
mod tests;
mod window;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use rustix::io::{Errno, ReadWriteFlags};

pub use self::pages::Pages;
pub use self::shared::Shared;

/// `RWF_DONTCACHE` of `linux/fs.h`, Linux 6.14 and later: the kernel drops the pages that this read brought in.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// The kernel does it all.
const DROPPED: u8 = 0;
/// We look what is cached before, and drop the rest after.
const LOOKED: u8 = 1;
/// Neither is possible, as on tmpfs, where the cache is the file.
const PLAIN: u8 = 2;

/// How files of one file system are read: the best way until it turns out not to be there.
pub type Way = Arc<AtomicU8>;

/// The ways by file system.
#[derive(Debug, Default)]
pub struct Ways {
    last: Option<(u64, Way)>,
    all: HashMap<u64, Way>,
}

impl Ways {
    /// The way for files on this device.
    pub fn of(&mut self, device: u64) -> Way {
        match &self.last {
            Some((last, way)) if *last == device => Arc::clone(way),
            _ => {
                let way = Arc::clone(self.all.entry(device).or_default());
                self.last = Some((device, Arc::clone(&way)));
                way
            }
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
