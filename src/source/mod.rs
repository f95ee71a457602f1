//! What is read: folders and files below a source, found in the order of their names and opened so that nothing
//! outside the source is ever read, nothing blocks, and the page cache is left as it was.

mod accounts;
mod again;
mod content;
mod database;
mod exclude;
mod folder;
mod open;
mod steady;
mod walk;
mod xattr;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::entry::{is_below, name_order};
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};
use crate::stop::Stop;

pub use database::{Database, DatabaseKind};
pub use steady::Steady;
pub use walk::{Amount, Walk};

/// A folder or a file to be archived, and the name that it has in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What the names of its entries begin with: `data` for `/data/`.
    pub name: Vec<u8>,
}

impl Source {
    /// The source at this path, with the name that `tar -zcf X /data/` gives: the path without its leading slash, and
    /// without `.`, `..` and doubled slashes, which are resolved by their letters alone.
    ///
    /// A relative path keeps the name that was typed (`./photos/` is `photos`), unless there is nothing left of it or
    /// it climbs with `..`: then it has the name of the absolute path. `/` itself is called `root`.
    ///
    /// Whether there is anything at the path is found out by [`walk()`].
    ///
    /// # Errors
    /// If the path is empty, holds a zero byte, or is relative while the current folder is gone.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let typed = path.as_ref();
        if typed.as_os_str().is_empty() {
            return Err(Error::usage("the path of the source is empty"));
        }
        if typed.as_os_str().as_bytes().contains(&0) {
            return Err(Error::usage(format!(
                "the source {} has a zero byte in its path",
                printable_path(typed)
            )));
        }
        let absolute = std::path::absolute(typed).map_err(|e| Error::io("find the source", typed, e))?;
        let climbs = typed.components().any(|part| part == Component::ParentDir);
        let mut name = if typed.is_absolute() || climbs { cleaned(&absolute) } else { cleaned(typed) };
        if name.is_empty() {
            name = cleaned(&absolute);
        }
        if name.is_empty() {
            name = b"root".to_vec();
        }
        Ok(Self { path: absolute, name })
    }
}

/// The names in this path, joined by slashes; `..` takes one back.
fn cleaned(path: &Path) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.as_bytes()),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join(&b'/')
}

/// How archives say what they are of, and know it again: these paths, absolute, without a slash at their ends, ascending.
pub fn said(paths: &[PathBuf]) -> Vec<String> {
    let whole = |path: &PathBuf| -> PathBuf {
        // Where the current folder is gone nothing relative can be archived either.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        absolute.components().collect()
    };
    let mut said: Vec<String> = paths.iter().map(|path| printable_path(&whole(path))).collect();
    said.sort();
    said.dedup();
    said
}

/// What to leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Patterns by the rules of `.gitignore`, matched against the path below the source; the last that fits counts.
    pub exclude: Vec<String>,
    /// Files with such patterns, one a line. They count after [`Options::exclude`], in this order.
    pub exclude_from: Vec<PathBuf>,
    /// Of a folder with a valid `CACHEDIR.TAG` in it, archive only the folder itself and the tag
    /// (<https://bford.info/cachedir/>).
    pub cachedir_tag: bool,
    /// Of a folder in which one of these names exists, archive only the folder itself and what has such a name.
    pub exclude_if_present: Vec<OsString>,
    /// Archive folders that other file systems are mounted on as empty ones.
    pub one_file_system: bool,
    /// Only look at regular files where their times can be trusted to tell a change, and leave it to
    /// [`Find::open`](crate::entry::Find::open) to open them.
    pub look: bool,
    /// Folders and files to leave out, by device and inode: where archives are kept or written, if that is inside the
    /// source.
    pub leave_out: Vec<(u64, u64)>,
}

impl Options {
    /// Whether all patterns can be understood and all files with patterns be read. [`walk()`] does this too.
    ///
    /// # Errors
    /// A usage error that names the first pattern, file or name that is wrong.
    pub fn check(&self) -> Result<()> {
        exclude::Rules::new(self).map(drop)
    }
}

/// Walk these sources, ascending by name: everything that is found comes ascending by name, compared with `/` as the
/// smallest byte, each folder before what is in it.
///
/// # Errors
/// If a pattern is wrong, two sources have the same name or one inside the other, or a source is missing, cannot be
/// read, or is an empty folder, which is what a missing mount looks like. Whatever happens to single entries later is
/// [`Found::Missed`](crate::entry::Found::Missed).
pub fn walk(sources: &[Source], options: &Options) -> Result<Walk> {
    let mut sources: Vec<&Source> = sources.iter().collect();
    sources.sort_by(|a, b| name_order(&a.name, &b.name));
    for pair in sources.windows(2) {
        let (outer, inner) = (&pair[0].name, &pair[1].name);
        if is_below(inner, outer) {
            return Err(Error::usage(format!(
                "the sources {} and {} would have the names {} and {} in the archive: give each its own, and none \
                 inside another",
                printable_path(&pair[0].path),
                printable_path(&pair[1].path),
                printable(outer),
                printable(inner)
            )));
        }
    }
    Walk::new(&sources, options)
}

/// Count what a walk of these sources would find, without opening a file. Asked to stop, it counts no further.
///
/// # Errors
/// As those of [`walk()`].
pub fn count(sources: &[Source], options: &Options, stop: &Stop) -> Result<Amount> {
    Ok(walk(sources, options)?.count(stop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_tar_would_write() {
        let name = |path: &str| String::from_utf8(Source::new(path).unwrap().name).unwrap();
        for path in ["/data", "/data/", "//data//", "/data/.", "/x/../data", "/../data"] {
            assert_eq!(name(path), "data", "{path}");
        }
        assert_eq!(name("/srv/a b/c"), "srv/a b/c");
        for path in ["photos", "./photos/", "photos/.", ".//photos"] {
            assert_eq!(name(path), "photos", "{path}");
        }
        let cwd = std::env::current_dir().unwrap();
        let cwd = cwd.to_str().unwrap().trim_start_matches('/').to_owned();
        assert_eq!(name("."), cwd);
        assert_eq!(name("a/.."), cwd);
        assert!(!name("../photos").contains(".."));
        assert_eq!(name("/"), "root");
        assert_eq!(name("/.."), "root");
        assert!(Source::new("").is_err());
        assert!(Source::new("a\0b").is_err());
    }

    #[test]
    fn paths_that_are_the_same_are_said_in_one_way() {
        let of = |paths: &[&str]| said(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["/srv/./b/", "/a//", "/a"]), ["/a", "/srv/b"]);
        assert_eq!(of(&["x"]), of(&["./x/"]));
        assert!(of(&["x"])[0].starts_with('/') && of(&["x"])[0].ends_with("/x"));
        assert_eq!(of(&["/"]), ["/"]);
    }

    #[test]
    fn sources_with_one_name_are_refused() {
        let source = |path: &str, name: &str| Source { path: path.into(), name: name.into() };
        for pair in [
            [source("/tmp", "a"), source("/", "a")],
            [source("/tmp", "a/b"), source("/", "a")],
            [source("/tmp", "a"), source("/", "a/b/c")],
        ] {
            let error = walk(&pair, &Options::default()).unwrap_err();
            assert_eq!(error.exit(), crate::exit::Exit::Usage, "{error}");
        }
    }
}
