//! The folder that a restore works in, beside or in its target, and what becomes of one that was left.

use std::ffi::OsStr;
use std::fs::{DirBuilder, DirEntry, remove_dir_all, remove_file};
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, fremovexattr, openat, syncfs};
use rustix::process::geteuid;

use super::journal::{JOURNAL, Journal, Phase};
use super::plan::{Plan, Wish, plan};
use super::{swap, tree};
use crate::entry::{RESTORE_FOLDER, is_restore_folder};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::sys::failpoint;

/// The new tree in it.
const NEW: &str = "new";
/// What had to make room, in it.
const OLD: &str = "old";
/// The attribute that says which ACL is handed down.
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// A restore under way. Dropped before [`Staging::swap`], it is undone.
#[derive(Debug)]
pub struct Staging {
    /// The target, or the folder that it will stand in.
    home: PathBuf,
    folder: PathBuf,
    /// Open and locked as long as we live.
    fd: OwnedFd,
    becomes: Option<Vec<u8>>,
    /// What is to be done when the new tree is complete, or was to be done when it was interrupted.
    journal: Journal,
    /// Whether dropping it takes it away.
    undo: bool,
}

/// What was done about a restore that had been interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It had all it needed, and was finished.
    Finished(PathBuf),
    /// It had changed nothing, and was removed.
    Undone(PathBuf),
}

impl Staging {
    /// Begin a restore into this folder, or of this folder where there is none yet.
    ///
    /// # Errors
    /// If nothing can be made there: a read-only mount, a full disk, a missing folder around it.
    pub fn begin(target: &Path) -> Result<Self> {
        let exists = target.is_dir();
        let (home, becomes) = if exists {
            (target.to_path_buf(), None)
        } else {
            let name = target.file_name().ok_or_else(|| {
                Error::usage(format!("{} is not the name of a folder", printable_path(target)))
            })?;
            let home = target.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (home.to_path_buf(), Some(name.as_bytes().to_vec()))
        };
        let folder = home.join(format!("{RESTORE_FOLDER}{:016x}", RandomState::new().hash_one(0)));
        let make = |path: &Path| {
            DirBuilder::new().mode(0o700).create(path).map_err(|e| Error::io("make folder", path, e))
        };
        make(&folder)?;
        let mut staging = Self::open(&home, &folder)?
            .ok_or_else(|| Error::failed(format!("another restore took {}", printable_path(&folder))))?;
        staging.becomes.clone_from(&becomes);
        staging.undo = true;
        // What is made in it is not to have the ACL that the folder around it hands down.
        let _ = fremovexattr(&staging.fd, DEFAULT_ACL);
        // What becomes a folder of its own is made as mkdir makes one; all else is nobody's business yet.
        let mode = if exists { 0o700 } else { 0o777 };
        let new = staging.new_tree();
        DirBuilder::new().mode(mode).create(&new).map_err(|e| Error::io("make folder", &new, e))?;
        make(&folder.join(OLD))?;
        staging.journal = Journal::extracting(becomes);
        staging.note(&staging.journal)?;
        Ok(staging)
    }

