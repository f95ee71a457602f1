//! Which entries of an archive are wanted: what typed paths bring is known when all names have come by.

use std::collections::BTreeSet;

use super::paths::{Fit, Paths, parents};
use crate::archive::reader::Archive;
use crate::entry::{Kind, is_below};
use crate::error::{Error, Result};

/// Paths as they were typed, and what an archive has of them.
#[derive(Debug)]
pub struct Names {
    paths: Paths,
    /// What each brings: kept only where there are globs.
    found: Vec<BTreeSet<Vec<u8>>>,
}

/// What is wanted.
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

impl Names {
    /// Of an archive whose names come by.
    pub fn new(paths: Paths) -> Self {
        Self { paths, found: Vec::new() }
    }

    /// Of an archive with an index, all of which is read only where there is a glob.
    ///
    /// # Errors
    /// If a path fits no entry, a glob makes no sense, or the index cannot be read.
    pub fn of(archive: &Archive, mut paths: Paths) -> Result<Self> {
        let everything = paths.everything();
        if !everything {
            paths.settle(archive)?;
        }
        let mut names = Self::new(paths);
        if !everything && names.paths.names().is_none() {
            for entry in archive.entries() {
                let entry = entry?;
                names.see(&entry.name, entry.kind == Kind::Directory);
            }
        }
        names.check()?;
        Ok(names)
    }

    /// Whether everything is wanted.
    pub fn all(&self) -> bool {
        self.paths.everything()
    }

    /// An entry comes by.
    pub fn see(&mut self, name: &[u8], folder: bool) {
        let globs = self.paths.names().is_none();
        for (number, fit) in self.paths.fits(name, folder).enumerate() {
            if self.found.len() <= number {
                self.found.push(BTreeSet::new());
            }
            let found = &mut self.found[number];
            // A glob was not meant.
            if fit == (Fit::Name { first: true }) {
                found.clear();
            }
            if globs && fit != Fit::No {
                found.insert(name.to_vec());
            }
        }
    }

    /// Whether there was something of each path.
    ///
    /// # Errors
    /// If not, or a glob makes no sense.
    pub fn check(&mut self) -> Result<()> {
        if self.all() {
            return Ok(());
        }
        match self.paths.missing()? {
            None => Ok(()),
            Some(missing) => Err(Error::usage(format!("the archive has {missing}"))),
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        match self.paths.names() {
            _ if self.all() => return Wanted::All,
            Some(names) => return Wanted::below(&names.into_iter().collect()),
            None => {}
        }
        let names: BTreeSet<_> = self.found.iter().flatten().cloned().collect();
        let above = names.iter().flat_map(|name| parents(name)).filter(|parent| !names.contains(*parent));
        let parents = above.map(<[u8]>::to_vec).collect();
        Wanted::These { names, parents }
    }
}

impl Wanted {
    /// These names and all below them.
    fn below(names: &BTreeSet<Vec<u8>>) -> Self {
        let within = |name: &[u8]| names.iter().any(|other| other != name && is_below(name, other));
        let tops: Vec<Vec<u8>> = names.iter().filter(|name| !within(name)).cloned().collect();
        let parents = tops.iter().flat_map(|name| parents(name)).map(<[u8]>::to_vec).collect();
        Self::Below { names: tops, parents }
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Below { names, parents } => {
                names.iter().any(|top| is_below(name, top)) || parents.contains(name)
            }
            Self::These { names, parents } => names.contains(name) || parents.contains(name),
        }
    }

    /// What is asked for by its own name; nothing of all.
    pub(super) fn tops(&self) -> impl Iterator<Item = &[u8]> {
        let (below, these) = match self {
            Self::All => (None, None),
            Self::Below { names, .. } => (Some(names), None),
            Self::These { names, .. } => (None, Some(names)),
        };
        below.into_iter().flatten().chain(these.into_iter().flatten()).map(Vec::as_slice)
    }

    /// Folders that only hold what is asked for.
    pub(super) fn parents(&self) -> impl Iterator<Item = &[u8]> {
        let parents = match self {
            Self::All => None,
            Self::Below { parents, .. } | Self::These { parents, .. } => Some(parents),
        };
        parents.into_iter().flatten().map(Vec::as_slice)
    }
}
