//! `info`: the settings in force, and where each comes from.

use serde_json::{Map, json};

use crate::cli::JsonArgs;
use crate::command::output::Output;
use crate::config::{CONFIG_DEFAULT, Config, Shown};
use crate::error::Result;
use crate::exit::Exit;
use crate::printable::printable_path;

/// Print every setting.
pub fn run(args: &JsonArgs, config: &Config) -> Result<Exit> {
    let mut output = Output::new();
    if args.json { as_json(config, &mut output) } else { as_text(config, &mut output) }?;
    output.finish()?;
    Ok(Exit::Complete)
}

fn as_text(config: &Config, output: &mut Output) -> Result<()> {
    output.line(concat!("tarkeep ", env!("CARGO_PKG_VERSION")))?;
    output.line(match &config.file {
        Some(path) => format!("configuration file {}", printable_path(path)),
        None => format!("no configuration file at {CONFIG_DEFAULT}"),
    })?;
    for shown in &config.shown {
        output.line(line(shown))?;
    }
    for job in &config.jobs {
        output.line(format_args!("\njob {:?}", job.name))?;
        for shown in &job.shown {
            output.line(format_args!("  {}", line(shown)))?;
        }
    }
    Ok(())
}

fn line(shown: &Shown) -> String {
    let blank = if shown.value.is_empty() { "" } else { " " };
    format!("{} ={blank}{} ({})", shown.setting.variable, shown.value, shown.origin)
}

fn as_json(config: &Config, output: &mut Output) -> Result<()> {
    let settings = |shown: &[Shown]| -> Map<_, _> {
        let setting = |shown: &Shown| json!({ "value": shown.value, "from": shown.origin.to_string() });
        shown.iter().map(|shown| (shown.setting.key.to_owned(), setting(shown))).collect()
    };
    let jobs: Vec<_> =
        config.jobs.iter().map(|job| json!({ "name": job.name, "settings": settings(&job.shown) })).collect();
    output.json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "file": config.file.as_deref().map(printable_path),
        "settings": settings(&config.shown),
        "jobs": jobs,
    }))
}
