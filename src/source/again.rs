//! Opening later what was only looked at: down from the root of its source again, folder by folder, never through a link.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// The sources' roots, and the folder that was needed last: what is opened later comes in the order of names too.
#[derive(Debug, Default)]
pub(super) struct Again {
    roots: Vec<(Vec<u8>, OwnedFd)>,
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Again {
    /// From now on there are things below this root, which is open, under this name.
    pub(super) fn root(&mut self, name: &[u8], folder: &OwnedFd) -> Result<(), Errno> {
        // The kernel's own call, as the standard library's error would have to be turned back.
        let copy = rustix::io::fcntl_dupfd_cloexec(folder, 0)?;
        self.roots.push((name.to_vec(), copy));
        Ok(())
    }

    /// The folder that this name stands in, and its last part.
    pub(super) fn folder(&mut self, name: &[u8]) -> Result<(&OwnedFd, CString), Errno> {
        let slash = name.iter().rposition(|byte| *byte == b'/').ok_or(Errno::NOENT)?;
        let (parent, last) = (&name[..slash], &name[slash + 1..]);
        let last = CString::new(last).map_err(|_| Errno::NOENT)?;
        let known = self.last.as_ref().is_some_and(|(known, _)| known == parent);
        if !known {
            let folder = self.descend(parent)?;
            self.last = Some((parent.to_vec(), folder));
        }
        let (_, folder) = self.last.as_ref().ok_or(Errno::NOENT)?;
        Ok((folder, last))
    }

    fn descend(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let below = |root: &[u8]| {
            let rest = name.strip_prefix(root)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
        };
        let (below, root) =
            self.roots.iter().rev().find_map(|(name, fd)| Some((below(name)?, fd))).ok_or(Errno::NOENT)?;
        let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
        for part in below.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let part = CString::new(part).map_err(|_| Errno::NOENT)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
            folder = openat(folder.as_fd(), part.as_c_str(), flags, Mode::empty())?;
        }
        Ok(folder)
    }
}
