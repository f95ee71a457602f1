//! What a swap will do, and whether all of it can be done: known before anything of the old is touched.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, accessat, fstat};
use rustix::process::geteuid;

use super::found::{Found, Id, all_names, is_closed, joined, names};
use super::journal::{Merged, Opened};
use super::others;
use crate::entry::{Timestamp, is_below, is_restore_folder};
use crate::error::{Error, Result};
use crate::extract::Root;
use crate::printable::{counted, printable_path};
use crate::sys;

/// What a file system keeps at its root for itself.
const FOUND: &[u8] = b"lost+found";
/// The mode that its owner can do everything with a folder in.
const ALL_FOR_OWNER: u32 = 0o700;
/// The bit of a folder in which only the owners of files remove and rename them.
const STICKY: u32 = 0o1000;

/// What of a target goes that the new tree does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// It stays.
    Nothing,
    /// What is at or below one of these names.
    Below(Vec<Vec<u8>>),
    /// Everything.
    All,
}

impl Delete {
    /// In this extent: everywhere, where it has no bounds.
    pub fn of(extent: Option<Vec<Vec<u8>>>) -> Self {
        extent.map_or(Self::All, Self::Below)
    }

    /// What the one or the other takes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Below(one), Self::Below(two)) => Self::Below([one, two].concat()),
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    fn is_within(&self, place: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Below(tops) => tops.iter().any(|top| is_below(place, top)),
            Self::All => true,
        }
    }

    fn is_above(&self, place: &[u8]) -> bool {
        matches!(self, Self::Below(tops) if tops.iter().any(|top| is_below(top, place)))
    }
}

/// What is wished for besides that everything new gets its place.
pub struct Wish<'a> {
    /// What goes.
    pub delete: &'a Delete,
    /// What is never removed and makes no room: the archives.
    pub spare: &'a [Id],
    /// Folders that are there only for what is in them: where the target has them, they stay as they are. The empty name
    /// is the target itself.
    pub kept: &'a BTreeSet<Vec<u8>>,
    /// Folders that have a restore of their own.
    pub others: &'a [&'a Path],
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// What goes, what is in a folder before the folder.
    pub delete: Vec<Vec<u8>>,
    /// Folders that are in both, from the outermost in.
    pub merged: Vec<Merged>,
    /// Folders whose mode is in the way, from the outermost in.
    pub opened: Vec<Opened>,
    /// What of the new gets no place, as an archive has it.
    pub left_out: Vec<Vec<u8>>,
}

/// Look at everything that the new tree and the target have in common, and at all that is to go.
///
/// # Errors
/// If something cannot be moved to its place, or away from it: another mount is in the way, what holds archives would have
/// to make room, or it is not ours to change.
pub fn plan(new: &Root, target: &Root, wish: &Wish) -> Result<Plan> {
    let home = Found::at(target.fd(), c".")
        .map_err(|e| Error::io("look at", target.path(), e))?
        .ok_or_else(|| Error::failed(format!("{} is gone", printable_path(target.path()))))?;
    let me = if sys::is_root() { None } else { Some(geteuid().as_raw()) };
    let mut planner = Planner { new, target, home, wish, me, foreign: 0, plan: Plan::default() };
    planner.go_through()?;
    if planner.foreign > 0 {
        log::warn!(
            "{} of the target {} to somebody else: mode and time stay as they are there",
            counted(planner.foreign, "folder", "folders"),
            if planner.foreign == 1 { "belongs" } else { "belong" }
        );
    }
    Ok(planner.plan)
}

struct Planner<'a> {
    new: &'a Root,
    target: &'a Root,
    /// The target itself.
    home: Found,
    wish: &'a Wish<'a>,
    /// Who we are, if not root.
    me: Option<u32>,
    /// Folders that are to be merged and are not ours.
    foreign: u64,
    plan: Plan,
}

/// A folder of the target that is looked through.
struct Frame {
    name: Vec<u8>,
    fate: Fate,
    found: Found,
    pairs: std::vec::IntoIter<Pair>,
    /// Whether something in it stays, so that it cannot go.
    stays: bool,
    /// Whether archives are kept in it, or in what is around it: nothing goes that the new tree does not have.
    spared: bool,
}

/// What becomes of a folder of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is in both.
    Merged,
    /// It goes, if nothing in it stays.
    Goes,
    /// It stays, and something in it may go.
    Passed,
    /// It is moved out of the way with all that is in it.
    MakesRoom,
}

/// One name in the new tree and in the target.
struct Pair {
    last: CString,
    ours: Option<Found>,
    theirs: Option<Found>,
}

