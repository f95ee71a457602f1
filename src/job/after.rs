//! What follows a published archive, under the same lock. Nothing here can cost the archive: what fails is told, and the
//! run ends with exit code 4.

use crate::config::Job;
use crate::destination::{Local, Lock};
use crate::error::Result;
use crate::prune::{self, Policy, Pruned};
use crate::retention::Keep;

use super::{Hands, Made, state_folder};

/// Let the link to the newest archive lead to this one, and delete what no rule keeps, if nothing forbids it.
pub fn steps(job: &Job, hands: Hands, destination: &Local, lock: &Lock, made: &mut Made) {
    if let Err(error) = link(job, destination, lock, made) {
        made.later.push(error.to_string());
    }
    if job.keep != Keep::All {
        match prune(job, hands, destination, lock) {
            Ok(Ok(pruned)) => {
                made.later.extend(pruned.error());
                made.pruned = Some(pruned);
            }
            Ok(Err(held)) => made.held = Some(held),
            Err(error) => made.later.push(format!("prune: {error}")),
        }
    }
    let held = made.held.clone();
    let folder = state_folder(job);
    if folder.load(&job.name).held != held
        && let Err(error) = folder.update(&job.name, |state| state.held = held)
    {
        log::warn!("{error}");
    }
}

fn link(job: &Job, destination: &Local, lock: &Lock, made: &Made) -> Result<()> {
    let Some(link) = &job.latest_link else { return Ok(()) };
    let below = made.path.as_ref().and_then(|path| path.strip_prefix(destination.root()).ok()?.to_str());
    let Some(name) = below.and_then(|below| job.pattern.parse(below)) else { return Ok(()) };
    destination.link_latest(lock, link, &name, &job.pattern)
}

/// What was pruned, or why nothing may be.
fn prune(job: &Job, hands: Hands, destination: &Local, lock: &Lock) -> Result<Result<Pruned, String>> {
    let accepted = state_folder(job).load(&job.name).accepted;
    let plan = prune::plan(destination, policy(job), accepted, hands.clock.now())?;
    Ok(match &plan.held {
        Some(held) => Err(held.clone()),
        None => Ok(prune::apply(&plan, destination, &job.pattern, lock)),
    })
}

/// By what the job's archives are kept.
pub fn policy(job: &Job) -> Policy<'_> {
    Policy { pattern: &job.pattern, job: &job.name, keep: &job.keep, zone: job.zone }
}
