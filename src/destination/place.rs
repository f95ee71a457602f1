//! Where an archive stands: the folders on the way to it, held open, so that nothing put in their place is followed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::Local;
use super::folders::{FOLDER, sync_folder};
use crate::archive::name::ArchiveName;
use crate::error::{Error, Result};

/// What tells a file from another that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The file system's number.
    pub device: u64,
    /// The number in its file system.
    pub inode: u64,
    /// Its size.
    pub bytes: u64,
    /// When its content last changed: seconds and nanoseconds.
    pub modified: (i64, u32),
}

impl Identity {
    /// That of an open file; none if the system does not say.
    pub fn of(file: &File) -> Option<Self> {
        rustix::fs::fstat(file).ok().map(|about| identity(&about))
    }
}

/// The way to an archive.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    /// The destination, and each folder below it with its name in the one above.
    folders: Vec<(OwnedFd, String)>,
    file: String,
}

impl Local {
    /// The way to this archive, or to where it was.
    ///
    /// # Errors
    /// If a folder on the way is not there, or is a link.
    pub fn place(&self, name: &ArchiveName) -> Result<Place> {
        let root = self.fd.try_clone().map_err(|e| Error::io("open folder", self.root(), e))?;
        let mut place =
            Place { root: self.root().into(), folders: vec![(root, String::new())], file: String::new() };
        let path = name.to_string();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                part.clone_into(&mut place.file);
            } else {
                let fd = openat(place.folder(), part, FOLDER, Mode::empty())
                    .map_err(|e| Error::io("open folder", place.folder_path().join(part), e))?;
                place.folders.push((fd, part.into()));
            }
        }
        Ok(place)
    }
}

impl Place {
    /// The folder that the archive stands in.
    pub fn folder(&self) -> &OwnedFd {
        &self.folders.last().expect("the destination is the first").0
    }

    /// Where that folder is.
    pub fn folder_path(&self) -> PathBuf {
        self.root.join(self.below())
    }

    /// Where it is below the destination; empty for the destination itself.
    pub fn below(&self) -> String {
        let names: Vec<&str> = self.folders.iter().skip(1).map(|(_, name)| name.as_str()).collect();
        names.join("/")
    }

    /// The archive's name in its folder.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the archive is.
    pub fn path(&self) -> PathBuf {
        self.folder_path().join(&self.file)
    }

    /// Go up one folder: the name in it of the one that was left. None in the destination itself.
    pub fn up(&mut self) -> Option<String> {
        if self.folders.len() < 2 {
            return None;
        }
        self.folders.pop().map(|(_, name)| name)
    }

    /// What stands there now, and how many names it has. None for nothing, and for what is no regular file.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn look(&self) -> Result<Option<(Identity, u64)>> {
        match statat(self.folder(), &self.file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile => {
                Ok(Some((identity(&about), u64::from(about.st_nlink as u32))))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(Error::io("look at", self.path(), e)),
        }
    }

    /// Open the archive for reading. A link is not followed.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self) -> Result<(File, Identity)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |e| Error::io("open archive", self.path(), e);
        let fd = openat(self.folder(), &self.file, flags, Mode::empty()).map_err(failed)?;
        let about = rustix::fs::fstat(&fd).map_err(failed)?;
        Ok((File::from(fd), identity(&about)))
    }

    /// Make durable what was changed in the folder.
    ///
    /// # Errors
    /// If that fails.
    pub fn sync(&self) -> Result<()> {
        sync_folder(self.folder()).map_err(|e| Error::io("sync folder", self.folder_path(), e))
    }

    /// What stands in the folder, files and folders; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn names(&self) -> Result<Vec<String>> {
        let listing = super::list::read_folder(self.folder())
            .map_err(|e| Error::io("list folder", self.folder_path(), e))?;
        Ok(listing.files.into_iter().chain(listing.folders).collect())
    }
}

/// The [`Identity`] of a file at this path, links followed. For information, not to decide by.
pub fn identity_at(path: &Path) -> Option<Identity> {
    rustix::fs::stat(path).ok().map(|about| identity(&about))
}

pub(super) fn identity(about: &rustix::fs::Stat) -> Identity {
    Identity {
        device: about.st_dev,
        inode: about.st_ino,
        bytes: about.st_size as u64,
        modified: (about.st_mtime, about.st_mtime_nsec as u32),
    }
}
