//! The commands, one file each.

pub mod completions;
pub mod backup;
pub mod info;
pub mod next;
pub mod output;
