//! One of the two that are compared: an archive with an index, one without, or a folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::reader::Reader;
use crate::archive::index::EntryRecord;
use crate::archive::reader::Archive;
use crate::archive::stream::{Input, Stream};
use crate::entry::{Entry, Found, Kind, Miss, Missed, name_order};
use crate::error::{Error, Result, cause_text};
use crate::extract::Expanded;
use crate::printable::{printable, printable_path};
use crate::restore::paths::clean;
use crate::source::{self, Options, Source};
use crate::stop::Stop;

/// The hash of a body.
pub type Digest = blake3::Hash;

/// A file whose ctime is this many seconds older than the scan that archived it was not written to since without its
/// ctime saying so: a store through a shared mapping moves it only some time later.
const SETTLED: i64 = 120;

/// Why one name could not be compared.
pub enum Failure {
    /// It could not be read: others can.
    Unread(String),
    /// Nothing can be read on.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// One entry.
pub enum Item<'a> {
    /// Of an index.
    Indexed(EntryRecord),
    /// Of an archive that was read through.
    Streamed(&'a Streamed),
    /// Of a folder.
    Live(Box<Entry>),
    /// Of a folder, and not to be had.
    Missed(Missed),
}

/// An entry of an archive that was read through.
pub struct Streamed {
    name: Vec<u8>,
    facts: Facts,
    /// The body's hash, of a file or a link to one.
    digest: Option<Digest>,
}

impl Item<'_> {
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Indexed(record) => &record.name,
            Self::Streamed(streamed) => &streamed.name,
            Self::Live(entry) => &entry.name,
            Self::Missed(missed) => &missed.name,
        }
    }

    pub fn kind(&self) -> Option<&Kind> {
        match self {
            Self::Indexed(record) => Some(&record.kind),
            Self::Streamed(streamed) => Some(&streamed.facts.kind),
            Self::Live(entry) => Some(&entry.kind),
            Self::Missed(_) => None,
        }
    }
}

/// All of an archive without an index.
pub struct Whole {
    items: Vec<Streamed>,
    shown: String,
}

impl Whole {
    /// Any archive, read to its end and kept in memory: its names, and for each entry about 300 bytes.
    ///
    /// # Errors
    /// If it is damaged, or `stop` asks.
    pub fn read(input: Input, path: &Path, stop: &Stop) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| {
            let damaged = || Error::damaged(format!("archive {}: {what}", printable_path(path)));
            stop.check().err().unwrap_or_else(damaged)
        };
        let mut stream = Stream::new(input);
        let mut items: Vec<Streamed> = Vec::new();
        while let Some(mut member) = stream.next_member().map_err(|bad| damaged(&bad))? {
            let name = clean(&member.name);
            if let Kind::Hardlink(target) = &mut member.kind {
                *target = clean(target);
            }
            let digest = if member.kind == Kind::File {
                let body = Expanded::of_member(&mut stream, &member);
                let digest = body.and_then(|mut body| digest_of(&mut body, stop));
                Some(
                    digest
                        .map_err(|e| damaged(&format!("body of {}: {}", printable(&name), cause_text(&e))))?,
                )
            } else {
                None
            };
            items.push(Streamed { name, facts: Facts::of_member(member, true), digest });
        }
        stream.finish().map_err(|bad| damaged(&bad))?;
        Ok(Self { items: in_order(items), shown: printable_path(path) })
    }
}

/// Goes through its entries by name.
pub struct Side<'a> {
    items: Box<dyn Iterator<Item = Result<Item<'a>>> + 'a>,
    reader: Option<Reader<'a>>,
    /// Where names are found again, for bodies of links.
    folder: Option<Folder>,
    /// When what is compared with it was archived: unchanged files need not be read.
    scanned: Option<i64>,
    last: Option<Vec<u8>>,
    shown: String,
}

struct Folder {
    path: PathBuf,
    root: Vec<u8>,
}

impl<'a> Side<'a> {
    /// An archive with an index.
    pub fn indexed(archive: &'a Archive) -> Self {
        let items = Box::new(archive.entries().map(|entry| entry.map(Item::Indexed)));
        let shown = printable_path(archive.path());
        Self { items, reader: Some(Reader::new(archive)), folder: None, scanned: None, last: None, shown }
    }

