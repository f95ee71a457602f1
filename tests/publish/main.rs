//! How files get their names: nothing that fails, is killed or loses its power on the way leaves half an archive.
//!
//! A writer is this very program, started again with the test [`child::publish`] alone, so that it can be stopped, killed
//! and have its system calls fail.

#[path = "../common/mod.rs"]
mod common;

mod child;
mod faults;
mod lock;
mod power;
mod same_name;
mod space;
mod who_can_read;
