//! What `list` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `list`
#[derive(Debug, Args)]
#[command(after_long_help = "\
An ARCHIVE is a path, a name such as 2026-11-20/01-00-00 or an unambiguous beginning of one, latest, or - for \
standard input.

Examples:
  tarkeep list                                  the archives there are
  tarkeep list latest                           what is in the newest
  tarkeep list 2026-11-20/01-00-00 data/photos  one folder of that archive
  tarkeep list latest '*.sql' --human           wherever they are")]
pub struct ListArgs {
    /// Archive to look into [default: list the archives]
    #[arg(value_name = "ARCHIVE")]
    pub archive: Option<OsString>,

    /// Only these entries and what is below them, or globs
    #[arg(value_name = "PATH", value_parser = super::path_parser())]
    pub paths: Vec<OsString>,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// Only the archives of this job
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,

    /// Sizes as 1.5 MiB
    #[arg(long)]
    pub human: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
