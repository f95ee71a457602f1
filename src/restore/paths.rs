//! PATHs of a command line: names in an archive with all that is below them, or globs.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::overrides::Override;

use super::selection::{self, matcher, parents};
use crate::archive::reader::is_below;
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// A name as people type it or other tools write it, as our archives have it: no slash at either end, no `./` at the
/// beginning; `.` and `/` are the empty name, which everything is below.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let name = selection::clean(path);
    if name == b"." { Vec::new() } else { name }
}

/// What was typed, and whether anything was found for each. No paths: everything.
pub struct Paths(Vec<Typed>);

struct Typed {
    name: Vec<u8>,
    /// What looks like a glob is one and a name too: `[` and `*` stand in names.
    glob: Option<Override>,
    used: bool,
}

impl Paths {
    /// Understand what was typed.
    ///
    /// # Errors
    /// If a glob makes no sense.
    pub fn new(paths: &[OsString]) -> Result<Self> {
        let typed = |path: &OsString| {
            let name = clean(path.as_bytes());
            let glob = name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
            let glob = if glob { Some(matcher(&name)?) } else { None };
            Ok(Typed { name, glob, used: false })
        };
        paths.iter().map(typed).collect::<Result<_>>().map(Self)
    }

    /// The names, if there are nothing but names.
    pub fn names(&self) -> Option<Vec<Vec<u8>>> {
        let all = !self.0.is_empty() && self.0.iter().all(|typed| typed.glob.is_none());
        all.then(|| self.0.iter().map(|typed| typed.name.clone()).collect())
    }

    /// Whether this entry is asked for.
    pub fn fit(&mut self, name: &[u8], folder: bool) -> bool {
        let mut fits = self.0.is_empty();
        for typed in &mut self.0 {
            if is_below(name, &typed.name)
                || typed.glob.as_ref().is_some_and(|glob| glob_fits(glob, name, folder))
            {
                typed.used = true;
                fits = true;
            }
        }
        fits
    }

    /// Counting what the same paths found somewhere else.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(typed, other)| typed.used |= other.used);
        self
    }

    /// Whether something was found for each.
    ///
    /// # Errors
    /// That names those for which nothing was.
    pub fn all_used(&self, archive: &Path) -> Result<()> {
        let missing: Vec<_> =
            self.0.iter().filter(|typed| !typed.used).map(|typed| printable(&typed.name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::failed(format!("archive {}: no entry {}", printable_path(archive), missing.join(", "))))
    }
}

/// Whether a glob fits this name, or a folder above it: that brings all that is in it.
pub(super) fn glob_fits(glob: &Override, name: &[u8], folder: bool) -> bool {
    let fits =
        |name: &[u8], folder| glob.matched(String::from_utf8_lossy(name).as_ref(), folder).is_whitelist();
    fits(name, folder) || parents(name).any(|parent| fits(&parent, true))
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
        let fits = |glob: &str, name: &str| Paths::new(&[glob.into()]).unwrap().fit(name.as_bytes(), false);
        assert!(fits("*.rs", "data/a/x.rs") && !fits("*.rs", "data/x.rst"));
        assert!(fits("data/*/x.rs", "data/a/x.rs") && !fits("data/*.rs", "data/a/x.rs"));
        assert!(fits("a*", "data/ab/deep/x"), "what is in a folder that fits");
        assert!(fits("what[1]", "what[1]") && fits("what[1]", "what1"), "a name can look like a glob");
        assert!(Paths::new(&["a[".into()]).is_err());
    }
}
