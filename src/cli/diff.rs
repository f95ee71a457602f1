//! What `diff` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `diff`
#[derive(Debug, Args)]
#[command(after_long_help = "\
An ARCHIVE is a path, a name such as 2026-11-20/01-00-00 or an unambiguous beginning of one, latest, or - for \
standard input.

+ is only in the second, - only in the first, ~ in both and not the same: content, type, mode, owner, mtime, target, \
device or attributes. What an archive's hashes show to be equal is not read. Archives without an index are read through \
first, and their entries kept in memory, about 300 bytes and the name for each.

A folder is compared with the one entry that all others of the archive are below, or with PATH. For a source of a job, \
what the job leaves out is left out here too.

Exit status: 0 nothing differs, 1 something does, 2 trouble.

Examples:
  tarkeep diff 2026-11-20 latest             what changed since
  tarkeep diff latest /data                  what changed since the last run
  tarkeep diff 2026-11-20 latest data/etc    in one folder")]
pub struct DiffArgs {
    /// The first, older archive
    #[arg(value_name = "ARCHIVE")]
    pub first: OsString,

    /// The second archive, or a folder
    #[arg(value_name = "ARCHIVE|DIR")]
    pub second: OsString,

    /// Only these entries and what is below them, or globs; with a folder, the one entry that it is compared with
    #[arg(value_name = "PATH", value_parser = super::path_parser())]
    pub paths: Vec<OsString>,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// The job whose archives are meant
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
