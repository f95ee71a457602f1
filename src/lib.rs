//! tarkeep keeps a plain `.tar.gz` of your data, every night.

pub mod archive;
pub mod entry;
pub mod error;
pub mod exit;
pub mod printable;
pub mod progress;
pub mod report;
pub mod source;
pub mod stop;
