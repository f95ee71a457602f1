//! One run at a time: a lock that the kernel drops with the process that holds it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Local;
use super::folders::FOLDER;
use super::local::OWN_FOLDER;
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

const LOCK: &str = "lock";
/// Who holds it stands in a second file: on CIFS a locked file cannot be read.
const HOLDER: &str = "lock.holder";

/// Who works on a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process number, in its own container.
    pub pid: u32,
    /// The name of the host, or of the container.
    pub host: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// What it does: `backup`, `prune`.
    pub what: String,
}

/// The right to change a destination, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    pub(super) folder: OwnedFd,
    file: OwnedFd,
}

impl Local {
    /// Take the lock, without waiting. `since` (now, RFC 3339) and `what` are told to whoever finds it taken.
    ///
    /// # Errors
    /// With [`Exit::Locked`](crate::exit::Exit::Locked) if another process has it, saying which; if the destination
    /// cannot be written to.
    pub fn lock(&self, what: &str, since: &str) -> Result<Lock> {
        let folder = self.make_own_folder()?;
        let path = self.root().join(OWN_FOLDER).join(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = loop {
            let file = openat(&folder, LOCK, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|e| Error::io("open lock", &path, e))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // Somebody only looks who has it, and lets go of it at once.
                Err(Errno::WOULDBLOCK) if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() => {
                    continue;
                }
                Err(Errno::WOULDBLOCK) => return Err(self.taken()),
                Err(e) => return Err(Error::io("lock", &path, e)),
            }
            let mine = fstat(&file).map_err(|e| Error::io("look at lock", &path, e))?;
            // The file may have been deleted and made anew between the two calls: then this lock keeps nobody away.
            match statat(&folder, LOCK, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(there) if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino) => break file,
                Ok(_) | Err(Errno::NOENT) => {}
                Err(e) => return Err(Error::io("look at lock", &path, e)),
            }
        };
        let _ = self.access.give(&file, 0o600, &path);
        let host =
            std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
        let holder = Holder { pid: std::process::id(), host, since: since.into(), what: what.into() };
        let lock = Lock { folder, file };
        // Only for people to read: on a full disk the lock is as good without it.
        if let Err(e) = lock.write_holder(&holder) {
            log::debug!("{}", Error::io("note who holds", &path, e));
        }
        Ok(lock)
    }

    /// Refuse where somebody has the lock, without taking it. It needs no right to write: a destination may be mounted
    /// read-only where something is restored.
    ///
    /// # Errors
    /// With [`Exit::Locked`](crate::exit::Exit::Locked), saying who has it. Where it cannot be looked at nobody has.
    pub fn require_unlocked(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let lock = openat(&self.fd, OWN_FOLDER, FOLDER, Mode::empty())
            .and_then(|own| openat(own, LOCK, flags, Mode::empty()))
            // Shared: two that look do not take each other for one that works. It is let go at once.
            .and_then(|file| flock(file, FlockOperation::NonBlockingLockShared));
        if lock == Err(Errno::WOULDBLOCK) { Err(self.taken()) } else { Ok(()) }
    }

    /// Who holds the lock, as far as it is known. Left behind by a killed process, it says who held it last.
    pub fn holder(&self) -> Option<Holder> {
        let own = openat(&self.fd, OWN_FOLDER, FOLDER, Mode::empty()).ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(own, HOLDER, flags, Mode::empty()).ok()?);
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn taken(&self) -> Error {
        let who = self.holder().map_or_else(
            || "another process".into(),
            |holder| {
                let text = |text: &str| printable(text.as_bytes());
                let Holder { pid, host, since, what } = holder;
                format!("process {pid} on {} ({}, since {})", text(&host), text(&what), text(&since))
            },
        );
        Error::locked(format!(
            "destination {} is locked by {who}: wait until it is done, or end it",
            printable_path(self.root())
        ))
    }

    /// `.tarkeep`, which belongs to who owns the destination and is nobody else's business.
    fn make_own_folder(&self) -> Result<OwnedFd> {
        let path = self.root().join(OWN_FOLDER);
        let made = match mkdirat(&self.fd, OWN_FOLDER, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(Error::io("make folder", &path, e)),
        };
        let folder = openat(&self.fd, OWN_FOLDER, FOLDER, Mode::empty()).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP => Error::failed(format!(
                "{} is not a folder, and tarkeep keeps its lock in it: move it away",
                printable_path(&path)
            )),
            _ => Error::io("open folder", &path, e),
        })?;
        if made {
            self.access.give(&folder, 0o700, &path)?;
        }
        Ok(folder)
    }
}

impl Lock {
    fn write_holder(&self, holder: &Holder) -> rustix::io::Result<()> {
        let new = "lock.holder.new";
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let text = serde_json::to_string(holder).unwrap_or_default() + "\n";
        let mut file = File::from(openat(&self.folder, new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes()).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        renameat(&self.folder, new, &self.folder, HOLDER)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = unlinkat(&self.folder, HOLDER, AtFlags::empty());
        // Closing is not enough: a child that is between fork and exec just now still has the file open.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
