//! What stands under a name: as much of it as decides whether it can be replaced or removed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, IFlags, Mode, OFlags, StatxAttributes, StatxFlags, chmod, fchmod, ioctl_getflags,
    openat, statat, statx,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::entry::is_restore_folder;

/// A file or folder, whatever its name: device and inode.
pub type Id = (u64, u64);

/// A file, folder or link; a link itself, and never what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    id: Id,
    /// The kind and the bits, as stat has them.
    mode: u32,
    /// The number of its owner.
    pub owner: u32,
    /// The number of the mount that it is reached by, where the kernel tells it (Linux 5.8).
    mount: Option<u64>,
    /// Whether it is immutable, or can only be appended to: it keeps its name and, as a folder, its content.
    pub fixed: bool,
}

impl Found {
    /// Under this name in this folder; the folder itself is `.`.
    ///
    /// # Errors
    /// If it cannot be looked at. Nothing of that name is none.
    pub fn at(folder: impl AsFd, name: &CStr) -> Result<Option<Self>, Errno> {
        let (folder, flags) = (folder.as_fd(), AtFlags::SYMLINK_NOFOLLOW);
        let found = match statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID) {
            Ok(found) => {
                let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
                let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
                Ok(Self {
                    id: (rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino),
                    mode: found.stx_mode.into(),
                    owner: found.stx_uid,
                    mount: told.then_some(found.stx_mnt_id),
                    fixed: found.stx_attributes.intersects(fixed),
                })
            }
            // Before Linux 4.11, and filters of system calls that do not know it.
            Err(Errno::NOSYS | Errno::PERM) => statat(folder, name, flags).map(|found| Self {
                id: (found.st_dev, found.st_ino),
                mode: found.st_mode,
                owner: found.st_uid,
                mount: None,
                fixed: false,
            }),
            Err(e) => Err(e),
        };
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub fn id(&self) -> Id {
        self.id
    }

    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }

    /// The permission bits.
    pub fn bits(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Whether a rename leads from where the one is to where the other is. A bind mount has the device number of what is
    /// around it, and a subvolume of btrfs the mount; files of an overlay have device numbers of their own.
    pub fn is_beside(&self, other: &Self) -> bool {
        match (self.mount, other.mount) {
            (Some(one), Some(two)) => one == two && (!self.is_folder() || self.id.0 == other.id.0),
            _ => self.id.0 == other.id.0,
        }
    }
}

/// Whether the file system itself lets nothing in from around this folder: it is of a project of its own, whose quota is not
/// to be passed by (XFS, ext4), or what is in it is encrypted.
pub fn is_closed(folder: BorrowedFd<'_>, around: BorrowedFd<'_>) -> bool {
    // `FS_ENCRYPT_FL` of linux/fs.h.
    let wanted = IFlags::PROJECT_INHERIT | IFlags::from_bits_retain(0x800);
    // File systems that do not know the call have neither.
    let flags = |fd| ioctl_getflags(fd).map_or(IFlags::empty(), |flags| flags & wanted);
    !flags(around).contains(flags(folder))
}

/// Give the folder of this name in an open folder this mode, and nothing else: somebody may have put a link, or a file of
/// others, in its place.
///
/// # Errors
/// If it is no folder, or not ours.
pub fn set_mode(folder: impl AsFd, name: &CStr, mode: Mode) -> Result<(), Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&folder, name, flags | OFlags::RDONLY, Mode::empty()) {
        Ok(fd) => fchmod(fd, mode),
        Err(Errno::ACCESS) => {
            // One that we may not read yet is opened without a right to anything, and such a descriptor has no mode to set
            // but by its name in /proc: see open(2), O_PATH.
            let fd = openat(&folder, name, flags | OFlags::PATH, Mode::empty())?;
            chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), mode)
        }
        Err(e) => Err(e),
    }
}

/// The names in a folder, sorted, without those of restores.
///
/// # Errors
/// If it cannot be listed.
pub fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = all_names(folder)?;
    names.retain(|name| !is_restore_folder(name.to_bytes()));
    names.sort();
    Ok(names)
}

/// The names in a folder.
///
/// # Errors
/// If it cannot be listed.
pub fn all_names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    those(folder, |name| !matches!(name, b"." | b".."))
}

/// What are called like folders of restores in a folder, of whatever size that is.
///
/// # Errors
/// If it cannot be listed.
pub fn restore_folders(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    those(folder, is_restore_folder)
}

fn those(folder: BorrowedFd<'_>, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<CString>, Errno> {
    let names = Dir::read_from(folder)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    names.filter(|name| name.as_ref().map_or(true, |name| wanted(name.to_bytes()))).collect()
}

/// Whether what has this owner and mode is ours, and nobody else may write to it or look into it.
pub fn is_only_ours(owner: u32, mode: u32) -> bool {
    owner == geteuid().as_raw() && mode & 0o077 == 0
}

/// The name of what is in a folder, from the names of both.
pub fn joined(folder: &[u8], last: &CStr) -> Vec<u8> {
    if folder.is_empty() { last.to_bytes().to_vec() } else { [folder, b"/", last.to_bytes()].concat() }
}
