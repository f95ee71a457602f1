//! What becomes of restores that were interrupted: those that had been decided are finished, the others undone.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Staging, around};
use crate::entry::is_restore_folder;
use crate::error::{Error, Result};
use crate::extract::Root;
use crate::printable::printable_path;
use crate::restore::found::is_only_ours;
use crate::restore::journal::{Journal, Phase};
use crate::restore::others;
use crate::sys;

/// What was done about a restore that had been interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It had all it needed, and was finished.
    Finished(PathBuf),
    /// It had changed nothing, and was removed.
    Undone(PathBuf),
}

/// Look in a target, in what is mounted in it and in the folders around it for restores that were interrupted, and finish
/// or undo them. `may` is asked before something is put into folders, and `said` gets what was done.
///
/// # Errors
/// If one that concerns the target can be neither finished nor undone.
pub fn recover(
    target: &Path,
    may: &dyn Fn(&[PathBuf]) -> Result<()>,
    said: &mut dyn FnMut(Recovered),
) -> Result<()> {
    let mut recovery = Recovery { may, said };
    let mounted = sys::mounts_below(target).into_iter().map(|mount| target.join(mount));
    for home in std::iter::once(target.to_path_buf()).chain(mounted) {
        let left = match restore_folders(&home) {
            // Where something is put into what is mounted, that is a target of its own.
            Err(_) if home != target => continue,
            left => left?,
        };
        for (name, is_ours) in left {
            if is_ours {
                recovery.one(&home, &name)?;
            } else {
                log::warn!(
                    "{} is called like the folder of a restore, but is of somebody else, or others may write to it: what it \
                     says is not believed; if no restore is on, remove it",
                    printable_path(&home.join(name))
                );
            }
        }
    }
    let whole = whole(target);
    for below in whole.ancestors() {
        let (Some(home), Some(last)) = (below.parent(), below.file_name()) else { break };
        // What cannot be looked at is of others.
        for (name, _) in restore_folders(home).unwrap_or_default().into_iter().filter(|(_, is_ours)| *is_ours)
        {
            if works_on(&home.join(&name), last) {
                recovery.one(home, &name)?;
            } else if below == whole
                && let Err(error) = recovery.one(home, &name)
            {
                // It is of a neighbour, who is served where that can be.
                log::warn!("{error}");
            }
        }
    }
    Ok(())
}

/// What are called like folders of restores in this one, and which of them were made by us: in a folder that others may
/// write to, such as `/tmp`, they could lay down one with a journal of their own.
fn restore_folders(home: &Path) -> Result<Vec<(OsString, bool)>> {
    let failed = |e| Error::io("list folder", home, e);
    let listing = match home.read_dir() {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if !is_restore_folder(entry.file_name().as_bytes()) {
            continue;
        }
        match entry.metadata() {
            Ok(about) if about.is_dir() => {
                found.push((entry.file_name(), is_only_ours(about.uid(), about.mode())));
            }
            // Gone, or nothing that a restore made.
            _ => {}
        }
    }
    Ok(found)
}

/// A path as it is written when no link leads anywhere, as far as it is there.
fn whole(target: &Path) -> PathBuf {
    let above = |home: &Path| Some(home.canonicalize().ok()?.join(target.file_name()?));
    target
        .canonicalize()
        .ok()
        .or_else(|| around(target).and_then(above))
        .unwrap_or_else(|| target.to_path_buf())
}

/// Whether the restore that left this folder changes what is called so beside it: that alone, or all there.
fn works_on(folder: &Path, last: &OsStr) -> bool {
    let journal = Root::open(folder).ok().and_then(|folder| Journal::read(folder.fd()).ok()?);
    journal.is_none_or(|journal| journal.becomes.is_none_or(|becomes| becomes == last.as_bytes()))
}

/// What was left by restores that were interrupted, and is made good.
struct Recovery<'a> {
    may: &'a dyn Fn(&[PathBuf]) -> Result<()>,
    said: &'a mut dyn FnMut(Recovered),
}

