//! The emptying, name by name through open folders.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, syncfs, unlinkat};
use rustix::io::Errno;
use serde::Serialize;

use super::Seen;
use super::there::part_of;
use crate::entry::{Entry, Found, Kind, Miss, is_below};
use crate::error::{Error, Result, cause_text};
use crate::extract::{Root, split};
use crate::printable::printable;
use crate::report::{NAMES_KEPT, Noted};
use crate::source::{self, Source};
use crate::stop::Stop;
use crate::sys::failpoint;

/// What a file system keeps at its root for itself.
pub(super) const FOUND: &str = "lost+found";

/// What may be removed.
#[derive(Debug)]
pub enum May {
    /// Whatever is found.
    Everything,
    /// What an archive has, unchanged; folders that are empty by then.
    Archived(Seen),
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Emptied {
    /// Files, folders and links that are gone.
    pub entries: u64,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// What is mounted in the sources, which is never removed: of a folder what is in it, of a file not even that.
    pub mounted: Noted,
    /// What should have gone and did not, each with the reason.
    pub left: Noted,
}

/// Remove what is in these sources, which stay themselves, if they are folders. Each is known by device and inode.
///
/// # Errors
/// If a source is not what it was, or `stop` asks. What was removed until then is in `emptied` in any case.
pub fn empty(
    sources: &[(Source, (u64, u64))],
    options: &source::Options,
    may: &May,
    stop: &Stop,
    emptied: &mut Emptied,
) -> Result<()> {
    let plain: Vec<Source> = sources.iter().map(|(source, _)| source.clone()).collect();
    if plain.is_empty() {
        return Ok(());
    }
    let mut emptying: Option<(usize, Emptying)> = None;
    let mut linked = HashSet::new();
    let mut walk = source::walk(&plain, options)?;
    while let Some(found) = walk.next() {
        let outcome = stop.check();
        let name = match &found {
            Found::Entry(entry) => &entry.name,
            Found::Missed(missed) => &missed.name,
        };
        let part = part_of(&plain, name);
        if outcome.is_err() || part.map(|part| part.0) != emptying.as_ref().map(|it| it.0) {
            if let Some((_, done)) = emptying.take() {
                done.finish(emptied)?;
            }
            outcome?;
        }
        let Some((number, below)) = part else { continue };
        let (_, emptying) = match &mut emptying {
            Some(some) => some,
            none => none.insert((number, Emptying::begin(&sources[number].0, sources[number].1, may)?)),
        };
        match &found {
            Found::Missed(missed) if missed.what == Miss::Vanished => {}
            Found::Missed(missed) => note(&mut emptied.left, name, &missed.cause),
            // A folder that is left out keeps what says so.
            Found::Entry(_) if walk.is_mark() => {}
            Found::Entry(entry) => emptying.entry(entry, below, &mut linked, emptied)?,
        }
    }
    emptying.map_or(Ok(()), |(_, done)| done.finish(emptied))
}

/// Files of which one name is gone and others may be there, in this source or another.
type Linked = HashSet<(u64, u64)>;

/// One source.
struct Emptying<'a> {
    source: &'a Source,
    id: (u64, u64),
    may: &'a May,
    /// The source, or the folder that it is a file in.
    root: Root,
    /// Of a source that is a file, its name in that folder.
    single: Option<Vec<u8>>,
    /// The folder that the walk is in, and where in it the names of those above it end.
    path: Vec<u8>,
    ends: Vec<usize>,
    /// The folder that was last removed from.
    open: Option<(Vec<u8>, OwnedFd)>,
    /// Folders on which something is mounted, to be synced.
    mounts: Vec<Vec<u8>>,
}

impl<'a> Emptying<'a> {
    fn begin(source: &'a Source, id: (u64, u64), may: &'a May) -> Result<Self> {
        let path: std::path::PathBuf = source.path.components().collect();
        let single = match (path.is_dir(), path.file_name()) {
            (false, Some(name)) => Some(name.as_bytes().to_vec()),
            _ => None,
        };
        let root = Root::open(match path.parent() {
            Some(above) if single.is_some() => above,
            _ => &path,
        })?;
        if single.is_none() && id_of(&fstat(root.fd()).map_err(|e| Error::io("look at", &path, e))?) != id {
            return Err(replaced(&path));
        }
        Ok(Self {
            source,
            id,
            may,
            root,
            single,
            path: Vec::new(),
            ends: Vec::new(),
            open: None,
            mounts: Vec::new(),
        })
    }

    fn entry(
        &mut self,
        entry: &Entry,
        below: &[u8],
        linked: &mut Linked,
        emptied: &mut Emptied,
    ) -> Result<()> {
        if below.is_empty() {
            if (entry.device, entry.inode) != self.id {
                return Err(replaced(&self.source.path));
            }
            if let Some(name) = self.single.clone() {
                self.file(entry, &name, linked, emptied);
            }
            return Ok(());
        }
        while !self.path.is_empty() && !is_below(below, &self.path) {
            self.leave(emptied);
        }
        if entry.kind == Kind::Directory {
            self.ends.push(self.path.len());
            self.path = below.to_vec();
        } else {
            self.file(entry, below, linked, emptied);
        }
        Ok(())
    }

