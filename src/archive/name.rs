//! What archives are called: a pattern makes names from local times, and knows its own names again.
//!
//! Pure: what is in a folder is the destination's business.

mod field;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::NaiveDateTime;

pub use self::pattern::Pattern;

/// The pattern where none is given: a folder a day, a file a run.
pub const DEFAULT: &str = "%Y-%m-%d/%H-%M-%S";

/// Every ending that an archive of any version has. None of them ends with another, so a name has one at most.
pub const ENDINGS: [&str; 8] =
    [".tar.gz", ".tar", ".tar.zst", ".tar.bz2", ".tar.gz.age", ".tar.age", ".tar.zst.age", ".tar.bz2.age"];

/// The ending of an archive that is encrypted: that of the plain one, and `.age`.
pub fn encrypted(ending: &'static str) -> &'static str {
    ENDINGS.into_iter().find(|known| known.strip_suffix(".age") == Some(ending)).unwrap_or(ending)
}

/// The name of one archive below its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// The local time that the name says, as exactly as the pattern says it.
    pub local: NaiveDateTime,
    /// 1, or what stands behind the time where an earlier archive had the name already; the version, where names have one.
    pub number: u32,
    versioned: bool,
    stem: String,
    ending: &'static str,
}

impl ArchiveName {
    /// What is tried when this name is taken: the same with the next number.
    #[must_use]
    pub fn next(&self) -> Self {
        self.numbered(self.number.saturating_add(1))
    }

    /// The same with another number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        Self { number, ..self.clone() }
    }

    /// The name without its ending: `2026-11-20/01-00-00`, `2026-11-20/01-00-00-2`. People type this.
    pub fn short(&self) -> String {
        match self.number {
            number if self.versioned => format!("{}{number}", self.stem),
            0 | 1 => self.stem.clone(),
            number => format!("{}-{number}", self.stem),
        }
    }

    /// Whether the number says how many archives are newer, and nothing the time.
    pub fn is_versioned(&self) -> bool {
        self.versioned
    }

    /// In the order of this, of archives of one time the newest is the last.
    pub fn rank(&self) -> u32 {
        if self.versioned { u32::MAX - self.number } else { self.number }
    }

    /// `.tar.gz`, or another of [`ENDINGS`].
    pub fn ending(&self) -> &'static str {
        self.ending
    }
}

/// The path below the destination.
impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.short(), self.ending)
    }
}
