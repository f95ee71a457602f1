//! Making what is hard to make.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, makedev, mkdirat, mknodat, open,
    openat, setxattr, utimensat,
};

/// A path in a folder by bytes.
pub fn at(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

/// A file of this name that holds its own name.
pub fn file(folder: &Path, name: &[u8]) -> PathBuf {
    let path = at(folder, name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, name).unwrap();
    path
}

/// Bytes that do not compress.
pub fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut noise);
    noise
}

/// A file of this length with a few bytes here and there, and holes between.
pub fn holes(path: &Path, length: u64, data: &[u64]) {
    let file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    for &offset in data {
        file.write_all_at(b"data", offset).unwrap();
    }
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Set the time of last change, without following a link.
pub fn time(path: &Path, seconds: i64, nanos: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub fn attribute(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(setxattr(path, name, value, XattrFlags::empty())?)
}

pub fn device(path: &Path, kind: FileType, major: u32, minor: u32) -> io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), makedev(major, minor))?)
}

pub fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// An ACL as the kernel has it (`linux/posix_acl_xattr.h`): user 1000 may do this, group 1001 that.
pub fn acl(user: u16, group: u16) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1_u16, 7_u16, u32::MAX),
        (2, user, 1000),
        (4, 5, u32::MAX),
        (8, group, 1001),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// A file capability, `cap_net_bind_service=ep` (`linux/capability.h`, revision 2).
pub fn capability() -> Vec<u8> {
    let words = [0x0200_0001_u32, 1 << 10, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Folder in folder, so that the path to the file in the last is longer than a system call takes.
pub fn beyond_path_max(folder: &Path) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at: OwnedFd = open(folder, flags, Mode::empty()).unwrap();
    for _ in 0..25 {
        let name = "d".repeat(200);
        mkdirat(&at, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = openat(&at, "file", flags, Mode::from_raw_mode(0o644)).unwrap();
    let file = File::from(file);
    file.write_all_at(b"far down", 0).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// One of each that needs a file system, or rights, that not everyone has.
pub fn everything_special(folder: &Path) -> io::Result<()> {
    let path = file(folder, b"special");
    attribute(&path, b"user.a=b\n", b"value\0")?;
    attribute(&path, b"trusted.a", b"value")?;
    attribute(&path, b"security.capability", &capability())?;
    attribute(&path, b"system.posix_acl_access", &acl(7, 0))?;
    std::os::unix::fs::lchown(&path, Some(u32::MAX - 1), Some(u32::MAX - 1))?;
    time(&path, 1 << 34, 1)?;
    device(&at(folder, b"device"), FileType::CharacterDevice, 1, 3)?;
    let about = rustix::fs::lstat(&path)?;
    let same = about.st_uid == u32::MAX - 1 && about.st_mtime == 1 << 34;
    same.then_some(()).ok_or_else(|| io::Error::other("owners and times are not kept"))
}
