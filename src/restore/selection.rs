//! Which entries of an archive are restored, and where each goes.

use std::collections::BTreeSet;

use ignore::overrides::{Override, OverrideBuilder};

use super::names::Names;
use super::paths::glob_fits;
use crate::archive::index::EntryRecord;
use crate::archive::reader::{Archive, is_below};
use crate::error::{Error, Result};
use crate::extract::Choice;
use crate::printable::printable;

/// The part of an archive that goes to one place.
#[derive(Debug)]
pub struct Selection {
    /// What the names in the archive begin with and the places do not: `data` when `data/x` goes back to `/data/x`.
    prefix: Vec<u8>,
    /// What the places begin with instead: the name of a source that is a single file.
    base: Vec<u8>,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
pub(super) enum Wanted {
    All,
    /// These names and all below them, ascending and none below another; and the folders that they stand in.
    Below {
        names: Vec<Vec<u8>>,
        parents: BTreeSet<Vec<u8>>,
    },
    /// Exactly these.
    These {
        names: BTreeSet<Vec<u8>>,
        parents: BTreeSet<Vec<u8>>,
    },
}

/// How much is selected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Entries.
    pub entries: u64,
    /// Bytes of the bodies of files, without holes of files that are stored sparse.
    pub bytes: u64,
}

impl Selection {
    /// What these paths mean in this archive: names of entries, with all below them, or globs. No paths: everything.
    /// `prefix` and `base` make places of names.
    ///
    /// # Errors
    /// If a path fits no entry, or a glob makes no sense.
    pub fn new(archive: &Archive, paths: &[Vec<u8>], prefix: Vec<u8>, base: Vec<u8>) -> Result<Self> {
        let wanted = if paths.is_empty() { Wanted::All } else { wanted(archive, paths)? };
        Ok(Self { prefix, base, wanted })
    }

    /// These names of a stream.
    pub fn of_names(names: &Names, prefix: Vec<u8>, base: Vec<u8>) -> Self {
        Self { prefix, base, wanted: names.wanted() }
    }

    /// Count what is selected.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn amount(&self, archive: &Archive) -> Result<Amount> {
        let mut amount = Amount::default();
        for entry in self.entries(archive) {
            let entry = entry?;
            if self.place(&entry.name).is_some() {
                amount.entries += 1;
                amount.bytes += entry.body();
            }
        }
        Ok(amount)
    }

    /// Places of what is selected by name, whose neighbours are none of our business; empty when all is selected.
    pub fn tops(&self) -> Vec<Vec<u8>> {
        match &self.wanted {
            Wanted::All => Vec::new(),
            Wanted::Below { names, .. } => names.iter().filter_map(|name| self.renamed(name)).collect(),
            Wanted::These { names, .. } => names.iter().filter_map(|name| self.renamed(name)).collect(),
        }
    }

    /// Places of folders that are there only for what is in them.
    pub fn kept(&self, archive: &Archive) -> Vec<Vec<u8>> {
        self.kept_with(!self.prefix.is_empty() && matches!(archive.find(&self.prefix), Ok(Some(_))))
    }

    /// [`Selection::kept`] where it is known whether the root of what is restored has an entry.
    pub fn kept_with(&self, root: bool) -> Vec<Vec<u8>> {
        let mut kept: Vec<_> = match &self.wanted {
            Wanted::All => Vec::new(),
            Wanted::Below { parents, .. } | Wanted::These { parents, .. } => {
                parents.iter().filter_map(|name| self.renamed(name)).collect()
            }
        };
        // Without an entry of its own the root is nobody's.
        if !root || !self.base.is_empty() {
            kept.push(Vec::new());
        }
        kept
    }

    fn renamed(&self, name: &[u8]) -> Option<Vec<u8>> {
        if self.prefix.is_empty() {
            return Some(name.to_vec());
        }
        let rest = name.strip_prefix(self.prefix.as_slice())?;
        match (rest.first(), self.base.is_empty()) {
            (None, _) => Some(self.base.clone()),
            (Some(b'/'), true) => Some(rest[1..].to_vec()),
            _ => None,
        }
    }
}

