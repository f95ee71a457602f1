//! What was typed. No I/O, and nothing is decided here but what the words mean.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::settings as set;
use crate::config::{Origin, SETTINGS, Setting, Typed, Value, Written};

const AFTER_HELP: &str = "\
Settings come from flags, then from TARKEEP_* variables, then from the configuration file; `tarkeep info` shows what is \
in force and where it comes from.";

const AFTER_LONG_HELP: &str = "\
Settings come from flags, then from TARKEEP_* variables, then from the configuration file; `tarkeep info` shows what is \
in force and where it comes from.

Examples:
  tarkeep run                               back up when it is due, until stopped
  tarkeep backup --source . -o here.tar.gz  archive this folder, here and now
  tarkeep list latest                       what is in the newest archive
  tarkeep cat latest data/notes.txt         one file of it
  tarkeep diff latest /data                 what changed since
  tarkeep verify --all                      read every archive back
  tarkeep prune --dry-run                   what retention would delete, and why not the rest

Exit status: 0 complete, 1 failed, 2 wrong usage or configuration, 3 published but incomplete, 4 published but a later \
step failed, 5 damage found, 11 another run has the destination, 128+n ended by signal n.";

/// Keep a plain .tar.gz of your data, every night.
#[derive(Debug, Parser)]
#[command(
    name = "tarkeep",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    help_expected = true,
    max_term_width = 110,
    after_help = AFTER_HELP,
    after_long_help = AFTER_LONG_HELP
)]
pub struct Cli {
    /// Configuration file [default: /etc/tarkeep/tarkeep.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    pub config: Option<PathBuf>,

    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", display_order = 901)]
    pub log: Option<OsString>,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands there are.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Back up whenever it is due, until stopped
    Run,
    /// Back up once, now
    Backup(BackupArgs),
    /// List the archives, or what is in one
    List(ListArgs),
    /// Write files of an archive to standard output
    Cat(CatArgs),
    /// Show what differs between two archives, or an archive and a folder; exit 0 if nothing, 1 if something, 2 on trouble
    Diff(DiffArgs),
    /// Read archives back and check everything in them
    Verify(VerifyArgs),
    /// Bring an archive's files back
    Restore(RestoreArgs),
    /// Empty a job's sources, after a last archive of them
    Reset(ResetArgs),
    /// Delete the archives that no rule keeps, or say which these are
    Prune(PruneArgs),
    /// Show when runs are due
    Next(NextArgs),
    /// Check that sources, destinations and schedules are as they should be
    Check(JsonArgs),
    /// Show the settings in force and where each comes from
    Info(JsonArgs),
    /// Say whether backups are being made; exit 0 if so, 1 if not
    Health(JsonArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

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
    #[arg(value_name = "PATH")]
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
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,

    /// File with the private key that decrypts it: of age, or of SSH
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// The job whose archives are meant
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
}

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
    #[arg(value_name = "PATH")]
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
    #[arg(value_name = "PATH")]
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

/// `prune`
#[derive(Debug, Args)]
#[command(after_long_help = "\
What is kept is said by TARKEEP_KEEP: last=30 daily=14 weekly=8 monthly=12 yearly=5 within=90d, or all. The daemon and \
backup prune after each run whose archive is complete. Only files go that have a name as this job makes them, and whose \
index says that they are this job's. Nothing goes while the newest archive is incomplete or the clock stands before it, nor until --accept after a source has \
shrunk, a file has changed that by its times had not, or a pause longer than within.

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

/// `next`
#[derive(Debug, Args)]
pub struct NextArgs {
    /// How many due times of each job
    #[arg(short = 'n', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command that only chooses how it prints.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `completions`
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tarkeep completions bash > /etc/bash_completion.d/tarkeep
  tarkeep completions fish > ~/.config/fish/completions/tarkeep.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Cli {
    /// Understand a command line. A program called `backup`, as the image has one, is `tarkeep backup -o -`; one called
    /// `restore` is `tarkeep restore`, and restores standard input if no archive is named; one called `reset` is `tarkeep
    /// reset`.
    ///
    /// # Errors
    /// If it cannot be understood, or asks for help, which clap prints either way.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let called = arguments.first().and_then(|name| Path::new(name).file_name().map(OsStr::to_owned));
        let called = |name| called.as_deref() == Some(OsStr::new(name));
        let as_backup = called("backup");
        for name in ["backup", "restore", "reset"] {
            if called(name) {
                arguments.splice(..1, ["tarkeep".into(), name.into()]);
            }
        }
        let parsed = Self::try_parse_from(&arguments);
        let mut cli = match parsed {
            Err(error) if called("restore") && error.kind() == ErrorKind::MissingRequiredArgument => {
                arguments.push("-".into());
                Self::try_parse_from(arguments)?
            }
            parsed => parsed.map_err(as_setting)?,
        };
        if let Command::Backup(args) = &mut cli.command {
            if as_backup && args.output.is_none() && args.destination.is_none() {
                args.output = Some("-".into());
            }
            if args.json && args.output.as_deref() == Some(Path::new("-")) {
                return Err(Self::command().error(
                    ErrorKind::ArgumentConflict,
                    "the archive and --json would both go to standard output; leave out --json",
                ));
            }
        }
        Ok(cli)
    }

