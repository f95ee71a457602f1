//! `completions`: what a shell needs to complete our commands.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::command::output::Output;
use crate::error::Result;
use crate::exit::Exit;

/// Print the script. It needs no configuration.
pub fn run(args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tarkeep", &mut script);
    let mut output = Output::new();
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    output.finish()?;
    Ok(Exit::Complete)
}
