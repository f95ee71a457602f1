//! One archive in a file that was asked for by its path, with the same care as in a destination.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};

use super::folders::{Access, Folders};
use super::sweep::sweep_folder;
use super::upload::{Target, Upload, taken};
use crate::error::{Error, Result};
use crate::printable::printable_path;

/// The permission bits of archives where none are given: their owner's, and readable for a group.
pub const MODE: u32 = 0o640;

/// Begin a file that is to stand at this path, and nowhere else. `mode` are its permission bits; it belongs to who
/// writes it. What killed processes left half written in the folder is removed.
///
/// # Errors
/// If something is there already, or the folder cannot be written to.
pub fn begin(path: &Path, mode: Option<u32>) -> Result<Upload> {
    let name = path
        .file_name()
        .filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"))
        .ok_or_else(|| Error::usage(format!("{} is not the name of a file", printable_path(path))))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fd = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::io("open folder", folder, e))?;
    if statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(taken(path));
    }
    sweep_folder(&fd, folder)?;
    let access = Access {
        mode: mode.unwrap_or(MODE) & 0o777,
        folder_mode: 0,
        owner: None,
        owner_was_asked_for: false,
    };
    Upload::begin(Folders::below(&fd, folder)?, Target::Exact(name.into()), access)
}
