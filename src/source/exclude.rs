//! What is left out by rule.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::Options;
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// The first bytes of a `CACHEDIR.TAG` that means it.
pub(super) const CACHEDIR_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The patterns and marks of [`Options`], understood.
#[derive(Debug)]
pub(super) struct Rules {
    patterns: Gitignore,
    /// Names that mark their folder as left out.
    pub(super) marks: Vec<Vec<u8>>,
    /// Whether `CACHEDIR.TAG` is such a name, where it has the right content.
    pub(super) cachedir_tag: bool,
    /// Whether to stay in the file system of the source's root.
    pub(super) one_file_system: bool,
    /// What to leave out by itself, by device and inode.
    pub(super) leave_out: Vec<(u64, u64)>,
}

impl Rules {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in &options.exclude {
            builder.add_line(None, pattern).map_err(|error| wrong(pattern, None, &error))?;
        }
        for path in &options.exclude_from {
            let text = std::fs::read(path)
                .map_err(|e| Error::io("read patterns from", path, e).with_exit(crate::exit::Exit::Usage))?;
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
            for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let place = Some((path.as_path(), number + 1));
                let line =
                    std::str::from_utf8(line).map_err(|error| wrong(&printable(line), place, &error))?;
                builder.add_line(None, line).map_err(|error| wrong(line, place, &error))?;
            }
        }
        let patterns = builder.build().map_err(|error| wrong(&options.exclude.join(" "), None, &error))?;
        let mut marks = Vec::new();
        for mark in &options.exclude_if_present {
            let bytes = mark.as_bytes();
            if bytes.is_empty()
                || bytes == b"."
                || bytes == b".."
                || bytes.contains(&b'/')
                || bytes.contains(&0)
            {
                return Err(Error::usage(format!(
                    "{} cannot mark a folder to be left out: give the name of a file, without a slash",
                    printable(bytes)
                )));
            }
            marks.push(bytes.to_vec());
        }
        Ok(Self {
            patterns,
            marks,
            cachedir_tag: options.cachedir_tag,
            one_file_system: options.one_file_system,
            leave_out: options.leave_out.clone(),
        })
    }

    /// Whether this path below the source is left out by a pattern.
    pub(super) fn excludes(&self, path: &[u8], is_folder: bool) -> bool {
        !self.patterns.is_empty()
            && self.patterns.matched(Path::new(OsStr::from_bytes(path)), is_folder).is_ignore()
    }
}

fn wrong(pattern: &str, place: Option<(&Path, usize)>, cause: &dyn std::fmt::Display) -> Error {
    let place =
        place.map_or_else(String::new, |(path, line)| format!(" in line {line} of {}", printable_path(path)));
    Error::usage(format!(
        "the exclude pattern {}{place} cannot be understood: {}",
        printable(pattern.as_bytes()),
        printable(cause.to_string().as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn rules(patterns: &[&str]) -> Rules {
        let exclude = patterns.iter().map(ToString::to_string).collect();
        Rules::new(&Options { exclude, ..Options::default() }).unwrap()
    }

    #[test]
    fn patterns_follow_the_rules_of_gitignore() {
        // Pattern, path, folder or not, left out or not.
        let table: &[(&str, &str, bool, bool)] = &[
            ("*.log", "a.log", false, true),
            ("*.log", "x/y/a.log", false, true),
            ("*.log", "a.logs", false, false),
            ("/a.log", "a.log", false, true),
            ("/a.log", "x/a.log", false, false),
            ("cache/", "cache", true, true),
            ("cache/", "cache", false, false),
            ("cache/", "x/cache", true, true),
            ("x/cache", "x/cache", true, true),
            ("x/cache", "y/x/cache", true, false),
            ("**/x/cache", "y/x/cache", true, true),
            ("x/**", "x", true, false),
            ("x/**", "x/y/z", false, true),
            ("a?c", "abc", false, true),
            ("a?c", "a/c", false, false),
            ("[ab].c", "b.c", false, true),
            ("\\#x", "#x", false, true),
            ("#x", "#x", false, false),
            ("a\\ b", "a b", false, true),
            ("*.log", "a\nb.log", false, true),
            ("", "a", false, false),
        ];
        for (pattern, path, is_folder, out) in table {
            assert_eq!(rules(&[pattern]).excludes(path.as_bytes(), *is_folder), *out, "{pattern} {path:?}");
        }
        assert!(rules(&["*.x"]).excludes(b"\xff\xfe.x", false));
        let last_counts = rules(&["*.log", "!keep.log"]);
        assert!(last_counts.excludes(b"a.log", false));
        assert!(!last_counts.excludes(b"keep.log", false));
    }

    #[test]
    fn what_cannot_be_understood_is_a_usage_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("patterns");
        std::fs::write(&file, "fine\n{a\n").unwrap();
        let wrong = [
            (Options { exclude: vec!["{a".into()], ..Options::default() }, "{a"),
            (Options { exclude_from: vec![file], ..Options::default() }, "line 2"),
            (Options { exclude_from: vec!["/nowhere/x".into()], ..Options::default() }, "/nowhere/x"),
            (Options { exclude_if_present: vec!["a/b".into()], ..Options::default() }, "a/b"),
        ];
        for (options, named) in wrong {
            let error = options.check().unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
