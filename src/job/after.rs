//! What follows a published archive, under the same lock. Nothing here can cost the archive: what fails is told, and the
//! run ends with exit code 4.

use crate::config::Job;
use crate::destination::{Local, Lock};
use crate::error::Result;
use crate::prune::{self, Policy};
use crate::retention::Keep;

use super::{Hands, Made, state_folder};

/// Let the link to the newest archive lead to this one.
pub fn link(job: &Job, destination: &Local, lock: &Lock, made: &mut Made) {
    let Some(link) = &job.latest_link else { return };
    let below = made.path.as_ref().and_then(|path| path.strip_prefix(destination.root()).ok()?.to_str());
    let Some(name) = below.and_then(|below| job.pattern.parse(below)) else { return };
    if let Err(error) = destination.link_latest(lock, link, &name, &job.pattern) {
        made.later.push(error.to_string());
    }
}

/// Delete what no rule keeps, if nothing forbids it.
pub fn prune(job: &Job, hands: Hands, destination: &Local, lock: &Lock, made: &mut Made) {
    if job.keep != Keep::All
        && let Err(error) = apply(job, hands, destination, lock, made)
    {
        made.later.push(format!("prune: {error}"));
    }
    let held = made.held.clone();
    let folder = state_folder(job);
    if folder.load(&job.name).held != held
        && let Err(error) = folder.update(&job.name, |state| state.held = held)
    {
        log::warn!("{error}");
    }
}

fn apply(job: &Job, hands: Hands, destination: &Local, lock: &Lock, made: &mut Made) -> Result<()> {
    let plan = prune::plan(destination, &policy(job), false, hands.clock.now())?;
    if plan.held.is_none() {
        let pruned = prune::apply(&plan, destination, &job.pattern, lock);
        made.later.extend(pruned.error());
        made.pruned = Some(pruned);
    }
    made.held = plan.held;
    Ok(())
}

/// By what the job's archives are kept.
pub fn policy(job: &Job) -> Policy<'_> {
    Policy {
        pattern: &job.pattern,
        job: &job.name,
        keep: &job.keep,
        zone: job.zone,
        state: state_folder(job),
    }
}
