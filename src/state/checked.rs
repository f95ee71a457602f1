//! When archives were last read back: one small JSON file a job, beside its state.
//!
//! It may be deleted at any time as well: then every archive counts as not verified since it was made.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Folder, required};
use crate::error::Result;

/// What came of reading an archive back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The archive's name below the destination, when it was read.
    pub name: String,
    /// Its size. With the next two it is told from another that has taken its name, and found under another name.
    pub bytes: u64,
    /// When its file was last changed: seconds and nanoseconds.
    pub modified: (i64, u32),
    /// Its number in its file system. Some network file systems give new ones with each mount.
    pub inode: u64,
    /// When it was read.
    #[serde(with = "required")]
    pub verified: DateTime<Utc>,
    /// What was wrong with it, if something was.
    #[serde(default)]
    pub damage: Option<String>,
}

/// All that is remembered of a job's archives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckedArchives {
    /// One for each name of a file.
    pub archives: Vec<Checked>,
}

impl Checked {
    /// Whether this is of the same file: unchanged, and known by its name or its number.
    fn is_of(&self, other: &Self) -> bool {
        (self.bytes, self.modified) == (other.bytes, other.modified)
            && (self.name == other.name || self.inode == other.inode)
    }
}

impl CheckedArchives {
    /// What is remembered of a file: its name, size, time and number.
    pub fn of(&self, name: &str, bytes: u64, modified: (i64, u32), inode: u64) -> Option<&Checked> {
        let wanted = Checked {
            name: name.into(),
            bytes,
            modified,
            inode,
            verified: DateTime::UNIX_EPOCH,
            damage: None,
        };
        // The one of this name before one that only has its number.
        let mut of_it = self.archives.iter().filter(|known| known.is_of(&wanted));
        let first = of_it.next()?;
        Some(if first.name == name { first } else { of_it.find(|known| known.name == name).unwrap_or(first) })
    }
}

impl Folder {
    /// What is remembered of the job's archives; nothing, and a warning, if that cannot be read.
    pub fn checked(&self, job: &str) -> CheckedArchives {
        Self::read(&self.checked_file(job))
    }

    /// Remember that an archive was read back, which these are the names of besides its own. `called` says how one that was
    /// read back is called by now; what is remembered of those that are not there any more is forgotten.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_checked(
        &self,
        job: &str,
        found: Checked,
        others: &[String],
        called: impl Fn(&Checked) -> Option<String>,
    ) -> Result<()> {
        self.create()?;
        let lock = super::open_lock(&self.file(job, "lock"))?;
        let _ = lock.lock();
        let mut all = self.checked(job);
        all.archives = std::mem::take(&mut all.archives)
            .into_iter()
            .filter_map(|known| called(&known).map(|name| Checked { name, ..known }))
            .filter(|known| {
                let is_named = known.name == found.name || others.contains(&known.name);
                !known.is_of(&found) && !is_named
            })
            .collect();
        all.archives.extend(others.iter().map(|name| Checked { name: name.clone(), ..found.clone() }));
        all.archives.push(found);
        self.write(&self.checked_file(job), &all)
    }

    fn checked_file(&self, job: &str) -> PathBuf {
        self.file(job, "verified.json")
    }
}