    /// An archive that was read through.
    pub fn streamed(whole: &'a Whole) -> Self {
        let items = Box::new(whole.items.iter().map(|item| Ok(Item::Streamed(item))));
        let shown = whole.shown.clone();
        Self { items, reader: None, folder: None, scanned: None, last: None, shown }
    }

    /// What is at this path now, `root` being its name in the archive that it is compared with; `scanned` is when that
    /// was made, in seconds since 1970, if its inodes are to be trusted.
    ///
    /// # Errors
    /// If there is nothing at the path, or it cannot be read.
    pub fn live(path: &Path, root: &[u8], options: &Options, scanned: Option<i64>) -> Result<Self> {
        let source = Source { name: walked(root), ..Source::new(path)? };
        let folder = Folder { path: source.path.clone(), root: root.to_vec() };
        // Walking refuses an empty folder, as that is what a missing mount looks like. Here it is an answer.
        let empty = source.path.read_dir().is_ok_and(|mut listing| listing.next().is_none());
        let walk = if empty { None } else { Some(source::walk(&[source], options)?) };
        let nameless = root.is_empty();
        let items = walk.into_iter().flatten().filter_map(move |found| item(found, nameless).map(Ok));
        let shown = printable_path(path);
        Ok(Self { items: Box::new(items), reader: None, folder: Some(folder), scanned, last: None, shown })
    }

    /// Only what this says yes to, by name and whether it is a folder.
    #[must_use]
    pub fn only(mut self, mut wanted: impl FnMut(&[u8], bool) -> bool + 'a) -> Self {
        self.items = Box::new(self.items.filter(move |item| match item {
            Ok(item) => wanted(item.name(), item.kind() == Some(&Kind::Directory)),
            Err(_) => true,
        }));
        self
    }

    /// The names of all entries.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn names(self) -> impl Iterator<Item = Result<Vec<u8>>> + 'a {
        self.items.map(|item| item.map(|item| item.name().to_vec()))
    }

    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>> {
        let Some(item) = self.items.next().transpose()? else { return Ok(None) };
        let walked = self.folder.is_some();
        if !walked && self.last.as_ref().is_some_and(|last| name_order(last, item.name()).is_ge()) {
            let name = printable(item.name());
            return Err(Error::damaged(format!("{}: {name} is not in the order of names", self.shown)));
        }
        self.last = Some(item.name().to_vec());
        Ok(Some(item))
    }

    /// Whether nothing can differ, without reading either.
    pub(super) fn surely_same(&self, item: &Item, other: &Side<'_>, others: &Item) -> Result<bool> {
        match (item, others) {
            (Item::Indexed(one), Item::Indexed(two)) => match (&self.reader, &other.reader) {
                (Some(a), Some(b)) => a.surely_same(one, b, two),
                _ => Ok(false),
            },
            (Item::Indexed(one), Item::Live(two)) => {
                let settled = other.scanned.is_some_and(|began| one.ctime.seconds < began - SETTLED);
                Ok(settled
                    && !one.changed
                    && !one.cut
                    && one.kind == two.kind
                    && (one.mode, one.uid, one.gid, one.size) == (two.mode, two.uid, two.gid, two.size)
                    && (one.mtime, one.ctime) == (two.mtime, two.ctime)
                    && (one.inode, one.device) == (two.inode, two.device))
            }
            _ => Ok(false),
        }
    }

    pub(super) fn facts(&mut self, item: &Item) -> Result<Facts, Failure> {
        match (item, &mut self.reader) {
            (Item::Indexed(record), Some(reader)) => Ok(reader.facts(record)?),
            (Item::Streamed(streamed), _) => Ok(streamed.facts.clone()),
            (Item::Live(entry), _) => Ok(Facts::of_entry(entry)),
            (Item::Missed(missed), _) => Err(Failure::Unread(missed.cause.clone())),
            (Item::Indexed(_), None) => Err(Failure::Unread("it has no archive".into())),
        }
    }

    /// Whether two bodies are the same, if hashes in the indexes say it.
    pub(super) fn same_body(&self, item: &Item, other: &Side<'_>, others: &Item) -> Result<Option<bool>> {
        match (item, others, &self.reader, &other.reader) {
            (Item::Indexed(one), Item::Indexed(two), Some(a), Some(b)) => a.same_pieces(one, b, two),
            _ => Ok(None),
        }
    }

    /// The hash of the body of a file, or of a link to one.
    pub(super) fn digest(&mut self, item: &mut Item, stop: &Stop) -> Result<Digest, Failure> {
        match (item, &mut self.reader) {
            (Item::Indexed(record), Some(reader)) => Ok(reader.digest(record, stop)?),
            (Item::Streamed(streamed), _) => {
                streamed.digest.ok_or_else(|| Failure::Unread("it is a link to nothing".into()))
            }
            (Item::Live(entry), _) => match &entry.kind {
                Kind::Hardlink(target) => {
                    let mut file = self.linked(target)?;
                    content(&mut file, stop)
                }
                _ => content(entry, stop),
            },
            (Item::Missed(missed), _) => Err(Failure::Unread(missed.cause.clone())),
            (Item::Indexed(_), None) => Err(Failure::Unread("it has no archive".into())),
        }
    }

    /// The file in the folder that a link leads to, found again by its name.
    fn linked(&self, target: &[u8]) -> Result<Entry, Failure> {
        use std::os::unix::ffi::OsStrExt as _;
        let gone =
            || Failure::Unread(format!("the file that it is a link to, {}, is gone", printable(target)));
        let folder = self.folder.as_ref().ok_or_else(gone)?;
        let below = target.strip_prefix(&folder.root[..]).ok_or_else(gone)?;
        let path = folder.path.join(std::ffi::OsStr::from_bytes(&clean(below)));
        let source = Source { name: target.to_vec(), path };
        match source::walk(&[source], &Options::default())?.next() {
            Some(Found::Entry(entry)) if entry.kind == Kind::File => Ok(*entry),
            _ => Err(gone()),
        }
    }
}

