//! The folder that a restore works in, beside or in its target.

mod recovery;

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, flock, fremovexattr, fstat, fsync, mkdirat, renameat, statat, syncfs,
    unlinkat,
};
use rustix::io::Errno;

use super::found::{all_names, is_only_ours};
use super::journal::{JOURNAL, Journal, Lead, Phase};
use super::plan::{Plan, Wish, plan};
use super::{others, swap, tree};
use crate::entry::RESTORE_FOLDER;
use crate::error::{Error, Result};
use crate::extract::Root;
use crate::printable::printable_path;
use crate::sys::failpoint;

pub use recovery::{Recovered, recover};

/// The new tree in it.
const NEW: &str = "new";
/// What is left of that when all of it has its place: without [`NEW`] there is nothing more to do.
const DONE: &str = "done";
/// What had to make room, in it.
const OLD: &str = "old";
/// The attribute that says which ACL is handed down.
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// A restore under way. Dropped before [`Staging::swap`], it is undone.
///
/// Folders are held open, and what is in them is reached from there: who may write to what is around a target could put
/// something else under its name meanwhile.
#[derive(Debug)]
pub struct Staging {
    /// The target, or the folder that it will stand in.
    home: Root,
    /// The name in there of the folder of the restore.
    name: String,
    /// That folder, locked as long as we live.
    folder: Root,
    becomes: Option<Vec<u8>>,
    /// What is to be done when the new tree is complete, or was to be done when it was interrupted.
    journal: Journal,
    /// Whether dropping it takes it away.
    undo: bool,
}

impl Staging {
    /// Begin a restore into this folder, or of this folder where there is none yet.
    ///
    /// # Errors
    /// If nothing can be made there: a read-only mount, a full disk, a missing folder around it.
    pub fn begin(target: &Path) -> Result<Self> {
        let exists = target.is_dir();
        let (home, becomes) = if exists {
            (target, None)
        } else {
            let name = target.file_name().ok_or_else(|| {
                Error::usage(format!("{} is not the name of a folder", printable_path(target)))
            })?;
            (around(target).unwrap_or(target), Some(name.as_bytes().to_vec()))
        };
        let home = Root::open(home)?;
        let name = format!("{RESTORE_FOLDER}{:016x}", RandomState::new().hash_one(0));
        let make = |folder: &Root, name: &str, mode| {
            mkdirat(folder.fd(), name, mode)
                .map_err(|e| Error::io("make folder", folder.path().join(name), e))
        };
        make(&home, &name, Mode::RWXU)?;
        let mut staging = Self::open(home, name, false)?
            .ok_or_else(|| Error::failed("another restore took the folder of this one: try again"))?;
        staging.becomes.clone_from(&becomes);
        // What is made in it is not to have the ACL that the folder around it hands down.
        let _ = fremovexattr(staging.folder.fd(), DEFAULT_ACL);
        // What becomes a folder of its own is made as mkdir makes one; all else is nobody's business yet.
        let mode = if exists { Mode::RWXU } else { Mode::RWXU | Mode::RWXG | Mode::RWXO };
        make(&staging.folder, NEW, mode).inspect_err(|_| {
            // As good as can be: it is empty, and nobody would know of it.
            let _ = unlinkat(staging.home.fd(), &staging.name, AtFlags::REMOVEDIR);
        })?;
        // What somebody else has put under its name is theirs, and what we make in it is ours, whatever modes and owners
        // the file system knows.
        if owner(&staging.folder)?.0 != owner(&staging.new_tree()?)?.0 {
            return Err(exchanged(&staging.folder));
        }
        staging.undo = true;
        make(&staging.folder, OLD, Mode::RWXU)?;
        staging.journal = Journal::extracting(becomes);
        staging.note()?;
        Ok(staging)
    }