    /// What the command line says about the configuration.
    pub fn typed(&self) -> Typed {
        let mut typed = Typed { file: self.config.clone(), ..Typed::default() };
        let mut one = |setting: &'static Setting, flag, value: &Option<OsString>| {
            if let Some(value) = value {
                typed.values.push(flag_value(setting, flag, Written::Items(vec![value.clone()])));
            }
        };
        one(&set::LOG, "--log", &self.log);
        match &self.command {
            Command::Backup(args) => {
                one(&set::DESTINATION, "--destination", &args.destination);
                one(&set::CODEC, "--codec", &args.codec);
                one(&set::EXCLUDE_FROM, "--exclude-from", &args.exclude_from);
                one(&set::THREADS, "--threads", &args.threads);
                one(&set::NAME, "--name", &args.name);
                let one_file_system = args.one_file_system.then(|| "true".into());
                one(&set::ONE_FILE_SYSTEM, "--one-file-system", &one_file_system);
                one(&set::SHARE, "--share", &args.share.then(|| "true".into()));
                let mut many = |setting: &'static Setting, flag, items: &Vec<OsString>| {
                    if !items.is_empty() {
                        typed.values.push(flag_value(setting, flag, Written::Items(items.clone())));
                    }
                };
                many(&set::SOURCE, "--source", &args.source);
                many(&set::AGE_RECIPIENTS, "--recipient", &args.recipient);
                many(&set::EXCLUDE, "--exclude", &args.exclude);
                typed.jobs.clone_from(&args.jobs);
            }
            Command::Prune(args) => typed.jobs.clone_from(&args.jobs),
            Command::List(ListArgs { job, identity, .. })
            | Command::Cat(CatArgs { job, identity, .. })
            | Command::Diff(DiffArgs { job, identity, .. }) => {
                typed.files.extend(identity.clone().map(|path| (&set::AGE_IDENTITY, "--identity", path)));
                typed.jobs.extend(job.clone());
            }
            Command::Verify(VerifyArgs { job, threads, identity, .. })
            | Command::Restore(RestoreArgs { job, threads, identity, .. }) => {
                one(&set::THREADS, "--threads", threads);
                typed.files.extend(identity.clone().map(|path| (&set::AGE_IDENTITY, "--identity", path)));
                typed.jobs.extend(job.clone());
            }
            // Which of them is meant is seen later: the destinations of all are out of bounds.
            Command::Reset(ResetArgs { threads, .. }) => one(&set::THREADS, "--threads", threads),
            _ => {}
        }
        typed
    }
}

fn flag_value(setting: &'static Setting, flag: &'static str, written: Written) -> (&'static Setting, Value) {
    (setting, Value { written, origin: Origin::Flag(flag), key: setting.key })
}

/// Most settings have no flag. Who types one all the same is told where else it goes.
fn as_setting(mut error: clap::Error) -> clap::Error {
    let setting = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => {
            let key = flag.trim_start_matches('-');
            SETTINGS.iter().find(|setting| setting.key == key && flag.starts_with("--"))
        }
        _ => None,
    };
    if let Some(setting) = setting {
        let tip = format!("set {} in the environment, or {} in the file", setting.variable, setting.key);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_program_called_backup_writes_to_standard_output() {
        for (line, output) in [
            ("/bin/backup", Some("-")),
            ("backup --codec none", Some("-")),
            ("backup -o x.tar.gz", Some("x.tar.gz")),
            ("backup --destination /backup", None),
            ("/bin/backup/tarkeep backup", None),
        ] {
            let Command::Backup(args) = read(line).unwrap().command else { panic!("{line}") };
            assert_eq!(args.output.as_deref(), output.map(Path::new), "{line}");
        }
    }

    #[test]
    fn a_program_called_restore_reads_standard_input_unless_told_otherwise() {
        for (line, archive) in [
            ("/bin/restore", "-"),
            ("restore --force --yes", "-"),
            ("restore --to here", "-"),
            ("restore latest", "latest"),
            ("restore latest data/a --to here", "latest"),
        ] {
            let Command::Restore(args) = read(line).unwrap().command else { panic!("{line}") };
            assert_eq!(args.archive, archive, "{line}");
        }
        assert!(read("tarkeep restore").is_err());
        assert!(read("restore --delete").is_err());
    }

    #[test]
    fn a_program_called_reset_resets() {
        for (line, job) in [
            ("/bin/reset", None),
            ("reset --yes", None),
            ("reset db --no-backup", Some("db")),
            ("/bin/reset/tarkeep reset", None),
        ] {
            let Command::Reset(args) = read(line).unwrap().command else { panic!("{line}") };
            assert_eq!(args.job.as_deref(), job, "{line}");
        }
        assert!(read("reset a b").is_err());
    }

    #[test]
    fn two_things_do_not_go_to_standard_output() {
        assert!(read("backup --json").is_err());
        assert!(read("tarkeep backup -o - --json").is_err());
        assert!(read("tarkeep backup -o x --json").is_ok());
    }
}
