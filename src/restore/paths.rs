//! PATHs of a command line: what they mean is decided here, for all that take them.
//!
//! Each is a name with all that is below it, or a glob, which brings all that is below what it fits. A name is taken as it
//! is before it is taken for a glob: `[` and `*` stand in names too. Which of the two it is an index tells at once; else it
//! is known when all names have come by.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::overrides::{Override, OverrideBuilder};

use crate::archive::reader::Archive;
use crate::entry::is_below;
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// A name as people type it or other tools write it, as our archives have it: no slash at either end, no `./` at the
/// beginning; `.` and `/` are the empty name, which everything is below.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    loop {
        path = match path {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] | [rest @ .., b'/'] => rest,
            b"." => return Vec::new(),
            _ => return path.to_vec(),
        };
    }
}

/// What was typed, and what was found of it. No paths: everything.
#[derive(Debug)]
pub struct Paths {
    typed: Vec<Typed>,
    /// The first name of the archive, for who does not know how names in it begin.
    first: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Typed {
    name: Vec<u8>,
    /// Whether there is something of just this name, or below it.
    there: bool,
    /// Of what looks like one.
    glob: Option<Result<Override>>,
    /// Whether the glob fitted something.
    fitted: bool,
}

/// How a path and the name of an entry go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Glob,
    /// And whether it is the first of just that name, so that it is known now.
    Name {
        first: bool,
    },
}

impl Paths {
    /// Understand what was typed. A glob that makes no sense is one only if nothing has just that name.
    pub fn new(paths: &[OsString]) -> Self {
        let typed = |path: &OsString| {
            let name = clean(path.as_bytes());
            let glob = name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')).then(|| matcher(&name));
            Typed { name, there: false, glob, fitted: false }
        };
        Self { typed: paths.iter().map(typed).collect(), first: None }
    }

    /// Whether everything is asked for.
    pub fn everything(&self) -> bool {
        self.typed.iter().all(|typed| typed.name.is_empty())
    }

    /// Learn from an index which are names.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn settle(&mut self, archive: &Archive) -> Result<()> {
        for typed in &mut self.typed {
            typed.there = archive.below(&typed.name).next().transpose()?.is_some();
        }
        self.first = archive.entries().next().transpose()?.map(|entry| entry.name);
        Ok(())
    }

    /// The names, if there are nothing but names as far as is known.
    pub fn names(&self) -> Option<Vec<Vec<u8>>> {
        let mut typed = self.typed.iter();
        let all = !self.typed.is_empty() && typed.all(|typed| typed.there || typed.glob.is_none());
        all.then(|| self.typed.iter().map(|typed| typed.name.clone()).collect())
    }

    /// Whether this entry is asked for, as far as is known.
    pub fn fit(&mut self, name: &[u8], folder: bool) -> bool {
        // Each of them, since each remembers what was found of it.
        let everything = self.typed.is_empty();
        self.fits(name, folder).fold(everything, |any, fit| any || fit != Fit::No)
    }

    /// How it fits each path.
    pub(super) fn fits(&mut self, name: &[u8], folder: bool) -> impl Iterator<Item = Fit> {
        self.first.get_or_insert_with(|| name.to_vec());
        self.typed.iter_mut().map(move |typed| typed.fit(name, folder))
    }

    /// Counting what the same paths found somewhere else.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (typed, other) in self.typed.iter_mut().zip(&other.typed) {
            typed.there |= other.there;
            typed.fitted |= other.fitted;
        }
        self
    }

    /// What to say of those for which nothing was found.
    ///
    /// # Errors
    /// If one of them is a glob that makes no sense.
    pub(super) fn missing(&mut self) -> Result<Option<String>> {
        let missing = || |typed: &&mut Typed| !typed.there && !typed.fitted;
        for typed in self.typed.iter_mut().filter(missing()) {
            if let Some(glob) = typed.glob.take() {
                typed.glob = Some(Ok(glob?));
            }
        }
        let names: Vec<_> =
            self.typed.iter_mut().filter(missing()).map(|typed| printable(&typed.name)).collect();
        Ok((!names.is_empty()).then(|| no_entry(&names.join(", "), self.first.as_deref())))
    }

    /// Whether something was found for each.
    ///
    /// # Errors
    /// That names those for which nothing was, or if a glob makes no sense.
    pub fn all_used(&mut self, archive: &Path) -> Result<()> {
        match self.missing()? {
            None => Ok(()),
            Some(missing) => Err(Error::failed(format!("archive {}: {missing}", printable_path(archive)))),
        }
    }
}

