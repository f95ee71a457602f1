//! Entries that were only looked at, and what of them is taken over from the base.
//!
//! A group is taken over when exactly its entries come again, unchanged, where a full run would cut; until that is known
//! they wait, unread. A large file is taken over piece by piece. Everything else is opened and read, and even then a
//! segment with the bytes of one of the base is copied rather than compressed.

use std::collections::HashSet;

use super::base::{Base, BasePieces, Cursor, Group};
use super::body::{self, Then, Trouble};
use super::cut;
use super::header::{self, BLOCK};
use super::index::{EntryRecord, SegmentKind, hash};
use super::pipeline::{Halt, Raw, RawKind};
use super::writer::{Hint, Writer};
use crate::entry::{Content, Entry, Find, Found, Kind, Miss};
use crate::report::Report;

/// A [`Writer`] and what it builds on.
pub(super) struct Reuse<'a> {
    writer: Writer<'a>,
    cursor: Cursor<'a>,
    waiting: Option<Waiting>,
}

/// The first entries of a group of the base, found again.
struct Waiting {
    group: Group,
    entries: Vec<Entry>,
    headers: Vec<u8>,
    length: usize,
}

impl Waiting {
    /// The entry, if it is the next of the group; otherwise it comes back.
    fn take(&mut self, base: &Base, entry: Entry, headers: &[u8]) -> Option<Entry> {
        let fits = self.group.entries.get(self.entries.len()).is_some_and(|then| {
            then.name == entry.name
                && then.kind == entry.kind
                && then.headers == headers.len() as u64
                && then.offset == self.length as u64
                && (entry.kind != Kind::File || entry.content.is_none() && base.is_unchanged(&entry, then))
        });
        if !fits {
            return Some(entry);
        }
        self.headers.extend_from_slice(headers);
        self.length += weight(headers, &entry);
        self.entries.push(entry);
        None
    }

    /// Whether it is the whole group, with the same headers to the last byte: of a hard link the body may have moved to
    /// another name, and users and groups may have got other names.
    fn is_whole(&self) -> bool {
        self.entries.len() == self.group.entries.len()
            && self.length as u64 == self.group.segment.record.raw
            && self.group.segment.record.kind == SegmentKind::Group(hash(&self.headers))
    }
}

/// Bytes of an entry in the tar stream.
fn weight(headers: &[u8], entry: &Entry) -> usize {
    headers.len() + (entry.size as usize).next_multiple_of(BLOCK)
}

impl<'a> Reuse<'a> {
    pub fn new(writer: Writer<'a>, base: &'a Base) -> Self {
        Self { writer, cursor: Cursor::new(base), waiting: None }
    }

    /// Everything that is found, to the end of the stream.
    pub fn all(mut self, find: &mut impl Find) -> Result<Report, Halt> {
        while let Some(found) = find.next() {
            self.writer.stop.check()?;
            match found {
                Found::Missed(missed) => self.writer.report.miss(&missed),
                Found::Entry(entry) if self.cursor.base.compares() => self.compare(*entry, find)?,
                Found::Entry(entry) => self.add(*entry, find)?,
            }
        }
        self.close(None, find)?;
        self.writer.finish()
    }

    /// An entry that is read in any case, and held against the base if it should be as it was.
    fn compare(&mut self, entry: Entry, find: &mut impl Find) -> Result<(), Halt> {
        let base = self.cursor.base;
        // Where times tell nothing, all is open when it is found.
        let times_tell = entry.kind == Kind::File && entry.content.is_none();
        let entry = if times_tell {
            let Some(entry) = self.opened(&entry, find) else { return Ok(()) };
            entry
        } else {
            entry
        };
        let mut hint = Hint::default();
        if let Some(then) = self.cursor.record(&entry.name) {
            if self.writer.length() == 0 && then.offset == 0 {
                self.writer.same = base.segment(then.segment);
            }
            if times_tell && base.is_unchanged(&entry, &then) {
                if let Some(pieces) = base.pieces(&then) {
                    hint.body = Some(Then { pieces, name: Some(entry.name.clone()) });
                } else if then.sparse.is_none() {
                    hint.check = Some((then.segment, then.offset.saturating_add(then.headers)));
                }
            }
        }
        self.writer.add(entry, hint)
    }

