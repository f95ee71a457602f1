//! Removing a whole tree of ours, however deep it is and whatever its folders' modes are.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, Mode, fchmod, unlinkat};
use rustix::io::Errno;

use super::found::{Found, all_names, joined, set_mode};
use crate::error::{Error, Result};
use crate::extract::{Root, split};

/// The mode in which a folder can be listed and emptied by its owner.
const OPEN: Mode = Mode::RWXU;

/// Remove this name in this folder with all that is below it, nothing that is mounted there aside: that is an error. What
/// is gone already is no trouble.
///
/// # Errors
/// If something cannot be removed. The rest of it may be gone.
pub fn remove(root: &Root, name: &OsStr) -> Result<()> {
    let mut frames: Vec<Frame> = Frame::enter(root, name.as_bytes().to_vec())?.into_iter().collect();
    while let Some(mut frame) = frames.pop() {
        let Some(last) = frame.names.next() else {
            frame.leave(root)?;
            continue;
        };
        let below = frame.remove(root, &last)?;
        frames.push(frame);
        if let Some(name) = below {
            frames.extend(Frame::enter(root, name)?);
        }
    }
    Ok(())
}

/// A folder that is emptied.
struct Frame {
    name: Vec<u8>,
    names: std::vec::IntoIter<CString>,
    /// Open while nothing below it is.
    folder: Option<OwnedFd>,
}

impl Frame {
    /// None if it is not there.
    fn enter(root: &Root, name: Vec<u8>) -> Result<Option<Self>> {
        let failed = |e| Error::io("empty folder", root.shown(&name), e);
        let folder = match root.folder(&name) {
            Err(Errno::ACCESS) => {
                let (above, last) = split(&name);
                let above = root.folder(above).map_err(failed)?;
                let last = CString::new(last).map_err(|_| failed(Errno::INVAL))?;
                set_mode(&above, &last, OPEN).map_err(failed)?;
                root.folder(&name)
            }
            other => other,
        };
        match folder {
            Ok(folder) => {
                let names = all_names(folder.as_fd()).map_err(failed)?.into_iter();
                Ok(Some(Self { name, names, folder: Some(folder) }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    fn leave(self, root: &Root) -> Result<()> {
        let failed = |e| Error::io("remove folder", root.shown(&self.name), e);
        let (above, last) = split(&self.name);
        let above = root.folder(above).map_err(failed)?;
        match unlinkat(&above, OsStr::from_bytes(last), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(failed(e)),
        }
    }

    /// Remove what has this name. If it is a folder with content, its whole name.
    fn remove(&mut self, root: &Root, last: &CString) -> Result<Option<Vec<u8>>> {
        let name = joined(&self.name, last);
        let failed = |e| Error::io("remove", root.shown(&name), e);
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => root.folder(&self.name).map_err(failed)?,
        };
        let unlink = || match unlinkat(&folder, last, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(&folder, last, AtFlags::REMOVEDIR),
            other => other,
        };
        let removed = match unlink() {
            // Its owner may let themselves in.
            Err(Errno::ACCESS) => fchmod(&folder, OPEN).and_then(|()| unlink()),
            other => other,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(Some(name)),
            // A folder of ours that we may not write to: the kernel looks at what is in it first.
            Err(Errno::ACCESS)
                if Found::at(&folder, last).is_ok_and(|found| found.is_some_and(|it| it.is_folder())) =>
            {
                return Ok(Some(name));
            }
            Err(e) => return Err(failed(e)),
        }
        self.folder = Some(folder);
        Ok(None)
    }
}
