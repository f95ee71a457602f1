//! From folder to folder by descriptors, with a bounded number of them open, however deep it goes.

mod found;
mod level;

use std::collections::{HashMap, VecDeque};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxFlags, statx};

use self::level::Level;
use super::accounts::Accounts;
use super::again::Again;
use super::database::Database;
use super::exclude::Rules;
use super::folder::{Hint, is_empty};
use super::open::{
    Fault, Opened, device, id, kind, look, open, open_quietly, open_root, other_kind, stat_name,
};
use super::steady::Steady;
use super::xattr::Xattrs;
use super::{Options, Source};
use crate::entry::{Entry, Find, Found, Kind, Miss, Missed, is_restore_folder};
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};
use crate::stop::Stop;
use crate::uncached::Ways;

/// Everything that is found, one after the other: an iterator over [`Found`].
#[derive(Debug)]
pub struct Walk {
    roots: std::vec::IntoIter<Root>,
    /// The folders from the root of the source down to where we are.
    levels: Vec<Level>,
    /// The name in the archive of what is looked at.
    name: Vec<u8>,
    /// Where in `name` the path below the source begins.
    below: usize,
    /// The file system of the source's root.
    device: u64,
    /// Found, and not yet handed out.
    pending: VecDeque<Found>,
    rules: Rules,
    accounts: Accounts,
    xattrs: Xattrs,
    ways: Ways,
    /// The first names of files with several names.
    links: HashMap<(u64, u64), Box<[u8]>>,
    databases: Vec<Database>,
    /// There while files are only counted, and not opened.
    amount: Option<Amount>,
    buffer: Box<[MaybeUninit<u8>]>,
    /// Where files are only looked at: how to open them later.
    again: Option<Again>,
    steady: Steady,
}

/// How much there is to archive, as far as a look from outside tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files, folders and all else.
    pub entries: u64,
    /// Bytes of files, those with several names once.
    pub bytes: u64,
    /// As many of them as are stored where they are: holes are not.
    pub stored: u64,
}

#[derive(Debug)]
struct Root {
    name: Vec<u8>,
    path: PathBuf,
    /// Open, if it is a folder: it stays the one that was there at the beginning, whatever is mounted meanwhile.
    folder: Option<(OwnedFd, Statx)>,
}

