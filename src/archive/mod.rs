//! The archive: a plain tar stream, cut into segments, compressed on all cores, with an index behind it.

pub(crate) mod acl;
pub mod base;
mod blocks;
mod body;
pub mod codec;
mod cut;
mod header;
pub mod index;
pub mod name;
mod out;
mod padding;
mod pipeline;
pub mod reader;
mod reuse;
mod segment;
pub mod store;
pub mod stream;
mod stretch;
pub mod verify;
mod writer;

pub use out::{Out, Shares};
pub use writer::{Options, Proof, Written, write, write_on};
