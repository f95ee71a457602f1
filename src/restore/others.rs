//! Other restores: of two that worked on the same files at once a mixture would be left, which nobody would know of.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::found::{is_only_ours, restore_folders};
use super::journal::Journal;
use crate::entry::is_restore_folder;
use crate::error::{Error, Result};
use crate::extract::Root;
use crate::printable::{printable, printable_path};

/// A folder of a restore, as others find it.
pub struct Other {
    /// What it has noted.
    pub journal: Journal,
    /// Whether it is at work, and was not interrupted.
    pub lives: bool,
    /// Whether it is ours, and nobody else's: what it has noted is believed.
    pub private: bool,
}

impl Other {
    /// What has this name in an open folder. None where it is no folder of a restore, has noted nothing yet, and so looks
    /// for others after us, or belongs to other users than us and these: nobody is to be stopped by a name that anybody
    /// could give.
    pub fn at(home: BorrowedFd<'_>, name: &CStr, owners: &[u32]) -> Option<Self> {
        if !is_restore_folder(name.to_bytes()) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder: OwnedFd = openat(home, name, flags, Mode::empty()).ok()?;
        let about = fstat(&folder).ok()?;
        if about.st_uid != geteuid().as_raw() && !owners.contains(&about.st_uid) {
            return None;
        }
        let private = is_only_ours(about.st_uid, about.st_mode);
        // Shared, so that two that look do not take each other for one that works.
        let lives = flock(&folder, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
        if !lives && !private {
            return None;
        }
        let journal = Journal::read(&folder).ok()??;
        Some(Self { journal, lives, private })
    }

    /// Whether it works on what is called so in its home, or on all there, where that is none.
    fn concerns(&self, last: Option<&[u8]>) -> bool {
        match (self.journal.becomes.as_deref(), last) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => true,
        }
    }

    /// That it is at work in this folder.
    pub fn at_work(&self, folder: &Path) -> Error {
        at_work(folder, &self.journal.holder)
    }
}

/// That another restore works in this folder, and who that is, where it is known.
pub fn at_work(folder: &Path, holder: &str) -> Error {
    let by = if holder.is_empty() { String::new() } else { format!(", {}", printable(holder.as_bytes())) };
    Error::locked(format!(
        "another restore works in {}{by}: wait until it is done, or end it",
        printable_path(folder)
    ))
}

/// Refuse where another restore works in this folder, or around it. `becomes` is the name of what is made in it, where
/// that is all we do there; `ours` are the names of our own folders, and who owns them there, be it not us.
///
/// # Errors
/// With [`Exit::Locked`](crate::exit::Exit::Locked), saying which and whose.
pub fn refuse(home: &Root, becomes: Option<&[u8]>, (ours, owner): (&[&str], u32)) -> Result<()> {
    let look = |folder: &Root, names: Vec<CString>, last: Option<&[u8]>, owners: &[u32]| {
        for name in names {
            let other = Other::at(folder.fd(), &name, owners).filter(|it| it.lives && it.concerns(last));
            if let Some(other) = other.filter(|_| !ours.iter().any(|ours| ours.as_bytes() == name.to_bytes()))
            {
                return Err(other.at_work(&folder.shown(name.to_bytes())));
            }
        }
        Ok(())
    };
    let names = restore_folders(home.fd()).map_err(|e| Error::io("list folder", home.path(), e))?;
    look(home, names, becomes, &[owner])?;
    let Ok(whole) = home.path().canonicalize() else { return Ok(()) };
    for below in whole.ancestors() {
        // What cannot be looked at is of others.
        if let Some(Ok(around)) = below.parent().map(Root::open) {
            let names = restore_folders(around.fd()).unwrap_or_default();
            look(&around, names, below.file_name().map(OsStr::as_bytes), &[])?;
        }
    }
    Ok(())
}

/// Refuse where a restore works on what is called so, or around it.
///
/// # Errors
/// With [`Exit::Locked`](crate::exit::Exit::Locked), saying whose it is.
pub fn require_none(target: &Path) -> Result<()> {
    let me = geteuid().as_raw();
    match (target.is_dir(), target.parent(), target.file_name()) {
        (false, Some(home), Some(name)) => refuse(&Root::open(home)?, Some(name.as_bytes()), (&[], me)),
        _ => refuse(&Root::open(target)?, None, (&[], me)),
    }
}

/// Refuse where a restore works, or was interrupted, in a folder that another one is about to change from around it: it
/// would be finished some day, with what was to be there before.
///
/// # Errors
/// If there is one of ours, saying what to do.
pub fn refuse_below(folder: BorrowedFd<'_>, shown: &Path, names: &[CString]) -> Result<()> {
    for name in names {
        let Some(other) = Other::at(folder, name, &[]) else { continue };
        let there = shown.join(OsStr::from_bytes(name.to_bytes()));
        if other.lives {
            return Err(other.at_work(&there));
        }
        if other.private {
            return Err(Error::failed(format!(
                "a restore was interrupted in {}: restore to {} first, which makes that good, or remove the folder; nothing \
                 was touched",
                printable_path(&there),
                printable_path(shown)
            )));
        }
    }
    Ok(())
}
