//! The pieces of large files in the base.

use super::Base;
use crate::archive::index::{EntryRecord, SegmentKind};
use crate::archive::reader::Segment;
use crate::entry::Kind;

impl Base {
    /// The pieces of this file's body, if it was a large one, stored with its holes.
    pub(in crate::archive) fn pieces(&self, record: &EntryRecord) -> Option<BasePieces<'_>> {
        let plain = record.kind == Kind::File && record.sparse.is_none();
        let header = self.segment(record.segment).filter(|_| plain)?;
        let first = record.segment.checked_add(1)?;
        (header.record.kind == SegmentKind::Header).then_some(BasePieces { base: self, next: first })
    }
}

/// The pieces of one large file in the base. What is wrong is kept for the report.
#[derive(Clone)]
pub(in crate::archive) struct BasePieces<'a> {
    base: &'a Base,
    next: u64,
}

impl Iterator for BasePieces<'_> {
    type Item = Segment;

    /// Ends behind the last one, and before one that is damaged. Padding may stand between them.
    fn next(&mut self) -> Option<Segment> {
        let segment = loop {
            let number = self.next;
            self.next = number.checked_add(1)?;
            let segment = self.base.segment(number)?;
            if segment.record.kind != SegmentKind::Padding {
                break segment;
            }
        };
        (segment.record.kind == SegmentKind::Piece).then_some(segment)
    }
}
