//! What `restore` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `restore`
#[derive(Debug, Args)]
#[command(after_long_help = "\
An ARCHIVE is a path, a name such as 2026-11-20/01-00-00 or an unambiguous beginning of one, latest, or - for standard \
input, which is read to its end before anything is touched. A PATH is a name in it, data/photos, with all below it, or a \
glob.

Of an archive that another tool made, what could do harm is refused, named, and the rest restored (exit 3); --trust \
takes it all. Anybody can make an archive that looks as if tarkeep had made it: restore what strangers gave you with \
--untrusted.

Everything is written beside what is there, and swapped in when it is complete. A restore that is interrupted is \
finished or undone by the next one.

Examples:
  tarkeep restore latest                          back to where it came from, if that is empty
  tarkeep restore latest --force --delete --yes   exactly as it was
  tarkeep restore latest --to here                into a folder
  tarkeep restore 2026-11-20 data/photos --to .   one folder of an archive
  docker compose run --rm -T restore - <x.tar.gz  from the host into a container")]
pub struct RestoreArgs {
    /// Archive to restore from
    #[arg(value_name = "ARCHIVE")]
    pub archive: OsString,

    /// Only these entries and what is below them
    #[arg(value_name = "PATH", value_parser = super::path_parser())]
    pub paths: Vec<OsString>,

    /// Restore into this folder [default: back to the sources]
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// The job whose archives and sources are meant
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,

    /// Put files in the place of those that are there, also while services are up that TARKEEP_SERVICES_DOWN names
    #[arg(long)]
    pub force: bool,

    /// With --force: remove what the archive does not have
    #[arg(long, requires = "force")]
    pub delete: bool,

    /// Do not read the archive through before anything is touched
    #[arg(long)]
    pub no_verify: bool,

    /// Believe an archive that another tool made: owners, devices, set-id bits, links to anywhere
    #[arg(long, conflicts_with = "untrusted")]
    pub trust: bool,

    /// Do not believe an archive that says tarkeep made it: restore it as one of a stranger
    #[arg(long)]
    pub untrusted: bool,

    /// Restore what can be read of a damaged archive to a new place, and list what is lost
    #[arg(long, conflicts_with = "force")]
    pub salvage: bool,

    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// How many threads work, 1 to 256 [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<OsString>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
