//! The new in the place of the old, name by name, in a way that can be done again from any point on.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, Gid, Mode, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat, futimens, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::found::{Found, joined, names, set_mode};
use super::journal::{Merged, Opened};
use super::tree;
use crate::entry::Timestamp;
use crate::error::{Error, Result, cause_text};
use crate::extract::{Root, split};
use crate::printable::printable_path;
use crate::sys;

/// What is added to the mode of a folder that its owner may not change.
const OPEN: u32 = 0o700;

/// Let ourselves into folders whose modes are in the way, wherever they stand by now.
///
/// # Errors
/// If one cannot be looked at.
pub fn open_up(new: &Root, target: &Root, opened: &[Opened]) -> Result<()> {
    each(new, opened, |_, found| Some(found.bits() | OPEN))?;
    each(target, opened, |_, found| Some(found.bits() | OPEN))
}

/// Give these folders of the target the modes that they have in the end.
///
/// # Errors
/// If one cannot be set.
pub fn close(target: &Root, opened: &[Opened]) -> Result<()> {
    // What is in a folder first, as nothing in it can be reached afterwards.
    let opened: Vec<_> = opened.iter().rev().cloned().collect();
    each(target, &opened, |opened, _| opened.bits)
}

fn each(root: &Root, opened: &[Opened], bits: impl Fn(&Opened, &Found) -> Option<u32>) -> Result<()> {
    for it in opened {
        let shown = root.shown(&it.name);
        let failed = |e: Errno| Error::io("set the mode of", &shown, e);
        let set = |found: Option<Found>| {
            let mine =
                |found: &Found| found.is_folder() && found.owner == rustix::process::geteuid().as_raw();
            let bits = found.filter(mine).and_then(|found| Some((bits(it, &found)?, found.bits())));
            bits.filter(|(bits, now)| bits != now).map(|(bits, _)| bits)
        };
        if it.name.is_empty() {
            if let Some(bits) = set(Found::at(root.fd(), c".").map_err(failed)?) {
                fchmod(root.fd(), Mode::from_raw_mode(bits)).map_err(failed)?;
            }
            continue;
        }
        let (above, last) = split(&it.name);
        let above = match root.folder_here(above) {
            Ok(above) => above,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
            Err(e) => return Err(failed(e)),
        };
        let last = CString::new(last).map_err(|_| failed(Errno::INVAL))?;
        if let Some(bits) = set(Found::at(&above, &last).map_err(failed)?) {
            set_mode(&above, &last, Mode::from_raw_mode(bits)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Remove these names. Those that are gone already are no trouble.
///
/// # Errors
/// If one cannot be removed.
pub fn remove(root: &Root, delete: &[Vec<u8>]) -> Result<()> {
    for name in delete {
        let shown = root.shown(name);
        let (folder, last) = split(name);
        let folder = match root.folder_here(folder) {
            Ok(folder) => folder,
            // What this was to remove is below the mount, and what is in that was never looked at.
            Err(Errno::XDEV) => {
                log::warn!("{} stays: something was mounted there since", printable_path(&shown));
                continue;
            }
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

/// The new tree, so called in the folder of the restore, becomes this folder, where there was none.
///
/// # Errors
/// With the cause `AlreadyExists` if something has the name by now.
pub fn become_folder(staging: &Root, new: &str, home: &Root, name: &[u8]) -> Result<()> {
    let target = home.shown(name);
    let to = OsStr::from_bytes(name);
    let renamed = match renameat_with(staging.fd(), new, home.fd(), to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => renameat(staging.fd(), new, home.fd(), to),
        other => other,
    };
    match renamed {
        Ok(()) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::NOTDIR) => {
            Err(Error::io("give the restored folder its name,", &target, Errno::EXIST))
        }
        Err(e) => Err(Error::io("give the restored folder its name,", &target, e)),
    }
}

/// Move everything new to its place. Folders that are in both are merged, everything else makes room.
///
/// # Errors
/// If something cannot be moved.
pub fn merge(new: &Root, target: &Root, old: &Root, merged: &[Merged]) -> Result<()> {
    let times = merged.iter().filter(|it| !it.kept).map(|it| (it.name.as_slice(), it.time)).collect();
    let mut merge = Merge { new, target, old, times, count: 0 };
    let mut frames = vec![merge.enter(Vec::new())?];
    while let Some(mut frame) = frames.pop() {
        let Some(last) = frame.lasts.next() else {
            merge.leave(&mut frame)?;
            continue;
        };
        let below = merge.one(&mut frame, &last)?;
        frames.push(frame);
        if let Some(name) = below {
            frames.push(merge.enter(name)?);
        }
    }
    Ok(())
}

struct Merge<'a> {
    new: &'a Root,
    target: &'a Root,
    /// Where what makes room goes.
    old: &'a Root,
    /// Of the folders that get the metadata of the new tree, the time that they had there.
    times: BTreeMap<&'a [u8], Timestamp>,
    /// The last name that was given in there.
    count: u64,
}

/// A folder that is in both.
struct Frame {
    name: Vec<u8>,
    lasts: std::vec::IntoIter<CString>,
    /// The new and the target's, open while no folder below them is: a tree may be deeper than there are descriptors.
    folders: Option<(OwnedFd, OwnedFd)>,
}

impl Merge<'_> {
    fn enter(&self, name: Vec<u8>) -> Result<Frame> {
        let (from, to) = self.folders(&name)?;
        let lasts = names(from.as_fd()).map_err(|e| Error::io("look at", self.new.shown(&name), e))?;
        Ok(Frame { name, lasts: lasts.into_iter(), folders: Some((from, to)) })
    }

    fn folders(&self, name: &[u8]) -> Result<(OwnedFd, OwnedFd)> {
        let open = |root: &Root| {
            root.folder_here(name).map_err(|e| match e {
                Errno::XDEV => Error::failed(format!(
                    "{} has been mounted since, and nothing can be moved into it from around it: unmount it",
                    printable_path(&root.shown(name))
                )),
                e => Error::io("open folder", root.shown(name), e),
            })
        };
        Ok((open(self.new)?, open(self.target)?))
    }

    fn again(&self, frame: &mut Frame) -> Result<(OwnedFd, OwnedFd)> {
        frame.folders.take().map_or_else(|| self.folders(&frame.name), Ok)
    }

    /// Give one name its place. If it is a folder that is there too, its whole name.
    fn one(&mut self, frame: &mut Frame, last: &CStr) -> Result<Option<Vec<u8>>> {
        let (from, to) = self.again(frame)?;
        let name = joined(&frame.name, last);
        let place = self.target.shown(&name);
        let failed = |doing: &str, e| Error::io(doing, &place, e);
        let ours = Found::at(&from, last).map_err(|e| failed("look at", e))?;
        let theirs = Found::at(&to, last).map_err(|e| failed("look at", e))?;
        let folder = |found: &Option<Found>| found.is_some_and(|found| found.is_folder());
        match (folder(&ours), folder(&theirs)) {
            _ if ours.is_none() => {}
            (true, true) => return Ok(Some(name)),
            (ours, at_theirs) => {
                if theirs.is_some() && (ours || at_theirs) {
                    self.make_room(&to, last, &name)?;
                }
                renameat(&from, last, &to, last).map_err(|e| failed("put in its place", e))?;
            }
        }
        frame.folders = Some((from, to));
        Ok(None)
    }

    /// A folder whose content has its place.
    fn leave(&mut self, frame: &mut Frame) -> Result<()> {
        let (from, to) = self.again(frame)?;
        let name = frame.name.as_slice();
        if let Some(time) = self.times.get(name) {
            // After its content, which changed its time.
            match copy_metadata(&from, &to, *time) {
                // Even root may lack the right, in a container or on a network's disk, and will lack it the next time too.
                Err(e @ (Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP)) => {
                    let shown = printable_path(&self.target.shown(name));
                    log::warn!(
                        "{shown} keeps owner, mode, attributes or time as they were: {}",
                        cause_text(&e.into())
                    );
                }
                copied => copied.map_err(|e| Error::io("set the metadata of", self.target.shown(name), e))?,
            }
        }
        if name.is_empty() {
            return Ok(());
        }
        let failed = |e| Error::io("remove the emptied copy of", self.target.shown(name), e);
        let (above, last) = split(name);
        let above = self.new.folder(above).map_err(failed)?;
        unlinkat(&above, OsStr::from_bytes(last), AtFlags::REMOVEDIR).map_err(failed)
    }

    fn make_room(&mut self, to: &OwnedFd, last: &CStr, name: &[u8]) -> Result<()> {
        loop {
            self.count += 1;
            let aside = self.count.to_string();
            match renameat_with(to, last, self.old.fd(), &aside, RenameFlags::NOREPLACE) {
                // An interrupted restore may have used some of the numbers.
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                // A folder of an overlay's lower layers cannot be moved.
                Err(Errno::XDEV) => return tree::remove(self.target, OsStr::from_bytes(name)),
                other => {
                    let shown = self.target.shown(name);
                    return other.map_err(|e| Error::io("move out of the way", shown, e));
                }
            }
        }
    }
}

/// Owner, mode and attributes of one open folder for another, and this time.
fn copy_metadata(from: &OwnedFd, to: &OwnedFd, time: Timestamp) -> Result<(), Errno> {
    let (stat, now) = (fstat(from)?, fstat(to)?);
    let owner = if sys::is_root() && (stat.st_uid, stat.st_gid) != (now.st_uid, now.st_gid) {
        fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
    } else {
        Ok(())
    };
    // What one of them is refused, the others need not be.
    let attributes = copy_attributes(from, to);
    // After the ACL, whose mask is in the mode.
    let mode = fchmod(to, Mode::from_raw_mode(stat.st_mode));
    let time = futimens(to, &times(time));
    owner.and(attributes).and(mode).and(time)
}

/// What the one has and what it has not; without root, those alone that users may set.
fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let ours = attributes(from)?;
    for theirs in attributes(to)?.into_iter().filter(|name| !ours.contains(name)) {
        if theirs.to_bytes().starts_with(b"user.") || sys::is_root() && is_access(&theirs) {
            match fremovexattr(to, &theirs) {
                Ok(()) | Err(Errno::NODATA | Errno::PERM | Errno::NOTSUP) => {}
                Err(e) => return Err(e),
            }
        }
    }
    let (mut value, mut now) = (vec![0; LARGEST], vec![0; LARGEST]);
    for name in ours {
        let length = fgetxattr(from, &name, &mut value[..])?;
        let value = &value[..length];
        if fgetxattr(to, &name, &mut now[..]).is_ok_and(|length| now[..length] == *value) {
            continue;
        }
        match fsetxattr(to, &name, value, XattrFlags::empty()) {
            // SELinux labels what is made, and lets few change a label, were it to the same one.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if name.to_bytes().starts_with(b"security.") => {
            }
            set => set?,
        }
    }
    Ok(())
}

/// Whether it says who may do what in a folder. What else there is belongs to the system, such as labels.
fn is_access(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"system.posix_acl_") || name.starts_with(b"trusted.")
}

/// The kernel's limit for the list of names and for a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LARGEST: usize = 64 * 1024;

fn attributes(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut list = vec![0; LARGEST];
    let length = match flistxattr(folder, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(e) => return Err(e),
    };
    let names = list[..length].split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}

/// The time of a folder.
///
/// # Errors
/// If it cannot be set.
pub fn set_time(folder: &Root, time: Timestamp) -> Result<()> {
    futimens(folder.fd(), &times(time)).map_err(|e| Error::io("set the time of", folder.path(), e))
}

fn times(time: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanos) },
    }
}
