//! The binary: parse, log, run, exit.

use std::io::Write;
use std::process::ExitCode;

use tarkeep::cli::{Cli, Command};
use tarkeep::clock::{Clock, SystemClock};
use tarkeep::config::{self, Environment};
use tarkeep::daemon::signals::{self, Signals};
use tarkeep::error::{Error, Result};
use tarkeep::exit::Exit;
use tarkeep::stop::Stop;
use tarkeep::{command, logger};

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        // Help goes to standard output with 0, anything wrong to standard error with 2.
        Err(error) => error.exit(),
    };
    let exit = run(cli).unwrap_or_else(|error| {
        // Where nobody listens, the exit code still says it.
        let _ = writeln!(std::io::stderr(), "tarkeep: {error}");
        error.exit()
    });
    signals::end(exit)
}

fn run(cli: Cli) -> Result<Exit> {
    if let Command::Completions(args) = &cli.command {
        return command::completions::run(args);
    }
    let typed = cli.typed();
    let environment = Environment::of_process();
    let config = config::load(&typed, &environment)?;
    logger::start(&config, SystemClock);
    match cli.command {
        Command::Backup(args) => {
            let stop = Stop::default();
            Signals::one_shot(&stop)?;
            command::backup::run(&args, &config, &SystemClock, &stop)
        }
        Command::List(args) => {
            let stop = Stop::default();
            Signals::one_shot(&stop)?;
            command::list::run(&args, &config, SystemClock.now(), &stop)
        }
        Command::Verify(args) => {
            let stop = Stop::default();
            Signals::one_shot(&stop)?;
            command::verify::run(&args, &config, &stop)
        }
        Command::Next(args) => command::next::run(&args, &config, SystemClock.now()),
        Command::Check(args) => command::check::run(&args, &config, SystemClock.now()),
        Command::Info(args) => command::info::run(&args, &config),
        _ => Err(Error::usage("not in this version")),
    }
}
