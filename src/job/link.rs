//! A run that finds nothing changed: instead of a copy of the last archive, one more name of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat};
use rustix::fs::{Advice, fadvise};

use super::base::Known;
use crate::archive::reader::from_store;
use crate::archive::store::Store;
use crate::archive::verify::{Depth, Options, verify_opened};
use crate::config::{Job, Unchanged};
use crate::destination::{Local, Place, Published, Upload};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::state::{Folder, Linked};
use crate::stop::Stop;
use crate::uncached::Shared;
use crate::zone::Tz;

/// What a link needs to be made.
pub struct Link<'a> {
    pub job: &'a Job,
    /// When the run began.
    pub instant: DateTime<Tz>,
    pub stop: &'a Stop,
}

impl Link<'_> {
    /// Publish a link to the last archive, if the job wants that and it can be had: it, and what it is a link to. None if
    /// what was written is to be published.
    ///
    /// # Errors
    /// If it has the name and that cannot be made durable; if somebody asks to stop.
    pub fn publish(
        &self,
        destination: &Local,
        upload: &mut Upload,
        last: &Known,
    ) -> Result<Option<(Published, String)>> {
        let Self { job, stop, .. } = self;
        if job.unchanged == Unchanged::Copy {
            return Ok(None);
        }
        let place = match self.sound(destination, last) {
            Ok(place) => place,
            Err(error) => {
                stop.check()?;
                log::warn!("{error}; the archive is a copy and no link");
                return Ok(None);
            }
        };
        let state = Folder::new(destination.state_dir());
        let mut noted = true;
        let published = upload.link(&place, last.file, |name| {
            let link = Linked {
                name: name.to_string(),
                instant: self.instant.to_rfc3339_opts(SecondsFormat::Nanos, false),
                to: last.name.to_string(),
                says: last.says.clone(),
                bytes: last.file.bytes,
            };
            // Without it nobody would know of when it is.
            let kept = state.remember_link(&job.name, &link);
            noted = kept.map_err(|e| log::warn!("{e}; the archive is a copy and no link")).is_ok();
            noted
        })?;
        if published.is_none() && noted {
            say_once(destination.root());
        }
        Ok(published.map(|published| (published, last.name.short())))
    }

    /// The last archive, read back from the disk as what is published anew is: what was taken over was all held against
    /// its hashes, but out of the page cache, perhaps, and not all of it is taken over.
    fn sound(&self, destination: &Local, last: &Known) -> Result<Place> {
        let place = destination.place(&last.name)?;
        let path = place.path();
        let (file, identity) = place.open()?;
        let failed = |what: &str| Error::failed(format!("last archive {}: {what}", printable_path(&path)));
        if identity != last.file {
            return Err(failed("it has been replaced"));
        }
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let store = Store::plain(Shared::new(file)).map_err(|e| Error::io("open archive", &path, e))?;
        let options = Options { depth: Depth::Stored, threads: self.job.threads.get() };
        let opened = from_store(store, &path)?;
        let verified = verify_opened(opened, &path, options, self.stop, &Progress::default())?;
        verified.problems.first().map_or(Ok(place), |problem| Err(failed(problem)))
    }
}

/// Say that a destination has no hard links: once a process, not with every run.
fn say_once(root: &Path) {
    static SAID: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(root.into()) {
        log::warn!(
            "destination {} makes no hard link to the last archive: the archive is a copy, as with unchanged = copy",
            printable_path(root)
        );
    }
}
