//! What is remembered of each job between runs: one small JSON file a job, in the state folder.
//!
//! It may be deleted at any time: then only the catch-up and the history are gone, never an archive. So a file that
//! cannot be read is a warning, and counts as none.

mod checked;
mod ear;
mod keeper;
mod lines;
mod links;
mod owner;
mod records;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::ear::{Asked, Ear};
pub use self::keeper::{Keeper, Occupied};
use crate::agenda::{ATTEMPTS, Begun};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::printable_path;

pub use checked::{Checked, CheckedArchives};
pub use lines::Fate;
pub use links::{Linked, Links};
pub use records::{Record, Records};

/// What is known of a job. All instants are UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// When a daemon first knew of this job.
    #[serde(with = "instant")]
    pub since: Option<DateTime<Utc>>,
    /// All due times up to and including this one are dealt with.
    #[serde(with = "instant")]
    pub seen: Option<DateTime<Utc>>,
    /// What the daemon waits for.
    #[serde(with = "instant")]
    pub next: Option<DateTime<Utc>>,
    /// The run that has begun and not ended; of a dead process, one that was cut short.
    pub open: Option<Open>,
    /// The last run that ended.
    pub last: Option<LastRun>,
    /// When the last run began that published a verified archive.
    #[serde(with = "instant")]
    pub verified: Option<DateTime<Utc>>,
    /// When the last run began whose archive is complete as well.
    #[serde(with = "instant")]
    pub complete: Option<DateTime<Utc>>,
    /// Incomplete and suspect archives up to this instant are as they should be: somebody has said so.
    #[serde(with = "instant")]
    pub accepted: Option<DateTime<Utc>>,
    /// Why the last run that might have pruned did not.
    pub held: Option<String>,
    /// How much the last archive has, for where it cannot be asked.
    pub counts: Option<Counts>,
}

/// How much is in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// What was archived: another source is no measure.
    pub sources: Vec<String>,
    /// Everything in it.
    pub entries: u64,
    /// Bytes of the bodies of the files.
    pub bytes: u64,
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The due time that it is for; none for a run at start, or by hand.
    #[serde(with = "instant", default)]
    pub due: Option<DateTime<Utc>>,
    /// When it began.
    #[serde(with = "required")]
    pub began: DateTime<Utc>,
    /// How often a run for it has begun, this one included.
    pub attempt: u32,
}

impl Open {
    /// Whether it was cut short again and again, and is not tried any more.
    pub fn given_up(&self) -> bool {
        self.attempt > ATTEMPTS
    }
}

impl From<&Open> for Begun {
    fn from(open: &Open) -> Self {
        Self { due: open.due, at: open.began, attempt: open.attempt }
    }
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it began.
    #[serde(with = "required")]
    pub began: DateTime<Utc>,
    /// When it ended.
    #[serde(with = "required")]
    pub ended: DateTime<Utc>,
    /// Its exit code.
    pub exit: u8,
    /// The name of the archive that it published.
    pub archive: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

impl State {
    /// The run that is on, or was when the process died.
    pub fn running(&self) -> Option<&Open> {
        self.open.as_ref().filter(|open| !open.given_up())
    }

    /// Note the end of a run: in `last`, and in `verified` and `complete` as far as it got.
    pub fn note(&mut self, run: LastRun, exit: Exit) {
        if matches!(exit, Exit::Complete | Exit::Incomplete | Exit::LaterStep) {
            self.verified = Some(run.began);
        }
        if matches!(exit, Exit::Complete | Exit::LaterStep) {
            self.complete = Some(run.began);
        }
        self.last = Some(run);
    }
}

/// The folder that the state is in. Its parent must exist: below a destination that is not mounted, nothing is made.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// This folder; it is made when something is first written.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is known of a job; the default, and a warning, if that cannot be read.
    pub fn load(&self, job: &str) -> State {
        Self::read(&self.file(job, "json"))
    }

