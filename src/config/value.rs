//! A value as it was written, and where it was written.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// Where a value comes from. It reads as people would look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Set nowhere.
    Default,
    /// The configuration file: its path, and the job unless it stands above all jobs.
    File(PathBuf, Option<String>),
    /// The environment: the name of the variable.
    Variable(&'static str),
    /// A file that the environment names: the name of the variable, with `_FILE`, and the path in it.
    VariableFile(String, PathBuf),
    /// The command line: the flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, None) => f.write_str(&printable_path(path)),
            Self::File(path, Some(job)) => write!(f, "{}: job {job:?}", printable_path(path)),
            Self::Variable(name) => f.write_str(name),
            Self::VariableFile(name, path) => write!(f, "{name} ({})", printable_path(path)),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// One piece of text. Where a list is wanted, it is one with commas or line ends between its items.
    Text(OsString),
    /// Items, each taken as it is.
    Items(Vec<OsString>),
}

/// What was written, where, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What was written.
    pub written: Written,
    /// Where.
    pub origin: Origin,
    /// The setting's key in the file.
    pub key: &'static str,
}

impl Value {
    /// A usage error about this value, which says where it stands: `TARKEEP_MODE: "99": not octal; …`.
    pub fn wrong(&self, what: impl fmt::Display) -> Error {
        match &self.origin {
            Origin::File(..) => Error::usage(format!("{}: {}: {what}", self.origin, self.key)),
            Origin::Default => Error::usage(format!("{}: {what}", self.key)),
            origin => Error::usage(format!("{origin}: {what}")),
        }
    }

    /// The value as one piece of text.
    pub fn text(&self) -> Result<&str> {
        match &self.written {
            Written::Text(text) => self.utf8(text),
            Written::Items(items) => match items.as_slice() {
                [one] => self.utf8(one),
                _ => Err(self.wrong("one value is wanted here, not a list")),
            },
        }
    }

    /// The value read as `T`, whose own error says what is wrong and what to write instead.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T> {
        self.read(|text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The value read by `read`, whose error says what is wrong and what to write instead.
    pub fn read<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T> {
        read(self.text()?).map_err(|what| self.wrong(what))
    }

    /// The value as one path.
    pub fn path(&self) -> Result<PathBuf> {
        match &self.written {
            Written::Text(text) => Ok(PathBuf::from(text)),
            Written::Items(_) => Ok(PathBuf::from(self.text()?)),
        }
    }

    /// The value as a list. In text, commas and line ends separate the items, `\,` is a comma, and blanks around an
    /// item do not count.
    pub fn items(&self) -> Vec<OsString> {
        match &self.written {
            Written::Items(items) => items.clone(),
            Written::Text(text) => split(text.as_bytes()).into_iter().map(OsString::from_vec).collect(),
        }
    }

    /// The value as text of which nothing may be shown, not even in errors.
    pub fn secret(&self) -> Result<&str> {
        match &self.written {
            Written::Text(text) => text.to_str().ok_or_else(|| self.wrong("not UTF-8")),
            Written::Items(items) => match items.as_slice() {
                [one] => one.to_str().ok_or_else(|| self.wrong("not UTF-8")),
                _ => Err(self.wrong("one value is wanted here, not a list")),
            },
        }
    }

    /// [`Value::items`] as text.
    pub fn texts(&self) -> Result<Vec<String>> {
        self.items().iter().map(|item| self.utf8(item).map(str::to_owned)).collect()
    }

    /// The value for people, on one line.
    pub fn shown(&self) -> String {
        match &self.written {
            Written::Text(text) => printable(text.as_bytes()),
            Written::Items(items) => {
                let items: Vec<_> = items.iter().map(|item| printable(item.as_bytes())).collect();
                items.join(", ")
            }
        }
    }

    fn utf8<'a>(&self, text: &'a OsStr) -> Result<&'a str> {
        text.to_str().ok_or_else(|| self.wrong(format!("{}: not UTF-8", printable_path(Path::new(text)))))
    }
}

/// Split at commas and line ends. `\,` is a comma; every other backslash stays.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let item = items.last_mut().expect("there is always one");
        match byte {
            b'\\' if bytes.peek() == Some(&b',') => item.extend(bytes.next()),
            b',' | b'\n' => items.push(Vec::new()),
            other => item.push(other),
        }
    }
    items.into_iter().map(|item| item.trim_ascii().to_vec()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_at_commas_and_line_ends() {
        for (text, items) in [
            ("/data", vec!["/data"]),
            ("/a, /b\n/c\n", vec!["/a", "/b", "/c"]),
            (r"/a\,b,c\d", vec!["/a,b", r"c\d"]),
            (" , \n", vec![]),
        ] {
            let split: Vec<_> =
                split(text.as_bytes()).into_iter().map(|item| String::from_utf8(item).unwrap()).collect();
            assert_eq!(split, items, "{text:?}");
        }
    }
}
