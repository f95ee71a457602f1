//! An archive that is built on the last one is the archive that reading everything would have made, byte by byte; and
//! nothing is taken over that may have changed, or that is damaged.

#[path = "../common/mod.rs"]
mod common;

mod blocks;
mod cache;
mod damage;
mod edits;
mod full;
mod link;
mod nights;
mod races;
mod random;
mod share;
