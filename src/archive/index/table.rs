//! The table of pages, which finds everything else in the index.

use super::bytes::{Cursor, Malformed, put_bytes, put_varint};
use super::page::{PAGE_MAX, RECORDS};
use super::record::Hash;

/// Bytes of the table of pages at most.
pub(crate) const TABLE_MAX: u64 = 256 << 20;

/// One line of the table of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it starts in the index.
    pub offset: u64,
    /// Its bytes there.
    pub stored: u64,
    /// Its bytes when decompressed.
    pub raw: u64,
    /// Hash of the stored bytes.
    pub hash: Hash,
    /// Number of records.
    pub count: usize,
    /// What they are.
    pub kind: PageKind,
}

/// What a page holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageKind {
    /// Segments, and where the first of them starts.
    Segments {
        /// Its offset in the file.
        stored: u64,
        /// Its offset in the tar stream.
        raw: u64,
    },
    /// Entries, and the name of the first of them.
    Entries(Vec<u8>),
    /// The archive as a whole.
    About,
}

/// The table of pages as it is before compression.
pub(super) fn encode_table(pages: &[Page]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, pages.len() as u64);
    for page in pages {
        out.push(match page.kind {
            PageKind::Segments { .. } => b'S',
            PageKind::Entries(_) => b'E',
            PageKind::About => b'M',
        });
        put_varint(&mut out, page.stored);
        put_varint(&mut out, page.raw);
        out.extend_from_slice(&page.hash);
        put_varint(&mut out, page.count as u64);
        match &page.kind {
            PageKind::Segments { stored, raw } => {
                put_varint(&mut out, *stored);
                put_varint(&mut out, *raw);
            }
            PageKind::Entries(first) => put_bytes(&mut out, first),
            PageKind::About => {}
        }
    }
    out
}

/// Read a table of pages, which together fill the index up to `end`.
///
/// # Errors
/// If it is not one.
pub fn decode_table(raw: &[u8], end: u64) -> Result<Vec<Page>, Malformed> {
    let mut cursor = Cursor::new(raw);
    let number: usize = cursor.small()?;
    // The shortest line has 20 bytes: so no more is ever allocated than the table is long.
    if number > raw.len() / 20 {
        return Err(Malformed("says more pages than it has room for"));
    }
    let mut pages = Vec::with_capacity(number);
    let mut offset = 0_u64;
    for index in 0..number {
        let letter = cursor.byte()?;
        let stored = cursor.varint()?;
        let raw = cursor.varint()?;
        let hash = cursor.array()?;
        let count = cursor.small()?;
        let kind = match letter {
            b'S' => PageKind::Segments { stored: cursor.varint()?, raw: cursor.varint()? },
            b'E' => PageKind::Entries(cursor.bytes()?.to_vec()),
            b'M' => PageKind::About,
            _ => return Err(Malformed("has a page of an unknown kind")),
        };
        if (kind == PageKind::About) != (index + 1 == number) {
            return Err(Malformed("does not have its page about the archive last"));
        }
        let most = if kind == PageKind::About { 1 } else { RECORDS };
        if !(1..=most).contains(&count) || raw > PAGE_MAX || stored == 0 || stored > 2 * raw + 64 {
            return Err(Malformed("has a page of an impossible size"));
        }
        pages.push(Page { offset, stored, raw, hash, count, kind });
        offset = offset.checked_add(stored).ok_or(Malformed("has a page of an impossible size"))?;
    }
    cursor.end()?;
    if pages.is_empty() || offset != end {
        return Err(Malformed("has pages that do not fill the index"));
    }
    Ok(pages)
}
