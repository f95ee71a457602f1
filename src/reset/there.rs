//! What is in the sources of a job, before anything is done about it.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Bounds;
use crate::destination::OWN_FOLDER;
use crate::entry::{Entry, Found, Kind, is_below, name_order};
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};
use crate::source::{self, Source, Steady, Walk};
use crate::stop::Stop;

/// How many names are kept.
const NAMES_KEPT: usize = 8;

/// Some of what is there; sources that are folders do not count.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Part {
    /// Everything.
    pub entries: u64,
    /// The folders.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// The first names, printable: of what goes those at the top of the source, of what stays those of the archive.
    pub names: Vec<String>,
    /// How many more there are beside [`Part::names`].
    pub more: u64,
    /// The last name that counted.
    last: Vec<u8>,
}

/// What is in one source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct There {
    /// What the job archives. What could not be looked at counts too.
    pub goes: Part,
    /// What it leaves out, and the folders that this is in.
    pub stays: Part,
    /// The first file that goes of those whose file system does not tell every change by times.
    pub unsteady: Option<PathBuf>,
}

impl Part {
    fn add(&mut self, entry: Option<&Entry>) {
        self.entries += 1;
        match entry.map(|entry| (&entry.kind, entry.size)) {
            Some((Kind::Directory, _)) => self.folders += 1,
            Some((Kind::File, size)) => self.bytes += size,
            _ => {}
        }
    }

    fn name(&mut self, name: &[u8]) {
        if self.last == name {
            return;
        }
        self.last = name.to_vec();
        if self.names.len() < NAMES_KEPT {
            self.names.push(printable(name));
        } else {
            self.more += 1;
        }
    }

    /// The names in one line.
    pub fn shown(&self) -> String {
        let names = self.names.join(", ");
        if self.more > 0 { format!("{names} and {} more", self.more) } else { names }
    }
}

