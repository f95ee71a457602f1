//! Which archives there are.

use std::cmp::Reverse;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, openat, statat};
use rustix::io::Errno;

use super::Local;
use super::folders::FOLDER;
use super::place::{Identity, identity};
use crate::archive::name::{ArchiveName, Pattern};
use crate::error::{Error, Result};

/// A file that is called like an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub path: PathBuf,
    /// Its name below the destination.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
    /// When its content last changed, seconds and nanoseconds, which copying may not keep.
    pub modified: (i64, u32),
}

/// What stands in one folder, by name; names that are not UTF-8 are nobody's here.
pub(super) struct Listing {
    pub files: Vec<String>,
    pub folders: Vec<String>,
    /// Links, and whatever else is neither.
    pub others: Vec<String>,
    /// Whether there was nothing at all.
    pub empty: bool,
}

impl Local {
    /// The files that the pattern could have made, newest first by the time in the name, not by that of the file,
    /// which copying changes. Links are not followed.
    ///
    /// # Errors
    /// If a folder cannot be listed. A file that is called in another way is left out.
    pub fn archives(&self, pattern: &Pattern) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        self.collect(&self.fd, "", pattern, &mut |name, about| {
            let path = self.root().join(name.to_string());
            found.extend(about.map(|Identity { bytes, modified, .. }| Stored {
                path,
                name,
                bytes,
                modified,
            }));
        })?;
        found.sort_by_cached_key(|stored| {
            Reverse((stored.name.local, stored.name.rank(), stored.path.clone()))
        });
        Ok(found)
    }

    /// The names that the pattern could have made and that something else than a file has: a folder, a link.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn occupied(&self, pattern: &Pattern) -> Result<Vec<ArchiveName>> {
        let mut found = Vec::new();
        self.collect(&self.fd, "", pattern, &mut |name, about| {
            if about.is_none() {
                found.push(name);
            }
        })?;
        Ok(found)
    }

    /// Show each name that the pattern could have made, and of files what the system says.
    fn collect(
        &self,
        fd: &OwnedFd,
        folder: &str,
        pattern: &Pattern,
        found: &mut dyn FnMut(ArchiveName, Option<Identity>),
    ) -> Result<()> {
        let listing = self.list(fd, folder)?;
        for other in listing.folders.iter().chain(&listing.others) {
            if let Some(name) = pattern.parse(&join(folder, other)) {
                found(name, None);
            }
        }
        for file in &listing.files {
            let Some(name) = pattern.parse(&join(folder, file)) else { continue };
            let path = self.root().join(name.to_string());
            match statat(fd, file, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(about) if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile => {
                    found(name, Some(identity(&about)));
                }
                Ok(_) => found(name, None),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(Error::io("look at", path, e)),
            }
        }
        for name in &listing.folders {
            let below = join(folder, name);
            if let Some(fd) = self.open_on_the_way(fd, name, &below, pattern)? {
                self.collect(&fd, &below, pattern, found)?;
            }
        }
        Ok(())
    }

    /// Open a folder that archives of this pattern may stand in; any other is not entered.
    pub(super) fn open_on_the_way(
        &self,
        above: &OwnedFd,
        name: &str,
        path: &str,
        pattern: &Pattern,
    ) -> Result<Option<OwnedFd>> {
        if !pattern.is_folder(path) {
            return Ok(None);
        }
        match openat(above, name, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            // Gone, or another thing, since it was listed.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(Error::io("open folder", self.root().join(path), e)),
        }
    }

    pub(super) fn list(&self, fd: &OwnedFd, folder: &str) -> Result<Listing> {
        let failed = |e| Error::io("list folder", self.root().join(folder), e);
        read_folder(fd).map_err(failed)
    }
}

/// A path below the destination.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.into() } else { format!("{folder}/{name}") }
}

pub(super) fn read_folder(fd: &OwnedFd) -> rustix::io::Result<Listing> {
    let mut listing = Listing { files: Vec::new(), folders: Vec::new(), others: Vec::new(), empty: true };
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        listing.empty = false;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let kind = match entry.file_type() {
            FileType::Unknown => match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(about) => FileType::from_raw_mode(about.st_mode),
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(e),
            },
            kind => kind,
        };
        match kind {
            FileType::Directory => listing.folders.push(name.into()),
            FileType::RegularFile => listing.files.push(name.into()),
            _ => listing.others.push(name.into()),
        }
    }
    Ok(listing)
}
