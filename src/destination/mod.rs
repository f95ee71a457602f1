//! Where archives are kept, and how a file gets its name there.
//!
//! A file under the name of an archive is complete, verified and durable. It is written under a temporary name in the
//! same folder (`.tarkeep-….tmp`, locked by its writer as long as that lives), synced, dropped from the cache, read back
//! and checked, and only then named, in a way that never replaces anything. A name that is taken gets a number. Whatever
//! fails on the way takes the temporary file with it; what a killed process leaves, [`Local::sweep`] of the next run
//! removes, and of dead processes only.
//!
//! Beside the archives stands `.tarkeep`, with the lock that one run at a time holds. Nothing here deletes an archive.

pub mod file;
mod folders;
mod latest;
mod list;
mod local;
mod lock;
mod place;
mod share;
mod space;
mod sweep;
mod unfinished;
mod upload;

pub use list::Stored;
pub use local::{Local, OWN_FOLDER, Options};
pub use lock::{Holder, Lock};
pub use place::{Identity, Place, identity_at};
pub use space::Space;
pub use unfinished::discard_unfinished;
pub use upload::{Published, Upload};
