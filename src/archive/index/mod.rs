//! The index: what finds segments and entries in an archive without reading the rest. Byte by byte in `docs/format.md`.

mod record;

pub use record::{About, EntryRecord, Hash, SegmentKind, SegmentRecord, hash, short};
