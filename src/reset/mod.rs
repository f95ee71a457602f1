//! Emptying the sources of a job: what is never emptied, what is there, what the last archive has, and the emptying.
//!
//! The walk that archives is the walk that empties, so that what a job leaves out is left alone, no link is followed and
//! any depth is reached. Of what it finds a file goes only if it is still what was archived: see [`Seen`].

mod bounds;
mod empty;
mod seen;
mod there;

pub use bounds::Bounds;
pub use empty::{Emptied, May, empty};
pub use seen::Seen;
pub use there::{Part, There, is_empty, there};
