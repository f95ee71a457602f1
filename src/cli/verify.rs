//! What `verify` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `verify`
#[derive(Debug, Args)]
#[command(after_long_help = "\
An ARCHIVE is a path, a name such as 2026-11-20/01-00-00 or an unambiguous beginning of one, latest, or - for \
standard input. Archives that other tools made are checked as far as they can be.

Examples:
  tarkeep verify                the newest archive
  tarkeep verify --all          all there are
  tarkeep verify old.tar.gz     any file")]
pub struct VerifyArgs {
    /// Archives to read [default: latest]
    #[arg(value_name = "ARCHIVE")]
    pub archives: Vec<OsString>,

    /// Every archive there is
    #[arg(long, conflicts_with = "archives")]
    pub all: bool,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// Only the archives of this job
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,

    /// How many threads read, 1 to 256 [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<OsString>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
