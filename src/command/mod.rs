//! The commands, one file each.

mod answer;
pub mod backup;
pub mod cat;
pub mod check;
pub mod completions;
pub mod diff;
pub mod health;
pub mod info;
pub mod list;
pub mod next;
pub mod output;
pub mod prune;
pub mod reset;
pub mod restore;
pub mod run;
mod services;
pub mod verify;
pub mod which;

pub use crate::job::state_folder;