    fn read<T: DeserializeOwned + Default>(path: &Path) -> T {
        let read = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return T::default(),
            Err(error) => Err(owner::unread(path, &error)),
        };
        read.unwrap_or_else(|cause| {
            log::warn!("read state {}: {cause}; going on as if there were none", printable_path(path));
            T::default()
        })
    }

    /// Change what is known of a job. The daemon and a `backup` beside it may do so at the same time, so it is read,
    /// changed and written under a lock.
    ///
    /// # Errors
    /// If it cannot be written; the old one is whole then.
    pub fn update(&self, job: &str, change: impl FnOnce(&mut State)) -> Result<State> {
        self.create()?;
        let lock = open_lock(&self.file(job, "lock"))?;
        // A file system without locks still has the rename: then the last writer wins.
        let _ = lock.lock();
        let mut state = self.load(job);
        change(&mut state);
        self.write(&self.file(job, "json"), &state)?;
        Ok(state)
    }

    fn write(&self, path: &Path, state: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(state).expect("plain data with text keys always serialises");
        text.push(b'\n');
        self.replace(path, &text)
    }

    /// Have this in the file, whole or not at all.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<()> {
        let mut temporary = path.to_path_buf();
        temporary.as_mut_os_string().push(".new");
        let failed = |e: io::Error| owner::refused("write state", &temporary, e);
        // The folder may belong to somebody whom root must not write elsewhere for: what was left there, a link to any file
        // included, is removed and not written to.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = File::create_new(&temporary).map_err(failed)?;
        owner::give(&file, &temporary);
        file.write_all(text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        fs::rename(&temporary, path).map_err(|e| Error::io("write state", path, e))?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        File::open(&self.0)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io("sync state folder", &self.0, e))
    }

    fn create(&self) -> Result<()> {
        owner::make_folder(&self.0).map_err(|e| Error::io("create state folder", &self.0, e))
    }

    /// Job names come from the configuration and may hold anything; a file name may not.
    fn file(&self, job: &str, ending: &str) -> PathBuf {
        let mut name = String::new();
        for byte in job.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
                other => {
                    let _ = write!(name, "%{other:02x}");
                }
            }
        }
        self.0.join(format!("{name}.{ending}"))
    }
}

fn open_lock(path: &Path) -> Result<File> {
    owner::open_or_make(OpenOptions::new().write(true), path)
        .map_err(|e| owner::refused("open lock", path, e))
}

/// Instants in RFC 3339, as people can read and edit them.
mod instant {
    use super::{DateTime, Deserialize, Utc};
    use chrono::SecondsFormat;
    use serde::{Deserializer, Serializer, de::Error as _};

    pub fn text(at: &DateTime<Utc>) -> String {
        at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_some(&text(at)),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let at =
            DateTime::parse_from_rfc3339(&text).map_err(|e| D::Error::custom(format!("'{text}': {e}")))?;
        Ok(Some(at.to_utc()))
    }
}

mod required {
    use super::{DateTime, Utc, instant};
    use serde::{Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&instant::text(at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
        instant::deserialize(from)?.ok_or_else(|| D::Error::custom("an instant is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_that_was_left_in_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let victim = base.path().join("victim");
        fs::write(&victim, b"secret").unwrap();
        let folder = Folder::new(base.path().join("state"));
        folder.create().unwrap();
        std::os::unix::fs::symlink(&victim, folder.file("data", "json.new")).unwrap();
        folder.update("data", |state| state.verified = Some(DateTime::UNIX_EPOCH)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"secret");
        assert!(folder.load("data").verified.is_some());
        let lock = folder.file("data", "lock");
        fs::remove_file(&lock).unwrap();
        std::os::unix::fs::symlink(&victim, lock).unwrap();
        assert!(folder.update("data", |_| {}).is_err());
    }

    #[test]
    fn a_link_that_another_user_has_put_in_the_place_of_the_folder_leads_nowhere() {
        let base = tempfile::tempdir().unwrap();
        let (there, link) = (base.path().join("there"), base.path().join("state"));
        fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        let folder = Folder::new(&link);
        folder.update("data", |_| {}).unwrap();
        assert!(there.join("data.json").exists(), "our own is followed");
        if std::os::unix::fs::lchown(&link, Some(1234), Some(1234)).is_err() {
            eprintln!("skipped: needs root, to give a link to another user");
            return;
        }
        let error = folder.update("other", |_| {}).unwrap_err().to_string();
        assert!(error.ends_with("state: it is a link, which user 1234 has made"), "{error}");
        assert!(!there.join("other.json").exists() && !there.join("other.lock").exists());
    }
}