impl Walk {
    pub(super) fn new(sources: &[&Source], options: &Options) -> Result<Self> {
        let rules = Rules::new(options)?;
        let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024].into_boxed_slice();
        let mut roots = Vec::with_capacity(sources.len());
        for source in sources {
            let folder = match open_root(&source.path)? {
                Opened::Folder(fd, stat) => {
                    look_into(&source.path, &fd, &stat, &rules, &mut buffer)?;
                    Some((fd, stat))
                }
                _ => None,
            };
            roots.push(Root { name: source.name.clone(), path: source.path.clone(), folder });
        }
        Ok(Self {
            roots: roots.into_iter(),
            levels: Vec::new(),
            name: Vec::new(),
            below: 0,
            device: 0,
            pending: VecDeque::new(),
            rules,
            accounts: Accounts::of_this_system(),
            xattrs: Xattrs::new(),
            ways: Ways::default(),
            links: HashMap::new(),
            databases: Vec::new(),
            amount: None,
            buffer,
            again: options.look.then(Again::default),
            steady: Steady::default(),
        })
    }

    /// Count files instead of opening them, until the end or until it is asked to stop.
    pub(super) fn count(mut self, stop: &Stop) -> Amount {
        self.amount = Some(Amount::default());
        let mut folders = 0;
        while stop.asked().is_none()
            && let Some(found) = self.next()
        {
            folders += u64::from(matches!(found, Found::Entry(_)));
        }
        let amount = self.amount.unwrap_or_default();
        Amount { entries: amount.entries + folders, ..amount }
    }

    /// The folders so far that look like those of running databases, in the order of their names.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// Whether what was found last stands for a folder that is left out: a mark in it, which alone is archived.
    pub fn is_mark(&self) -> bool {
        self.levels.last().is_some_and(|level| level.marked && level.length < self.name.len())
    }

    /// Turn to this source.
    fn begin(&mut self, root: Root) -> Option<Found> {
        self.name = root.name;
        self.below = self.name.len() + 1;
        let opened = match root.folder {
            Some((fd, stat)) => Opened::Folder(fd, stat),
            None => match open_root(&root.path) {
                Ok(opened) => opened,
                Err(error) => {
                    let cause = error.to_string();
                    return Some(Fault { what: Miss::Skipped, cause, starved: false }.of(&self.name));
                }
            },
        };
        if let Opened::Folder(_, stat) | Opened::File(_, stat) = &opened {
            self.device = device(stat);
        }
        if let (Opened::Folder(fd, _), Some(again)) = (&opened, &mut self.again)
            && again.root(&self.name, fd).is_err()
        {
            // Then all of it is opened at once, as ever.
            self.again = None;
        }
        self.take(opened)
    }

    /// Turn to the next name in the innermost folder. `None` if there is nothing to hand out for it.
    fn visit(&mut self) -> Option<Found> {
        let Level { folder, names, next, length, look: looks, id, .. } = self.levels.last_mut()?;
        self.name.truncate(*length);
        let (Some(folder), Some((name, hint))) = (folder.as_ref(), names.get(*next)) else {
            self.leave();
            return None;
        };
        *next += 1;
        self.name.push(b'/');
        self.name.extend_from_slice(name.to_bytes());
        let hint = match hint {
            Hint::Unknown => match look(folder.as_fd(), name) {
                Ok(hint) => hint,
                Err(fault) => return Some(fault.of(&self.name)),
            },
            hint => hint,
        };
        let was_folder = hint == Hint::Folder;
        if self.rules.excludes(&self.name[self.below..], was_folder) {
            return None;
        }
        if was_folder && is_restore_folder(name.to_bytes()) {
            return self.amount.is_none().then(|| Found::Missed(during_restore(&self.name)));
        }
        if self.amount.is_some() && !was_folder {
            // What cannot be looked at now, the walk that opens it will name.
            if let Ok(stat) = statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
                self.count_one(&stat);
            }
            return None;
        }
        if hint == Hint::File && *looks && self.again.is_some() {
            let (device, _) = *id;
            // Whatever is unusual about it is found when it is opened.
            if let Ok(stat) = stat_name(folder.as_fd(), name)
                && kind(&stat) == FileType::RegularFile
                && super::open::device(&stat) == device
                && let Some(xattrs) = self.xattrs.of_name(folder.as_fd(), name)
            {
                return (!self.is_left_out(&stat)).then(|| self.looked_at(&stat, xattrs));
            }
        }
        let opened = match open(folder.as_fd(), name, hint) {
            Err(fault) if fault.starved => {
                let name = name.to_owned();
                self.open_with_fewer(&name, hint)
            }
            outcome => outcome,
        };
        match opened {
            Err(fault) => Some(fault.of(&self.name)),
            Ok(opened) => {
                let is_folder = matches!(opened, Opened::Folder(..) | Opened::Closed(..));
                if is_folder != was_folder && self.rules.excludes(&self.name[self.below..], is_folder) {
                    return None;
                }
                self.take(opened)
            }
        }
    }

    /// Open in the innermost folder, with all others closed but the root.
    fn open_with_fewer(&mut self, name: &CStr, hint: Hint) -> Result<Opened, Fault> {
        let last = self.levels.len() - 1;
        for level in self.levels.iter_mut().take(last).skip(1) {
            level.folder = None;
        }
        let folder =
            self.levels[last].folder.as_ref().expect("the innermost folder is open while it is read");
        open(folder.as_fd(), name, hint)
    }

    /// What is open under the present name, as an entry.
    fn take(&mut self, opened: Opened) -> Option<Found> {
        match opened {
            Opened::File(_, stat) if self.amount.is_some() => {
                self.count_one(&stat);
                None
            }
            Opened::File(fd, stat) => (!self.is_left_out(&stat)).then(|| self.file(fd, stat)),
            Opened::Folder(fd, stat) => {
                if self.is_left_out(&stat) {
                    return None;
                }
                let (xattrs, fault) = self.xattrs.of_open(fd.as_fd());
                let entry = self.entry(Kind::Directory, &stat, xattrs, fault);
                if self.rules.one_file_system && device(&stat) != self.device {
                    log::debug!("leave out what is in {}: another file system", printable(&self.name));
                } else {
                    self.enter(fd, id(&stat));
                }
                Some(entry)
            }
            Opened::Closed(fd, stat, fault) => {
                if self.is_left_out(&stat) {
                    return None;
                }
                let (xattrs, missing) = self.xattrs.of_path(fd.as_fd());
                let entry = self.entry(Kind::Directory, &stat, xattrs, missing);
                self.pending.push_back(fault.of(&self.name));
                Some(entry)
            }
            Opened::Other(fd, stat) => match other_kind(fd.as_fd(), &stat) {
                Err(fault) => Some(fault.of(&self.name)),
                Ok(None) => {
                    log::debug!("leave out {}: a socket", printable(&self.name));
                    None
                }
                Ok(Some(kind)) => {
                    let (xattrs, fault) = self.xattrs.of_path(fd.as_fd());
                    Some(self.entry(kind, &stat, xattrs, fault))
                }
            },
        }
    }

    fn is_left_out(&self, stat: &Statx) -> bool {
        let left_out = self.rules.leave_out.contains(&id(stat));
        if left_out && self.amount.is_none() {
            log::info!("leave out {}: archives are written there", printable(&self.name));
        }
        left_out
    }
}

impl Find for Walk {
    fn open(&mut self, entry: &Entry) -> Option<Found> {
        let now = std::mem::replace(&mut self.name, entry.name.clone());
        let found = self.again(entry);
        self.name = now;
        found
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let found = match self.pending.pop_front() {
                None if self.levels.is_empty() => {
                    let root = self.roots.next()?;
                    self.begin(root)
                }
                None => self.visit(),
                some => some,
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

/// Whether there is anything in the root of a source, and it is not where archives are kept.
fn look_into(
    path: &std::path::Path,
    folder: &OwnedFd,
    stat: &Statx,
    rules: &Rules,
    buffer: &mut [MaybeUninit<u8>],
) -> Result<()> {
    if rules.leave_out.contains(&id(stat)) {
        return Err(Error::usage(format!(
            "the source {} is the folder that archives are kept in: give one of them another place",
            printable_path(path)
        )));
    }
    // A descriptor of its own, as the place in the listing belongs to the descriptor.
    let again =
        open_quietly(folder, c".", OFlags::DIRECTORY).map_err(|e| Error::io("open source", path, e))?;
    if is_empty(again.as_fd(), buffer).map_err(|e| Error::io("list source", path, e))? {
        return Err(Error::failed(format!(
            "the source {} is empty: is something that should be mounted there missing?",
            printable_path(path)
        )));
    }
    Ok(())
}

/// A restore swaps files one by one, so what is read meanwhile may be of no single moment.
fn during_restore(name: &[u8]) -> Missed {
    let cause = "left out: a restore works in it, or was interrupted, and what is beside it may be half old and half new; \
                 when none is on, restore again, which finishes it";
    Missed { name: name.to_vec(), what: Miss::Skipped, cause: cause.into() }
}
