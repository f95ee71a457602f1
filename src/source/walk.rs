//! From folder to folder by descriptors, with a bounded number of them open, however deep it goes.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxFlags, statx};
use rustix::io::Errno;

use super::accounts::Accounts;
use super::again::Again;
use super::content::Body;
use super::database::{Database, recognise};
use super::exclude::{CACHEDIR_SIGNATURE, Rules};
use super::folder::{Hint, Listing, is_empty};
use super::open::{
    Fault, Opened, device, id, kind, look, open, open_quietly, open_root, other_kind, stat, stat_name, times,
};
use super::steady::Steady;
use super::xattr::Xattrs;
use super::{Options, Source};
use crate::entry::{Content, Entry, Find, Found, Kind, Miss, is_restore_folder};
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};
use crate::stop::Stop;
use crate::uncached::{Way, Ways};

/// So many folders on the way down stay open; those above are found again by `..`, and the root stays open too.
const KEPT_OPEN: usize = 16;

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

/// A folder that is being read.
#[derive(Debug)]
struct Level {
    /// Closed while we are far below.
    folder: Option<OwnedFd>,
    /// Device and inode, to know it again.
    id: (u64, u64),
    names: Listing,
    /// The place in `names` of the next.
    next: usize,
    /// How much of [`Walk::name`] is this folder's.
    length: usize,
    /// Whether files in it that are on the same device are only looked at.
    look: bool,
    /// Whether a mark in it leaves out all but the marks.
    marked: bool,
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
        if was_folder && is_restore_folder(name.to_bytes()) {
            if self.amount.is_none() {
                log::info!("leave out {}: a restore works in it, or was interrupted", printable(&self.name));
            }
            return None;
        }
        if self.rules.excludes(&self.name[self.below..], was_folder) {
            return None;
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

    /// Anything but a folder.
    fn count_one(&mut self, stat: &Statx) {
        let again = stat.stx_nlink > 1 && self.links.insert(id(stat), Box::default()).is_some();
        let counts = kind(stat) == FileType::RegularFile && !again && !self.is_left_out(stat);
        if let Some(amount) = &mut self.amount {
            amount.entries += 1;
            if counts {
                amount.bytes += stat.stx_size;
                amount.stored += stat.stx_size.min(stat.stx_blocks.saturating_mul(512));
            }
        }
    }

    fn file(&mut self, fd: OwnedFd, stat: Statx) -> Found {
        let shared = stat.stx_nlink > 1;
        if shared && let Some(link) = self.link(&stat) {
            return link;
        }
        let (xattrs, fault) = self.xattrs.of_open(fd.as_fd());
        if shared {
            // Only now, when it is open: had opening failed, the next name would have to bring the body.
            self.links.insert(id(&stat), self.name.clone().into_boxed_slice());
        }
        let mut found = self.entry(Kind::File, &stat, xattrs, fault);
        if let Found::Entry(entry) = &mut found {
            let way = self.ways.of(entry.device);
            entry.size = stat.stx_size;
            entry.content = Some(Box::new(Body::new(fd, stat, way)));
        }
        found
    }

    /// A file as it looks from outside.
    fn looked_at(&mut self, stat: &Statx, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Found {
        if stat.stx_nlink > 1 {
            if let Some(link) = self.link(stat) {
                return link;
            }
            // Should opening it fail, this is taken back: see `again`.
            self.links.insert(id(stat), self.name.clone().into_boxed_slice());
        }
        let mut found = self.entry(Kind::File, stat, xattrs, None);
        if let Found::Entry(entry) = &mut found {
            entry.size = stat.stx_size;
        }
        found
    }

    /// The present name as another one of a file that came earlier, if it is that.
    fn link(&mut self, stat: &Statx) -> Option<Found> {
        let first = self.links.get(&id(stat)).filter(|first| ***first != *self.name)?;
        let kind = Kind::Hardlink(first.to_vec());
        Some(self.entry(kind, stat, Vec::new(), None))
    }

    /// What was looked at under the present name, opened.
    fn again(&mut self, looked_at: &Entry) -> Option<Found> {
        let file = (looked_at.device, looked_at.inode);
        if self.links.get(&file).is_some_and(|first| **first == *self.name) {
            self.links.remove(&file);
        }
        let fault = |error| Fault::new("open source file", error);
        let opened = self
            .again
            .as_mut()
            .ok_or(Errno::NOENT)
            .and_then(|again| again.folder(&self.name))
            .map_err(fault)
            .and_then(|(folder, name)| open(folder.as_fd(), &name, Hint::File));
        match opened {
            Ok(Opened::Folder(..) | Opened::Closed(..)) => {
                let cause = "open source file: it became a folder after it was listed".into();
                Some(Fault { what: Miss::Skipped, cause, starved: false }.of(&self.name))
            }
            Ok(opened) => self.take(opened),
            Err(fault) => Some(fault.of(&self.name)),
        }
    }

    /// An entry of the present name, without a body.
    fn entry(
        &mut self,
        kind: Kind,
        stat: &Statx,
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
        fault: Option<Fault>,
    ) -> Found {
        if let Some(fault) = fault {
            self.pending.push_back(fault.of(&self.name));
        }
        let (mtime, ctime) = times(stat);
        Found::Entry(Box::new(Entry {
            name: self.name.clone(),
            kind,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            user: self.accounts.user(stat.stx_uid),
            group: self.accounts.group(stat.stx_gid),
            mtime,
            ctime,
            inode: stat.stx_ino,
            device: device(stat),
            size: 0,
            xattrs,
            content: None,
        }))
    }

    fn is_left_out(&self, stat: &Statx) -> bool {
        let left_out = self.rules.leave_out.contains(&id(stat));
        if left_out && self.amount.is_none() {
            log::info!("leave out {}: archives are written there", printable(&self.name));
        }
        left_out
    }

    /// List the folder under the present name and go down into it.
    fn enter(&mut self, folder: OwnedFd, id: (u64, u64)) {
        let (mut names, outcome) = Listing::read(folder.as_fd(), &mut self.buffer);
        if let Err(error) = outcome {
            self.pending.push_back(Fault::new("list source folder", error).of(&self.name));
        }
        let filled = |name: &[u8]| size_of(folder.as_fd(), name) > 0;
        if let Some(kind) = recognise(&names, filled) {
            self.databases.push(Database { name: self.name.clone(), kind });
        }
        let mut marks: Vec<&[u8]> = self.rules.marks.iter().map(Vec::as_slice).collect();
        if self.rules.cachedir_tag && names.has(b"CACHEDIR.TAG") && is_cache(folder.as_fd()) {
            marks.push(b"CACHEDIR.TAG");
        }
        marks.retain(|mark| names.has(mark));
        let marked = !marks.is_empty();
        if let Some(mark) = marks.first() {
            log::debug!("leave out what is in {}: there is {}", printable(&self.name), printable(mark));
            names.keep(|name| marks.contains(&name));
        }
        let look = self.again.is_some() && self.steady.is(id.0, folder.as_fd());
        self.levels.push(Level {
            folder: Some(folder),
            id,
            names,
            next: 0,
            length: self.name.len(),
            look,
            marked,
        });
        if let Some(far) = self.levels.len().checked_sub(KEPT_OPEN + 1).filter(|far| *far > 0) {
            self.levels[far].folder = None;
        }
    }

    /// Go back up from the innermost folder.
    fn leave(&mut self) {
        let Some(left) = self.levels.pop() else { return };
        let Some(at) = self.levels.len().checked_sub(1) else { return };
        if self.levels[at].folder.is_some() {
            return;
        }
        let back = left.folder.ok_or(Errno::NOENT).and_then(|below| {
            same(open_quietly(&below, c"..", OFlags::NOFOLLOW | OFlags::DIRECTORY)?, self.levels[at].id)
        });
        // A folder that was moved has another parent now; from the root down the one that we want may still be there.
        match back.or_else(|_| self.descend(at)) {
            Ok(folder) => self.levels[at].folder = Some(folder),
            Err(error) => {
                let level = &self.levels[at];
                self.name.truncate(level.length);
                if level.next < level.names.len() {
                    let what = if error == Errno::NOENT { "moved or removed" } else { "lost" };
                    let doing = format!("go back to source folder, which was {what} while it was read");
                    self.pending.push_back(Fault::skipped(&doing, error).of(&self.name));
                }
            }
        }
    }

    /// Open the folder at this level again, from the root down.
    fn descend(&self, at: usize) -> Result<OwnedFd, Errno> {
        let root = self.levels[0].folder.as_ref().ok_or(Errno::NOENT)?;
        let mut folder = None;
        for (above, level) in self.levels.iter().zip(&self.levels[1..=at]) {
            let name = CString::new(&self.name[above.length + 1..level.length]).map_err(|_| Errno::NOENT)?;
            let from = folder.as_ref().unwrap_or(root).as_fd();
            let next = open_quietly(from, name.as_c_str(), OFlags::NOFOLLOW | OFlags::DIRECTORY)?;
            folder = Some(same(next, level.id)?);
        }
        folder.ok_or(Errno::NOENT)
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

/// This folder, if it is the one that it should be.
fn same(folder: OwnedFd, wanted: (u64, u64)) -> Result<OwnedFd, Errno> {
    if id(&stat(&folder)?) == wanted { Ok(folder) } else { Err(Errno::NOENT) }
}

/// The size of the file of this name, 0 if it cannot be told.
fn size_of(folder: BorrowedFd<'_>, name: &[u8]) -> u64 {
    let Ok(name) = CString::new(name) else { return 0 };
    statx(folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::SIZE)
        .map_or(0, |stat| stat.stx_size)
}

/// Whether the `CACHEDIR.TAG` in this folder means it.
fn is_cache(folder: BorrowedFd<'_>) -> bool {
    let Ok(Opened::File(fd, stat)) = open(folder, c"CACHEDIR.TAG", Hint::File) else { return false };
    let mut begin = [0; CACHEDIR_SIGNATURE.len()];
    let mut body = Body::new(fd, stat, Way::default());
    matches!(body.read(&mut begin), Ok(length) if begin[..length] == CACHEDIR_SIGNATURE[..])
}
