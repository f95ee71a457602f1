//! What `backup` can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `backup`
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tarkeep backup                                     every job, into its destination
  tarkeep backup db                                  the job called db
  tarkeep backup --source ~/photos --destination /mnt/disk
  tarkeep backup --source . -o here.tar.gz           one archive, and nothing else touched; .tar.zst, .tar.bz2, .tar too
  docker compose exec -T backup backup > x.tar.gz    from a container to the host")]
pub struct BackupArgs {
    /// Jobs to run [default: all]
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Write one archive there, or to standard output (-), and touch nothing else
    #[arg(short, long, value_name = "FILE|-")]
    pub output: Option<PathBuf>,

    /// Read everything, and take nothing over from the last archive
    #[arg(long)]
    pub full: bool,

    /// Folder or file to archive; can be repeated
    #[arg(long, value_name = "PATH")]
    pub source: Vec<OsString>,

    /// Folder to keep the archive in
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub destination: Option<OsString>,

    /// gzip:1 (fastest) to gzip:12 (smallest), zstd:1 to zstd:19, bzip2, or none [default: as FILE is called, or as set]
    #[arg(long, value_name = "CODEC")]
    pub codec: Option<OsString>,

    /// Encrypt to this public key, age1…, ssh-ed25519 … or ssh-rsa …; can be repeated
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<OsString>,

    /// Leave out what matches, by the rules of .gitignore; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<OsString>,

    /// Leave out what matches a line of this file
    #[arg(long, value_name = "FILE")]
    pub exclude_from: Option<OsString>,

    /// Leave out other filesystems mounted below a source
    #[arg(long)]
    pub one_file_system: bool,

    /// Store once what the last archive has too, on a file system that can (XFS, btrfs)
    #[arg(long, conflicts_with = "output")]
    pub share: bool,

    /// How many threads compress, 1 to 256 [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<OsString>,

    /// Pattern of the archive's name below the destination, without its ending
    #[arg(long, value_name = "PATTERN", conflicts_with = "output")]
    pub name: Option<OsString>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,

    /// Draw no progress bar
    #[arg(long)]
    pub no_progress: bool,
}
