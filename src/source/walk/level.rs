//! Down into folders, and up again.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;

use super::super::content::Body;
use super::super::database::{Database, recognise};
use super::super::exclude::CACHEDIR_SIGNATURE;
use super::super::folder::{Hint, Listing};
use super::super::open::{Fault, Opened, id, open, open_quietly, stat};
use super::Walk;
use crate::entry::Content as _;
use crate::printable::printable;
use crate::uncached::Way;

/// So many folders on the way down stay open; those above are found again by `..`, and the root stays open too.
const KEPT_OPEN: usize = 16;

/// A folder that is being read.
#[derive(Debug)]
pub(super) struct Level {
    /// Closed while we are far below.
    pub(super) folder: Option<OwnedFd>,
    /// Device and inode, to know it again.
    pub(super) id: (u64, u64),
    pub(super) names: Listing,
    /// The place in `names` of the next.
    pub(super) next: usize,
    /// How much of [`Walk::name`] is this folder's.
    pub(super) length: usize,
    /// Whether files in it that are on the same device are only looked at.
    pub(super) look: bool,
    /// Whether a mark in it leaves out all but the marks.
    pub(super) marked: bool,
}

impl Walk {
    /// List the folder under the present name and go down into it.
    pub(super) fn enter(&mut self, folder: OwnedFd, id: (u64, u64)) {
        let (mut names, outcome) = Listing::read(folder.as_fd(), &mut self.buffer);
        if let Err(error) = outcome {
            self.pending.push_back(Fault::new("list source folder", error).of(&self.name));
        }
        let filled = |name: &[u8]| size_of(folder.as_fd(), name) > 0;
        if let Some(kind) = recognise(&names, filled) {
            self.databases.push(Database { name: self.name.clone(), kind });
        }
        let mut marks: Vec<&[u8]> = self.rules.marks.iter().map(Vec::as_slice).collect();
        if self.rules.cachedir_tag && names.has(b"CACHEDIR.TAG") && is_cache(folder.as_fd()) {
            marks.push(b"CACHEDIR.TAG");
        }
        marks.retain(|mark| names.has(mark));
        let marked = !marks.is_empty();
        if let Some(mark) = marks.first() {
            log::debug!("leave out what is in {}: there is {}", printable(&self.name), printable(mark));
            names.keep(|name| marks.contains(&name));
        }
        let look = self.again.is_some() && self.steady.is(id.0, folder.as_fd());
        self.levels.push(Level {
            folder: Some(folder),
            id,
            names,
            next: 0,
            length: self.name.len(),
            look,
            marked,
        });
        if let Some(far) = self.levels.len().checked_sub(KEPT_OPEN + 1).filter(|far| *far > 0) {
            self.levels[far].folder = None;
        }
    }

    /// Go back up from the innermost folder.
    pub(super) fn leave(&mut self) {
        let Some(left) = self.levels.pop() else { return };
        let Some(at) = self.levels.len().checked_sub(1) else { return };
        if self.levels[at].folder.is_some() {
            return;
        }
        let back = left.folder.ok_or(Errno::NOENT).and_then(|below| {
            same(open_quietly(&below, c"..", OFlags::NOFOLLOW | OFlags::DIRECTORY)?, self.levels[at].id)
        });
        // A folder that was moved has another parent now; from the root down the one that we want may still be there.
        match back.or_else(|_| self.descend(at)) {
            Ok(folder) => self.levels[at].folder = Some(folder),
            Err(error) => {
                let level = &self.levels[at];
                self.name.truncate(level.length);
                if level.next < level.names.len() {
                    let what = if error == Errno::NOENT { "moved or removed" } else { "lost" };
                    let doing = format!("go back to source folder, which was {what} while it was read");
                    self.pending.push_back(Fault::skipped(&doing, error).of(&self.name));
                }
            }
        }
    }

    /// Open the folder at this level again, from the root down.
    fn descend(&self, at: usize) -> Result<OwnedFd, Errno> {
        let root = self.levels[0].folder.as_ref().ok_or(Errno::NOENT)?;
        let mut folder = None;
        for (above, level) in self.levels.iter().zip(&self.levels[1..=at]) {
            let name = CString::new(&self.name[above.length + 1..level.length]).map_err(|_| Errno::NOENT)?;
            let from = folder.as_ref().unwrap_or(root).as_fd();
            let next = open_quietly(from, name.as_c_str(), OFlags::NOFOLLOW | OFlags::DIRECTORY)?;
            folder = Some(same(next, level.id)?);
        }
        folder.ok_or(Errno::NOENT)
    }
}

/// This folder, if it is the one that it should be.
fn same(folder: OwnedFd, wanted: (u64, u64)) -> Result<OwnedFd, Errno> {
    if id(&stat(&folder)?) == wanted { Ok(folder) } else { Err(Errno::NOENT) }
}

/// The size of the file of this name, 0 if it cannot be told.
fn size_of(folder: BorrowedFd<'_>, name: &[u8]) -> u64 {
    let Ok(name) = CString::new(name) else { return 0 };
    statx(folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::SIZE)
        .map_or(0, |stat| stat.stx_size)
}

/// Whether the `CACHEDIR.TAG` in this folder means it.
fn is_cache(folder: BorrowedFd<'_>) -> bool {
    let Ok(Opened::File(fd, stat)) = open(folder, c"CACHEDIR.TAG", Hint::File) else { return false };
    let mut begin = [0; CACHEDIR_SIGNATURE.len()];
    let mut body = Body::new(fd, stat, Way::default());
    matches!(body.read(&mut begin), Ok(length) if begin[..length] == CACHEDIR_SIGNATURE[..])
}
