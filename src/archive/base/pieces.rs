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
        let body = header.raw_offset.checked_add(header.record.raw)?;
        (header.record.kind == SegmentKind::Header).then_some(BasePieces { base: self, next: first, body })
    }
}

/// The pieces of one large file in the base. What is wrong is kept for the report.
#[derive(Clone)]
pub(in crate::archive) struct BasePieces<'a> {
    base: &'a Base,
    next: u64,
    /// Where the body begins in the tar stream.
    body: u64,
}

impl BasePieces<'_> {
    /// The piece that begins at this offset of the body. Offsets are asked for in their order. None where it is damaged, or
    /// no piece begins.
    ///
    /// Pieces are not counted: where a page of the index is damaged, nobody knows how much padding stood on it.
    pub fn at(&mut self, offset: u64) -> Option<Segment> {
        let wanted = self.body.checked_add(offset)?;
        loop {
            let next = self.next.checked_add(1)?;
            let Some(segment) = self.base.segment(self.next) else {
                self.next = next;
                return None;
            };
            let is_piece = segment.record.kind == SegmentKind::Piece;
            let is_behind = segment.raw_offset > wanted;
            if is_behind || !is_piece && segment.record.kind != SegmentKind::Padding {
                return None;
            }
            self.next = next;
            if is_piece && segment.raw_offset == wanted {
                return Some(segment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;

    use super::*;
    use crate::archive::base::tests::{about, pair};
    use crate::archive::base::{Purpose, Rule};
    use crate::archive::index::{Builder, Envelope, SegmentRecord};
    use crate::archive::padding;
    use crate::archive::reader::{Archive, Opened, from_store};
    use crate::archive::store::Store;

    const PIECE: u64 = 256 * 1024;
    const PIECES: u64 = 2600;

    /// An archive of one large file, its index on three pages, with padding before every hundredth piece. Nothing of it is
    /// real but the index; the offset where that begins.
    fn of_pieces() -> (File, u64) {
        let mut index = Builder::new(Envelope::Gzip);
        let record = |kind, raw| SegmentRecord {
            kind,
            stored: 512,
            raw,
            crc: 0,
            raw_hash: [0; 16],
            stored_hash: [0; 16],
        };
        index.segment(record(SegmentKind::Header, 512));
        for number in 0..PIECES {
            if number % 100 == 99 {
                index.segment(padding::record(&padding::padding(Envelope::Gzip, 20)));
            }
            index.segment(record(SegmentKind::Piece, PIECE));
        }
        index.segment(record(SegmentKind::End, 1024));
        let (stored, raw) = index.next_segment();
        index.entry(EntryRecord { size: PIECES * PIECE, ..pair(9999, 9999).1 });
        let mut file = tempfile::tempfile().unwrap();
        let data = [vec![0; stored as usize], Envelope::Gzip.end(0, raw)].concat();
        file.write_all(&data).unwrap();
        index.finish(&about(), data.len() as u64, &mut file).unwrap();
        (file, data.len() as u64)
    }

    fn archive(file: &File) -> Archive {
        let store = Store::plain(file.try_clone().unwrap()).unwrap();
        let Ok(Opened::Indexed(archive)) = from_store(store, Path::new("x")) else { panic!("no index") };
        *archive
    }

    /// Damage the index so that its second page of segments cannot be read, and nothing else.
    fn damage_the_second_page(file: &File, from: u64) {
        for at in (from..file.metadata().unwrap().len()).step_by(50) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
            if let Ok(Opened::Indexed(archive)) =
                from_store(Store::plain(file.try_clone().unwrap()).unwrap(), Path::new("x"))
                && [0, 1500, 2500].map(|number| archive.segment(number).is_ok()) == [true, false, true]
            {
                return;
            }
            file.write_all_at(&byte, at).unwrap();
        }
        panic!("no byte is of that page alone");
    }

    #[test]
    fn what_stands_behind_a_damaged_page_of_the_index_is_not_taken_for_what_stood_before_it() {
        let (file, index) = of_pieces();
        damage_the_second_page(&file, index);
        let base = Base::new(archive(&file), &about(), Rule::Strict, Purpose::Reuse).unwrap();
        let record = EntryRecord { size: PIECES * PIECE, ..pair(9999, 9999).1 };
        let mut pieces = base.pieces(&record).unwrap();
        let found: Vec<bool> = (0..PIECES)
            .map(|number| {
                let piece = pieces.at(number * PIECE);
                assert!(
                    piece.is_none_or(|piece| piece.raw_offset == 512 + number * PIECE),
                    "{number}: {piece:?}"
                );
                piece.is_some()
            })
            .collect();
        assert!(found[0] && !found[1500] && found[2599], "{found:?}");
    }
}