impl Planner<'_> {
    fn go_through(&mut self) -> Result<()> {
        let mut frames = vec![self.enter(Vec::new(), Fate::Merged, self.home, false)?];
        while let Some(mut frame) = frames.pop() {
            if let Some(pair) = frame.pairs.next() {
                let place = joined(&frame.name, &pair.last);
                let below = self.pair(&mut frame, &place, &pair)?;
                let spared = frame.spared;
                frames.push(frame);
                if let Some((fate, found)) = below {
                    frames.push(self.enter(place, fate, found, spared)?);
                }
            } else if frame.fate == Fate::Goes && !frame.stays {
                self.plan.delete.push(frame.name);
            } else if let Some(above) = frames.last_mut() {
                above.stays = true;
            }
        }
        Ok(())
    }

    fn enter(&mut self, name: Vec<u8>, fate: Fate, found: Found, spared: bool) -> Result<Frame> {
        let shown = self.target.shown(&name);
        let failed = |e| Error::io("look at", &shown, e);
        let theirs = self.target.folder(&name).map_err(|e| Error::io("open folder", &shown, e))?;
        let ours = match fate {
            Fate::Merged if is_closed(theirs.as_fd(), self.target.fd()) => return Err(self.mounted(&name)),
            Fate::Merged => {
                Some(self.new.folder(&name).map_err(|e| Error::io("open folder", self.new.shown(&name), e))?)
            }
            _ => None,
        };
        let mut lasts = all_names(theirs.as_fd()).map_err(failed)?;
        if !name.is_empty() && !self.wish.others.contains(&shown.as_path()) {
            others::refuse_below(theirs.as_fd(), &shown, &lasts)?;
        }
        lasts.retain(|name| !is_restore_folder(name.to_bytes()));
        let mut lasts: BTreeSet<CString> = lasts.into_iter().collect();
        if let Some(ours) = &ours {
            lasts.extend(names(ours.as_fd()).map_err(failed)?);
        }
        let mut pairs = Vec::new();
        for last in lasts {
            let ours = ours.as_ref().map_or(Ok(None), |ours| Found::at(ours, &last)).map_err(failed)?;
            let theirs = Found::at(&theirs, &last).map_err(failed)?;
            pairs.push(Pair { last, ours, theirs });
        }
        if let Some(ours) = ours {
            self.merged(&name, &found, &ours)?;
        } else if fate != Fate::Passed {
            self.open_up(&name, &found, None)?;
        }
        let spared = spared || self.wish.spare.contains(&found.id());
        Ok(Frame { name, fate, found, pairs: pairs.into_iter(), stays: false, spared })
    }

    /// A folder that is in both.
    fn merged(&mut self, name: &[u8], theirs: &Found, ours: &OwnedFd) -> Result<()> {
        let shown = self.target.shown(name);
        self.not_fixed(name, theirs)?;
        let stat = fstat(ours).map_err(|e| Error::io("look at", &shown, e))?;
        let time = Timestamp { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 };
        let foreign = self.me.is_some_and(|me| me != theirs.owner);
        let kept = foreign || self.wish.kept.contains(name);
        self.foreign += u64::from(foreign && !self.wish.kept.contains(name));
        let lacking = |bits: u32| bits & ALL_FOR_OWNER != ALL_FOR_OWNER;
        if foreign {
            self.open_up(name, theirs, None)?;
        }
        if self.me.is_some() && (lacking(stat.st_mode) || !foreign && lacking(theirs.bits())) {
            let bits = if kept { theirs.bits() } else { stat.st_mode & 0o7777 };
            self.plan.opened.push(Opened { name: name.to_vec(), bits: (!foreign).then_some(bits) });
        }
        self.plan.merged.push(Merged { name: name.to_vec(), time, kept });
        Ok(())
    }

    /// One name. If there is a folder below it to look through: what becomes of that.
    fn pair(&mut self, frame: &mut Frame, place: &[u8], pair: &Pair) -> Result<Option<(Fate, Found)>> {
        let Some(theirs) = &pair.theirs else {
            // The kernel wants a folder writable to whoever moves it.
            if let Some(ours) = pair.ours.as_ref().filter(|ours| ours.is_folder()) {
                self.open_up(place, ours, Some(ours.bits()))?;
            }
            return Ok(None);
        };
        let mounted = !theirs.is_beside(&self.home);
        let spared = self.wish.spare.contains(&theirs.id());
        match &pair.ours {
            Some(ours) if ours.is_folder() && theirs.is_folder() => {
                if mounted {
                    return Err(self.mounted(place));
                }
                Ok(Some((Fate::Merged, *theirs)))
            }
            Some(_) if mounted => Err(self.mounted(place)),
            Some(ours) if spared && !theirs.is_folder() && !ours.is_folder() => {
                log::warn!(
                    "{} stays as it is: archives are kept there",
                    printable_path(&self.target.shown(place))
                );
                self.plan.left_out.push(place.to_vec());
                Ok(None)
            }
            Some(ours) if spared || frame.spared && (ours.is_folder() || theirs.is_folder()) => {
                Err(self.holds_archives(place))
            }
            Some(ours) => {
                self.can_leave(frame, place, theirs)?;
                if ours.is_folder() {
                    self.open_up(place, ours, Some(ours.bits()))?;
                }
                Ok(theirs.is_folder().then_some((Fate::MakesRoom, *theirs)))
            }
            None => self.extra(frame, place, theirs, mounted, spared),
        }
    }

    /// What the new tree does not have.
    fn extra(
        &mut self,
        frame: &mut Frame,
        place: &[u8],
        theirs: &Found,
        mounted: bool,
        spared: bool,
    ) -> Result<Option<(Fate, Found)>> {
        if frame.fate == Fate::MakesRoom {
            if mounted || spared {
                return Err(self.holds_archives(&frame.name));
            }
            return Ok(theirs.is_folder().then_some((Fate::MakesRoom, *theirs)));
        }
        if place == FOUND {
            return Ok(None);
        }
        if frame.spared {
            frame.stays = true;
            return Ok(None);
        }
        let goes = frame.fate == Fate::Goes || self.wish.delete.is_within(place);
        if !goes && !self.wish.delete.is_above(place) {
            frame.stays = true;
            return Ok(None);
        }
        if mounted || spared {
            let shown = self.target.shown(place);
            if goes && !self.wish.others.contains(&shown.as_path()) {
                let why = if spared { "archives are kept there" } else { "it is mounted there" };
                log::warn!("{} stays: {why}", printable_path(&shown));
            }
            frame.stays = true;
            return Ok(None);
        }
        if goes {
            self.can_leave(frame, place, theirs)?;
        }
        if theirs.is_folder() {
            return Ok(Some((if goes { Fate::Goes } else { Fate::Passed }, *theirs)));
        }
        if goes {
            self.plan.delete.push(place.to_vec());
        } else {
            frame.stays = true;
        }
        Ok(None)
    }

    /// Whether what is there can be taken out of its folder.
    fn can_leave(&self, frame: &Frame, place: &[u8], theirs: &Found) -> Result<()> {
        self.not_fixed(&frame.name, &frame.found)?;
        self.not_fixed(place, theirs)?;
        let others = |found: &Found| self.me.is_some_and(|me| me != found.owner);
        if frame.found.bits() & STICKY != 0 && others(&frame.found) && others(theirs) {
            return Err(self.untouched(place, "belongs to somebody else, and only they can remove it there"));
        }
        Ok(())
    }

    fn not_fixed(&self, place: &[u8], theirs: &Found) -> Result<()> {
        if theirs.fixed {
            return Err(
                self.untouched(place, "is protected from changes: `chattr -i -a` on it takes that away")
            );
        }
        Ok(())
    }

    /// A folder that is changed or moved: its owner may have to be let in first. `bits` is the mode that it has in the end.
    fn open_up(&mut self, name: &[u8], found: &Found, bits: Option<u32>) -> Result<()> {
        let Some(me) = self.me else { return Ok(()) };
        if found.owner == me {
            if found.bits() & ALL_FOR_OWNER != ALL_FOR_OWNER {
                self.plan.opened.push(Opened { name: name.to_vec(), bits });
            }
            return Ok(());
        }
        let shown = self.target.shown(name);
        let folder = self.target.folder(name).map_err(|e| Error::io("open folder", &shown, e))?;
        accessat(&folder, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|e| Error::io("write to", &shown, e))
    }

    fn untouched(&self, place: &[u8], why: &str) -> Error {
        Error::failed(format!("{} {why}; nothing was touched", printable_path(&self.target.shown(place))))
    }

    fn mounted(&self, place: &[u8]) -> Error {
        self.untouched(
            place,
            "is a mount or a subvolume by itself, or of a quota's project or a key of its own, which nothing can be moved \
             into from around it, and the archive has something of that name: unmount it, or restore with --to to another \
             folder and copy it from there",
        )
    }

    fn holds_archives(&self, place: &[u8]) -> Error {
        self.untouched(
            place,
            "is no folder in the archive, and here archives are kept in it, or something is mounted: move it away, or \
             restore with --to",
        )
    }
}
