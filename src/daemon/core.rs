//! What the daemon does and in which order, without the waiting: it is told what time it is, says what to do next, and
//! keeps the state. So a test can take it through years, restarts and stepped clocks.

use std::path::PathBuf;
use std::time::Duration;

use crate::zone::Tz;
use chrono::{DateTime, TimeDelta, Utc};

use super::Ran;
use crate::agenda::{self, ATTEMPTS, Attempt, Begun, OnStart, Times, said};
use crate::exit::Exit;
use crate::printable::printable;
use crate::schedule::Schedule;
use crate::state::{Folder, LastRun, Open, State};

/// How long to wait for another run that holds the destination's lock.
const LOCK_RETRY: Duration = Duration::from_mins(1);

/// A job, as far as the daemon must know it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What it is called; unique.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// Where the schedule's times are read off the clock.
    pub zone: Tz,
    /// How late a missed run is still made up for; zero is never.
    pub catch_up: Duration,
    /// Whether to run at start.
    pub on_start: OnStart,
    /// Whether there is an archive already.
    pub has_archive: bool,
    /// The folder that its state is kept in. Its parent must exist; the folder itself is made.
    pub state: PathBuf,
}

impl Planned {
    fn times(&self) -> Times<'_> {
        Times { schedule: &self.schedule, zone: self.zone, catch_up: self.catch_up }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Begin this job's run, tell when it has ended, and ask again at once: there is something to wait for meanwhile.
    Run {
        /// The job's name.
        job: String,
        /// The due time that the run is for; none for a run at start.
        due: Option<DateTime<Tz>>,
    },
    /// Ask again at this time, or when something happens.
    Wait(Option<DateTime<Utc>>),
}

