//! The new in the place of the old, name by name, in a way that can be done again from any point on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::entry::{Timestamp, is_restore_folder};
use crate::error::{Error, Result};
use crate::printable::printable_path;

/// What a file system keeps at its root for itself.
const FOUND: &[u8] = b"lost+found";

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|e| Error::io("open folder", path, e))
}

fn open_in(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

fn look(folder: &OwnedFd, name: &CStr) -> Result<Option<Stat>, Errno> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The names in a folder, sorted, without those of restores.
fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names: Vec<CString> = Dir::read_from(folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_owned()))
        .collect::<Result<_, _>>()?;
    names.retain(|name| {
        let name = name.to_bytes();
        name != b"." && name != b".." && !is_restore_folder(name)
    });
    names.sort();
    Ok(names)
}

fn shown(path: &Path, name: &CStr) -> std::path::PathBuf {
    path.join(OsStr::from_bytes(name.to_bytes()))
}

/// A folder that is in the new tree and in the target, and the time that it has in the new one: taking out what is in it
/// changes that.
pub type Merged = (Vec<u8>, Timestamp);

/// Whether everything new can get to its place by renaming. The folders that have to be merged.
///
/// # Errors
/// If another file system is mounted at a folder that gets something new, or a folder that would have to make room holds
/// what is in `spare`.
pub fn check(new: &Path, target: &Path, spare: &[Id]) -> Result<Vec<Merged>> {
    let (from, to) = (open(new)?, open(target)?);
    let device = fstat(&from).map_err(|e| Error::io("look at", new, e))?.st_dev;
    let mut merged = Vec::new();
    let extra = Extra { delete: &Delete::All, spare, device };
    extra.check_in(&from, &to, target, &[], &mut merged)?;
    Ok(merged)
}

fn joined(folder: &[u8], last: &CStr) -> Vec<u8> {
    if folder.is_empty() { last.to_bytes().to_vec() } else { [folder, b"/", last.to_bytes()].concat() }
}

/// What of a target goes that the new tree does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// It stays.
    Nothing,
    /// What is at or below one of these names.
    Below(Vec<Vec<u8>>),
    /// Everything.
    All,
}

impl Delete {
    /// In this extent: everywhere, where it has no bounds.
    pub fn of(extent: Option<Vec<Vec<u8>>>) -> Self {
        extent.map_or(Self::All, Self::Below)
    }

    fn is_within(&self, place: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Below(tops) => tops.iter().any(|top| is_at_or_below(place, top)),
            Self::All => true,
        }
    }

    fn is_above(&self, place: &[u8]) -> bool {
        matches!(self, Self::Below(tops) if tops.iter().any(|top| is_at_or_below(top, place)))
    }
}

/// What the target has and the new tree has not and `delete` lets go, what is in a folder before the folder. What is in `spare`, by device and inode, stays, and so do other file systems.
///
/// # Errors
/// If a folder cannot be read.
pub fn extra(new: &Path, target: &Path, delete: &Delete, spare: &[Id]) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let target_fd = open(target)?;
    let device = fstat(&target_fd).map_err(|e| Error::io("look at", target, e))?.st_dev;
    let extra = Extra { delete, spare, device };
    extra.folder(Some(&open(new)?), &target_fd, target, &[], &mut found)?;
    Ok(found)
}

/// A file or folder, whatever its name: device and inode.
pub type Id = (u64, u64);

struct Extra<'a> {
    delete: &'a Delete,
    spare: &'a [Id],
    device: u64,
}

