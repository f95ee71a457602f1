//! The litter of dead processes, and of the dead only.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};

use super::list::{join, read_folder};
use super::upload::is_temporary;
use super::{Local, Lock};
use crate::archive::name::Pattern;
use crate::error::{Error, Result};

impl Local {
    /// Remove temporary files whose writers are dead, where this pattern puts them, and the dated folders that have
    /// nothing in them. What was removed is returned. What cannot be removed is said and left.
    ///
    /// A process number proves nothing between containers; a lock does: each temporary file is locked by its writer.
    ///
    /// # Errors
    /// If the destination cannot be listed.
    pub fn sweep(&self, _lock: &Lock, pattern: &Pattern) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        self.sweep_below(&self.fd, "", pattern, &mut removed)?;
        Ok(removed)
    }

    fn sweep_below(
        &self,
        fd: &OwnedFd,
        folder: &str,
        pattern: &Pattern,
        removed: &mut Vec<PathBuf>,
    ) -> Result<()> {
        removed.extend(sweep_folder(fd, &self.root().join(folder))?);
        for name in &self.list(fd, folder)?.folders {
            let below = join(folder, name);
            let path = self.root().join(&below);
            let swept = self.open_on_the_way(fd, name, &below, pattern).and_then(|found| {
                let Some(found) = found else { return Ok(false) };
                self.sweep_below(&found, &below, pattern, removed)?;
                Ok(pattern.is_dated_folder(&below) && self.list(&found, &below)?.empty)
            });
            match swept {
                Ok(false) => {}
                Ok(true) => match unlinkat(fd, name, AtFlags::REMOVEDIR) {
                    Ok(()) => removed.push(path),
                    Err(e) => log::debug!("{}", Error::io("remove empty folder", path, e)),
                },
                Err(e) => log::warn!("{e}"),
            }
        }
        Ok(())
    }
}

/// Remove the temporary files of dead processes in one folder.
pub(super) fn sweep_folder(fd: &OwnedFd, path: &Path) -> Result<Vec<PathBuf>> {
    let listing = read_folder(fd).map_err(|e| Error::io("list folder", path, e))?;
    let mut removed = Vec::new();
    for name in listing.files.into_iter().filter(|name| is_temporary(name)) {
        match remove_if_dead(fd, &name) {
            Ok(true) => removed.push(path.join(name)),
            Ok(false) => {}
            Err(e) => log::warn!("{}", Error::io("remove left-over temporary file", path.join(name), e)),
        }
    }
    Ok(removed)
}

fn remove_if_dead(folder: &OwnedFd, name: &str) -> rustix::io::Result<bool> {
    // For writing, as NFS locks nothing else exclusively.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    let about = fstat(&file)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile
        || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    {
        return Ok(false);
    }
    unlinkat(folder, name, AtFlags::empty())?;
    Ok(true)
}
