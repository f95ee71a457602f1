//! The index: what finds segments and entries in an archive without reading the rest. Byte by byte in `docs/format.md`.

mod builder;
mod bytes;
mod envelope;
mod footer;
mod page;
mod record;
mod table;

pub use builder::Builder;
pub use bytes::Malformed;
pub use envelope::Envelope;
pub(crate) use envelope::PIECE;
pub use footer::{FOOTER_LEN, Footer};
pub use page::{decode_entries, decode_segments};
pub use record::{About, EntryRecord, Hash, SegmentKind, SegmentRecord, hash, short};
pub(crate) use table::TABLE_MAX;
pub use table::{Page, PageKind, decode_table};
