//! The binary: parse, log, run, exit.

use std::process::ExitCode;

use tarkeep::cli::{Cli, Command};
use tarkeep::clock::{Clock, SystemClock};
use tarkeep::config::{self, Environment};
use tarkeep::daemon::signals::{self, Signals};
use tarkeep::error::Result;
use tarkeep::exit::Exit;
use tarkeep::stop::Stop;
use tarkeep::{command, logger, sys};

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        // Help goes to standard output with 0, anything wrong to standard error with 2.
        Err(error) => error.exit(),
    };
    let exit = run(cli).unwrap_or_else(|error| {
        logger::say_last(&error);
        error.exit()
    });
    logger::finish();
    signals::end(exit)
}

fn run(cli: Cli) -> Result<Exit> {
    if only_looks(&cli.command) {
        Signals::at_once()?;
    }
    if let Command::Completions(args) = &cli.command {
        return command::completions::run(args);
    }
    let typed = cli.typed();
    let load = move || config::load(&typed, &Environment::of_process());
    let config = match load() {
        // A health check has no more than yes and no.
        Err(error) if matches!(cli.command, Command::Health(_)) => return Err(error.with_exit(Exit::Failed)),
        // And 1 of `diff` means that something differs.
        Err(error) if matches!(cli.command, Command::Diff(_)) => return Err(error.with_exit(Exit::Usage)),
        loaded => loaded?,
    };
    let daemon = matches!(cli.command, Command::Run);
    if daemon {
        // Before there is a second thread, which is that of the log.
        sys::share_one_heap();
    }
    logger::start(&config, SystemClock, daemon);
    if !config.keys().is_empty() {
        sys::leave_no_core();
    }
    let now = SystemClock.now();
    match cli.command {
        Command::Run => command::run::run(config, load, &SystemClock),
        Command::Backup(args) => command::backup::run(&args, &config, &SystemClock, &listening()?),
        Command::List(args) => command::list::run(&args, &config, now, &Stop::default()),
        Command::Cat(args) => command::cat::run(&args, &config, &Stop::default()),
        Command::Diff(args) => command::diff::run(&args, &config, &Stop::default()),
        Command::Verify(args) => command::verify::run(&args, &config, &SystemClock, &listening()?),
        Command::Restore(args) => command::restore::run(&args, &config, &listening()?),
        Command::Prune(args) => command::prune::run(&args, &config, &SystemClock, &listening()?),
        Command::Reset(args) => command::reset::run(&args, &config, &SystemClock, &listening()?),
        Command::Next(args) => command::next::run(&args, &config, now),
        Command::Check(args) => command::check::run(&args, &config, now),
        Command::Info(args) => command::info::run(&args, &config),
        Command::Health(args) => command::health::run(&args, &config, now),
        Command::Completions(args) => command::completions::run(&args),
    }
}

/// Whether nothing has to be cleaned up after it, wherever it ends.
fn only_looks(command: &Command) -> bool {
    matches!(
        command,
        Command::List(_)
            | Command::Cat(_)
            | Command::Diff(_)
            | Command::Next(_)
            | Command::Check(_)
            | Command::Info(_)
            | Command::Health(_)
            | Command::Completions(_)
    )
}

/// What a signal asks to stop.
fn listening() -> Result<Stop> {
    let stop = Stop::default();
    Signals::one_shot(&stop)?;
    Ok(stop)
}
