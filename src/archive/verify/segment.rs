//! One segment, checked by itself: its bytes, and the tar headers in it against the index.

use std::sync::Arc;

use super::Depth;
use crate::archive::index::{EntryRecord, Hash, short};
use crate::archive::reader::{Decoder, Segment};
use crate::archive::store::Store;
use crate::archive::stream::{Member, Stream};
use crate::printable::printable;

/// A segment to check.
pub struct Job {
    /// Which.
    pub segment: Segment,
    /// What should be in it.
    pub holds: Holds,
}

/// What should be in a segment.
pub enum Holds {
    /// These entries, whose headers have this hash.
    Group { entries: Vec<EntryRecord>, headers: Hash },
    /// The headers of this entry.
    Header(EntryRecord),
    /// Bytes of this file's stored body from here on.
    Piece { name: Arc<[u8]>, from: u64 },
    /// Zeros.
    End,
    /// Nothing.
    Padding,
}

impl Job {
    fn place(&self) -> String {
        let Segment { number, offset, record, .. } = &self.segment;
        let what = match &self.holds {
            Holds::Group { entries, .. } => match entries.as_slice() {
                [] => "no entries".into(),
                [one] => printable(&one.name),
                [first, .., last] => format!("{} to {}", printable(&first.name), printable(&last.name)),
            },
            Holds::Header(entry) => format!("headers of {}", printable(&entry.name)),
            Holds::Piece { name, from } => {
                format!("{}, bytes {from} to {} of its body", printable(name), from + record.raw)
            }
            Holds::End => "end of the tar stream".into(),
            Holds::Padding => "padding".into(),
        };
        format!("segment {number} (offset {offset}, {what})")
    }
}

/// Checks segments one after the other.
pub struct Checker<'a> {
    store: &'a Store,
    depth: Depth,
    decoder: Decoder,
}

impl<'a> Checker<'a> {
    pub fn new(store: &'a Store, depth: Depth) -> Self {
        Self { store, depth, decoder: Decoder::new() }
    }

    /// Check one; the error says where and what.
    pub fn check(&mut self, job: &Job) -> Result<(), String> {
        let wrong = |what: String| format!("{}: {what}", job.place());
        if self.depth == Depth::Stored {
            return match self.decoder.stored(self.store, &job.segment) {
                Ok(_) => Ok(()),
                Err(fault) => Err(wrong(fault.to_string())),
            };
        }
        let raw = self.decoder.read(self.store, &job.segment).map_err(|fault| wrong(fault.to_string()))?;
        match &job.holds {
            Holds::Group { entries, headers } => group(raw, entries, headers).map_err(wrong),
            Holds::Header(entry) => {
                if entry.headers != raw.len() as u64 {
                    return Err(wrong("has another length than the headers in the index".into()));
                }
                headers(raw, entry).map(|_| ()).map_err(wrong)
            }
            Holds::End if raw.iter().any(|byte| *byte != 0) => Err(wrong("is not zero".into())),
            _ => Ok(()),
        }
    }
}

/// The entries of a group fill it without a gap, and their headers are those of the index.
fn group(raw: &[u8], entries: &[EntryRecord], expected: &Hash) -> Result<(), String> {
    let mut hasher = blake3::Hasher::new();
    let mut rest = raw;
    for entry in entries {
        let at = (raw.len() - rest.len()) as u64;
        if entry.offset != at {
            return Err(format!("the index has {} at {}, not at {at}", printable(&entry.name), entry.offset));
        }
        let found = headers(rest, entry)?;
        hasher.update(found);
        let all = entry
            .body()
            .checked_next_multiple_of(512)
            .and_then(|body| body.checked_add(entry.headers))
            .and_then(|all| usize::try_from(all).ok())
            .and_then(|all| rest.get(all..));
        rest = all.ok_or_else(|| format!("the body of {} does not end in it", printable(&entry.name)))?;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes at its end belong to no entry", rest.len()));
    }
    if short(&hasher.finalize()) != *expected {
        return Err("hash of its headers differs".into());
    }
    Ok(())
}

/// The headers that these bytes begin with, if they say what the index says.
fn headers<'a>(raw: &'a [u8], entry: &EntryRecord) -> Result<&'a [u8], String> {
    let name = || printable(&entry.name);
    let bytes = usize::try_from(entry.headers)
        .ok()
        .and_then(|length| raw.get(..length))
        .ok_or_else(|| format!("the headers of {} do not end in it", name()))?;
    let member = match Stream::new(bytes).next_member() {
        Ok(Some(member)) => member,
        Ok(None) => return Err(format!("the headers of {} are missing", name())),
        Err(bad) => return Err(format!("the headers of {}: {bad}", name())),
    };
    match difference(&member, entry) {
        None => Ok(bytes),
        Some(what) => Err(format!("{}: {what} in the tar header differs from the index", name())),
    }
}

fn difference(member: &Member, entry: &EntryRecord) -> Option<&'static str> {
    let checks = [
        (member.name == entry.name, "the name"),
        (member.kind == entry.kind, "the type or the link's target"),
        (member.mode == entry.mode, "the mode"),
        (member.uid == u64::from(entry.uid), "the owner"),
        (member.gid == u64::from(entry.gid), "the group"),
        (member.mtime == entry.mtime, "the time"),
        (member.size == entry.size, "the size"),
        (member.sparse == entry.sparse.is_some() && member.stored == entry.body(), "the stored size"),
        (member.headers == entry.headers, "the length of the headers"),
    ];
    checks.into_iter().find_map(|(same, what)| (!same).then_some(what))
}
