//! Extended attributes, read through what is open.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, getxattr, lgetxattr, listxattr, llistxattr};
use rustix::io::Errno;

use super::open::Fault;
use crate::printable::printable;

/// Attributes by name, as an entry has them.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// The kernel's limit for the list of names and for a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LARGEST: usize = 64 * 1024;

/// Buffers that are used again and again: most files have no attributes, and then one call is all that it costs.
#[derive(Debug)]
pub(super) struct Xattrs {
    list: Vec<u8>,
    value: Vec<u8>,
}

/// How to reach the attributes of what is open.
enum Target<'a> {
    /// A file or folder, open for reading.
    Open(BorrowedFd<'a>),
    /// Anything else, by the link in `/proc` to a descriptor opened with `O_PATH`, which the calls above refuse.
    Link(String),
    /// A name in a folder that is open: by the link in `/proc` to the folder, and not through a link of that name.
    Name(CString),
}

impl Xattrs {
    pub(super) fn new() -> Self {
        Self { list: vec![0; 1024], value: vec![0; 1024] }
    }

    /// The attributes of a file or folder that is open for reading, and what could not be read.
    pub(super) fn of_open(&mut self, fd: BorrowedFd<'_>) -> (Attributes, Option<Fault>) {
        self.read(&Target::Open(fd))
    }

    /// The attributes of what was opened with `O_PATH`, be it a symbolic link, and what could not be read.
    pub(super) fn of_path(&mut self, fd: BorrowedFd<'_>) -> (Attributes, Option<Fault>) {
        self.read(&Target::Link(format!("/proc/self/fd/{}", fd.as_raw_fd())))
    }

    /// The attributes of what has this name in this folder, unopened. `None` if they cannot all be had in this way.
    pub(super) fn of_name(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> Option<Attributes> {
        let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        let target = Target::Name(CString::new(path).ok()?);
        // Without /proc there are no answers, which must not be taken for no attributes.
        match fill(&mut self.list, |list| target.list(list)) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Some(Vec::new()),
            Ok(_) => {}
            Err(_) => return None,
        }
        let (found, fault) = self.read(&target);
        fault.is_none().then_some(found)
    }

    fn read(&mut self, target: &Target<'_>) -> (Attributes, Option<Fault>) {
        let length = match fill(&mut self.list, |list| target.list(list)) {
            // ENOENT: without /proc the attributes of links and devices are out of reach; hardly any have some.
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOENT) => return (Vec::new(), None),
            Ok(length) => length,
            Err(error) => return (Vec::new(), Some(Fault::skipped("list extended attributes", error))),
        };
        let mut found = Vec::new();
        let mut fault = None;
        for name in self.list[..length].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if !is_kept(name.to_bytes()) {
                continue;
            }
            match fill(&mut self.value, |value| target.get(name, value)) {
                Ok(length) => found.push((name.to_bytes().to_vec(), self.value[..length].to_vec())),
                // Removed since it was listed.
                Err(Errno::NODATA) => {}
                Err(error) => {
                    let doing = format!("read extended attribute {}", printable(name.to_bytes()));
                    fault = Some(Fault::skipped(&doing, error));
                }
            }
        }
        found.sort_unstable();
        (found, fault)
    }
}

impl Target<'_> {
    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => flistxattr(fd, buffer),
            Self::Link(path) => listxattr(path, buffer),
            Self::Name(path) => llistxattr(path.as_c_str(), buffer),
        }
    }

    fn get(&self, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => fgetxattr(fd, name, buffer),
            Self::Link(path) => getxattr(path, name, buffer),
            Self::Name(path) => lgetxattr(path.as_c_str(), name, buffer),
        }
    }
}

/// Call with this buffer, and with the largest that can be needed where it is too small.
fn fill(buffer: &mut Vec<u8>, call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<usize, Errno> {
    match call(buffer) {
        Err(Errno::RANGE) if buffer.len() < LARGEST => {
            buffer.resize(LARGEST, 0);
            call(buffer)
        }
        other => other,
    }
}

/// Those that mean something on another machine; the rest belong to one file system.
fn is_kept(name: &[u8]) -> bool {
    [&b"user."[..], b"security.", b"trusted.", b"system.posix_acl_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
