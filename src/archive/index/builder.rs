//! Building an index while an archive is written: records go in, in order; full pages are compressed at once.

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor};

use super::envelope::{Envelope, PIECE};
use super::footer::Footer;
use super::page::{PAGE_MAX, RECORDS, encode_entries, encode_segments};
use super::record::{About, EntryRecord, SegmentRecord, hash};
use super::table::{Page, PageKind, TABLE_MAX, encode_table};

/// A page of entries is closed when their names have so many bytes together: names far beyond `PATH_MAX` would
/// otherwise make one page fill the memory of whoever reads it.
const NAMES: usize = 1 << 20;

/// The index of an archive that is being written.
pub struct Builder {
    envelope: Envelope,
    segments: Vec<SegmentRecord>,
    entries: Vec<EntryRecord>,
    names: usize,
    stored: u64,
    raw: u64,
    first: (u64, u64),
    pages: Vec<Page>,
    bytes: Vec<Vec<u8>>,
    offset: u64,
    compressor: Compressor,
}

impl Builder {
    /// An index of nothing.
    pub fn new(envelope: Envelope) -> Self {
        let start = envelope.start_len();
        Self {
            envelope,
            segments: Vec::new(),
            entries: Vec::new(),
            names: 0,
            stored: start,
            raw: 0,
            first: (start, 0),
            pages: Vec::new(),
            bytes: Vec::new(),
            offset: 0,
            compressor: Compressor::new(CompressionLvl::new(7).expect("7 is a level of libdeflate")),
        }
    }

    /// The next segment in the file.
    pub fn segment(&mut self, record: SegmentRecord) {
        if self.segments.is_empty() {
            self.first = (self.stored, self.raw);
        }
        self.stored += record.stored;
        self.raw += record.raw;
        self.segments.push(record);
        if self.segments.len() == RECORDS {
            self.close_segments();
        }
    }

    /// The next entry in the tar stream.
    pub fn entry(&mut self, record: EntryRecord) {
        self.names += record.name.len();
        self.entries.push(record);
        if self.entries.len() == RECORDS || self.names >= NAMES {
            self.close_entries();
        }
    }

    /// Where the next segment starts, in the file and in the tar stream.
    pub fn next_segment(&self) -> (u64, u64) {
        (self.stored, self.raw)
    }

    /// Whether an archive with these pages of segments and of entries has the same data, byte for byte, and the same
    /// entries: all that may differ is what it says about itself. Nothing may be added afterwards.
    pub fn is_as_in(&mut self, segments: &[Page], entries: &[Page]) -> bool {
        self.close_segments();
        self.close_entries();
        let of = |segments: bool| {
            self.pages.iter().filter(move |page| matches!(page.kind, PageKind::Segments { .. }) == segments)
        };
        of(true).eq(segments) && of(false).eq(entries)
    }

    fn close_segments(&mut self) {
        let records = std::mem::take(&mut self.segments);
        if !records.is_empty() {
            let (stored, raw) = self.first;
            self.page(PageKind::Segments { stored, raw }, records.len(), &encode_segments(&records));
        }
    }

    fn close_entries(&mut self) {
        let records = std::mem::take(&mut self.entries);
        self.names = 0;
        if let Some(first) = records.first() {
            self.page(PageKind::Entries(first.name.clone()), records.len(), &encode_entries(&records));
        }
    }

    fn page(&mut self, kind: PageKind, count: usize, raw: &[u8]) {
        let bytes = compress(&mut self.compressor, raw);
        let stored = bytes.len() as u64;
        let page =
            Page { offset: self.offset, stored, raw: raw.len() as u64, hash: hash(&bytes), count, kind };
        self.pages.push(page);
        self.bytes.push(bytes);
        self.offset += stored;
    }

