//! Which entries of a stream are wanted: what typed paths mean is known when all names have come by.

use std::collections::BTreeSet;

use ignore::overrides::Override;

use super::paths::glob_fits;
use super::selection::{Wanted, below, clean, matcher, no_such, parents};
use crate::archive::reader::is_below;
use crate::error::Result;

/// Paths as they were typed, and what a stream has of them.
#[derive(Debug)]
pub struct Names {
    paths: Vec<Path>,
}

#[derive(Debug)]
struct Path {
    name: Vec<u8>,
    /// Whether there is something of just this name, or below it.
    there: bool,
    glob: Option<Result<Override>>,
    /// What fits the glob, or is below the name: kept only where there are globs.
    found: BTreeSet<Vec<u8>>,
}

impl Names {
    /// Names of entries, with all below them, or globs. None: everything.
    pub fn new(paths: &[Vec<u8>]) -> Self {
        let paths = paths.iter().map(|path| {
            let name = clean(path);
            let glob = name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')).then(|| matcher(&name));
            Path { name, there: false, glob, found: BTreeSet::new() }
        });
        Self { paths: paths.collect() }
    }

    /// Whether everything is wanted.
    pub fn all(&self) -> bool {
        self.paths.is_empty()
    }

    fn globs(&self) -> bool {
        self.paths.iter().any(|path| path.glob.is_some())
    }

    /// An entry comes by.
    pub fn see(&mut self, name: &[u8], folder: bool) {
        let globs = self.globs();
        for path in &mut self.paths {
            if is_below(name, &path.name) {
                // A name is taken as it is before it is taken for a glob.
                if !path.there {
                    path.found.clear();
                }
                path.there = true;
                if globs {
                    path.found.insert(name.to_vec());
                }
                continue;
            }
            let Some(Ok(glob)) = path.glob.as_ref().filter(|_| !path.there) else { continue };
            if glob_fits(glob, name, folder) {
                path.found.insert(name.to_vec());
            }
        }
    }

    /// Whether there was something of each path.
    ///
    /// # Errors
    /// If not, or a glob makes no sense.
    pub fn check(&mut self) -> Result<()> {
        match self.paths.iter_mut().find(|path| !path.there && path.found.is_empty()) {
            None => Ok(()),
            Some(path) => match path.glob.take() {
                Some(Err(error)) => Err(error),
                _ => Err(no_such(&path.name)),
            },
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        if self.all() {
            return Wanted::All;
        }
        if !self.globs() {
            return below(&self.paths.iter().map(|path| path.name.clone()).collect());
        }
        let names: BTreeSet<_> = self.paths.iter().flat_map(|path| path.found.iter().cloned()).collect();
        let above = names.iter().flat_map(|name| parents(name));
        let parents = above.filter(|parent| !names.contains(parent)).collect();
        Wanted::These { names, parents }
    }
}
