//! The index: what finds segments and entries in an archive without reading the rest. Byte by byte in `docs/format.md`.

mod builder;
mod bytes;
mod envelope;
mod footer;
mod page;
mod record;
mod table;

use std::cmp::Ordering;

pub use builder::Builder;
pub use bytes::Malformed;
pub use envelope::Envelope;
pub(crate) use envelope::PIECE;
pub use footer::{FOOTER_LEN, Footer};
pub use page::{decode_entries, decode_segments};
pub use record::{About, EntryRecord, Hash, SegmentKind, SegmentRecord, hash, short};
pub(crate) use table::TABLE_MAX;
pub use table::{Page, PageKind, decode_table};

/// The order of names in an archive: by bytes, `/` before all others, so that a folder stands directly before what is
/// in it.
pub fn name_order(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a[same..].first().map(key).cmp(&b[same..].first().map(key))
}