    fn add(&mut self, entry: Entry, find: &mut impl Find) -> Result<(), Halt> {
        if self.writer.is_dropped(&entry) {
            return Ok(());
        }
        if entry.kind == Kind::File && entry.size >= cut::LARGE {
            return self.large(entry, find);
        }
        self.writer.headers.clear();
        header::append(&entry, None, false, &mut self.writer.headers);
        let weight = weight(&self.writer.headers, &entry);
        let mut entry = entry;
        if cut::ends_before(&entry.name, weight, self.length()) {
            let Some(now) = self.close(Some(entry), find)? else { return Ok(()) };
            entry = now;
            // Reading what waited has written over them.
            self.writer.headers.clear();
            header::append(&entry, None, false, &mut self.writer.headers);
        }
        if self.length() == 0
            && let Some(group) = self.cursor.group(&entry.name)
        {
            self.writer.same = Some(group.segment);
            self.waiting = Some(Waiting { group, entries: Vec::new(), headers: Vec::new(), length: 0 });
        }
        if let Some(waiting) = &mut self.waiting {
            let Some(back) = waiting.take(self.cursor.base, entry, &self.writer.headers) else {
                return Ok(());
            };
            let Some(now) = self.read_waiting(Some(back), find)? else { return Ok(()) };
            entry = now;
        }
        self.open(entry, find, None)
    }

    /// Bytes of the present group, read or waiting.
    fn length(&self) -> usize {
        self.waiting.as_ref().map_or_else(|| self.writer.length(), |waiting| waiting.length)
    }

    /// An entry that is read, opened if that has not been done.
    fn open(&mut self, entry: Entry, find: &mut impl Find, then: Option<BasePieces<'a>>) -> Result<(), Halt> {
        let hint = Hint { body: then.map(|pieces| Then { pieces, name: None }), check: None };
        if entry.kind != Kind::File || entry.content.is_some() {
            return self.writer.add(entry, hint);
        }
        match self.opened(&entry, find) {
            Some(entry) => self.writer.add(entry, hint),
            None => Ok(()),
        }
    }

    /// What was looked at, as it is now; noted as missed if it is not to be had.
    fn opened(&mut self, entry: &Entry, find: &mut impl Find) -> Option<Entry> {
        match find.open(entry)? {
            Found::Entry(entry) => Some(*entry),
            Found::Missed(missed) => {
                self.writer.report.miss(&missed);
                None
            }
        }
    }