/// That an archive has nothing of these names, and how those that it has begin: with the source's path, which people leave
/// out.
pub fn no_entry(names: &str, first: Option<&[u8]>) -> String {
    let like =
        first.map_or_else(String::new, |first| format!("the first in it is {}, and ", printable(first)));
    format!("no entry {names}; {like}`tarkeep list ARCHIVE` shows what there is")
}

impl Typed {
    fn fit(&mut self, name: &[u8], folder: bool) -> Fit {
        if is_below(name, &self.name) {
            return Fit::Name { first: !std::mem::replace(&mut self.there, true) };
        }
        match &self.glob {
            Some(Ok(glob)) if !self.there && glob_fits(glob, name, folder) => {
                self.fitted = true;
                Fit::Glob
            }
            _ => Fit::No,
        }
    }
}

fn matcher(glob: &[u8]) -> Result<Override> {
    let text = std::str::from_utf8(glob)
        .map_err(|_| Error::usage(format!("glob {}: not UTF-8", printable(glob))))?;
    let wrong = |e: ignore::Error| Error::usage(format!("glob {}: {e}", printable(glob)));
    let mut builder = OverrideBuilder::new("");
    builder.add(text).map_err(wrong)?;
    builder.build().map_err(wrong)
}

/// Whether a glob fits this name, or a folder above it: that brings all that is in it.
fn glob_fits(glob: &Override, name: &[u8], folder: bool) -> bool {
    let fits =
        |name: &[u8], folder| glob.matched(String::from_utf8_lossy(name).as_ref(), folder).is_whitelist();
    fits(name, folder) || parents(name).any(|parent| fits(parent, true))
}

/// The folders that a name stands in, from the outermost on.
pub(super) fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_as_they_are_typed() {
        for (typed, meant) in [
            ("data/x", "data/x"),
            ("/data/x/", "data/x"),
            ("./data", "data"),
            (".", ""),
            ("./", ""),
            ("/", ""),
        ] {
            assert_eq!(clean(typed.as_bytes()), meant.as_bytes(), "{typed}");
        }
    }

    #[test]
    fn a_glob_fits_at_any_depth_unless_it_says_where() {
        let fits = |glob: &str, name: &str| Paths::new(&[glob.into()]).fit(name.as_bytes(), false);
        assert!(fits("*.rs", "data/a/x.rs") && !fits("*.rs", "data/x.rst"));
        assert!(fits("data/*/x.rs", "data/a/x.rs") && !fits("data/*.rs", "data/a/x.rs"));
        assert!(fits("a*", "data/ab/deep/x"), "what is in a folder that fits");
        assert!(fits("what[1]", "what[1]") && fits("what[1]", "what1"), "a name can look like a glob");
    }

    #[test]
    fn a_glob_that_makes_no_sense_can_be_a_name() {
        let mut paths = Paths::new(&["a[".into()]);
        assert!(!paths.fit(b"b", false) && paths.all_used(Path::new("x")).is_err());
        let mut paths = Paths::new(&["a[".into()]);
        assert!(paths.fit(b"a[", false) && paths.all_used(Path::new("x")).is_ok());
    }

    #[test]
    fn once_there_is_such_a_name_it_is_no_glob() {
        let mut paths = Paths::new(&["what[1]".into()]);
        assert!(paths.fit(b"what[1]", false) && !paths.fit(b"what1", false));
        assert_eq!(paths.names(), Some(vec![b"what[1]".to_vec()]));
    }
}