impl Choice for Selection {
    fn place(&self, name: &[u8]) -> Option<Vec<u8>> {
        let chosen = match &self.wanted {
            Wanted::All => true,
            Wanted::Below { names, parents } => {
                names.iter().any(|top| is_below(name, top)) || parents.contains(name)
            }
            Wanted::These { names, parents } => names.contains(name) || parents.contains(name),
        };
        if chosen { self.renamed(name) } else { None }
    }

    fn entries<'a>(&'a self, archive: &'a Archive) -> Box<dyn Iterator<Item = Result<EntryRecord>> + 'a> {
        match &self.wanted {
            Wanted::Below { names, parents } => {
                let above = parents.iter().filter_map(move |name| archive.find(name).transpose());
                Box::new(above.chain(names.iter().flat_map(move |name| archive.below(name))))
            }
            Wanted::All | Wanted::These { .. } => Box::new(archive.entries()),
        }
    }
}

fn wanted(archive: &Archive, paths: &[Vec<u8>]) -> Result<Wanted> {
    let cleaned: Vec<Vec<u8>> = paths.iter().map(|path| clean(path)).collect();
    let mut names = BTreeSet::new();
    let mut globs = Vec::new();
    for path in &cleaned {
        // A name is taken as it is before it is taken for a glob: `[` and `*` stand in names too.
        if archive.below(path).next().transpose()?.is_some() {
            names.insert(path.clone());
        } else if path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            globs.push(path);
        } else {
            return Err(no_such(path));
        }
    }
    if globs.is_empty() {
        return Ok(below(&names));
    }
    let matchers = globs.iter().map(|glob| Ok((*glob, matcher(glob)?))).collect::<Result<Vec<_>>>()?;
    let mut found = BTreeSet::new();
    let mut used = vec![false; matchers.len()];
    for entry in archive.entries() {
        let entry = entry?;
        let folder = entry.kind == crate::entry::Kind::Directory;
        let mut chosen = names.iter().any(|name| is_below(&entry.name, name));
        for (used, (_, matcher)) in used.iter_mut().zip(&matchers) {
            let fits = glob_fits(matcher, &entry.name, folder);
            *used |= fits;
            chosen |= fits;
        }
        if chosen {
            found.insert(entry.name);
        }
    }
    if let Some(((glob, _), _)) = matchers.iter().zip(&used).find(|(_, used)| !**used) {
        return Err(no_such(glob));
    }
    let parents =
        found.iter().flat_map(|name| parents(name)).filter(|parent| !found.contains(parent)).collect();
    Ok(Wanted::These { names: found, parents })
}

/// These names and all below them.
pub(super) fn below(names: &BTreeSet<Vec<u8>>) -> Wanted {
    let tops: Vec<Vec<u8>> = names
        .iter()
        .filter(|name| !names.iter().any(|other| other != *name && is_below(name, other)))
        .cloned()
        .collect();
    let parents = tops
        .iter()
        .flat_map(|name| parents(name))
        .filter(|parent| !tops.iter().any(|top| is_below(parent, top)));
    let parents = parents.collect();
    Wanted::Below { names: tops, parents }
}

pub(super) fn matcher(glob: &[u8]) -> Result<Override> {
    let text = std::str::from_utf8(glob)
        .map_err(|_| Error::usage(format!("glob {}: not UTF-8", printable(glob))))?;
    let wrong = |e: ignore::Error| Error::usage(format!("glob {}: {e}", printable(glob)));
    let mut builder = OverrideBuilder::new("");
    builder.add(text).map_err(wrong)?;
    builder.build().map_err(wrong)
}

pub(super) fn no_such(path: &[u8]) -> Error {
    Error::usage(format!(
        "the archive has no {}; names in it look like data/dir/file, see `tarkeep list ARCHIVE`",
        printable(path)
    ))
}

/// As names stand in archives: no slash at either end, no `./` at the beginning.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    loop {
        path = match path {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] | [rest @ .., b'/'] => rest,
            _ => return path.to_vec(),
        };
    }
}

/// The folders that a name stands in, from the outermost on.
pub(super) fn parents(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| name[..at].to_vec())
}