    /// Refuse where others restore to the same folders. Of two that begin at once each finds the other: each has noted what
    /// it does before it looks.
    ///
    /// # Errors
    /// With [`Exit::Locked`](crate::exit::Exit::Locked), if there is one.
    pub fn require_alone<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Result<()> {
        let ours: Vec<_> = all.clone().map(|one| one.name.as_str()).collect();
        for one in all {
            others::refuse(&one.home, one.becomes.as_deref(), (&ours, owner(&one.folder)?.0))?;
        }
        Ok(())
    }

    /// The folder of a restore that has this name, if nobody works in it. One that was `left` has to be ours, and nobody
    /// else may write to it: others could have laid it down with a journal of their own.
    fn open(home: Root, name: String, left: bool) -> Result<Option<Self>> {
        let folder = Root::within(&home, &name)?;
        if left && !is_private(&folder)? {
            return Err(exchanged(&folder));
        }
        let failed = |doing: &str, e| Error::io(doing, folder.path(), e);
        let lock = |how| flock(folder.fd(), how);
        match lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Somebody only looks whether it is at work, and lets go of it at once.
            Err(Errno::WOULDBLOCK) if lock(FlockOperation::NonBlockingLockShared).is_ok() => {
                lock(FlockOperation::LockExclusive).map_err(|e| failed("lock folder", e))?;
            }
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(failed("lock folder", e)),
        }
        let journal = Journal::extracting(None);
        Ok(Some(Self { home, name, folder, becomes: None, journal, undo: false }))
    }

    /// Where to extract to.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn new_tree(&self) -> Result<Root> {
        Root::within(&self.folder, NEW)
    }

    /// Decide what will happen, now that the new tree is complete; nothing of the old is touched yet.
    ///
    /// # Errors
    /// If not everything could get its place.
    pub fn decide(&mut self, wish: &Wish) -> Result<()> {
        failpoint("restore-extracted");
        let new = self.new_tree()?;
        let plan = if self.becomes.is_none() { plan(&new, &self.home, wish)? } else { Plan::default() };
        swap::remove(&new, &plan.left_out)?;
        let Plan { delete, merged, opened, .. } = plan;
        self.sync()?;
        let becomes = self.becomes.clone();
        let phase = Phase::Swapping;
        self.journal = Journal { phase, delete, merged, opened, ..Journal::extracting(becomes) };
        Ok(())
    }

    /// Give everything its place, in all of these folders or, before the journal of the first is written, in none: be it by
    /// the next restore.
    ///
    /// # Errors
    /// If something fails: what is not in its place by then gets it with the next restore.
    pub fn swap(mut all: Vec<Self>) -> Result<()> {
        if let Err(error) = Self::agree(&mut all) {
            // The one that decides for the others goes last.
            while all.pop().is_some() {}
            return Err(error);
        }
        all.iter_mut().for_each(|one| one.undo = false);
        failpoint("restore-noted");
        Self::finish(&mut all)
    }

    /// Write the journals, that of the first last: it decides for all of them, from then on and not before.
    fn agree(all: &mut [Self]) -> Result<()> {
        let Some((lead, followers)) = all.split_first_mut() else { return Ok(()) };
        if followers.is_empty() {
            return lead.note();
        }
        for part in std::iter::once(&*lead).chain(&*followers) {
            if !is_private(&part.folder)? {
                return Err(Error::failed(format!(
                    "several parts cannot be restored at once where the file system does not keep owners and modes, as around \
                     {}: restore them one by one, with a PATH",
                    printable_path(part.folder.path())
                )));
            }
        }
        // From here on what somebody made meanwhile would keep the rest from its place.
        for part in std::iter::once(&*lead).chain(&*followers) {
            part.require_free_name()?;
        }
        lead.journal.followers = followers.iter().map(Self::whole_path).collect::<Result<_>>()?;
        lead.journal.phase = Phase::Extracting;
        lead.note()?;
        let home = fstat(lead.home.fd()).map_err(|e| Error::io("look at", lead.home.path(), e))?;
        let decides = Lead { folder: lead.whole_path()?, home: (home.st_dev, home.st_ino) };
        for follower in followers {
            follower.journal.lead = Some(decides.clone());
            follower.note()?;
            failpoint("restore-follower-noted");
        }
        lead.journal.phase = Phase::Swapping;
        lead.note()
    }

    /// Refuse where what is to be made is there by now.
    fn require_free_name(&self) -> Result<()> {
        let Some(name) = &self.becomes else { return Ok(()) };
        match statat(self.home.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Ok(_) => Err(Errno::EXIST),
            Err(e) => Err(e),
        }
        .map_err(|e| Error::io("give the restored folder its name,", self.home.shown(name), e))
    }

    /// What it replaces or makes.
    fn target(&self) -> PathBuf {
        let home = self.home.path();
        self.journal.becomes.as_ref().map_or(home.to_path_buf(), |name| home.join(OsStr::from_bytes(name)))
    }

    fn whole_path(&self) -> Result<Vec<u8>> {
        let path = self.home.path();
        let home = path.canonicalize().map_err(|e| Error::io("look at", path, e))?;
        Ok(home.join(&self.name).into_os_string().into_encoded_bytes())
    }

    /// Give everything its place, then clear up: of the first last, so that as long as it has a new tree all the others are
    /// still to be found.
    fn finish(all: &mut [Self]) -> Result<()> {
        let Some((lead, followers)) = all.split_first_mut() else { return Ok(()) };
        if let Err(error) = followers.iter_mut().try_for_each(Self::place).and_then(|()| lead.place()) {
            return Err(if lead.undo { error } else { half_done(all, &error) });
        }
        followers.iter_mut().try_for_each(|one| one.clear()).and_then(|()| lead.clear()).map_err(|e| {
            Error::failed(format!(
                "{e}; everything has its place all the same: the next restore to there removes what is left of this one"
            ))
        })
    }

    /// Give everything of this one its place, if it has not got it already.
    fn place(&mut self) -> Result<()> {
        if self.has_new()? {
            if let Some(name) = &self.journal.becomes {
                if let Err(error) = swap::become_folder(&self.folder, NEW, &self.home, name) {
                    // Somebody made it meanwhile. Nobody has anything of ours, and, where there are no others, never will.
                    let alone = self.journal.lead.is_none() && self.journal.followers.is_empty();
                    self.undo = alone && is_there_already(&error);
                    return Err(error);
                }
            } else {
                self.replace()?;
            }
        }
        failpoint("restore-swapped");
        self.sync()?;
        // From here on nothing is replaced or removed again, whenever it is that somebody finishes the rest.
        match renameat(self.folder.fd(), NEW, self.folder.fd(), DONE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(Error::io("rename", self.folder.path().join(NEW), e)),
        }
        self.sync_folder()?;
        failpoint("restore-done");
        Ok(())
    }

    /// Remove our folder, now that everything has its place.
    fn clear(&self) -> Result<()> {
        self.remove()?;
        // It stood in the target, and its going changed the target's time again.
        let own = self.journal.merged.iter().find(|merged| merged.name.is_empty() && !merged.kept);
        own.map_or(Ok(()), |merged| swap::set_time(&self.home, merged.time))
    }

    fn has_new(&self) -> Result<bool> {
        match statat(self.folder.fd(), NEW, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(Error::io("look at", self.folder.path().join(NEW), e)),
        }
    }

    fn replace(&mut self) -> Result<()> {
        let new = self.new_tree()?;
        swap::open_up(&new, &self.home, &self.journal.opened)?;
        // First, as taking a name out of a folder changes the time that the folder is given with its content.
        swap::remove(&self.home, &self.journal.delete)?;
        failpoint("restore-deleted");
        if !self.journal.delete.is_empty() {
            // What is made under such a name from here on is somebody's, and not removed by who finishes this.
            self.sync()?;
            self.journal.delete.clear();
            if let Err(error) = self.note() {
                log::warn!("{error}");
            }
        }
        let journal = &self.journal;
        swap::merge(&new, &self.home, &Root::within(&self.folder, OLD)?, &journal.merged)?;
        swap::close(&self.home, &journal.opened)
    }

    fn sync(&self) -> Result<()> {
        syncfs(self.folder.fd()).map_err(|e| Error::io("sync", self.folder.path(), e))
    }

    fn sync_folder(&self) -> Result<()> {
        fsync(self.folder.fd()).map_err(|e| Error::io("sync", self.folder.path(), e))
    }

    /// What an interrupted restore has noted.
    fn noted(&self) -> Result<Option<Journal>> {
        Journal::read(self.folder.fd()).map_err(|e| {
            let error = Error::io("read the journal in", self.folder.path(), e);
            Error::failed(format!(
                "{error}; what that restore was to do is not known: remove the folder, and restore again what it was to \
                 restore"
            ))
        })
    }

    fn is_empty(&self) -> Result<bool> {
        let names =
            all_names(self.folder.fd()).map_err(|e| Error::io("list folder", self.folder.path(), e))?;
        Ok(names.is_empty())
    }

    fn note(&self) -> Result<()> {
        self.journal
            .write(self.folder.fd())
            .map_err(|e| Error::io("write the journal in", self.folder.path(), e))
    }

    /// Remove our folder and change nothing else: the journal first, as what it says is not to be done.
    fn take_back(&self) -> Result<()> {
        match unlinkat(self.folder.fd(), JOURNAL, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(Error::io("remove", self.folder.path().join(JOURNAL), e)),
        }
        self.sync_folder()?;
        self.remove()
    }

    /// Remove our folder: the new tree first, as without it there is nothing more to swap in, and the journal last, as
    /// without it nobody knows whether all was finished or undone.
    fn remove(&self) -> Result<()> {
        for name in [NEW, DONE, OLD] {
            tree::remove(&self.folder, OsStr::new(name))?;
        }
        let failed = |e| Error::io("empty folder", self.folder.path(), e);
        for name in all_names(self.folder.fd()).map_err(failed)? {
            match unlinkat(self.folder.fd(), &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => tree::remove(&self.folder, OsStr::from_bytes(name.as_bytes()))?,
                Err(e) => return Err(failed(e)),
            }
        }
        match unlinkat(self.home.fd(), &self.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Error::io("remove folder", self.folder.path(), e)),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.undo
            && let Err(error) = self.take_back()
        {
            log::warn!("{error}");
        }
    }
}

