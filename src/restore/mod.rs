//! From an archive back into a folder that is in use: extracted beside what is there, then swapped in.
//!
//! Nothing of the old is touched before everything new is written and synced. From then on a journal says so, and a restore
//! that was interrupted is finished by the next one; one that was interrupted before is undone.

pub mod paths;

mod found;
mod journal;
mod names;
mod others;
mod plan;
mod selection;
mod spool;
mod staging;
mod swap;
mod tree;

pub use names::Names;
pub use others::require_none;
pub use plan::{Delete, Wish};
pub use selection::{Amount, Selection};
pub use spool::spool;
pub use staging::{Recovered, Staging, recover};