impl Extra<'_> {
    fn check_in(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        path: &Path,
        name: &[u8],
        merged: &mut Vec<Merged>,
    ) -> Result<()> {
        let failed = |e| Error::io("look at", path, e);
        if fstat(to).map_err(failed)?.st_dev != self.device {
            return Err(Error::failed(format!(
                "{} is another file system than the folder around it: restore what is in it by itself, with --to",
                printable_path(path)
            )));
        }
        let stat = fstat(from).map_err(failed)?;
        merged.push((name.to_vec(), Timestamp { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 }));
        for last in names(from).map_err(failed)? {
            let (ours, theirs) = (look(from, &last).map_err(failed)?, look(to, &last).map_err(failed)?);
            if ours.as_ref().is_some_and(is_folder) && theirs.as_ref().is_some_and(is_folder) {
                let below = shown(path, &last);
                let from = open_in(from, &last).map_err(|e| Error::io("open folder", &below, e))?;
                let to = open_in(to, &last).map_err(|e| Error::io("open folder", &below, e))?;
                self.check_in(&from, &to, &below, &joined(name, &last), merged)?;
            } else if let Some(theirs) = theirs.as_ref().filter(|theirs| ours.is_some() && is_folder(theirs))
            {
                let below = shown(path, &last);
                let to = open_in(to, &last).map_err(|e| Error::io("open folder", &below, e))?;
                if self.spares(theirs)
                    || self.folder(None, &to, &below, &joined(name, &last), &mut Vec::new())?
                {
                    return Err(Error::failed(format!(
                        "{} is no folder in the archive, and here archives are kept in it, or another file system is mounted: \
                     move it away, or restore with --to",
                        printable_path(&below)
                    )));
                }
            }
        }
        Ok(())
    }

    fn spares(&self, stat: &Stat) -> bool {
        stat.st_dev != self.device || self.spare.contains(&(stat.st_dev, stat.st_ino))
    }

    /// Whether something in the folder stays that is in no archive.
    fn folder(
        &self,
        new: Option<&OwnedFd>,
        target: &OwnedFd,
        path: &Path,
        prefix: &[u8],
        found: &mut Vec<Vec<u8>>,
    ) -> Result<bool> {
        let failed = |e| Error::io("look at", path, e);
        let kept: BTreeSet<CString> = match new {
            Some(new) => names(new).map_err(failed)?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        let mut stays = false;
        for name in names(target).map_err(failed)? {
            let place = joined(prefix, &name);
            if prefix.is_empty() && name.to_bytes() == FOUND {
                continue;
            }
            let within = self.delete.is_within(&place);
            if !within && !self.delete.is_above(&place) {
                continue;
            }
            let mut gone = within && !kept.contains(&name);
            let Some(stat) = look(target, &name).map_err(failed)? else { continue };
            if self.spares(&stat) {
                if gone {
                    let what = "archives are kept there, or it is another file system";
                    log::warn!("{} stays: {what}", printable_path(&shown(path, &name)));
                }
                stays = true;
                continue;
            }
            if is_folder(&stat) {
                let inner = shown(path, &name);
                let theirs = open_in(target, &name).map_err(|e| Error::io("open folder", &inner, e))?;
                let ours = new.and_then(|new| open_in(new, &name).ok());
                if self.folder(ours.as_ref(), &theirs, &inner, &place, found)? {
                    stays = true;
                    gone = false;
                }
            }
            if gone {
                found.push(place);
            }
        }
        Ok(stays)
    }
}

fn is_at_or_below(name: &[u8], folder: &[u8]) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Remove these names. Those that are gone already are no trouble.
///
/// # Errors
/// If one cannot be removed.
pub fn remove(target: &Path, delete: &[Vec<u8>]) -> Result<()> {
    if delete.is_empty() {
        return Ok(());
    }
    let root = crate::extract::Root::open(target)?;
    for name in delete {
        let shown = root.shown(name);
        let (folder, last) = crate::extract::split(name);
        let folder = match root.folder(folder) {
            Ok(folder) => folder,
            // Gone, or by now a file or a link of the new tree stands there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(e) => return Err(Error::io("open folder of", &shown, e)),
        };
        let last = OsStr::from_bytes(last);
        let removed = match unlinkat(&folder, last, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(&folder, last, AtFlags::REMOVEDIR),
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            // Something was put into it meanwhile, by somebody whose it is.
            Err(Errno::NOTEMPTY) => log::warn!("{} is not empty any more, and stays", printable_path(&shown)),
            Err(e) => return Err(Error::io("remove", &shown, e)),
        }
    }
    Ok(())
}

/// The new tree becomes this folder, where there was none.
///
/// # Errors
/// If something has the name by now.
pub fn become_folder(new: &Path, home: &Path, name: &[u8]) -> Result<()> {
    let home_fd = open(home)?;
    let target = home.join(OsStr::from_bytes(name));
    let to = OsStr::from_bytes(name);
    let renamed = match renameat_with(CWD, new, &home_fd, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => renameat(CWD, new, &home_fd, to),
        other => other,
    };
    match renamed {
        Ok(()) => Ok(()),
        // Done before we were interrupted.
        Err(Errno::NOENT) if target.is_dir() => Ok(()),
        Err(e) => Err(Error::io("give the restored folder its name,", &target, e)),
    }
}

