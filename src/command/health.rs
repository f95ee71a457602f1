//! `health`: whether backups are being made, for `HEALTHCHECK` and for people.

use std::fs;
use std::os::unix::fs::MetadataExt;

use chrono::{DateTime, Utc};
use rustix::fs::{Access, access};
use serde_json::json;

use crate::agenda::Times;
use crate::archive::name::ENDINGS;
use crate::cli::JsonArgs;
use crate::command::output::Output;
use crate::command::state_folder;
use crate::config::{Config, Job};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::health::{self, Facts, Health, Status};
use crate::job::{self, recheck};
use crate::printable::printable_path;
use crate::state::{Asked, Keeper, State};

/// Print a verdict on each job; the worst decides between 0 and 1. Nothing is written: a health check does not wake a
/// disk that sleeps between runs.
pub fn run(args: &JsonArgs, config: &Config, now: DateTime<Utc>) -> Result<Exit> {
    let mut asked = Asked::default();
    let remembered: Vec<_> = config
        .jobs
        .iter()
        .map(|job| {
            let folder = state_folder(job);
            (job, folder.load(&job.name), folder.keeper(&job.name, &mut asked))
        })
        .collect();
    // Runs wait for a verification as they do for one another.
    let verifying = |job: &Job| {
        let (folder, name) = (state_folder(job), job::verification(job));
        folder.occupied(&name) && folder.load(&name).running().is_some()
    };
    let busy = remembered.iter().any(|(job, state, keeper)| {
        *keeper == Keeper::Alive && (state.running().is_some() || verifying(job))
    });
    let judged = remembered.iter().map(|(job, state, keeper)| {
        let problem = problem(job, state).err().map(|error| error.to_string());
        let times = Times { schedule: &job.schedule, zone: job.zone, catch_up: job.catch_up };
        let facts = Facts { times, state, keeper: *keeper, busy, destination: problem.as_deref() };
        (job.name.as_str(), health::judge(facts, now))
    });
    let judged: Vec<(&str, Health)> = judged.collect();
    let worst = judged.iter().map(|(_, health)| health.status).max().unwrap_or(Status::Healthy);

    let mut output = Output::new();
    if args.json {
        let jobs: Vec<_> =
            judged.iter().map(|(job, health)| json!({ "job": job, "health": health })).collect();
        output.json(&json!({ "status": worst, "jobs": jobs }))?;
    } else {
        for (job, health) in &judged {
            let status = format!("{:?}", health.status).to_lowercase();
            output.line(format_args!("{status}  {job}: {}", health.reason))?;
        }
    }
    output.finish()?;
    Ok(if judged.iter().all(|(_, health)| health.exit() == Exit::Complete) {
        Exit::Complete
    } else {
        Exit::Failed
    })
}

/// What is wrong with the destination, as far as it can be seen without writing.
fn problem(job: &Job, state: &State) -> Result<()> {
    let destination = job::open(job)?;
    let root = destination.root();
    let links = fs::metadata(root).map_err(|e| Error::io("look at destination", root, e))?.nlink();
    // A folder that was removed while it is mounted in a container is still there, without a name or a link.
    if links == 0 {
        return Err(Error::failed(format!(
            "destination {} has been removed: make the folder again, and start the container anew",
            printable_path(root)
        )));
    }
    access(root, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|e| Error::io("write to destination", root, e))?;
    if let Some(damaged) = recheck::damaged(job, &destination) {
        return Err(Error::damaged(damaged));
    }
    // A backup that somebody removed is none, however well its run went.
    match state.last.as_ref().and_then(|last| last.archive.as_deref()) {
        Some(name) if !ENDINGS.iter().any(|ending| root.join(format!("{name}{ending}")).exists()) => {
            let archive = printable_path(&root.join(name));
            Err(Error::failed(format!(
                "the newest archive, {archive}, is not there any more; `tarkeep backup` makes one"
            )))
        }
        _ => Ok(()),
    }
}