    /// The folder that this name stands in, open, and the last part of the name.
    fn folder<'b>(&mut self, name: &'b [u8]) -> Result<(BorrowedFd<'_>, &'b OsStr), Errno> {
        let (folder, last) = split(name);
        if self.open.as_ref().is_none_or(|(open, _)| open != folder) {
            self.open = Some((folder.to_vec(), self.root.folder(folder)?));
        }
        let (_, fd) = self.open.as_ref().ok_or(Errno::NOENT)?;
        Ok((fd.as_fd(), OsStr::from_bytes(last)))
    }

    /// Remove what is no folder, if it is what the walk found, and what may be removed.
    fn file(&mut self, entry: &Entry, name: &[u8], linked: &mut Linked, emptied: &mut Emptied) {
        let id = (entry.device, entry.inode);
        if let May::Archived(seen) = self.may
            && !(seen.has(entry) || linked.contains(&id) && seen.has_link(entry))
        {
            note(&mut emptied.left, &entry.name, "it is new or has changed since it was archived");
            return;
        }
        let removed = self.folder(name).and_then(|(folder, last)| {
            let stat = statat(folder, last, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_it = id_of(&stat) == id
                && (stat.st_ctime, stat.st_ctime_nsec as u32) == (entry.ctime.seconds, entry.ctime.nanos);
            if is_it {
                unlinkat(folder, last, AtFlags::empty())?;
            }
            Ok(is_it.then_some(stat))
        });
        match removed {
            Ok(Some(stat)) => {
                if stat.st_nlink > 1 {
                    linked.insert(id);
                }
                emptied.entries += 1;
                emptied.bytes += entry.size;
                failpoint("reset-removed");
            }
            Ok(None) => note(&mut emptied.left, &entry.name, "it changed while it was to be removed"),
            Err(Errno::NOENT) => {}
            Err(Errno::BUSY) => note(&mut emptied.mounted, &entry.name, "a mounted file"),
            Err(e) => note(&mut emptied.left, &entry.name, &cause_text(&e.into())),
        }
    }

    /// The walk is through with the innermost folder.
    fn leave(&mut self, emptied: &mut Emptied) {
        let Some(end) = self.ends.pop() else { return };
        let name = std::mem::take(&mut self.path);
        self.path = name[..end].to_vec();
        if name == FOUND.as_bytes() {
            return;
        }
        let removed = self.folder(&name).and_then(|(folder, last)| {
            let outcome = unlinkat(folder, last, AtFlags::REMOVEDIR);
            match outcome {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    // The walk does not find sockets, which hold nothing.
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    remove_sockets(&openat(folder, last, flags, Mode::empty())?)?;
                    unlinkat(folder, last, AtFlags::REMOVEDIR)
                }
                outcome => outcome,
            }
        });
        let full = || [self.source.name.as_slice(), b"/", &name].concat();
        match removed {
            Ok(()) => emptied.entries += 1,
            // What stays in it was said, or stays by rule.
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(Errno::BUSY) => {
                note(&mut emptied.mounted, &full(), "a mount point");
                self.mounts.push(name);
            }
            Err(e) => note(&mut emptied.left, &full(), &cause_text(&e.into())),
        }
    }

    fn finish(mut self, emptied: &mut Emptied) -> Result<()> {
        while !self.ends.is_empty() {
            self.leave(emptied);
        }
        let sync = |fd: &dyn std::os::fd::AsFd| {
            syncfs(fd.as_fd()).map_err(|e| Error::io("sync", &self.source.path, e))
        };
        if self.single.is_none() {
            for name in std::iter::once(&[][..]).chain(self.mounts.iter().map(Vec::as_slice)) {
                let Ok(folder) = self.root.folder(name) else { continue };
                if let Err(e) = remove_sockets(&folder) {
                    note(
                        &mut emptied.left,
                        &self.source.name,
                        &format!("a socket: {}", cause_text(&e.into())),
                    );
                }
                sync(&folder)?;
            }
            return Ok(());
        }
        sync(&self.root.fd())
    }
}

/// Sockets are names to meet under, left behind by services that are gone.
fn remove_sockets(folder: &OwnedFd) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let is = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
        if matches!(entry.file_type(), FileType::Socket | FileType::Unknown)
            && statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is(&stat))
        {
            unlinkat(folder, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

fn id_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn replaced(path: &Path) -> Error {
    Error::failed(format!(
        "source {} is not the folder any more that it was: something was mounted or moved there meanwhile; look at it, \
         and begin anew",
        crate::printable::printable_path(path)
    ))
}

pub(super) fn note(noted: &mut Noted, name: &[u8], cause: &str) {
    noted.count += 1;
    if noted.names.len() < NAMES_KEPT {
        noted.names.push(format!("{}: {cause}", printable(name)));
    }
}
