//! What is remembered of each archive that is a hard link to an earlier one: its index says when that one was made. It is
//! written before the link gets its name.
//!
//! Lost, the link is an archive that nobody has dated: whole, listed and restored as any other, and never pruned.

use serde::{Deserialize, Serialize};

use super::{Folder, lines};
use crate::error::Result;

/// What is remembered of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Its name below the destination, with its ending.
    pub name: String,
    /// When the run began that made the link, in RFC 3339.
    pub instant: String,
    /// The name of the archive that it was linked to, as it was then.
    pub to: String,
    /// The instant that the index says. With the next one it tells the archive from another that has taken its name, and
    /// knows it again where copying has made a file of its own of it.
    pub says: String,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What is remembered of a job's links.
#[derive(Debug, Default)]
pub struct Links(Vec<Linked>);

impl Links {
    /// What is remembered of the archive with this name and size, whose index says this instant. Of several the last one:
    /// a run that was killed before the link had its name left one too.
    pub fn find(&self, name: &str, bytes: u64, says: &str) -> Option<&Linked> {
        let is_it = |link: &&Linked| (&*link.name, link.bytes, &*link.says) == (name, bytes, says);
        self.0.iter().rev().find(is_it)
    }

    /// What is remembered of the archive with this name and size, if its index says what it should.
    pub fn of(&self, name: &str, bytes: u64) -> Option<&Linked> {
        self.0.iter().rev().find(|link| (&*link.name, link.bytes) == (name, bytes))
    }
}

impl Folder {
    /// What is remembered of the links of a job.
    pub fn links(&self, job: &str) -> Links {
        Links(lines::read(&self.file(job, "links")))
    }

    /// Remember a link. When this returns, the disk has it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember_link(&self, job: &str, link: &Linked) -> Result<()> {
        self.add_line(&self.file(job, "links"), link)
    }
}
