//! An archive from standard input.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::restore::spool;
use crate::stop::Stop;

/// Standard input as a file that can be read more than once.
///
/// # Errors
/// If it is a terminal, or there is no room for it.
pub fn kept(file: File, args: &RestoreArgs, config: &Config, stop: &Stop) -> Result<File> {
    let about = file.metadata().map_err(|e| Error::io("look at", "standard input", e))?;
    if about.is_file() {
        return Ok(file);
    }
    if file.is_terminal() {
        return Err(Error::usage(
            "an archive is wanted from standard input, which is a terminal: docker compose exec -T backup restore <FILE, \
             or restore FILE",
        ));
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for job in &config.jobs {
        folders.extend(job.state.clone());
        folders.extend([job.destination.join(".tarkeep"), job.destination.clone()]);
    }
    let targets = match &args.to {
        Some(to) => vec![to],
        None => config.jobs.iter().flat_map(|job| &job.sources).collect(),
    };
    for folder in targets.into_iter().flat_map(|target| target.ancestors()) {
        let here = folder.as_os_str().is_empty();
        folders.push(if here { PathBuf::from(".") } else { folder.to_path_buf() });
    }
    spool(file, &folders, stop)
}
