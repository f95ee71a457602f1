//! Opening what a folder lists, by descriptors: never through a link, never what could block.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, makedev, openat, statx};
use rustix::io::Errno;

use super::folder::Hint;
use crate::entry::{Found, Kind, Miss, Missed, Timestamp};
use crate::error::{Error, Result, cause_text};
use crate::printable::printable_path;

/// Why something is not to be had.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: Miss,
    pub(super) cause: String,
    /// There were not enough descriptors: worth another try with fewer of our own.
    pub(super) starved: bool,
}

impl Fault {
    /// What is not there any more has vanished; everything else is skipped.
    pub(super) fn new(doing: &str, error: Errno) -> Self {
        let what = if error == Errno::NOENT { Miss::Vanished } else { Miss::Skipped };
        Self { what, ..Self::skipped(doing, error) }
    }

    /// Skipped, whatever the error.
    pub(super) fn skipped(doing: &str, error: Errno) -> Self {
        let cause = format!("{doing}: {}", cause_text(&io::Error::from(error)));
        Self { what: Miss::Skipped, cause, starved: matches!(error, Errno::MFILE | Errno::NFILE) }
    }

    /// This, as found under this name.
    pub(super) fn of(self, name: &[u8]) -> Found {
        Found::Missed(Missed { name: name.to_vec(), what: self.what, cause: self.cause })
    }
}

/// Something open, and what it is.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file, for reading.
    File(OwnedFd, Statx),
    /// A folder, for listing.
    Folder(OwnedFd, Statx),
    /// A folder that cannot be listed: a descriptor for its metadata, and why.
    Closed(OwnedFd, Statx, Fault),
    /// Anything else: a descriptor for its metadata.
    Other(OwnedFd, Statx),
}

/// How often a name is tried that turns out to be something else than a moment ago.
const TRIES: usize = 10;

/// Open this name in this folder.
///
/// A file that the listing calls regular is opened without a look before, as that look could be outdated at once: what
/// was opened is asked what it is. `O_NOFOLLOW` stops at a link, and `O_NONBLOCK` keeps a FIFO that took the file's place
/// from blocking.
pub(super) fn open(folder: BorrowedFd<'_>, name: &CStr, hint: Hint) -> Result<Opened, Fault> {
    let mut hint = hint;
    for _ in 0..TRIES {
        match hint {
            Hint::Unknown => hint = look(folder, name)?,
            Hint::File => match open_quietly(folder, name, OFlags::NOFOLLOW | OFlags::NONBLOCK) {
                Ok(fd) => {
                    let stat = stat(&fd).map_err(|e| Fault::new("look at source file", e))?;
                    if kind(&stat) == FileType::RegularFile {
                        return Ok(Opened::File(fd, stat));
                    }
                    hint = kind(&stat).into();
                }
                // A link or a socket by now.
                Err(Errno::LOOP | Errno::NXIO) => hint = Hint::Unknown,
                Err(Errno::AGAIN) => match open_leased(folder, name) {
                    Ok(Some((fd, stat))) => return Ok(Opened::File(fd, stat)),
                    Ok(None) => hint = Hint::Unknown,
                    Err(error) => return Err(Fault::new("open source file", error)),
                },
                Err(error) => return Err(Fault::new("open source file", error)),
            },
            Hint::Folder => match open_quietly(folder, name, OFlags::NOFOLLOW | OFlags::DIRECTORY) {
                Ok(fd) => {
                    let stat = stat(&fd).map_err(|e| Fault::new("look at source folder", e))?;
                    return Ok(Opened::Folder(fd, stat));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => hint = Hint::Unknown,
                Err(error) => {
                    let fault = Fault::new("open source folder", error);
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let closed =
                        openat(folder, name, flags, Mode::empty()).and_then(|fd| Ok((stat(&fd)?, fd)));
                    return match closed {
                        Ok((stat, fd)) if !fault.starved => Ok(Opened::Closed(fd, stat, fault)),
                        _ => Err(fault),
                    };
                }
            },
            Hint::Other => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let (stat, fd) = openat(folder, name, flags, Mode::empty())
                    .and_then(|fd| Ok((stat(&fd)?, fd)))
                    .map_err(|e| Fault::new("look at", e))?;
                match kind(&stat).into() {
                    Hint::Other => return Ok(Opened::Other(fd, stat)),
                    other => hint = other,
                }
            }
        }
    }
    let cause = "open source file: it became something else each time it was opened".into();
    Err(Fault { what: Miss::Skipped, cause, starved: false })
}

