//! What follows a published archive, under the same lock. Nothing here can cost the archive: what fails is told, and the
//! run ends with exit code 4.

use crate::config::Job;
use crate::destination::{Local, Lock};
use crate::error::Result;
use crate::prune::{self, Policy, Pruned};
use crate::retention::Keep;

use super::{Hands, Made, state_folder};

/// Delete what no rule keeps, if nothing forbids it.
pub fn steps(job: &Job, hands: Hands, destination: &Local, lock: &Lock, made: &mut Made) {
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
