//! The names in a folder.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

/// What a listing says that a name is; the truth is known when it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Unknown,
    File,
    Folder,
    Other,
}

impl From<FileType> for Hint {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Unknown => Self::Unknown,
            _ => Self::Other,
        }
    }
}

/// The names in a folder, sorted by their bytes, each once: 9 bytes and the name itself for each.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All names, each with a zero byte behind it.
    names: Vec<u8>,
    /// For each name where it starts, how long it is, and its hint, in one number: see [`key`].
    keys: Vec<u64>,
}

/// 48 bits start, 14 bits length, 2 bits hint. Names are shorter than a path may be, 4,096 bytes, everywhere.
fn key(start: usize, length: usize, hint: Hint) -> u64 {
    (start as u64) << 16 | (length as u64 & 0x3fff) << 2 | hint as u64
}

impl Listing {
    /// List this folder. What was listed before an error is returned with it.
    pub(super) fn read(folder: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> (Self, Result<(), Errno>) {
        let mut listing = Self::default();
        let mut entries = RawDir::new(folder, buffer);
        let outcome = loop {
            match entries.next() {
                None => break Ok(()),
                Some(Err(Errno::INTR)) => {}
                Some(Err(error)) => break Err(error),
                Some(Ok(entry)) => {
                    let name = entry.file_name().to_bytes();
                    if name == b"." || name == b".." {
                        continue;
                    }
                    // A broken or hostile file system must not lead out of the folder by a name.
                    if name.is_empty() || name.contains(&b'/') || name.len() > 0x3fff {
                        break Err(Errno::IO);
                    }
                    listing.push(name, entry.file_type().into());
                }
            }
        };
        listing.sort();
        (listing, outcome)
    }

    fn push(&mut self, name: &[u8], hint: Hint) {
        self.keys.push(key(self.names.len(), name.len(), hint));
        self.names.extend_from_slice(name);
        self.names.push(0);
    }

    fn sort(&mut self) {
        let Self { names, keys } = self;
        keys.sort_unstable_by(|a, b| slice(names, *a).cmp(slice(names, *b)));
        // A file system may list a name twice when the folder changes meanwhile.
        keys.dedup_by(|a, b| slice(names, *a) == slice(names, *b));
    }

    /// The name at this place, and what it seems to be.
    pub(super) fn get(&self, place: usize) -> Option<(&CStr, Hint)> {
        let key = *self.keys.get(place)?;
        let (start, length) = place_of(key);
        let name = CStr::from_bytes_with_nul(&self.names[start..=start + length]).ok()?;
        let hint = match key & 3 {
            0 => Hint::Unknown,
            1 => Hint::File,
            2 => Hint::Folder,
            _ => Hint::Other,
        };
        Some((name, hint))
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether this name is there.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.keys.binary_search_by(|key| slice(&self.names, *key).cmp(name)).is_ok()
    }

    /// All names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| slice(&self.names, *key))
    }

    /// Forget all names but these.
    pub(super) fn keep(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        let Self { names, keys } = self;
        keys.retain(|key| wanted(slice(names, *key)));
    }

    /// A listing of these names.
    #[cfg(test)]
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut listing = Self::default();
        names.for_each(|name| listing.push(name, Hint::Unknown));
        listing.sort();
        listing
    }
}

/// Whether there is no name in this folder.
pub(super) fn is_empty(folder: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> Result<bool, Errno> {
    let mut entries = RawDir::new(folder, buffer);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn place_of(key: u64) -> (usize, usize) {
    ((key >> 16) as usize, (key >> 2 & 0x3fff) as usize)
}

fn slice(names: &[u8], key: u64) -> &[u8] {
    let (start, length) = place_of(key);
    &names[start..start + length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_sorted_and_once() {
        let listing = Listing::of([&b"b"[..], b"a-", b"a", b"\xff", b"b", b"a.b"].into_iter());
        let names: Vec<&[u8]> = listing.iter().collect();
        assert_eq!(names, [&b"a"[..], b"a-", b"a.b", b"b", b"\xff"]);
        assert!(listing.has(b"a.b") && !listing.has(b"c"));
        assert_eq!(listing.get(2), Some((c"a.b", Hint::Unknown)));
        assert_eq!(listing.get(5), None);
    }

    #[test]
    fn a_hint_survives_the_packing() {
        for hint in [Hint::Unknown, Hint::File, Hint::Folder, Hint::Other] {
            let mut listing = Listing::default();
            listing.push(&[b'x'; 255], hint);
            assert_eq!(listing.get(0).unwrap().1, hint);
            assert_eq!(listing.get(0).unwrap().0.to_bytes().len(), 255);
        }
    }
}
