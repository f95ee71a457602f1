//! Which entries of an archive are restored, and where each goes.

use super::names::{Names, Wanted};
use crate::archive::index::EntryRecord;
use crate::archive::reader::Archive;
use crate::entry::is_below;
use crate::error::Result;
use crate::extract::Choice;

/// The part of an archive that goes to one place.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What the names in the archive begin with and the places do not: `data` when `data/x` goes back to `/data/x`.
    prefix: Vec<u8>,
    /// What the places begin with instead: the name of a source that is a single file.
    base: Vec<u8>,
    wanted: Wanted,
    /// Names that go elsewhere, with all that is below them.
    without: Vec<Vec<u8>>,
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
    /// What is wanted of an archive; `prefix` and `base` make places of names.
    pub fn new(names: &Names, prefix: Vec<u8>, base: Vec<u8>) -> Self {
        Self { prefix, base, wanted: names.wanted(), without: Vec::new() }
    }

    /// What the names in the archive begin with that the places do not.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// What of it goes to each of these places by itself, and then the rest, which goes around them.
    pub fn divided(&self, places: &[Vec<u8>]) -> (Vec<Self>, Self) {
        let named = |place: &Vec<u8>| {
            if self.prefix.is_empty() { place.clone() } else { [&self.prefix[..], b"/", place].concat() }
        };
        let names: Vec<_> = places.iter().map(named).collect();
        let below = |prefix: &[u8]| {
            let inner = names.iter().filter(|name| name.as_slice() != prefix && is_below(name, prefix));
            inner.cloned().collect()
        };
        let of = |name: &Vec<u8>| {
            let (prefix, without) = (name.clone(), below(name));
            Self { prefix, base: Vec::new(), wanted: self.wanted.clone(), without }
        };
        let inner = names.iter().map(of).collect();
        (inner, Self { without: below(&self.prefix), ..self.clone() })
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

    /// Places below which the target is to be as the archive has it; none where that is all of the target. What stands
    /// beside them is none of our business: beside a source that is a single file, the folder's other files.
    pub fn extent(&self) -> Option<Vec<Vec<u8>>> {
        let mut places = Vec::new();
        for top in self.wanted.tops() {
            if is_below(&self.prefix, top) {
                return self.single();
            }
            places.extend(self.renamed(top));
        }
        if matches!(self.wanted, Wanted::All) { self.single() } else { Some(places) }
    }

    fn single(&self) -> Option<Vec<Vec<u8>>> {
        (!self.base.is_empty()).then(|| vec![self.base.clone()])
    }

    /// Places of folders that are there only for what is in them; `root` is whether that of all has an entry.
    pub fn kept(&self, root: bool) -> Vec<Vec<u8>> {
        let mut kept: Vec<_> = self.wanted.parents().filter_map(|name| self.renamed(name)).collect();
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
        let elsewhere = self.without.iter().any(|folder| is_below(name, folder));
        if self.wanted.has(name) && !elsewhere { self.renamed(name) } else { None }
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
