//! The commands, one file each.

pub mod backup;
pub mod check;
pub mod completions;
pub mod info;
pub mod list;
pub mod next;
pub mod output;
pub mod verify;
pub mod which;