/// The name that a source is walked under: a source has one, and `.` stands for none.
fn walked(root: &[u8]) -> Vec<u8> {
    if root.is_empty() { b".".to_vec() } else { root.to_vec() }
}

fn item<'a>(found: Found, nameless: bool) -> Option<Item<'a>> {
    let name = |name: &mut Vec<u8>| {
        if nameless {
            *name = clean(name);
        }
    };
    match found {
        Found::Entry(mut entry) => {
            name(&mut entry.name);
            if let Kind::Hardlink(target) = &mut entry.kind {
                name(target);
            }
            Some(Item::Live(entry))
        }
        Found::Missed(Missed { what: Miss::Vanished, .. }) => None,
        Found::Missed(mut missed) => {
            name(&mut missed.name);
            Some(Item::Missed(missed))
        }
    }
}

/// By name; of several with one name the last, as extracting leaves it. Links get the hash of their files.
fn in_order(mut items: Vec<Streamed>) -> Vec<Streamed> {
    items.reverse();
    items.sort_by(|a, b| name_order(&a.name, &b.name));
    items.dedup_by(|later, earlier| later.name == earlier.name);
    for at in 0..items.len() {
        let mut target = at;
        // Links to links are made by some tools; a circle has no body.
        for _ in 0..40 {
            let Kind::Hardlink(name) = &items[target].facts.kind else { break };
            let Ok(next) = items.binary_search_by(|item| name_order(&item.name, name)) else { break };
            target = next;
        }
        items[at].digest = items[target].digest;
    }
    items
}

fn content(entry: &mut Entry, stop: &Stop) -> Result<Digest, Failure> {
    let Some(content) = &mut entry.content else {
        return Err(Failure::Unread("it has no body".into()));
    };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let unread = |e: io::Error| Failure::Unread(format!("read file: {}", cause_text(&e)));
    loop {
        stop.check()?;
        match content.read(&mut buffer).map_err(unread)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        };
    }
    if content.changed().map_err(unread)? {
        return Err(Failure::Unread("changed while it was read".into()));
    }
    Ok(hasher.finalize())
}

/// The hash of what this reads to its end.
pub fn digest_of(body: &mut dyn Read, stop: &Stop) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        stop.check().map_err(io::Error::other)?;
        match body.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        };
    }
}
