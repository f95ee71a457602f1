//! Headers and bodies of an archive with an index, one after the other: the segment that was used last is kept.

use std::io::Read;

use super::facts::Facts;
use super::side::{Digest, digest_of};
use crate::archive::index::{EntryRecord, SegmentKind};
use crate::archive::reader::{Archive, Body, Segment};
use crate::archive::stream::Stream;
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::extract::Expanded;
use crate::printable::{printable, printable_path};
use crate::stop::Stop;

/// Reads entries in the order of the archive.
pub struct Reader<'a> {
    pub archive: &'a Archive,
    number: Option<u64>,
    raw: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub fn new(archive: &'a Archive) -> Self {
        Self { archive, number: None, raw: Vec::new() }
    }

    fn raw(&mut self, number: u64) -> Result<&[u8]> {
        if self.number != Some(number) {
            self.number = None;
            self.raw = self.archive.read_segment(number)?;
            self.number = Some(number);
        }
        Ok(&self.raw)
    }

    fn lying(&self, record: &EntryRecord) -> Error {
        let archive = printable_path(self.archive.path());
        Error::damaged(format!(
            "archive {archive}: what the index says of {} is not so",
            printable(&record.name)
        ))
    }

    /// What the headers say; they hold more than the index does.
    pub fn facts(&mut self, record: &EntryRecord) -> Result<Facts> {
        let raw = self.raw(record.segment)?.get(record.offset as usize..).unwrap_or_default();
        match Stream::new(raw).next_member() {
            Ok(Some(member)) if member.name == record.name => Ok(Facts::of_member(member, false)),
            _ => Err(self.lying(record)),
        }
    }

    /// The hash of a file's body; of a link's, that of the file.
    pub fn digest(&mut self, record: &EntryRecord, stop: &Stop) -> Result<Digest> {
        if let Kind::Hardlink(target) = &record.kind {
            let file = self.archive.find(target)?.filter(|file| file.kind == Kind::File);
            return self.digest(&file.ok_or_else(|| self.lying(record))?, stop);
        }
        let group = matches!(self.archive.segment(record.segment)?.record.kind, SegmentKind::Group(_));
        if group && record.sparse.is_none() {
            let start = record.offset.saturating_add(record.headers) as usize;
            let end = start.saturating_add(record.size as usize);
            let body = self.raw(record.segment)?.get(start..end).map(blake3::hash);
            return body.ok_or_else(|| self.lying(record));
        }
        let body = Expanded::new(self.archive.body(record), record.size, record.sparse.is_some());
        let digest = body.and_then(|mut body| digest_of(&mut body as &mut dyn Read, stop));
        digest.map_err(|e| {
            let what = format!(
                "archive {}: body of {}",
                printable_path(self.archive.path()),
                printable(&record.name)
            );
            Body::error(e, what)
        })
    }

    /// The segments that a large file's body stands in.
    fn pieces(&self, record: &EntryRecord) -> impl Iterator<Item = Result<Segment>> {
        let mut left = record.body();
        let mut number = record.segment;
        std::iter::from_fn(move || {
            (left > 0).then(|| {
                number += 1;
                let segment = self.archive.segment(number)?;
                if segment.record.kind != SegmentKind::Piece || segment.record.raw == 0 {
                    left = 0;
                    return Err(self.lying(record));
                }
                left = left.saturating_sub(segment.record.raw);
                Ok(segment)
            })
        })
    }

    /// Whether header and body stand in segments with equal hashes, at the same place.
    pub fn surely_same(&self, record: &EntryRecord, other: &Self, others: &EntryRecord) -> Result<bool> {
        let (one, two) =
            (self.archive.segment(record.segment)?.record, other.archive.segment(others.segment)?.record);
        let place = |record: &EntryRecord| (record.offset, record.headers, record.body(), record.sparse);
        if one.kind != two.kind || one.raw_hash != two.raw_hash || place(record) != place(others) {
            return Ok(false);
        }
        Ok(one.kind != SegmentKind::Header || self.same_pieces(record, other, others)? == Some(true))
    }

    /// Whether the bodies of two large files are the same, as far as the hashes of their pieces say it.
    pub fn same_pieces(
        &self,
        record: &EntryRecord,
        other: &Self,
        others: &EntryRecord,
    ) -> Result<Option<bool>> {
        let large = |reader: &Self, record: &EntryRecord| {
            let segment = reader.archive.segment(record.segment)?;
            Ok::<_, Error>(record.kind == Kind::File && segment.record.kind == SegmentKind::Header)
        };
        if !large(self, record)? || !large(other, others)? || record.body() != others.body() {
            return Ok(None);
        }
        if record.sparse != others.sparse {
            return Ok(None);
        }
        for (one, two) in self.pieces(record).zip(other.pieces(others)) {
            let (one, two) = (one?.record, two?.record);
            if one.raw != two.raw {
                return Ok(None);
            }
            if one.raw_hash != two.raw_hash {
                // Another map may say the same of another part of the data.
                return Ok(if record.sparse.is_some() { None } else { Some(false) });
            }
        }
        Ok(Some(true))
    }
}