    /// Write the index members and the footer behind the data, which ends at this offset, and say how many bytes these are.
    ///
    /// # Errors
    /// What `out` said, or that the names are too long for an index to hold.
    pub fn finish(mut self, about: &About, data: u64, out: &mut dyn Write) -> io::Result<u64> {
        self.close_segments();
        self.close_entries();
        self.page(PageKind::About, 1, &encode_about(about)?);
        let table = encode_table(&self.pages);
        if table.len() as u64 > TABLE_MAX || self.pages.iter().any(|page| page.raw > PAGE_MAX) {
            return Err(io::Error::other("the names are too long for an index"));
        }
        let stored = compress(&mut self.compressor, &table);
        let too_long = |_| io::Error::other("the index is too long");
        let footer = Footer {
            envelope: self.envelope,
            start: data,
            length: self.offset + stored.len() as u64,
            table: self.offset,
            stored: u32::try_from(stored.len()).map_err(too_long)?,
            raw: u32::try_from(table.len()).map_err(too_long)?,
            hash: hash(&stored),
        };
        self.bytes.push(stored);

        let mut written = 0;
        let mut member = Vec::with_capacity(PIECE + 64);
        let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
        let mut put = |piece: &[u8]| {
            member.clear();
            self.envelope.put_piece(&mut member, piece);
            written += member.len() as u64;
            out.write_all(&member)
        };
        for bytes in &self.bytes {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(PIECE - piece.len()));
                piece.extend_from_slice(now);
                rest = later;
                if piece.len() == PIECE {
                    put(&piece)?;
                    piece.clear();
                }
            }
        }
        if !piece.is_empty() {
            put(&piece)?;
        }
        let footer = footer.encode();
        out.write_all(&footer)?;
        Ok(written + footer.len() as u64)
    }
}

/// The page about the archive. Names of what was missed that are too long for it are left out; the counts stay.
fn encode_about(about: &About) -> io::Result<Vec<u8>> {
    let mut about = about.clone();
    loop {
        let bytes = serde_json::to_vec(&about).map_err(io::Error::other)?;
        let report = &mut about.report;
        let noted = [&mut report.skipped.names, &mut report.changed.names, &mut report.vanished.names];
        if bytes.len() as u64 <= PAGE_MAX || noted.iter().all(|names| names.is_empty()) {
            return Ok(bytes);
        }
        for names in noted {
            names.truncate(names.len() / 2);
        }
    }
}

fn compress(compressor: &mut Compressor, raw: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; compressor.deflate_compress_bound(raw.len())];
    let length = compressor.deflate_compress(raw, &mut bytes).expect("the bound is large enough");
    bytes.truncate(length);
    bytes.shrink_to_fit();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::index::{FOOTER_LEN, decode_table};

    #[test]
    fn what_finish_says_it_wrote_is_what_the_footer_describes() {
        let mut out = Vec::new();
        let about = About {
            tool: "tarkeep 0".into(),
            job: "data".into(),
            sources: Vec::new(),
            instant: "2026-11-20T01:00:00+00:00".into(),
            zone: "UTC".into(),
            began: "2026-11-20T01:00:00Z".into(),
            ended: "2026-11-20T01:00:01Z".into(),
            codec: "gzip:6".into(),
            read: None,
            boot: None,
            report: crate::report::Report::default(),
        };
        let written = Builder::new(Envelope::Gzip).finish(&about, 26, &mut out).unwrap();
        assert_eq!(written, out.len() as u64);
        let footer = &out[out.len() - FOOTER_LEN as usize..];
        let footer = Footer::decode(footer, 26 + written).unwrap();
        assert_eq!(footer.start, 26);
        let index = &out[17..17 + footer.length as usize];
        let table = &index[footer.table as usize..];
        assert_eq!(footer.hash, hash(table));
        let mut raw = vec![0; footer.raw as usize];
        libdeflater::Decompressor::new().deflate_decompress(table, &mut raw).unwrap();
        let pages = decode_table(&raw, footer.table).unwrap();
        assert_eq!(pages.len(), 1);
        assert_eq!(pages[0].kind, PageKind::About);
    }
}