/// The folder around this one.
fn around(target: &Path) -> Option<&Path> {
    target.parent().map(|home| if home.as_os_str().is_empty() { Path::new(".") } else { home })
}

/// That not all of these have what they get, and what to do.
fn half_done(all: &[Staging], error: &Error) -> Error {
    let targets: Vec<_> = all.iter().map(|one| printable_path(&one.target())).collect();
    Error::failed(format!(
        "{error}; in {} some of the old is replaced and some is not: {}, and the next restore to there finishes it",
        targets.join(" and "),
        if is_there_already(error) { "move away what stands there" } else { "mend that" }
    ))
}

fn is_there_already(error: &Error) -> bool {
    error.cause().is_some_and(|e| e.kind() == ErrorKind::AlreadyExists)
}

fn exchanged(folder: &Root) -> Error {
    let shown = printable_path(folder.path());
    Error::failed(format!("{shown} was exchanged: who else may write to what is around it?"))
}

/// The number of a folder's owner, and its mode.
fn owner(folder: &Root) -> Result<(u32, u32)> {
    let about = fstat(folder.fd()).map_err(|e| Error::io("look at", folder.path(), e))?;
    Ok((about.st_uid, about.st_mode))
}

/// Whether it is ours, and nobody else's.
fn is_private(folder: &Root) -> Result<bool> {
    owner(folder).map(|(owner, mode)| is_only_ours(owner, mode))
}