    /// A folder of a restore, if nobody works in it.
    fn open(home: &Path, folder: &Path) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            openat(CWD, folder, flags, Mode::empty()).map_err(|e| Error::io("open folder", folder, e))?;
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(Error::io("lock folder", folder, e)),
        }
        let (home, folder) = (home.to_path_buf(), folder.to_path_buf());
        Ok(Some(Self { home, folder, fd, becomes: None, journal: Journal::extracting(None), undo: false }))
    }

    /// Where to extract to.
    pub fn new_tree(&self) -> PathBuf {
        self.folder.join(NEW)
    }

    /// Decide what will happen, now that the new tree is complete; nothing of the old is touched yet.
    ///
    /// # Errors
    /// If not everything could get its place.
    pub fn decide(&mut self, wish: &Wish) -> Result<()> {
        failpoint("restore-extracted");
        let new = self.new_tree();
        let plan = if self.becomes.is_none() { plan(&new, &self.home, wish)? } else { Plan::default() };
        swap::remove(&new, &plan.left_out)?;
        let Plan { delete, merged, opened, .. } = plan;
        self.sync()?;
        let becomes = self.becomes.clone();
        self.journal = Journal { phase: Phase::Swapping, becomes, delete, merged, opened };
        Ok(())
    }

    /// Give everything its place, in all of these folders: the first is begun when it is sure that each will be finished,
    /// be it by the next restore.
    ///
    /// # Errors
    /// If something fails: what is not in its place by then gets it with the next restore.
    pub fn swap(mut all: Vec<Self>) -> Result<()> {
        for staging in &all {
            staging.note(&staging.journal)?;
        }
        all.iter_mut().for_each(|staging| staging.undo = false);
        failpoint("restore-noted");
        all.iter_mut().try_for_each(Self::finish)
    }

    fn finish(&mut self) -> Result<()> {
        let (new, journal) = (self.new_tree(), &self.journal);
        match &journal.becomes {
            Some(name) => {
                if let Err(error) = swap::become_folder(&new, &self.home, name) {
                    // Somebody made it meanwhile. Nobody has anything of ours, and never will.
                    self.undo = error.cause().is_some_and(|e| e.kind() == ErrorKind::AlreadyExists);
                    return Err(error);
                }
            }
            // All was in its place already when it was interrupted: see `remove`.
            None if new.symlink_metadata().is_err() => {}
            None => self.replace().map_err(|e| {
                Error::failed(format!(
                    "{e}; in {} some of the old is replaced and some is not: mend that, and the next restore to there \
                     finishes it",
                    printable_path(&self.home)
                ))
            })?,
        }
        failpoint("restore-swapped");
        self.sync()?;
        self.remove()?;
        // Our own folder stood in the target, and its going changed the target's time again.
        let own = self.journal.merged.iter().find(|merged| merged.name.is_empty() && !merged.kept);
        own.map_or(Ok(()), |merged| swap::set_time(&self.home, merged.time))
    }

    fn replace(&self) -> Result<()> {
        let (new, journal) = (self.new_tree(), &self.journal);
        swap::open_up(&new, &self.home, &journal.opened)?;
        // First, as taking a name out of a folder changes the time that the folder is given with its content.
        swap::remove(&self.home, &journal.delete)?;
        failpoint("restore-deleted");
        swap::merge(&new, &self.home, &self.folder.join(OLD), &journal.merged)?;
        swap::close(&self.home, &journal.opened)
    }

    fn sync(&self) -> Result<()> {
        syncfs(&self.fd).map_err(|e| Error::io("sync", &self.folder, e))
    }

    fn note(&self, journal: &Journal) -> Result<()> {
        journal.write(&self.fd).map_err(|e| Error::io("write the journal in", &self.folder, e))
    }

    /// Remove our folder: the new tree first, as without it there is nothing more to swap in, and the journal last, as
    /// without it nobody knows whether all was finished or undone.
    fn remove(&self) -> Result<()> {
        let gone = |removed: std::io::Result<()>| match removed {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("empty folder", &self.folder, e)),
            _ => Ok(()),
        };
        for name in [NEW, OLD] {
            tree::remove(&self.folder, OsStr::new(name))?;
        }
        gone(remove_file(self.folder.join(JOURNAL)))?;
        remove_dir_all(&self.folder).map_err(|e| Error::io("remove folder", &self.folder, e))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.undo
            && let Err(error) = self.remove()
        {
            log::warn!("{error}");
        }
    }
}

/// Whether this is a folder of a restore, and was made by us: in a folder that others may write to, such as `/tmp`, they
/// could lay down one with a journal of their own.
fn is_ours(found: &DirEntry) -> bool {
    is_restore_folder(found.file_name().as_bytes())
        && found.metadata().is_ok_and(|about| {
            about.is_dir() && about.uid() == geteuid().as_raw() && about.mode() & 0o077 == 0
        })
}

/// Look in and beside a target for restores that were interrupted, and finish or undo them.
///
/// # Errors
/// If one can be neither finished nor undone.
pub fn recover(target: &Path) -> Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    let beside = target.parent().filter(|home| !home.as_os_str().is_empty());
    for home in [Some(target), beside].into_iter().flatten() {
        let Ok(listing) = home.read_dir() else { continue };
        for found in listing.flatten().filter(is_ours) {
            let folder = found.path();
            let Some(mut staging) = Staging::open(home, &folder)? else { continue };
            let journal =
                Journal::read(&staging.fd).map_err(|e| Error::io("read the journal in", &folder, e))?;
            // One beside the target may be of a neighbour, who is served all the same.
            match journal {
                Some(journal) if journal.phase == Phase::Swapping => {
                    staging.journal = journal;
                    match staging.finish() {
                        Err(error) if staging.undo => {
                            log::warn!("{error}");
                            staging.undo = false;
                            staging.remove()?;
                            recovered.push(Recovered::Undone(folder));
                        }
                        finished => {
                            finished?;
                            recovered.push(Recovered::Finished(folder));
                        }
                    }
                }
                // Not begun yet, or over: which of the two, nobody knows.
                None if folder.read_dir().is_ok_and(|mut listing| listing.next().is_none()) => {
                    staging.remove()?;
                }
                _ => {
                    staging.remove()?;
                    recovered.push(Recovered::Undone(folder));
                }
            }
        }
    }
    Ok(recovered)
}