impl Recovery<'_> {
    /// Finish or undo what was left in the folder of this name, if it is still there and nobody works in it.
    fn one(&mut self, home: &Path, name: &OsStr) -> Result<()> {
        let folder = home.join(name);
        if !is_there(&folder)? {
            return Ok(());
        }
        let Some(mut staging) = left(&folder)? else { return Ok(()) };
        let Some(journal) = staging.noted()? else {
            // Not begun yet, or over: which of the two, nobody knows.
            if staging.is_empty()? {
                return staging.remove();
            }
            return self.undone(staging);
        };
        let lead = journal.lead.as_ref().map(|lead| PathBuf::from(OsStr::from_bytes(&lead.folder)));
        match (journal.phase, lead) {
            // One beside the target may be of a neighbour, who is served all the same.
            (Phase::Extracting, _) => {
                for follower in &journal.followers {
                    let follower = Path::new(OsStr::from_bytes(follower));
                    if is_there(follower)? {
                        self.undone(left(follower)?.ok_or_else(|| at_work(follower))?)?;
                    }
                }
                self.undone(staging)
            }
            (Phase::Swapping, None) => self.finish(staging, journal),
            (Phase::Swapping, Some(lead)) if is_there(&lead)? => {
                // It is served with the one that decides, and nobody may hold it then.
                drop(staging);
                let (Some(home), Some(name)) = (lead.parent(), lead.file_name()) else { return Ok(()) };
                self.one(home, name)?;
                if is_there(&folder)? { Err(at_work(&lead)) } else { Ok(()) }
            }
            (Phase::Swapping, Some(lead)) => {
                if staging.has_new()? {
                    // As long as one of the others is not in its place, the one that decided to go on stays.
                    let home = lead
                        .parent()
                        .and_then(|home| home.metadata().ok())
                        .map(|home| (home.dev(), home.ino()));
                    if home.is_some() && home == journal.lead.as_ref().map(|lead| lead.home) {
                        return self.undone(staging);
                    }
                    return Err(Error::failed(format!(
                        "a restore that was interrupted waits in {} for what {} says, which is not there: mount its disk; if \
                         that is gone for good, remove the first, and nothing of it is restored",
                        printable_path(&folder),
                        printable_path(&lead)
                    )));
                }
                staging.journal = journal;
                staging.clear()?;
                (self.said)(Recovered::Finished(folder));
                Ok(())
            }
        }
    }

    /// Finish one that was decided, and those for which it decides.
    fn finish(&mut self, mut lead: Staging, journal: Journal) -> Result<()> {
        let begun = lead.has_new()?;
        let followers = journal.followers.clone();
        lead.journal = journal;
        let mut all = vec![lead];
        for follower in &followers {
            let follower = Path::new(OsStr::from_bytes(follower));
            if is_there(follower)? {
                let mut staging = left(follower)?.ok_or_else(|| at_work(follower))?;
                let journal = staging.noted()?.unwrap_or_else(|| Journal::extracting(None));
                if journal.phase != Phase::Swapping && staging.has_new()? {
                    let shown = printable_path(follower);
                    return Err(Error::failed(format!(
                        "the journal in {shown} is not what it was: restore again to elsewhere"
                    )));
                }
                staging.journal = journal;
                all.push(staging);
            } else if begun {
                return Err(Error::failed(format!(
                    "a restore that was interrupted goes on in {}, which is not there: mount its disk; if that is gone for good, \
                     remove {}, and nothing more of it is restored",
                    printable_path(follower),
                    printable_path(all[0].folder.path())
                )));
            }
        }
        if begun {
            let targets: Vec<_> = all.iter().map(Staging::target).collect();
            (self.may)(&targets).map_err(|e| {
                let exit = e.exit();
                Error::failed(format!(
                    "the restore that was interrupted in {} cannot be finished yet: {e}",
                    printable_path(all[0].home.path())
                ))
                .with_exit(exit)
            })?;
        }
        if let Err(error) = Staging::finish(&mut all) {
            let Some(lead) = all.pop().filter(|lead| lead.undo) else { return Err(error) };
            log::warn!("{error}");
            return self.undone(lead);
        }
        all.iter().for_each(|one| (self.said)(Recovered::Finished(one.folder.path().to_path_buf())));
        Ok(())
    }

    fn undone(&mut self, mut staging: Staging) -> Result<()> {
        staging.undo = false;
        staging.take_back()?;
        (self.said)(Recovered::Undone(staging.folder.path().to_path_buf()));
        Ok(())
    }
}

/// The folder of an interrupted restore, if nobody works in it.
fn left(folder: &Path) -> Result<Option<Staging>> {
    let (Some(home), Some(name)) = (folder.parent(), folder.file_name().and_then(OsStr::to_str)) else {
        return Ok(None);
    };
    Staging::open(Root::open(home)?, name.to_owned(), true)
}

/// Whether something has this name. Not to know is an error: a disk that does not answer is not one that has nothing.
fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(Error::io("look at", path, e)),
    }
}

fn at_work(folder: &Path) -> Error {
    let journal = Root::open(folder).ok().and_then(|folder| Journal::read(folder.fd()).ok()?);
    others::at_work(folder, journal.as_ref().map_or("", |journal| &journal.holder))
}
