//! The folder that is extracted into: nothing outside it is reached by any name.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, linkat, makedev, mkdirat, mknodat, openat,
    openat2, symlinkat,
};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Paths from this length on are walked down in parts: the kernel takes 4,096 bytes at a time.
const PATH_PART: usize = 4000;

/// A folder, and the way to what is below it: never over a link, never upwards, never across `..`.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// One name in one open folder.
#[derive(Debug)]
pub struct Place<'a> {
    folder: BorrowedFd<'a>,
    name: CString,
    shown: PathBuf,
}

impl Root {
    /// Open the folder. A link that leads to one is followed here, and only here.
    ///
    /// # Errors
    /// If it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(|e| Error::io("open folder", path, e))?;
        Ok(Self { fd, path: path.to_path_buf() })
    }

    /// Open the folder of this name in an open one. A link is none.
    ///
    /// # Errors
    /// If there is none.
    pub fn within(folder: &Self, name: &str) -> Result<Self> {
        let path = folder.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            openat(&folder.fd, name, flags, Mode::empty()).map_err(|e| Error::io("open folder", &path, e))?;
        Ok(Self { fd, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Where this relative name would be, for messages.
    pub fn shown(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// Open a folder below, `name` being relative and clean. The empty name is the root itself.
    pub fn folder(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        self.reach(name, ResolveFlags::empty())
    }

    /// [`Root::folder`], if nothing is mounted there or on the way: that is `EXDEV`.
    pub fn folder_here(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        self.reach(name, ResolveFlags::NO_XDEV)
    }

    fn reach(&self, name: &[u8], how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = openat(&self.fd, c".", flags, Mode::empty())?;
        let mut rest = name;
        while !rest.is_empty() {
            let part = if rest.len() < PATH_PART {
                rest
            } else {
                let slash = rest[..PATH_PART].iter().rposition(|byte| *byte == b'/');
                &rest[..slash.ok_or(Errno::NAMETOOLONG)?]
            };
            at = beneath(at.as_fd(), part, flags, how)?;
            rest = rest.get(part.len() + 1..).unwrap_or_default();
        }
        Ok(at)
    }
}

/// Open what is below a folder without passing a link, a mount of `/proc`, or `..`.
fn beneath(folder: BorrowedFd<'_>, name: &[u8], flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let resolve = how | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder, OsStr::from_bytes(name), flags, Mode::empty(), resolve) {
        // Kernels before 5.6, and filters of system calls that do not know it.
        Err(Errno::NOSYS | Errno::PERM) => {}
        other => return other,
    }
    let mut at: Option<OwnedFd> = None;
    for part in name.split(|byte| *byte == b'/') {
        if part.is_empty() || part == b".." || part == b"." {
            return Err(Errno::XDEV);
        }
        let from = at.as_ref().map_or(folder, AsFd::as_fd);
        let next = openat(from, OsStr::from_bytes(part), flags, Mode::empty())?;
        // As good as can be: a mount of the same disk is not told here.
        if how.contains(ResolveFlags::NO_XDEV) && fstat(&next)?.st_dev != fstat(from)?.st_dev {
            return Err(Errno::XDEV);
        }
        at = Some(next);
    }
    at.ok_or(Errno::NOENT)
}

/// A relative name as the folder it stands in and its last part.
pub fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (&[], name),
    }
}

impl<'a> Place<'a> {
    /// The name `last` in this open folder; `shown` is for messages.
    ///
    /// # Errors
    /// If the name is none that a file can have.
    pub fn new(folder: BorrowedFd<'a>, last: &[u8], shown: PathBuf) -> Result<Self> {
        let wrong = |what: &str| Error::failed(format!("{what}: {}", crate::printable::printable(last)));
        if last.is_empty() || last == b"." || last == b".." || last.contains(&b'/') {
            return Err(wrong("not the name of a file"));
        }
        let name = CString::new(last).map_err(|_| wrong("a name with a zero byte"))?;
        Ok(Self { folder, name, shown })
    }

    /// An error of this place.
    pub fn failed(&self, doing: &str, cause: Errno) -> Error {
        Error::io(doing, &self.shown, cause)
    }

    /// A new file, empty, for nobody else yet.
    ///
    /// # Errors
    /// If it cannot be made; what is there already is never opened.
    pub fn make_file(&self) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self.folder, &self.name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.failed("make file", e))
    }

    /// A file that was made here before.
    ///
    /// # Errors
    /// If it is not there, or is something else by now.
    pub fn open_file(&self) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.folder, &self.name, flags, Mode::empty()).map_err(|e| self.failed("open file", e))
    }

    /// A new folder, for nobody else yet. False if there is one.
    ///
    /// # Errors
    /// If it cannot be made, or something else has the name.
    pub fn make_folder(&self) -> Result<bool> {
        match mkdirat(self.folder, &self.name, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(self.folder, &self.name, flags, Mode::empty()).map(|_| false).map_err(|e| {
                    self.failed("make folder", if e == Errno::NOTDIR { Errno::EXIST } else { e })
                })
            }
            Err(e) => Err(self.failed("make folder", e)),
        }
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_link(&self, target: &[u8]) -> Result<()> {
        symlinkat(OsStr::from_bytes(target), self.folder, &self.name)
            .map_err(|e| self.failed("make symbolic link", e))
    }

    /// A device or a named pipe.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_node(&self, kind: FileType, major: u32, minor: u32) -> Result<(), Errno> {
        mknodat(self.folder, &self.name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))
    }

    /// Another name, here, of a file of ours. A link in the place of that file is not followed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_hard_link(&self, of: &Place) -> Result<()> {
        linkat(of.folder, &of.name, self.folder, &self.name, AtFlags::empty())
            .map_err(|e| self.failed("make hard link", e))
    }

    /// The name in its folder, for calls on what is no open file.
    pub fn at(&self) -> (BorrowedFd<'a>, &CString) {
        (self.folder, &self.name)
    }

    /// Where it is, for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}
