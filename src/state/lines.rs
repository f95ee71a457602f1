//! Files of one line of JSON a record: a line is added for each archive, before that gets its name, and lines of archives
//! that are gone are removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Folder, instant, owner};
use crate::error::Result;
use crate::printable::printable_path;

/// For so long an archive must have been missing before its record goes. A disk that is not mounted for a night, or a
/// month, costs nothing that way, and a record takes less than half a kilobyte.
const MISSING_FOR: TimeDelta = TimeDelta::days(30);

/// A record, as it stands in a line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<T> {
    #[serde(flatten)]
    record: T,
    /// Since when a run has not found its archive.
    #[serde(with = "instant", default, skip_serializing_if = "Option::is_none")]
    missing: Option<DateTime<Utc>>,
}

/// The records in this file. What cannot be read is a warning, and counts as none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    lines(path).into_iter().map(|line| line.record).collect()
}

fn lines<T: DeserializeOwned>(path: &Path) -> Vec<Line<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            log::warn!("read records {}: {}", printable_path(path), owner::unread(path, &e));
            return Vec::new();
        }
    };
    // A line that a dead run did not finish is none.
    text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

impl Folder {
    /// Add a record to this file. When this returns, the disk has it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn add_line(&self, path: &Path, record: &impl Serialize) -> Result<()> {
        self.create()?;
        let failed = |e: io::Error| owner::refused("write record", path, e);
        let mut line = text(record);
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o640);
        let mut file = owner::open_or_make(&options, path).map_err(failed)?;
        if !ends_with_a_line(&mut file).map_err(failed)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(failed)?;
        self.sync()
    }

    /// Change records in this file; `change` says whether it has changed one.
    ///
    /// # Errors
    /// If it cannot be written; the old file is whole then.
    pub(super) fn change_lines<T: Serialize + DeserializeOwned>(
        &self,
        path: &Path,
        change: impl Fn(&mut T) -> bool,
    ) -> Result<()> {
        let mut all = lines::<T>(path);
        let mut changed = false;
        for line in &mut all {
            changed |= change(&mut line.record);
        }
        if !changed {
            return Ok(());
        }
        self.replace(path, &all.iter().flat_map(text).collect::<Vec<u8>>())
    }

    /// Remove the records in this file whose archives were deleted, and of those that are not there those that have not
    /// been there for long. Only who has the destination's lock may do this: nobody adds a line meanwhile.
    ///
    /// # Errors
    /// If it cannot be written; the old file is whole then.
    pub(super) fn sift_lines<T: Serialize + DeserializeOwned>(
        &self,
        path: &Path,
        now: DateTime<Utc>,
        fate: impl Fn(&T) -> Fate,
    ) -> Result<()> {
        let old = lines::<T>(path);
        let mut changed = false;
        let mut kept = Vec::new();
        for mut line in old {
            // A time to come is of a clock that has been set back.
            let since = line.missing.map_or(now, |since| since.min(now));
            let (missing, goes) = match fate(&line.record) {
                Fate::There => (None, false),
                Fate::Unknown => (line.missing, false),
                Fate::Missing => (Some(since), now - since >= MISSING_FOR),
                Fate::Deleted => (None, true),
            };
            changed |= goes || missing != line.missing;
            line.missing = missing;
            if !goes {
                kept.push(line);
            }
        }
        if !changed {
            return Ok(());
        }
        self.replace(path, &kept.iter().flat_map(text).collect::<Vec<u8>>())
    }
}

/// What has become of the archive that a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is where it was.
    There,
    /// It cannot be told.
    Unknown,
    /// There is nothing of its name.
    Missing,
    /// It has just been deleted.
    Deleted,
}

fn text(record: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("plain data with text keys always serialises");
    line.push(b'\n');
    line
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
