//! A link to the newest archive, for people and scripts that want one path.

use rustix::fs::{AtFlags, Gid, Uid, chownat, readlinkat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::folders::sync_folder;
use super::{Local, Lock};
use crate::archive::name::{ArchiveName, Pattern};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::sys::failpoint;

/// Where a link is made before it takes its place, in our own folder: whoever was killed leaves it to the next run.
const NEW: &str = "latest.new";

impl Local {
    /// Let the link of this name, in the destination itself, lead to an archive. One that a run has made is replaced in
    /// one step, so that it leads somewhere at any time; anything else that has the name stays.
    ///
    /// # Errors
    /// If something else has the name, or the file system has no links.
    pub fn link_latest(&self, lock: &Lock, link: &str, to: &ArchiveName, pattern: &Pattern) -> Result<()> {
        let path = self.root().join(link);
        let target = to.to_string();
        match readlinkat(&self.fd, link, Vec::new()) {
            Ok(old) if old.to_str() == Ok(target.as_str()) => return Ok(()),
            Ok(old) if old.to_str().is_ok_and(|old| pattern.parse(old).is_some()) => {}
            Err(Errno::NOENT) => {}
            // EINVAL: no link.
            Ok(_) | Err(Errno::INVAL) => {
                return Err(Error::failed(format!(
                    "{} is there, and no run made it: move it away, or choose another name for the link to the newest \
                     archive",
                    printable_path(&path)
                )));
            }
            Err(e) => return Err(Error::io("look at", &path, e)),
        }
        let failed = |e| Error::io("make the link to the newest archive,", &path, e);
        match unlinkat(&lock.folder, NEW, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(failed(e)),
        }
        symlinkat(&*target, &lock.folder, NEW).map_err(failed)?;
        if let Some((user, group)) = self.access.owner {
            // Whoever may not give it away keeps it: a link is read by everybody.
            let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            let _ = chownat(&lock.folder, NEW, user, group, AtFlags::SYMLINK_NOFOLLOW);
        }
        failpoint("link-made");
        renameat(&lock.folder, NEW, &self.fd, link).map_err(failed)?;
        failpoint("link-placed");
        sync_folder(&self.fd).map_err(|e| Error::io("sync folder", self.root(), e))
    }
}
