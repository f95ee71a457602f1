//! What was typed. No I/O, and nothing is decided here but what the words mean.

mod backup;
mod cat;
mod diff;
mod list;
mod prune;
mod reset;
mod restore;
mod verify;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use self::backup::BackupArgs;
pub use self::cat::CatArgs;
pub use self::diff::DiffArgs;
pub use self::list::ListArgs;
pub use self::prune::PruneArgs;
pub use self::reset::ResetArgs;
pub use self::restore::RestoreArgs;
pub use self::verify::VerifyArgs;
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

/// A PATH in an archive. An empty one would mean everything, and is a variable of a script that was not set.
fn path_parser() -> impl TypedValueParser<Value = OsString> {
    let full = |word: OsString| if word.is_empty() { Err("it is empty; . is everything") } else { Ok(word) };
    OsStringValueParser::new().try_map(full)
}

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