    /// What waited is not to be taken over: read it. The entry that comes next is given back, as it is now.
    ///
    /// A file may be another by now than the one that was looked at, or be gone: what was found to be a link to it, under
    /// another name, is found anew. It may have to bring the body itself.
    fn read_waiting(&mut self, next: Option<Entry>, find: &mut impl Find) -> Result<Option<Entry>, Halt> {
        let Some(waiting) = self.waiting.take() else { return Ok(next) };
        let looked_at = |entry: &&Entry| entry.kind == Kind::File && entry.content.is_none();
        let names: HashSet<Vec<u8>> =
            waiting.entries.iter().filter(looked_at).map(|entry| entry.name.clone()).collect();
        let is_link = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink(file) if names.contains(file));
        for entry in waiting.entries {
            self.writer.stop.check()?;
            if !is_link(&entry) {
                self.open(entry, find, None)?;
            } else if let Some(entry) = self.opened(&entry, find) {
                self.writer.add(entry, Hint::default())?;
            }
        }
        Ok(match next {
            Some(entry) if is_link(&entry) => self.opened(&entry, find),
            next => next,
        })
    }

    /// The group ends here: take it over or send it on. The entry that comes next is given back, as it is now.
    fn close(&mut self, next: Option<Entry>, find: &mut impl Find) -> Result<Option<Entry>, Halt> {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.is_whole()) {
            let mut stored = self.writer.feed.buffer();
            if self.cursor.base.copy(&waiting.group.segment, &mut stored) {
                self.take_over(waiting, stored)?;
                return Ok(next);
            }
            self.waiting = Some(waiting);
            // It has just been found to be damaged.
            self.writer.same = None;
        }
        let next = self.read_waiting(next, find)?;
        self.writer.flush()?;
        Ok(next)
    }

    fn take_over(&mut self, waiting: Waiting, stored: Vec<u8>) -> Result<(), Halt> {
        let writer = &mut self.writer;
        writer.same = None;
        let mut records: Vec<EntryRecord> = Vec::with_capacity(waiting.entries.len());
        for (entry, then) in waiting.entries.into_iter().zip(&waiting.group.entries) {
            writer.progress.entry();
            writer.progress.read(entry.size);
            let headers = then.headers;
            records.push(EntryRecord { headers, ..writer.record(entry, then.offset) });
        }
        writer.feed.copied(&waiting.group.segment, stored)?;
        writer.feed.entries(records)
    }

    fn large(&mut self, entry: Entry, find: &mut impl Find) -> Result<(), Halt> {
        let Some(entry) = self.close(Some(entry), find)? else { return Ok(()) };
        let base = self.cursor.base;
        let then = self.cursor.record(&entry.name);
        let pieces = then.as_ref().and_then(|then| base.pieces(then));
        let unchanged = |then: &EntryRecord| base.is_unchanged(&entry, then);
        match pieces {
            Some(pieces) if entry.content.is_none() && then.as_ref().is_some_and(unchanged) => {
                self.take_over_large(entry, pieces, find)
            }
            pieces => self.open(entry, find, pieces),
        }
    }

    /// A large file that is unchanged: its pieces without opening it, but for those that are damaged.
    fn take_over_large(
        &mut self,
        entry: Entry,
        mut pieces: BasePieces<'a>,
        find: &mut impl Find,
    ) -> Result<(), Halt> {
        let base = self.cursor.base;
        let writer = &mut self.writer;
        writer.progress.entry();
        writer.headers.clear();
        header::append(&entry, None, false, &mut writer.headers);
        let size = entry.size;
        let end = size + header::padding(size) as u64;
        let piece = writer.feed.piece(size) as u64;
        let mut instead = Instead { entry: &entry, asked: false, content: None };
        let mut trouble = None;
        let number = writer.feed.next_segment();
        writer.send_headers()?;
        for at in (0..end).step_by(piece as usize) {
            writer.stop.check()?;
            let length = piece.min(end - at);
            let body = length.min(size.saturating_sub(at));
            writer.progress.read(body);
            let then = pieces.at(at).filter(|then| then.record.raw == length);
            let mut stored = writer.feed.buffer();
            if let Some(then) = then
                && base.copy(&then, &mut stored)
            {
                writer.feed.copied(&then, stored)?;
                continue;
            }
            let mut bytes = stored;
            bytes.clear();
            bytes.resize(length as usize, 0);
            let found = instead.read(&mut bytes[..body as usize], at, find);
            trouble = trouble.or(found);
            writer.feed.segment(Raw::new(RawKind::Other(SegmentKind::Piece), bytes))?;
        }
        let trouble = trouble.or_else(|| instead.changed());
        let mut record = EntryRecord { segment: number, ..writer.record(entry, 0) };
        if let Some(trouble) = trouble {
            record.changed = trouble.0 == Miss::Changed;
            record.cut = trouble.0 == Miss::Skipped;
            writer.miss(record.name.clone(), trouble);
        }
        writer.feed.entries(vec![record])
    }
}

/// The file itself, where the base cannot give a piece of it.
struct Instead<'a> {
    entry: &'a Entry,
    asked: bool,
    /// None after it was asked for: it is not to be had any more.
    content: Option<Box<dyn Content>>,
}

impl Instead<'_> {
    /// Its bytes from this offset on; where it is no longer what was looked at, zeros.
    fn read(&mut self, part: &mut [u8], at: u64, find: &mut impl Find) -> Option<Trouble> {
        if !std::mem::replace(&mut self.asked, true) {
            let same = |now: &Entry| (now.inode, now.device, now.size, now.mtime, now.ctime);
            if let Some(Found::Entry(now)) = find.open(self.entry)
                && same(&now) == same(self.entry)
            {
                self.content = now.content;
            }
        }
        let Some(content) = &mut self.content else { return Some(body::changed()) };
        match content.skip_to(at).and_then(|()| body::read_full(content.as_mut(), part)) {
            Ok(read) if read == part.len() => None,
            Ok(_) => Some(body::changed()),
            Err(error) => Some(body::unreadable(&error)),
        }
    }

    fn changed(&mut self) -> Option<Trouble> {
        let content = self.content.as_mut()?;
        match content.changed() {
            Ok(changed) => changed.then(body::changed),
            Err(error) => Some(body::unreadable(&error)),
        }
    }
}
