//! What `cat` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `cat`
#[derive(Debug, Args)]
#[command(after_long_help = "\
An ARCHIVE is a path, a name such as 2026-11-20/01-00-00 or an unambiguous beginning of one, latest, or - for \
standard input. With an index only what the files need is read, and checked before it is given out; what comes through a \
pipe is checked at its end, and files come in the order that they have there.

Examples:
  tarkeep cat latest data/etc/fstab
  tarkeep cat 2026-11-20 data/dump.sql | psql")]
pub struct CatArgs {
    /// Archive to read from
    #[arg(value_name = "ARCHIVE")]
    pub archive: OsString,

    /// Names of files in it
    #[arg(value_name = "PATH", required = true, value_parser = super::path_parser())]
    pub paths: Vec<OsString>,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// The job whose archives are meant
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
}
