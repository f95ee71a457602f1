//! The archive: a plain tar stream, cut into segments, compressed on all cores, with an index behind it.

mod acl;
mod blocks;
pub mod codec;
pub mod index;