/// The jobs, what is due, and what is on.
#[derive(Debug)]
pub struct Core {
    jobs: Vec<Job>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Job {
    plan: Planned,
    folder: Folder,
    /// When this daemon began to keep the job in this folder.
    since: DateTime<Utc>,
    /// All due times up to here are dealt with, or wait in `pending`.
    seen: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
    pending: Option<Attempt>,
    /// A run that found the destination locked by another, and when to try again.
    retry: Option<(DateTime<Utc>, Attempt)>,
    /// The `seen` and `next` that are in the state.
    stored: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

#[derive(Debug)]
struct Running {
    job: String,
    folder: Folder,
    due: Option<DateTime<Tz>>,
    began: DateTime<Utc>,
}

impl Core {
    /// The jobs at the start of a daemon, with what is remembered of each.
    pub fn new(plans: Vec<Planned>, now: DateTime<Utc>) -> Self {
        let jobs = plans.into_iter().map(|plan| Job::start(plan, now)).collect();
        Self { jobs, running: None }
    }

    /// Whether a run is on.
    pub fn running(&self) -> bool {
        self.running.is_some()
    }

    /// What to do at this time.
    pub fn step(&mut self, now: DateTime<Utc>) -> Step {
        let running = self.running.as_ref().map(|running| running.job.as_str());
        for job in &mut self.jobs {
            job.look(running, now);
        }
        if running.is_none() {
            let first = self.jobs.iter_mut().filter(|job| job.pending.is_some()).min_by_key(|job| {
                let due = job.pending.and_then(|pending| pending.due);
                due.map_or(DateTime::<Utc>::MIN_UTC, |due| due.to_utc())
            });
            if let Some(job) = first {
                let attempt = job.pending.take().expect("only those with something pending are compared");
                job.begin(attempt, now);
                let (name, folder, due) = (job.plan.name.clone(), job.folder.clone(), attempt.due);
                self.running = Some(Running { job: name.clone(), folder, due, began: now });
                return Step::Run { job: name, due };
            }
        }
        for job in &mut self.jobs {
            job.store();
        }
        Step::Wait(self.jobs.iter().flat_map(|job| [job.next, job.retry.map(|(at, _)| at)]).flatten().min())
    }

    /// The run that was on has ended.
    pub fn ended(&mut self, ran: Ran, now: DateTime<Utc>) {
        let Some(Running { job, folder, due, began }) = self.running.take() else { return };
        // What came due up to this moment has waited for this run, and is not late.
        for other in &mut self.jobs {
            other.look(Some(&job), now);
        }
        let again = ran.exit == Exit::Locked
            && self.jobs.iter_mut().any(|known| known.plan.name == job && known.wait_for_lock(due, now));
        let shown = printable(job.as_bytes());
        match &ran.error {
            _ if matches!(ran.exit, Exit::Complete | Exit::Signal(_)) => {}
            Some(error) => log::error!("job {shown}: {error}"),
            None if ran.archive.is_some() => {}
            None => log::error!("job {shown}: the run failed with exit code {}", ran.exit.code()),
        }
        if again {
            log::warn!("job {shown}: trying again in {}", agenda::length(LOCK_RETRY));
        }
        let abandoned = matches!(ran.exit, Exit::Signal(_));
        let last =
            LastRun { began, ended: now, exit: ran.exit.code(), archive: ran.archive, error: ran.error };
        remember(&folder, &job, began, |state| {
            if abandoned {
                // It stays open, to be made up for at the next start. That we were asked to stop is no mark against it.
                if let Some(open) = &mut state.open {
                    open.attempt = open.attempt.saturating_sub(1);
                }
            } else if !again {
                state.open = None;
            }
            state.note(last, ran.exit);
            state.counts = ran.counts.or(state.counts.take());
        });
    }

    /// A new configuration: jobs that stay keep what they have seen, new ones begin now, without a run at start.
    pub fn replace(&mut self, plans: Vec<Planned>, now: DateTime<Utc>) {
        let mut old = std::mem::take(&mut self.jobs);
        for mut plan in plans {
            if let Some(place) = old.iter().position(|job| job.plan.name == plan.name) {
                let mut job = old.swap_remove(place);
                job.plan = plan;
                job.move_to(Folder::new(&job.plan.state), now);
                self.jobs.push(job);
            } else {
                plan.on_start = OnStart::Never;
                self.jobs.push(Job::start(plan, now));
            }
        }
    }

    /// Say when each job is due next.
    pub fn announce(&self, now: DateTime<Utc>) {
        for job in &self.jobs {
            let plan = &job.plan;
            let shown = printable(plan.name.as_bytes());
            match plan.schedule.next_after(now.with_timezone(&plan.zone)) {
                Some(next) => log::info!("job {shown}: next run at {}", said(next)),
                None => log::info!("job {shown}: the schedule is {}; no run is due", plan.schedule),
            }
        }
    }
}

impl Job {
    fn start(plan: Planned, now: DateTime<Utc>) -> Self {
        let folder = Folder::new(&plan.state);
        let state = folder.load(&plan.name);
        let stored = (state.seen, state.next);
        // What was due before anybody knew of the job is not missed.
        let mut job = Self {
            seen: state.seen.unwrap_or(now),
            next: None,
            pending: None,
            retry: None,
            stored,
            plan,
            folder,
            since: now,
        };
        if state.since.is_none() || state.seen.is_none() {
            job.stored.0 = Some(job.seen);
            remember(&job.folder, &job.plan.name, now, |state| {
                state.seen = state.seen.or(Some(now));
            });
        }
        let cut_short = state.open.as_ref();
        let mut given_up = false;
        job.look(None, now);
        if job.pending.is_none() {
            let begun = cut_short.map(Begun::from);
            let plan = &job.plan;
            let start = agenda::at_start(plan.times(), plan.on_start, plan.has_archive, begun, now);
            job.tell(start.note);
            job.pending = start.run;
            given_up = start.given_up;
        }
        if cut_short.is_some() && job.pending.is_none() {
            // What was given up stays given up with the next restart, until it is too old to be made up for.
            remember(&job.folder, &job.plan.name, now, |state| match &mut state.open {
                Some(open) if given_up => open.attempt = ATTEMPTS + 1,
                open => *open = None,
            });
        }
        job
    }

    /// Go on in this folder. What the runs in the other one made may be in another destination, so it stays there.
    fn move_to(&mut self, folder: Folder, now: DateTime<Utc>) {
        if folder.path() == self.folder.path() {
            return;
        }
        (self.folder, self.since) = (folder, now);
        remember(&self.folder, &self.plan.name, now, |state| (state.seen, state.next) = self.stored);
    }

    /// See what is due.
    fn look(&mut self, running: Option<&str>, now: DateTime<Utc>) {
        let decision = agenda::decide(self.plan.times(), self.seen, running.is_some(), now);
        self.seen = decision.seen;
        self.next = decision.next.map(|next| next.to_utc());
        self.tell(decision.note);
        let retry = self.retry.filter(|(at, _)| *at <= now).map(|(_, attempt)| attempt);
        if self.pending.is_none() && retry.is_some() {
            self.retry = None;
            self.pending = retry;
        }
        let Some(due) = decision.due else { return };
        self.retry = None;
        if let Some(waits) = self.pending.and_then(|pending| pending.due) {
            self.tell(Some(format!(
                "the run that was due at {} has not begun yet: one run does for it and for that of {}",
                said(waits),
                said(due)
            )));
        } else if running == Some(self.plan.name.as_str()) {
            self.tell(Some(format!("still running at {}, when the next run is due: it follows", said(due))));
        }
        self.pending = Some(Attempt { due: Some(due), attempt: 1 });
    }

    /// Try the run for `due` again later, if it is not too late for that.
    fn wait_for_lock(&mut self, due: Option<DateTime<Tz>>, now: DateTime<Utc>) -> bool {
        let again =
            due.filter(|due| self.pending.is_none() && now - due.to_utc() <= self.plan.times().grace());
        let at = now + TimeDelta::from_std(LOCK_RETRY).unwrap_or_default();
        self.retry = again.map(|due| (at, Attempt { due: Some(due), attempt: 1 }));
        self.retry.is_some()
    }

    fn tell(&self, note: Option<String>) {
        if let Some(note) = note {
            log::warn!("job {}: {note}", printable(self.plan.name.as_bytes()));
        }
    }

    fn begin(&mut self, attempt: Attempt, now: DateTime<Utc>) {
        let (seen, next) = (Some(self.seen), self.next);
        self.stored = (seen, next);
        remember(&self.folder, &self.plan.name, self.since, |state| {
            state.seen = seen;
            state.next = next;
            let due = attempt.due.map(|due| due.to_utc());
            state.open = Some(Open { due, began: now, attempt: attempt.attempt });
        });
    }

    /// Store what has changed. What waits is not dealt with, and not stored as seen: a restart finds it again.
    fn store(&mut self) {
        let seen = if self.pending.is_some() { self.stored.0 } else { Some(self.seen) };
        let stored = (seen, self.next);
        if self.stored != stored {
            self.stored = stored;
            remember(&self.folder, &self.plan.name, self.since, |state| (state.seen, state.next) = stored);
        }
    }
}

/// A state that cannot be written costs the catch-up after a restart, not the run. One that was deleted, or could not be
/// written before, learns with each change since when the job is kept: health counts from there.
fn remember(folder: &Folder, job: &str, since: DateTime<Utc>, change: impl FnOnce(&mut State)) {
    let changed = folder.update(job, |state| {
        state.since = state.since.or(Some(since));
        change(state);
    });
    if let Err(error) = changed {
        log::warn!("{error}; the daemon goes on without");
    }
}