/// Move everything new to its place. Folders that are in both are merged, everything else makes room.
///
/// # Errors
/// If something cannot be moved.
pub fn merge(new: &Path, target: &Path, old: &Path, merged: &[Merged], kept: &[Vec<u8>]) -> Result<()> {
    let kept: BTreeSet<_> = kept.iter().collect();
    let merged = merged.iter().filter(|(name, _)| !kept.contains(name));
    let times = merged.map(|(name, time)| (name.as_slice(), *time)).collect();
    let merge = Merge { target, old: open(old)?, times };
    merge.folder(&open(new)?, &open(target)?, &[], &mut 0)
}

struct Merge<'a> {
    target: &'a Path,
    /// Where what makes room goes.
    old: OwnedFd,
    /// Of the folders that get the metadata of the new tree, the time that they had there.
    times: BTreeMap<&'a [u8], Timestamp>,
}

impl Merge<'_> {
    fn folder(&self, from: &OwnedFd, to: &OwnedFd, name: &[u8], count: &mut u64) -> Result<()> {
        let path = self.target.join(OsStr::from_bytes(name));
        for last in names(from).map_err(|e| Error::io("look at", &path, e))? {
            let place = shown(&path, &last);
            let failed = |doing: &str, e| Error::io(doing, &place, e);
            let ours = look(from, &last).map_err(|e| failed("look at", e))?;
            let theirs = look(to, &last).map_err(|e| failed("look at", e))?;
            match (&ours, &theirs) {
                (None, _) => continue,
                (Some(ours), Some(theirs)) if is_folder(ours) && is_folder(theirs) => {
                    let from_below = open_in(from, &last).map_err(|e| failed("open folder", e))?;
                    let to_below = open_in(to, &last).map_err(|e| failed("open folder", e))?;
                    self.folder(&from_below, &to_below, &joined(name, &last), count)?;
                    unlinkat(from, &last, AtFlags::REMOVEDIR)
                        .map_err(|e| failed("remove the emptied copy of", e))?;
                    continue;
                }
                (Some(ours), Some(theirs)) if is_folder(ours) || is_folder(theirs) => {
                    self.make_room(to, &last, count).map_err(|e| failed("move out of the way", e))?;
                }
                _ => {}
            }
            renameat(from, &last, to, &last).map_err(|e| failed("put in its place", e))?;
        }
        let Some(time) = self.times.get(name) else { return Ok(()) };
        // After its content, which changed its time.
        copy_metadata(from, to, *time).map_err(|e| Error::io("set the metadata of", &path, e))
    }

    fn make_room(&self, to: &OwnedFd, last: &CStr, count: &mut u64) -> Result<(), Errno> {
        loop {
            *count += 1;
            match renameat_with(to, last, &self.old, format!("{count}"), RenameFlags::NOREPLACE) {
                // An interrupted restore may have used some of the numbers.
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                other => return other,
            }
        }
    }
}

/// Owner, mode and attributes of one open folder for another, and this time.
fn copy_metadata(from: &OwnedFd, to: &OwnedFd, time: Timestamp) -> Result<(), Errno> {
    let stat = fstat(from)?;
    let now = fstat(to)?;
    if (stat.st_uid, stat.st_gid) != (now.st_uid, now.st_gid) {
        fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    let mut list = vec![0; 64 * 1024];
    let length = match flistxattr(from.as_fd(), &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(e) => return Err(e),
    };
    let mut value = vec![0; 64 * 1024];
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        let length = fgetxattr(from, name, &mut value[..])?;
        fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    futimens(to, &times(time))
}

/// The time of a folder.
///
/// # Errors
/// If it cannot be set.
pub fn set_time(folder: &Path, time: Timestamp) -> Result<()> {
    futimens(open(folder)?, &times(time)).map_err(|e| Error::io("set the time of", folder, e))
}

fn times(time: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanos) },
    }
}
