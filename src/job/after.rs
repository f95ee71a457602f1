//! What follows a published archive, under the same lock. Nothing here can cost the archive: what fails is told, and the
//! run ends with exit code 4.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;

use chrono::{DateTime, Utc};

use crate::config::Job;
use crate::destination::{Local, Lock};
use crate::error::Result;
use crate::prune::{self, Policy, Pruned};
use crate::retention::Keep;
use crate::source;
use crate::state::Fate;

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
    let plan = prune::plan(destination, &policy(job), false, hands.clock.now(), hands.stop)?;
    if plan.held.is_none() {
        let pruned = prune::apply(&plan, destination, &job.pattern, lock, hands.stop);
        made.later.extend(pruned.error());
        made.pruned = Some(pruned);
    }
    made.held = plan.held;
    Ok(())
}

/// Forget what was remembered of archives, encrypted ones and links, that were just deleted or have been gone for long. It
/// is a note: what fails is said, and the next run tries again.
pub fn forget(job: &Job, destination: &Local, _: &Lock, pruned: Option<&Pruned>, now: DateTime<Utc>) {
    let versioned = job.pattern.is_versioned();
    let deleted: HashSet<(&str, u64)> = pruned
        .iter()
        .flat_map(|pruned| &pruned.deleted)
        .map(|deleted| (deleted.name.as_str(), deleted.bytes))
        .collect();
    // Numbered names move, and where a run that was killed has not noted it, the size says that it may be there.
    let sizes: Option<HashSet<u64>> = versioned
        .then(|| destination.archives(&job.pattern).ok())
        .flatten()
        .map(|found| found.into_iter().map(|stored| stored.bytes).collect());
    let fate = |name: &str, bytes: u64| {
        let about = fs::symlink_metadata(destination.root().join(name));
        let gone = about.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound);
        if gone && deleted.contains(&(name, bytes)) {
            return Fate::Deleted;
        }
        if versioned {
            return match &sizes {
                None => Fate::Unknown,
                Some(sizes) if sizes.contains(&bytes) => Fate::There,
                Some(_) => Fate::Missing,
            };
        }
        match about {
            Ok(_) => Fate::There,
            Err(e) if e.kind() == ErrorKind::NotFound => Fate::Missing,
            Err(_) => Fate::Unknown,
        }
    };
    if let Err(error) = state_folder(job).forget(&job.name, now, fate) {
        log::warn!("{error}");
    }
}

/// By what the job's archives are kept.
pub fn policy(job: &Job) -> Policy<'_> {
    Policy {
        pattern: &job.pattern,
        job: &job.name,
        sources: source::said(&job.sources),
        keep: &job.keep,
        zone: job.zone,
        state: state_folder(job),
    }
}
