//! tarkeep keeps a plain `.tar.gz` of your data, every night.

pub mod agenda;
pub mod archive;
pub mod cli;
pub mod clock;
pub mod command;
pub mod compare;
pub mod config;
pub mod daemon;
pub mod destination;
pub mod entry;
pub mod error;
pub mod exit;
pub mod extract;
pub mod health;
pub mod job;
pub mod logger;
pub mod printable;
pub mod progress;
pub mod report;
pub mod restore;
pub mod schedule;
pub mod source;
pub mod state;
pub mod stop;
pub mod sys;
pub mod threads;
