//! The archive: a plain tar stream, cut into segments, compressed on all cores, with an index behind it.

pub mod codec;
pub mod index;
pub mod reader;
