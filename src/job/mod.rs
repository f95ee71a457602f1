//! A job, and one run of it.

mod after;
mod base;
mod guard;
mod link;
mod made;
mod proof;
pub mod recheck;
mod run;
pub mod share;
mod versions;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::archive::codec::Codec;
use crate::archive::name;
use crate::clock::Clock;
use crate::config::Job;
use crate::destination::{self, Local};
use crate::error::{Error, Result};
use crate::inventory::{self, Newest, Whose};
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::source::{self, Source};
use crate::state::Folder;
use crate::stop::Stop;
use crate::sys;

pub use after::{forget, policy};
pub use made::{Made, log, stored, took};
pub use run::{run, run_in_full, run_locked, to_file, to_stream};

/// What a run needs from outside.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Whether to go on.
    pub stop: &'a Stop,
    /// Where to count.
    pub progress: &'a Progress,
}

/// What the names of the job's archives end with.
pub fn ending(job: &Job) -> &'static str {
    let plain = job.codec.ending();
    if job.recipients.is_some() { name::encrypted(plain) } else { plain }
}

/// Whether the job's archives are known as its own later, by an index or a record. What is not is never pruned.
pub fn known_later(job: &Job) -> bool {
    job.recipients.is_some() || !matches!(job.codec, Codec::Bzip2 | Codec::None)
}

/// By which name the daemon knows the verification of a job's archives; no job can have it.
pub fn verification(job: &Job) -> String {
    format!("{} verify", job.name)
}

/// Where the state of a job is kept.
pub fn state_folder(job: &Job) -> Folder {
    Folder::new(job.state.clone().unwrap_or_else(|| job.destination.join(destination::OWN_FOLDER)))
}

/// When an archive was made, of which the index says `says`: of a link, when that was, if one of these jobs knows it.
pub fn instant(jobs: &[Job], path: &Path, bytes: u64, says: String) -> String {
    let link = path.canonicalize().ok().and_then(|path| {
        jobs.iter().find_map(|job| {
            let name = path.strip_prefix(job.destination.canonicalize().ok()?).ok()?.to_str()?;
            state_folder(job).links(&job.name).find(name, bytes, &says).map(|link| link.instant.clone())
        })
    });
    link.unwrap_or(says)
}

/// Whose archives a job's are.
pub fn whose(job: &Job) -> Whose {
    Whose { job: job.name.clone(), sources: source::said(&job.sources) }
}

/// The job's archives, the newest first, until `stop` asks; those are left out that are known to be of another job, or of other sources.
///
/// # Errors
/// If the destination cannot be listed.
pub fn newest<'a>(job: &'a Job, destination: &'a Local, stop: &Stop) -> Result<Newest<'a>> {
    inventory::newest(destination, &job.pattern, whose(job), &state_folder(job), job.zone, stop)
}

/// The folder that the job's archives are kept in.
///
/// # Errors
/// If it is not there, or not as the job requires it.
pub fn open(job: &Job) -> Result<Local> {
    let options = destination::Options {
        mode: Some(job.mode),
        owner: job.owner,
        require_mount: job.require_mount.destination,
        state: job.state.clone(),
    };
    Local::open(&job.destination, options)
}

/// What the job reads.
///
/// # Errors
/// If a source is not mounted that has to be.
pub fn sources(job: &Job) -> Result<Vec<Source>> {
    these(job, &job.sources)
}

/// How much there is to read, until `stop` asks.
///
/// # Errors
/// As those of a run that reads it.
pub fn count(job: &Job, stop: &Stop) -> Result<source::Amount> {
    source::count(&sources(job)?, &options(job, None), stop)
}

fn these(job: &Job, paths: &[PathBuf]) -> Result<Vec<Source>> {
    paths
        .iter()
        .map(|path| {
            let source = Source::new(path)?;
            if job.require_mount.source && !sys::is_mount_point(&source.path)? {
                return Err(Error::failed(format!(
                    "source {} is not a mount point, and is required to be one: is its volume mounted?",
                    printable_path(path)
                )));
            }
            Ok(source)
        })
        .collect()
}

/// What is left out of the job's sources: what it says, and where the archive is written.
pub fn options(job: &Job, written: Option<&Metadata>) -> source::Options {
    source::Options {
        exclude: job.exclude.clone(),
        exclude_from: job.exclude_from.iter().cloned().collect(),
        cachedir_tag: job.exclude_caches,
        exclude_if_present: job.exclude_if_present.iter().map(Into::into).collect(),
        one_file_system: job.one_file_system,
        look: false,
        leave_out: written.map(|written| (written.dev(), written.ino())).into_iter().collect(),
    }
}