/// What this name is, for listings that do not say.
pub(super) fn look(folder: BorrowedFd<'_>, name: &CStr) -> Result<Hint, Fault> {
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE) {
        Ok(stat) => Ok(match kind(&stat).into() {
            Hint::Unknown => Hint::Other,
            hint => hint,
        }),
        Err(error) => Err(Fault::new("look at", error)),
    }
}

/// Open for reading without moving the time of last access, where that is allowed: to the owner and to root.
pub(super) fn open_quietly<P: rustix::path::Arg + Copy>(
    folder: impl AsFd,
    name: P,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | flags;
    match openat(&folder, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(&folder, name, flags, Mode::empty()),
        other => other,
    }
}

/// Open a file that another process holds a lease on, as Samba does: opening without `O_NONBLOCK` waits until the lease
/// is given back, or broken after `/proc/sys/fs/lease-break-time`, 45 seconds. That this is a regular file is known
/// before, and the link in `/proc` leads to just that file. `None` if it is something else by now.
fn open_leased(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<(OwnedFd, Statx)>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = openat(folder, name, flags, Mode::empty())?;
    if kind(&stat(&path)?) != FileType::RegularFile {
        return Ok(None);
    }
    let link = format!("/proc/self/fd/{}", path.as_raw_fd());
    let fd = open_quietly(CWD, link.as_str(), OFlags::empty())?;
    let stat = stat(&fd)?;
    Ok(Some((fd, stat)))
}

/// Open the root of a source: a link is followed here, as `tar` follows `/data/`.
pub(super) fn open_root(path: &Path) -> Result<Opened> {
    let failed = |e: Errno| match e {
        Errno::NOENT => {
            let shown = printable_path(path);
            Error::failed(format!(
                "source {shown} does not exist: mount a folder there, or correct its path (TARKEEP_SOURCE, --source)"
            ))
        }
        _ => Error::io("open source", path, e),
    };
    let seen = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let seen = stat(&seen).map_err(failed)?;
    let flags = match kind(&seen) {
        FileType::Directory => OFlags::DIRECTORY,
        FileType::RegularFile => OFlags::NONBLOCK,
        _ => {
            return Err(Error::failed(format!(
                "open source {}: it is neither a folder nor a file",
                printable_path(path)
            )));
        }
    };
    let fd = open_quietly(CWD, path, flags).map_err(failed)?;
    let stat = stat(&fd).map_err(failed)?;
    if id(&stat) != id(&seen) {
        return Err(Error::failed(format!(
            "open source {}: it was replaced while it was opened",
            printable_path(path)
        )));
    }
    Ok(match kind(&stat) {
        FileType::Directory => Opened::Folder(fd, stat),
        _ => Opened::File(fd, stat),
    })
}

/// All there is to know about what is open. Network file systems are asked anew and do not answer from a cache; local
/// ones ignore the flag.
pub(super) fn stat(fd: impl AsFd) -> Result<Statx, Errno> {
    statx(fd, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS)
}

/// The same of a name in a folder, without opening it: of a link, the link.
pub(super) fn stat_name(folder: BorrowedFd<'_>, name: &CStr) -> Result<Statx, Errno> {
    statx(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS)
}

/// Device and inode, which together are one file.
pub(super) fn id(stat: &Statx) -> (u64, u64) {
    (device(stat), stat.stx_ino)
}

/// The file system's number, as `stat` gives it.
pub(super) fn device(stat: &Statx) -> u64 {
    makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// What it is.
pub(super) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// When the body, and when anything, last changed.
pub(super) fn times(stat: &Statx) -> (Timestamp, Timestamp) {
    let time = |seconds, nanos| Timestamp { seconds, nanos };
    let (mtime, ctime) = (&stat.stx_mtime, &stat.stx_ctime);
    (time(mtime.tv_sec, mtime.tv_nsec), time(ctime.tv_sec, ctime.tv_nsec))
}

/// What an entry that is neither file nor folder is; `None` for a socket.
pub(super) fn other_kind(fd: BorrowedFd<'_>, stat: &Statx) -> Result<Option<Kind>, Fault> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(Some(match kind(stat) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(fd, c"", Vec::with_capacity(256))
                .map_err(|e| Fault::new("read source link", e))?;
            Kind::Symlink(target.into_bytes())
        }
        FileType::CharacterDevice => Kind::CharDevice(major, minor),
        FileType::BlockDevice => Kind::BlockDevice(major, minor),
        FileType::Fifo => Kind::Fifo,
        _ => return Ok(None),
    }))
}
