//! What this process writes and has not finished, for an end that cannot wait for who writes it: he may be waiting himself,
//! for a disk that does not answer.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, unlinkat};

use super::folders::Folders;

/// A file and the folders that were made for it, each in the folder that it is in: in the order in which they can go.
type Litter = Vec<(OwnedFd, String, AtFlags)>;

static ALL: Mutex<BTreeMap<u64, Litter>> = Mutex::new(BTreeMap::new());

fn all() -> MutexGuard<'static, BTreeMap<u64, Litter>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of them, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Unfinished(u64);

impl Unfinished {
    /// This file, at the end of these folders. None where there is no descriptor left to note it with: then it is removed by
    /// who writes it, or by the next run.
    pub fn note(folders: &Folders, name: &str) -> Option<Self> {
        let file = (folders.fd().try_clone().ok()?, name.to_owned(), AtFlags::empty());
        let made = folders
            .made()
            .map(|(above, name)| Some((above.try_clone().ok()?, name.to_owned(), AtFlags::REMOVEDIR)));
        let litter = [Some(file)].into_iter().chain(made).collect::<Option<Litter>>()?;
        let mut all = all();
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, litter);
        Some(Self(number))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        all().remove(&self.0);
    }
}

/// Remove all of it. Who writes it finds that it is gone, if he comes so far.
pub fn discard_unfinished() {
    let litter: Vec<Litter> = std::mem::take(&mut *all()).into_values().collect();
    for (folder, name, kind) in litter.into_iter().flatten() {
        // A folder that something else stands in stays.
        let _ = unlinkat(&folder, &name, kind);
    }
}
