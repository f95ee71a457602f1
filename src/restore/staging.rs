//! The folder that a restore works in, beside or in its target, and what becomes of one that was left.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, flock, fremovexattr, fstat, fsync, mkdirat, renameat, syncfs, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::found::all_names;
use super::journal::{JOURNAL, Journal, Phase};
use super::plan::{Plan, Wish, plan};
use super::{swap, tree};
use crate::entry::{RESTORE_FOLDER, is_restore_folder};
use crate::error::{Error, Result};
use crate::extract::Root;
use crate::printable::printable_path;
use crate::sys::{self, failpoint};

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
        let mut staging = Self::open(home, name)?
            .ok_or_else(|| Error::failed("another restore took the folder of this one: try again"))?;
        staging.becomes.clone_from(&becomes);
        staging.undo = true;
        // What is made in it is not to have the ACL that the folder around it hands down.
        let _ = fremovexattr(staging.folder.fd(), DEFAULT_ACL);
        // What becomes a folder of its own is made as mkdir makes one; all else is nobody's business yet.
        let mode = if exists { Mode::RWXU } else { Mode::RWXU | Mode::RWXG | Mode::RWXO };
        make(&staging.folder, NEW, mode)?;
        make(&staging.folder, OLD, Mode::RWXU)?;
        staging.journal = Journal::extracting(becomes);
        staging.note()?;
        Ok(staging)
    }

    /// The folder of a restore that has this name, if nobody works in it.
    fn open(home: Root, name: String) -> Result<Option<Self>> {
        let folder = Root::within(&home, &name)?;
        let failed = |doing: &str, e| Error::io(doing, folder.path(), e);
        let about = fstat(folder.fd()).map_err(|e| failed("look at", e))?;
        // What stands in the folder of somebody else, and what somebody else may write to, tells us nothing.
        if about.st_uid != geteuid().as_raw() || about.st_mode & 0o077 != 0 {
            let shown = printable_path(folder.path());
            return Err(Error::failed(format!(
                "{shown} was exchanged: who else may write to what is around it?"
            )));
        }
        match flock(folder.fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
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
        let Some((lead, followers)) = all.split_first_mut() else { return Ok(()) };
        for follower in &mut *followers {
            follower.journal.lead = Some(lead.whole_path()?);
            lead.journal.followers.push(follower.whole_path()?);
            follower.note()?;
            failpoint("restore-follower-noted");
        }
        lead.note()?;
        lead.undo = false;
        followers.iter_mut().for_each(|follower| follower.undo = false);
        failpoint("restore-noted");
        // The one that decides for the others goes last.
        followers.iter_mut().try_for_each(Self::finish)?;
        lead.finish()
    }

    fn whole_path(&self) -> Result<Vec<u8>> {
        let path = self.folder.path();
        let whole = std::path::absolute(path).map_err(|e| Error::io("look at", path, e))?;
        Ok(whole.into_os_string().into_encoded_bytes())
    }

    fn finish(&mut self) -> Result<()> {
        let journal = &self.journal;
        match &journal.becomes {
            Some(name) => {
                if let Err(error) = swap::become_folder(&self.folder, NEW, &self.home, name) {
                    // Somebody made it meanwhile. Nobody has anything of ours, and never will.
                    self.undo = error.cause().is_some_and(|e| e.kind() == ErrorKind::AlreadyExists);
                    return Err(error);
                }
            }
            // All was in its place already when it was interrupted: see `remove`.
            None if !self.has_new()? => {}
            None => self.replace().map_err(|e| {
                Error::failed(format!(
                    "{e}; in {} some of the old is replaced and some is not: mend that, and the next restore to there \
                     finishes it",
                    printable_path(self.home.path())
                ))
            })?,
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
        self.remove()?;
        // Our own folder stood in the target, and its going changed the target's time again.
        let own = self.journal.merged.iter().find(|merged| merged.name.is_empty() && !merged.kept);
        own.map_or(Ok(()), |merged| swap::set_time(&self.home, merged.time))
    }

    fn has_new(&self) -> Result<bool> {
        match rustix::fs::statat(self.folder.fd(), NEW, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(Error::io("look at", self.folder.path().join(NEW), e)),
        }
    }

    fn replace(&self) -> Result<()> {
        let (new, journal) = (self.new_tree()?, &self.journal);
        swap::open_up(&new, &self.home, &journal.opened)?;
        // First, as taking a name out of a folder changes the time that the folder is given with its content.
        swap::remove(&self.home, &journal.delete)?;
        failpoint("restore-deleted");
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
    fn left(&self) -> Result<Option<Journal>> {
        Journal::read(self.folder.fd()).map_err(|e| Error::io("read the journal in", self.folder.path(), e))
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

/// Whether this is a folder of a restore, and was made by us: in a folder that others may write to, such as `/tmp`, they
/// could lay down one with a journal of their own.
fn is_ours(found: &std::fs::DirEntry) -> bool {
    is_restore_folder(found.file_name().as_bytes())
        && found.metadata().is_ok_and(|about| {
            about.is_dir() && about.uid() == geteuid().as_raw() && about.mode() & 0o077 == 0
        })
}

/// The folder around this one.
fn around(target: &Path) -> Option<&Path> {
    target.parent().map(|home| if home.as_os_str().is_empty() { Path::new(".") } else { home })
}

/// Look in and beside a target, and in what is mounted in it, for restores that were interrupted, and finish or undo them.
///
/// # Errors
/// If one can be neither finished nor undone.
pub fn recover(target: &Path) -> Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    let mounted = sys::mounts_below(target).into_iter().map(|mount| target.join(mount));
    let homes = [Some(target.to_path_buf()), around(target).map(Path::to_path_buf)];
    for home in homes.into_iter().flatten().chain(mounted) {
        let Ok(listing) = home.read_dir() else { continue };
        for found in listing.flatten().filter(is_ours) {
            recover_one(&home, &found.file_name(), &mut recovered)?;
        }
    }
    Ok(recovered)
}

/// Finish or undo what was left in the folder of this name, if it is still there and nobody works in it.
fn recover_one(home: &Path, name: &OsStr, recovered: &mut Vec<Recovered>) -> Result<()> {
    let folder = home.join(name);
    let (Some(name), true) = (name.to_str(), folder.is_dir()) else { return Ok(()) };
    let Some(mut staging) = Staging::open(Root::open(home)?, name.to_owned())? else { return Ok(()) };
    match staging.left()? {
        Some(journal) if journal.phase == Phase::Swapping => {
            if let Some(lead) = journal.lead.as_deref().map(|lead| PathBuf::from(OsStr::from_bytes(lead))) {
                if decides(&lead)? {
                    // That finishes this one too, which nobody may hold then.
                    drop(staging);
                    let (home, name) = (lead.parent(), lead.file_name());
                    return home.zip(name).map_or(Ok(()), |(home, name)| recover_one(home, name, recovered));
                }
                staging.take_back()?;
                recovered.push(Recovered::Undone(folder));
                return Ok(());
            }
            for follower in &journal.followers {
                let follower = Path::new(OsStr::from_bytes(follower));
                if let (Some(home), Some(name)) = (follower.parent(), follower.file_name()) {
                    finish_follower(home, name, recovered)?;
                }
            }
            staging.journal = journal;
            end(staging, recovered)
        }
        // Not begun yet, or over: which of the two, nobody knows.
        None if staging.is_empty()? => staging.remove(),
        // One beside the target may be of a neighbour, who is served all the same.
        _ => {
            staging.take_back()?;
            recovered.push(Recovered::Undone(folder));
            Ok(())
        }
    }
}

/// One for which another's journal has decided. Where it is not there any more, it was finished.
fn finish_follower(home: &Path, name: &OsStr, recovered: &mut Vec<Recovered>) -> Result<()> {
    let (Some(name), true) = (name.to_str(), home.join(name).is_dir()) else { return Ok(()) };
    let Some(mut staging) = Staging::open(Root::open(home)?, name.to_owned())? else {
        let shown = printable_path(&home.join(name));
        return Err(Error::failed(format!("another restore works in {shown}: try again when it is done")));
    };
    match staging.left()? {
        Some(journal) if journal.phase == Phase::Swapping => staging.journal = journal,
        // All but the folder itself was gone.
        _ => return staging.remove(),
    }
    end(staging, recovered)
}

fn end(mut staging: Staging, recovered: &mut Vec<Recovered>) -> Result<()> {
    let folder = staging.folder.path().to_path_buf();
    match staging.finish() {
        Err(error) if staging.undo => {
            log::warn!("{error}");
            staging.undo = false;
            staging.take_back()?;
            recovered.push(Recovered::Undone(folder));
        }
        finished => {
            finished?;
            recovered.push(Recovered::Finished(folder));
        }
    }
    Ok(())
}

/// Whether the journal in this folder has decided that all be finished.
fn decides(lead: &Path) -> Result<bool> {
    let (Some(home), Some(name)) = (lead.parent(), lead.file_name().and_then(OsStr::to_str)) else {
        return Ok(false);
    };
    if !lead.is_dir() {
        return Ok(false);
    }
    let Some(staging) = Staging::open(Root::open(home)?, name.to_owned())? else {
        let shown = printable_path(lead);
        return Err(Error::failed(format!("another restore works in {shown}: try again when it is done")));
    };
    Ok(staging.left()?.is_some_and(|journal| journal.phase == Phase::Swapping))
}
