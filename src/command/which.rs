//! Which archive is meant: a path, a name or the beginning of one, `latest`, or `-`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::archive::store::Store;
use crate::archive::stream::Pipe;
use crate::config::{Config, Job, Origin, settings};
use crate::destination::Stored;
use crate::encryption::{self, Keys};
use crate::error::{Error, Result};
use crate::inventory::{self, Whose};
use crate::job;
use crate::printable::{printable, printable_path};
use crate::stop::Stop;

/// The archives of a job, newest first.
///
/// # Errors
/// If its destination cannot be read.
pub fn archives(job: &Job) -> Result<Vec<Stored>> {
    job::open(job)?.archives(&job.pattern)
}

/// An archive to read.
pub struct Which {
    /// Where it is; `standard input` for what comes from there.
    pub path: PathBuf,
    /// Whether it comes from standard input.
    stdin: bool,
}

impl Which {
    /// The file at this path.
    pub fn file(path: PathBuf) -> Self {
        Self { path, stdin: false }
    }

    /// Whether it comes from standard input.
    pub fn is_stdin(&self) -> bool {
        self.stdin
    }

    /// Open it, and decrypt it where it is encrypted.
    ///
    /// # Errors
    /// If it cannot be opened, or no key opens it.
    pub fn bytes(&self, keys: &Keys, stop: &Stop) -> Result<Bytes> {
        let file = self.open()?;
        let metadata = file.metadata().map_err(|e| Error::io("open archive", &self.path, e))?;
        if metadata.is_file() {
            Store::open(file, &self.path, keys).map(Bytes::Store)
        } else {
            // A folder fails here, with the system's words when it is read.
            let pipe = Box::new(Pipe::new(file, stop));
            let bytes = encryption::decrypted(pipe, &self.path, keys).map(Bytes::Pipe);
            bytes.map_err(|e| stop.check().err().unwrap_or(e))
        }
    }

    /// Open it as it is. What comes through a pipe can be read only once.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self) -> Result<File> {
        if !self.stdin {
            return File::open(&self.path).map_err(|e| Error::io("open archive", &self.path, e));
        }
        let stdin = io::stdin();
        let file = stdin.as_fd().try_clone_to_owned().map_err(|e| Error::io("open", &self.path, e))?;
        Ok(File::from(file))
    }
}

/// An open archive.
pub enum Bytes {
    /// A file, decrypted if it is encrypted.
    Store(Store),
    /// What comes through a pipe, and can be read only once.
    Pipe(Box<dyn Read>),
}

/// The archive that this word means.
///
/// # Errors
/// If there is none, or more than one.
pub fn which(word: &OsStr, config: &Config, stop: &Stop) -> Result<Which> {
    if word == "-" {
        return Ok(Which { path: "standard input".into(), stdin: true });
    }
    let path = Path::new(word);
    let shown = printable_path(path);
    if word == "latest" {
        return match config.jobs.as_slice() {
            [job] => latest(job, stop).map(|stored| Which::file(stored.path)),
            _ => Err(Error::usage("latest of which job? choose one with --job")),
        };
    }
    if path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        // Opening a pipe waits for somebody who writes.
        return Err(Error::usage(format!("archive {shown} is not a regular file; - reads standard input")));
    }
    if path.is_file() {
        return Ok(Which::file(path.into()));
    }
    let mut found: Vec<Stored> = Vec::new();
    let mut looked = Vec::new();
    if let Some(beginning) = word.to_str().filter(|word| !word.is_empty() && !path.is_absolute()) {
        for job in &config.jobs {
            looked.push(printable_path(&job.destination));
            // A destination that is not there is as good as an empty one: the word may be a path with a typing error.
            let Ok(archives) = archives(job) else { continue };
            let whole = |stored: &&Stored| stored.name.to_string() == beginning;
            if let Some(stored) = archives.iter().find(whole) {
                return Ok(Which::file(stored.path.clone()));
            }
            // A name that another begins with can still be typed: `01-00-00`, where there is `01-00-00-2`.
            let mut exact = archives.iter().filter(|stored| stored.name.short() == beginning);
            if let (Some(stored), None) = (exact.next(), exact.next()) {
                return Ok(Which::file(stored.path.clone()));
            }
            found
                .extend(archives.into_iter().filter(|stored| stored.name.to_string().starts_with(beginning)));
        }
    }
    match found.as_slice() {
        [one] => Ok(Which::file(one.path.clone())),
        [] if path.is_dir() => Err(Error::failed(format!(
            "archive {shown} is a folder; of archives in it: TARKEEP_DESTINATION={shown} tarkeep list"
        ))),
        [] if looked.is_empty() || path.exists() => {
            let cause = match File::open(path) {
                Ok(_) => io::Error::from(io::ErrorKind::IsADirectory),
                Err(cause) => cause,
            };
            Err(Error::io("open archive", path, cause))
        }
        [] => Err(Error::failed(format!(
            "archive {shown}: no such file, and no archive of that name in {}",
            looked.join(", ")
        ))),
        many => {
            let names: Vec<_> =
                many.iter().take(5).map(|stored| printable(stored.name.to_string().as_bytes())).collect();
            let more = if many.len() > 5 { ", …" } else { "" };
            Err(Error::usage(format!(
                "archive {shown}: {} archives begin so: {}{more}; type more of the name",
                many.len(),
                names.join(", ")
            )))
        }
    }
}

/// The newest archive of a job, of what it archives now; of whatever it has archived, if nobody said what that is and there
/// is none of the default.
///
/// # Errors
/// If there is none, or the destination cannot be read.
pub fn latest(job: &Job, stop: &Stop) -> Result<Stored> {
    let destination = job::open(job)?;
    if let Some(item) = job::newest(job, &destination, stop)?.next() {
        return Ok(item.stored);
    }
    stop.check()?;
    let shown = printable_path(&job.destination);
    let Some(other) = destination.archives(&job.pattern)?.into_iter().next() else {
        return Err(Error::failed(format!("there is no archive in {shown} yet; `tarkeep backup` makes one")));
    };
    // Who makes archives by flags alone says nothing of sources when reading.
    if job
        .shown
        .iter()
        .any(|shown| shown.setting.key == settings::SOURCE.key && shown.origin == Origin::Default)
    {
        let whose = Whose { sources: Vec::new(), ..job::whose(job) };
        let mut any =
            inventory::newest(&destination, &job.pattern, whose, &job::state_folder(job), job.zone, stop)?;
        if let Some(item) = any.next() {
            return Ok(item.stored);
        }
    }
    let sources: Vec<_> = job.sources.iter().map(|path| printable_path(path)).collect();
    Err(Error::failed(format!(
        "no archive in {shown} is of the job {} and of {}; for the newest of others type its name: {}",
        job.name,
        sources.join(" and "),
        printable(other.name.short().as_bytes())
    )))
}
