//! What `reset` can be told.

use std::ffi::OsString;

use clap::Args;

/// `reset`
#[derive(Debug, Args)]
#[command(after_long_help = "\
A last archive is made and verified first, and nothing is removed that it does not have: what the job leaves out stays, \
and so does what changed meanwhile. With --no-backup there is none, and everything goes. The sources themselves and what \
is mounted in them stay, as empty folders.

It asks for the job's name to be typed. --yes answers, but only where TARKEEP_ALLOW_RESET=1 is set too. It refuses while a \
run is on, while services are up that TARKEEP_SERVICES_DOWN names, and for the machine's own folders.

Examples:
  tarkeep reset --dry-run                        what would be removed
  docker compose run --rm reset                  with the compose file of this project
  docker compose run --rm -T -e TARKEEP_ALLOW_RESET=1 reset --yes")]
pub struct ResetArgs {
    /// Job whose sources are emptied; to be named where there are several
    #[arg(value_name = "JOB")]
    pub job: Option<String>,

    /// Make no last archive, and remove what the job leaves out too
    #[arg(long)]
    pub no_backup: bool,

    /// Go on although services are up that TARKEEP_SERVICES_DOWN names
    #[arg(long)]
    pub force: bool,

    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask; only together with TARKEEP_ALLOW_RESET=1
    #[arg(long)]
    pub yes: bool,

    /// How many threads compress, 1 to 256 [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<OsString>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Draw no progress bar
    #[arg(long)]
    pub no_progress: bool,
}
