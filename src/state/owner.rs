//! Whose the state is: what is made belongs to who owns the folder it is made in, as archives do. So a person whose
//! folder it is can run tarkeep there beside the container, which runs as root.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::{getegid, geteuid};

use crate::error::{Error, cause_text};
use crate::printable::printable_path;

/// Make this folder, if it is not there. A link to one is followed if it is ours or root's: one that somebody else has put
/// there would have us write where he may not.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let about = fs::symlink_metadata(path)?;
            let trusted = [0, geteuid().as_raw()].contains(&about.uid());
            if about.is_symlink() && !trusted {
                return Err(io::Error::other(format!("it is a link, which user {} has made", about.uid())));
            }
            return Ok(());
        }
        made => made?,
    }
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    if let Ok(made) = OpenOptions::new().read(true).custom_flags(flags).open(path) {
        give(&made, path);
    }
    Ok(())
}

/// Open this file, or make it. Through a link nothing is opened: the folder may belong to somebody whom root must not
/// write elsewhere for.
pub(super) fn open_or_make(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let mut options = options.clone();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create(true).open(path),
        made => made.inspect(|made| give(made, path)),
    }
}

/// Give what was just made at this path to who owns the folder that it is in. Who may not do that, who is not root, keeps it.
pub(super) fn give(made: &File, path: &Path) {
    let owner = |about: &Metadata| (about.uid(), about.gid());
    if let (Ok(folder), Ok(now)) = (above(path), made.metadata())
        && owner(&folder) != owner(&now)
    {
        let _ = fchown(made, Some(folder.uid()), Some(folder.gid()));
    }
}

/// What to say when something could not be made or opened to be written: where it is another's, also what to do.
pub(super) fn refused(doing: &str, path: &Path, cause: io::Error) -> Error {
    let other = another(path, &cause);
    let error = Error::io(doing, path, cause);
    match (other, path.parent()) {
        (Some(other), Some(folder)) => Error::failed(format!(
            "{error}: user {other} has made it or its folder, as root does in a container; with `sudo chown -R {}:{} {}` it is \
             yours",
            geteuid().as_raw(),
            getegid().as_raw(),
            printable_path(folder)
        )),
        _ => error,
    }
}

/// Why something cannot be read, in words: where it is another's, also who can.
pub(super) fn unread(path: &Path, cause: &io::Error) -> String {
    let text = cause_text(cause);
    match another(path, cause) {
        Some(other) => format!("{text}: it is for user {other} and for root"),
        None => text,
    }
}

/// The user whose folder, or file, this is, if it is denied to us since we are another.
fn another(path: &Path, cause: &io::Error) -> Option<u32> {
    let own = geteuid();
    if cause.kind() != io::ErrorKind::PermissionDenied || own.is_root() {
        return None;
    }
    let found = [above(path), fs::symlink_metadata(path)];
    found.into_iter().flatten().map(|about| about.uid()).find(|user| *user != own.as_raw())
}

fn above(path: &Path) -> io::Result<Metadata> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::metadata(folder.unwrap_or(Path::new(".")))
}
