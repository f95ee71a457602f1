//! The folders between a destination and a file in it, held open: made, given to their owner, synced, removed again.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, fsync, mkdirat, openat, syncfs, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::printable::printable_path;

/// How a folder is opened: never through a link.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Who may read what is made. Never the umask's decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub mode: u32,
    pub folder_mode: u32,
    /// User and group; as they come, if there is none.
    pub owner: Option<(u32, u32)>,
    /// Whether somebody will wonder if it is refused.
    pub owner_was_asked_for: bool,
}

impl Access {
    /// Give a file or folder these permission bits and the owner. A refusal is not an error: whoever is not root, and
    /// file systems without owners, go on with what they have.
    pub fn give(&self, fd: impl AsFd, mode: u32, path: &Path) -> Result<()> {
        // The mode first: of a file that was given away, it can be set only with CAP_FOWNER.
        if let Err(e) = fchmod(fd.as_fd(), Mode::from_raw_mode(mode)) {
            self.refused(e, "set permissions of", path)?;
        }
        let Some((user, group)) = self.owner else { return Ok(()) };
        let now = fstat(fd.as_fd()).map_err(|e| Error::io("look at", path, e))?;
        if (now.st_uid, now.st_gid) == (user, group) {
            return Ok(());
        }
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        if let Err(e) = fchown(fd.as_fd(), Some(user), Some(group)) {
            self.refused(e, "set owner of", path)?;
            // A member of the group may do this much.
            let _ = fchown(fd.as_fd(), None, Some(group));
        }
        Ok(())
    }

    fn refused(&self, e: Errno, doing: &str, path: &Path) -> Result<()> {
        // EINVAL: a number that a user namespace does not know.
        if !matches!(e, Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) {
            return Err(Error::io(doing, path, e));
        }
        let level = if self.owner_was_asked_for { log::Level::Warn } else { log::Level::Debug };
        log::log!(level, "{}", Error::io(doing, path, e));
        Ok(())
    }
}

/// A way from a folder that was there down to one for a file. Dropped, it removes the folders it made, if they are empty.
#[derive(Debug)]
pub(super) struct Folders(Vec<Level>);

#[derive(Debug)]
struct Level {
    fd: OwnedFd,
    path: PathBuf,
    /// Its name in the level above, if we made it.
    made: Option<String>,
}

impl Folders {
    /// No way yet: the folder itself.
    pub fn below(root: &OwnedFd, path: &Path) -> Result<Self> {
        let fd = root.try_clone().map_err(|e| Error::io("open folder", path, e))?;
        Ok(Self(vec![Level { fd, path: path.into(), made: None }]))
    }

    /// Go on into a folder, and make it first where it is missing.
    pub fn enter(&mut self, name: &str, access: &Access) -> Result<()> {
        let path = self.path().join(name);
        let made = match mkdirat(self.fd(), name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(Error::io("make folder", path, e)),
        };
        match openat(self.fd(), name, FOLDER, Mode::empty()) {
            Ok(fd) => self.0.push(Level { fd, path, made: made.then(|| name.into()) }),
            Err(e) => {
                if made {
                    let _ = unlinkat(self.fd(), name, AtFlags::REMOVEDIR);
                }
                return Err(match e {
                    Errno::NOTDIR | Errno::LOOP => Error::failed(format!(
                        "{} is not a folder, and archives are to be kept in it: move it away",
                        printable_path(&path)
                    )),
                    _ => Error::io("open folder", path, e),
                });
            }
        }
        if made { access.give(self.fd(), access.folder_mode, self.path()) } else { Ok(()) }
    }

    /// The folder that was entered last.
    pub fn fd(&self) -> &OwnedFd {
        &self.last().fd
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.last().path
    }

    fn last(&self) -> &Level {
        self.0.last().expect("it begins with one and only grows")
    }

    /// Those that were made, the last one first: the folder that each is in, and its name.
    pub fn made(&self) -> impl Iterator<Item = (&OwnedFd, &str)> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1)).rev();
        pairs.filter_map(|(above, level)| Some((&above.fd, level.made.as_deref()?)))
    }

    /// Make what stands in all of them durable.
    pub fn sync(&self) -> Result<()> {
        for level in self.0.iter().rev() {
            sync_folder(&level.fd).map_err(|e| Error::io("sync folder", &level.path, e))?;
        }
        Ok(())
    }

    /// Something stands in them that stays.
    pub fn keep(&mut self) {
        for level in &mut self.0 {
            level.made = None;
        }
    }
}

/// Make durable what stands in a folder.
pub(super) fn sync_folder(fd: &OwnedFd) -> rustix::io::Result<()> {
    match fsync(fd) {
        // Some file systems sync no folders by themselves, only everything.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => syncfs(fd),
        done => done,
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        while let Some(level) = self.0.pop() {
            if let (Some(name), Some(above)) = (level.made, self.0.last()) {
                // Not empty: somebody else uses it, and it stays.
                let _ = unlinkat(&above.fd, name, AtFlags::REMOVEDIR);
            }
        }
    }
}
