//! The commands, one file each.

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
pub mod reset;
pub mod restore;
pub mod run;
mod services;
pub mod verify;
pub mod which;

use crate::config::Job;
use crate::destination;
use crate::state::Folder;

/// Where the state of a job is kept.
pub fn state_folder(job: &Job) -> Folder {
    Folder::new(job.state.clone().unwrap_or_else(|| job.destination.join(destination::OWN_FOLDER)))
}
