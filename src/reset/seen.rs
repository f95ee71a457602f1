//! Which entries an archive has, as they were when they were opened for it.

use std::collections::HashSet;

use crate::entry::{Entry, Kind};

/// How an entry is known again: 16 bytes of a hash, so that a million entries take some 35 MiB.
type Key = [u8; 16];

/// The entries of an archive. Whatever was written to later is not one of them.
///
/// The index of the archive knows as much, but not every archive can be read back here: one may have no index, or be
/// encrypted for somebody else.
#[derive(Debug, Default)]
pub struct Seen(HashSet<Key>);

impl Seen {
    /// This entry is in the archive.
    pub fn add(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Directory => {}
            Kind::Hardlink(_) => drop(self.0.insert(link_key(entry))),
            _ => drop(self.0.insert(key(entry))),
        }
    }

    /// Whether just this is in the archive: the same name, kind and file, not changed since.
    pub fn has(&self, entry: &Entry) -> bool {
        self.0.contains(&key(entry))
    }

    /// Whether this further name of a file is, the file being unchanged but for the names that it has lost: losing one
    /// changes its ctime, and the last that is left looks like the only one there ever was.
    pub fn has_link(&self, entry: &Entry) -> bool {
        self.0.contains(&link_key(entry))
    }
}

fn key(entry: &Entry) -> Key {
    let (mtime, ctime) = (entry.mtime, entry.ctime);
    let numbers = [entry.device, entry.inode, entry.size, mtime.seconds as u64, mtime.nanos.into()];
    hash(entry, entry.kind.letter(), &[&numbers[..], &[ctime.seconds as u64, ctime.nanos.into()]].concat())
}

fn link_key(entry: &Entry) -> Key {
    let mtime = entry.mtime;
    hash(entry, 'h', &[entry.device, entry.inode, mtime.seconds as u64, mtime.nanos.into()])
}

fn hash(entry: &Entry, kind: char, numbers: &[u64]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(entry.name.len() as u64).to_le_bytes());
    hasher.update(&entry.name);
    hasher.update(&[kind as u8]);
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}
