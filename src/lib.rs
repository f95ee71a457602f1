//! tarkeep keeps a plain `.tar.gz` of your data, every night.

pub mod agenda;
pub mod archive;
pub mod clock;
pub mod daemon;
pub mod entry;
pub mod error;
pub mod exit;
pub mod health;
pub mod printable;
pub mod progress;
pub mod report;
pub mod schedule;
pub mod state;
pub mod stop;
