//! The index: what finds segments and entries in an archive without reading the rest. Byte by byte in `docs/format.md`.

mod builder;
mod bytes;
mod layout;
mod page;
mod record;
mod table;

pub use builder::Builder;
pub use bytes::Malformed;
pub use layout::{FOOTER_LEN, Footer, HEADER_LEN, START, TRAILER_LEN};
pub(crate) use layout::{MEMBER_LEN, PIECE, piece, position};
pub use page::{decode_entries, decode_segments};
pub use record::{About, EntryRecord, Hash, SegmentKind, SegmentRecord, hash, short};
pub(crate) use table::TABLE_MAX;
pub use table::{Page, PageKind, decode_table};
