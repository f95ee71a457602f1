//! What `prune` can be told.

use clap::Args;

/// `prune`
#[derive(Debug, Args)]
#[command(after_long_help = "\
What is kept is said by TARKEEP_KEEP: last=30 daily=14 weekly=8 monthly=12 yearly=5 within=90d, or all. The daemon and \
backup prune after each run whose archive is complete. Only files go that have a name as this job makes them, and whose \
index says that they are this job's. Nothing goes while the newest archive is incomplete or the clock stands before it, \
nor until --accept after a source has shrunk, a file has changed that by its times had not, or a pause longer than within.

Examples:
  tarkeep prune --dry-run              what would go, and what keeps the rest
  tarkeep prune                        delete it
  tarkeep prune --accept               the source has shrunk, and should have")]
pub struct PruneArgs {
    /// Jobs whose archives are meant [default: all]
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Only say what would be done, and why
    #[arg(long)]
    pub dry_run: bool,

    /// The archives there are now are as they should be, incomplete, shrunken or after a pause: prune again
    #[arg(long)]
    pub accept: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