/// Whether there is nothing in a source, and so nothing to empty. What file systems have at their roots does not count.
///
/// # Errors
/// If it cannot be listed.
pub fn is_empty(path: &Path) -> Result<bool> {
    if !path.is_dir() {
        return Ok(false);
    }
    let failed = |e| Error::io("list source", path, e);
    for entry in path.read_dir().map_err(failed)? {
        if entry.map_err(failed)?.file_name() != super::empty::FOUND {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Count what is in these sources, in their order; none of them may be empty. `all` is the walk that finds everything,
/// `goes` the one that finds what the job archives.
///
/// # Errors
/// If one cannot be walked, or something is in it that is out of bounds.
pub fn there(
    sources: &[Source],
    (all, goes): (&source::Options, &source::Options),
    bounds: &Bounds,
    stop: &Stop,
) -> Result<Vec<There>> {
    let mut found = vec![There::default(); sources.len()];
    if sources.is_empty() {
        return Ok(found);
    }
    let mut going = if all == goes { None } else { Some(Going::begin(source::walk(sources, goes)?)) };
    let mut around: Vec<Around> = Vec::new();
    let mut last = Vec::new();
    let mut steady = Steady::default();
    for next in source::walk(sources, all)? {
        stop.check()?;
        let (name, entry) = name_of(&next);
        let Some((number, below)) = part_of(sources, name) else { continue };
        if let Some(entry) = entry
            && let Some(what) = bounds.what((entry.device, entry.inode))
        {
            return Err(Error::usage(format!(
                "in source {} is {}, {what}: that is not emptied; give the job another source, or empty it by hand",
                printable_path(&sources[number].path),
                printable(name)
            )));
        }
        let is_folder = entry.is_some_and(|entry| entry.kind == Kind::Directory);
        // Of a folder that cannot be listed there is an entry and a miss.
        if (below.is_empty() && is_folder) || (entry.is_none() && last == name) {
            continue;
        }
        while around.last().is_some_and(|folder| !is_below(name, &last[..folder.end])) {
            around.pop();
        }
        if is_folder
            && below.ends_with(OWN_FOLDER.as_bytes())
            && around.last().is_none_or(|folder| !folder.left_out)
            && let Some(kept) = holds_archives(&path_of(&sources[number], below))
        {
            return Err(Error::usage(format!(
                "in source {} is {}, where archives are kept: that is not emptied; move it away, or remove its {OWN_FOLDER} \
                 if no archives are there any more",
                printable_path(&sources[number].path),
                printable_path(&kept)
            )));
        }
        let There { goes, stays, unsteady } = &mut found[number];
        let left_out = !going.as_mut().is_none_or(|going| going.has(name));
        if left_out {
            stays.add(entry);
            if around.last().is_none_or(|folder| !folder.left_out) {
                stays.name(name);
            }
            for folder in around.iter_mut().filter(|folder| !folder.stays) {
                folder.stays = true;
                for (part, by) in [(&mut *goes, -1), (&mut *stays, 1)] {
                    part.entries = part.entries.saturating_add_signed(by);
                    part.folders = part.folders.saturating_add_signed(by);
                }
            }
        } else {
            goes.add(entry);
            if unsteady.is_none()
                && let Some(entry) = entry.filter(|entry| entry.kind == Kind::File && entry.size > 0)
            {
                let path = path_of(&sources[number], below);
                *unsteady = (!steady.is_at(entry.device, &path)).then_some(path);
            }
            if !is_folder {
                goes.name(below.split(|byte| *byte == b'/').next().unwrap_or_default());
            }
        }
        last = name.to_vec();
        if is_folder {
            around.push(Around { end: last.len(), left_out, stays: left_out });
        }
    }
    Ok(found)
}

/// Where what has this name in a source is; nothing is behind the path of a source that is a file.
fn path_of(source: &Source, below: &[u8]) -> PathBuf {
    if below.is_empty() { source.path.clone() } else { source.path.join(OsStr::from_bytes(below)) }
}

/// The destination that this is our own folder in: of another configuration, as those of this one are known.
fn holds_archives(own: &Path) -> Option<PathBuf> {
    let named_so = own.file_name() == Some(OsStr::new(OWN_FOLDER));
    // A lock, or a state. What cannot be looked at may have one.
    let used = named_so && own.read_dir().map_or(true, |mut found| found.next().is_some());
    used.then(|| own.parent().unwrap_or(own).to_path_buf())
}

/// A folder around what is looked at.
struct Around {
    /// Where its name ends in that of what was looked at last.
    end: usize,
    /// Whether the job leaves it out.
    left_out: bool,
    /// Whether it stays, as something in it does.
    stays: bool,
}

/// The walk over what the job archives, beside the one over everything: both are in the same order.
struct Going {
    walk: Walk,
    /// What it has found last.
    at: Option<Vec<u8>>,
    /// Whether that goes.
    goes: bool,
}

impl Going {
    fn begin(walk: Walk) -> Self {
        let mut going = Self { walk, at: None, goes: false };
        going.step();
        going
    }

    fn step(&mut self) {
        self.at = self.walk.next().map(|found| name_of(&found).0.to_vec());
        self.goes = !self.walk.is_mark();
    }

    /// Whether what has this name goes; names are asked for in their order.
    fn has(&mut self, name: &[u8]) -> bool {
        while self.at.as_ref().is_some_and(|at| name_order(at, name) == Ordering::Less) {
            self.step();
        }
        self.goes && self.at.as_deref() == Some(name)
    }
}

fn name_of(found: &Found) -> (&[u8], Option<&Entry>) {
    match found {
        Found::Entry(entry) => (&entry.name, Some(entry)),
        Found::Missed(missed) => (&missed.name, None),
    }
}

/// Which source the entry of this name is of, and its name there.
pub(super) fn part_of<'a>(sources: &[Source], name: &'a [u8]) -> Option<(usize, &'a [u8])> {
    sources.iter().enumerate().find_map(|(number, source)| {
        match name.strip_prefix(source.name.as_slice())? {
            [] => Some((number, &[][..])),
            [b'/', below @ ..] => Some((number, below)),
            _ => None,
        }
    })
}
