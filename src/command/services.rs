//! Nothing is put in the place of data, or removed, under the feet of a service that uses it.

use std::path::{Path, PathBuf};

use crate::config::{Config, Job};
use crate::error::{Error, Result};
use crate::services::{Found, Service, look};

/// What to type after what was refused.
const FORCE: &str = "--force goes on all the same";

/// Refuse while a service is up that uses what is at, in or around one of these folders, by whatever job that is known.
/// With `force` it is only said.
///
/// # Errors
/// That names what is up, or what could not be asked, and what to do.
pub fn require_down(targets: &[&Path], config: &Config, force: bool) -> Result<()> {
    jobs_of(targets, config).into_iter().try_for_each(|job| require_down_for(job, force))
}

fn require_down_for(job: &Job, force: bool) -> Result<()> {
    let mut up = Vec::new();
    let mut unknown = Vec::new();
    for (service, found) in job.services_down.iter().zip(look(&job.services_down)) {
        match found {
            Found::Down(why) => log::info!("{service} is down: {why}"),
            Found::Up if force => {
                log::warn!("{service} is up, and --force goes on: it may undo or spoil this");
            }
            Found::Unknown(why) if force => {
                log::warn!("{service}: whether it is up is not known, and --force goes on: {why}");
            }
            Found::Up => up.push(service),
            Found::Unknown(why) => unknown.push(format!("{service}: whether it is up is not known: {why}")),
        }
    }
    if !up.is_empty() {
        let names: Vec<_> = up.iter().map(ToString::to_string).collect();
        let are = if up.len() == 1 { "is" } else { "are" };
        return Err(Error::failed(format!(
            "{} {are} up and may use the data of job {}; nothing was touched: first {}; {FORCE}",
            names.join(" and "),
            job.name,
            remedy(&up)
        )));
    }
    match unknown.first() {
        None => Ok(()),
        Some(first) => Err(Error::failed(format!("{first}; nothing was touched; {FORCE}"))),
    }
}

fn remedy(up: &[&Service]) -> String {
    let mut names: Vec<_> = up.iter().filter_map(|service| service.name()).collect();
    names.dedup();
    if names.is_empty() {
        "stop what listens there".into()
    } else {
        format!("docker compose stop {}", names.join(" "))
    }
}

/// The jobs that have a source at, in or around one of these folders.
pub fn jobs_of<'a>(targets: &[&Path], config: &'a Config) -> Vec<&'a Job> {
    let targets: Vec<_> = targets.iter().map(|target| place(target)).collect();
    let concerns = |source: &PathBuf| {
        let source = place(source);
        targets.iter().any(|target| target.starts_with(&source) || source.starts_with(target))
    };
    config.jobs.iter().chain(&config.others).filter(|job| job.sources.iter().any(concerns)).collect()
}

/// Where a path leads: links are followed in what is there of it.
fn place(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for above in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            // An empty rest would put a slash behind it.
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    path
}
