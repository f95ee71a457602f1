//! What people wrote, and one valid [`Config`] out of it.
//!
//! Flags come before the environment, the environment before the file, the file before the defaults. Each value keeps
//! its [`Origin`], for messages and for `info`. Everything is checked here, before anything is touched: what leaves this
//! module is valid, though it may not fit the machine, which is `check`'s to say.

mod encryption;
mod environment;
mod file;
mod jobs;
mod keep;
mod meaning;
mod nearest;
mod parse;
mod read;
mod setting;
mod value;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::zone::Tz;

pub use crate::agenda::OnStart;
use crate::archive::codec::Codec;
use crate::archive::name::Pattern;
use crate::encryption::{Keys, Recipients};
use crate::error::Result;
use crate::retention::Keep;
use crate::schedule::Schedule;
use crate::services::Service;

pub use environment::Environment;
pub use setting::{CONFIG_DEFAULT, SETTINGS, Setting};
pub use value::{Origin, Value, Written};
/// The settings that a flag can set.
pub mod settings {
    pub use super::setting::{
        AGE_IDENTITY, AGE_RECIPIENTS, CODEC, DESTINATION, EXCLUDE, EXCLUDE_FROM, LOG, NAME, ONE_FILE_SYSTEM,
        SHARE, SOURCE, THREADS,
    };
}

/// The name of the job that nobody named.
pub const DEFAULT_JOB: &str = "data";

/// All that a process needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The jobs to work on, in the order of the file: all of them, or those that were named. At least one.
    pub jobs: Vec<Job>,
    /// The others of the file. What belongs to them is out of bounds for what removes.
    pub others: Vec<Job>,
    /// What is logged, in the words of `env_logger`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// The configuration file, if there was one.
    pub file: Option<PathBuf>,
    /// The user's home folder, as the environment has it.
    pub home: Option<PathBuf>,
    /// What the log settings are and where they come from.
    pub shown: Vec<Shown>,
}

/// What is archived, when, to where, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name, of letters, digits, `.`, `_` and `-`; no other job has it.
    pub name: String,
    /// What is archived: at least one path, as it was written.
    pub sources: Vec<PathBuf>,
    /// Patterns of what is left out, as in .gitignore.
    pub exclude: Vec<String>,
    /// A file of such patterns.
    pub exclude_from: Option<PathBuf>,
    /// Whether folders with a valid `CACHEDIR.TAG` are left out.
    pub exclude_caches: bool,
    /// Names of files whose presence leaves their folder out.
    pub exclude_if_present: Vec<String>,
    /// Whether other filesystems below a source are left out.
    pub one_file_system: bool,
    /// The folder that archives are kept in.
    pub destination: PathBuf,
    /// Where the state is kept, if not in `.tarkeep` of the destination.
    pub state: Option<PathBuf>,
    /// Which sides must be mount points.
    pub require_mount: RequireMount,
    /// When runs are due.
    pub schedule: Schedule,
    /// The zone of the schedule, of archive names and of times shown.
    pub zone: Tz,
    /// Whether a run is due when the daemon starts.
    pub on_start: OnStart,
    /// How late a missed run is still caught up with. Zero: never.
    pub catch_up: Duration,
    /// The archives' names below the destination.
    pub pattern: Pattern,
    /// What archives are compressed with.
    pub codec: Codec,
    /// Which archives stay.
    pub keep: Keep,
    /// The name of a link to the newest archive.
    pub latest_link: Option<String>,
    /// When archives are read back that were not for longest.
    pub verify: Schedule,
    /// How it is known that a file has not changed since the last archive.
    pub change_detection: ChangeDetection,
    /// After how long everything is read, changed or not. Zero: never for this reason.
    pub full_every: Duration,
    /// What becomes of a run that finds nothing changed.
    pub unchanged: Unchanged,
    /// Whether an archive has blocks in common with the one before it, where the file system can do that.
    pub share: bool,
    /// To whom archives are encrypted, if they are.
    pub recipients: Option<Recipients>,
    /// What opens encrypted archives.
    pub keys: Keys,
    /// Permissions of archives. Folders made for them get those of the destination.
    pub mode: u32,
    /// User and group of archives, if not those of the destination folder.
    pub owner: Option<(u32, u32)>,
    /// What becomes of a run that could not read everything.
    pub on_skipped: OnMiss,
    /// What becomes of a run in which files changed while they were read.
    pub on_changed: OnMiss,
    /// Services that use the sources, and must be down before these are restored or emptied.
    pub services_down: Vec<Service>,
    /// Whether the sources may be emptied without anybody being asked.
    pub allow_reset: bool,
    /// How much other work comes first: 0 (none) to 19.
    pub nice: u8,
    /// How many threads compress, 1 to 256.
    pub threads: NonZeroUsize,
    /// Every setting of the job as it was written, and where it comes from.
    pub shown: Vec<Shown>,
}

impl Config {
    /// What opens encrypted archives, of all jobs: whose an archive is stands in the archive.
    pub fn keys(&self) -> Keys {
        self.jobs.iter().fold(Keys::default(), |keys, job| keys.and(&job.keys))
    }
}

/// A setting in force, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Which.
    pub setting: &'static Setting,
    /// Its value on one line, empty if it has none.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Which sides of a job must be mount points, so that an unmounted disk is not taken for an empty folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequireMount {
    /// Every source.
    pub source: bool,
    /// The destination.
    pub destination: bool,
}

/// How it is known that a file has not changed since the last archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeDetection {
    /// By inode, size, mode, owner, mtime and ctime.
    Strict,
    /// Without inode and ctime, for network mounts where they move by themselves.
    Mtime,
    /// By reading it.
    Content,
}

/// What becomes of a run that finds nothing changed since the last archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// An archive of its own, whose segments are copied.
    Copy,
    /// A hard link to the last archive.
    Link,
}

/// What becomes of a run that missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMiss {
    /// It is published, and says so.
    Warn,
    /// It fails, and nothing is published.
    Fail,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The jobs to work on. Empty: all.
    pub jobs: Vec<String>,
    /// Settings by flags.
    pub values: Vec<(&'static Setting, Value)>,
    /// Settings by flags that name a file with the value: the flag, and the path.
    pub files: Vec<(&'static Setting, &'static str, PathBuf)>,
}

/// Read everything. The environment's files and the configuration file are read anew each time, so the daemon calls this
/// again when it is told that they changed.
///
/// # Errors
/// If anything is wrong, as a usage error that says where it stands and what to write instead.
pub fn load(typed: &Typed, environment: &Environment) -> Result<Config> {
    read::load(typed, environment)
}
