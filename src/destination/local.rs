//! A folder as a destination.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, unlinkat};

use super::folders::{Access, Folders};
use super::upload::{Target, Upload, make_temporary};
use super::{Lock, file};
use crate::archive::name::ArchiveName;
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::sys;

/// What our own folder in a destination is called.
pub const OWN_FOLDER: &str = ".tarkeep";

/// How a folder is used as a destination.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The permission bits of archives; 0640 where none are given.
    pub mode: Option<u32>,
    /// Numbers of the user and the group that archives belong to; those of the destination's folder by default.
    pub owner: Option<(u32, u32)>,
    /// Whether it is an error when nothing is mounted there.
    pub require_mount: bool,
    /// Where state is kept, if not in `.tarkeep` in the destination. The lock is always there.
    pub state: Option<PathBuf>,
}

/// A folder that archives are kept in. Opening it changes nothing in it.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    pub(super) fd: OwnedFd,
    pub(super) access: Access,
    state: PathBuf,
}

impl Local {
    /// Open a folder. A link to one is followed, once, here: all that comes later happens in the folder it led to.
    ///
    /// # Errors
    /// If there is no such folder (none is made: it may be an unmounted volume), or it is not a mount point and should
    /// be.
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let shown = printable_path(root);
        let found = root.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::failed(format!(
                "destination {shown} does not exist: mount a folder there, or make one with mkdir -p {shown}; \
                 TARKEEP_DESTINATION says where it is"
            )),
            _ => Error::io("open destination", root, e),
        })?;
        let fd = openat(CWD, &found, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| match e {
                rustix::io::Errno::NOTDIR => Error::failed(format!("destination {shown} is not a folder")),
                _ => Error::io("open destination", root, e),
            })?;
        if options.require_mount && !sys::is_mount_point(&found)? {
            return Err(Error::failed(format!(
                "destination {shown} is not a mount point, and is required to be one: is its volume mounted?"
            )));
        }
        let about = fstat(&fd).map_err(|e| Error::io("look at destination", root, e))?;
        let access = Access {
            mode: options.mode.unwrap_or(file::MODE) & 0o777,
            // A set-group-id bit makes subfolders keep their group: it belongs to who may read.
            folder_mode: about.st_mode & 0o2777,
            owner: Some(options.owner.unwrap_or((about.st_uid, about.st_gid))),
            owner_was_asked_for: options.owner.is_some(),
        };
        let state = options.state.unwrap_or_else(|| found.join(OWN_FOLDER));
        Ok(Self { root: found, fd, access, state })
    }

    /// The folder, links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the state of jobs is kept. Taking the lock makes it, where it is in the destination.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Try to write by really doing so.
    ///
    /// # Errors
    /// If no file can be made in the destination.
    pub fn check_writable(&self) -> Result<()> {
        let (_file, name) = make_temporary(&self.fd, &self.root)?;
        self.remove_temporary(&name)
    }

    /// Remove what [`make_temporary`] has made here.
    pub(super) fn remove_temporary(&self, name: &str) -> Result<()> {
        unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|e| Error::io("remove temporary file", self.root.join(name), e))
    }

    /// Begin an archive: nothing is seen of it until [`Upload::publish`], and dropped instead nothing is left of it.
    /// Folders on the way to its name are made.
    ///
    /// # Errors
    /// If a folder or the temporary file cannot be made. A link is not followed on the way, a file not replaced.
    pub fn begin(&self, _lock: &Lock, name: &ArchiveName) -> Result<Upload> {
        let mut folders = Folders::below(&self.fd, &self.root)?;
        let path = name.to_string();
        for part in path.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            folders.enter(part, &self.access)?;
        }
        sys::failpoint("folders-made");
        Upload::begin(folders, Target::Numbered(name.clone()), self.access)
    }
}
