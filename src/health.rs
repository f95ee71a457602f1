//! Whether a job can be relied on, for `HEALTHCHECK` and for people. Pure: facts in, a verdict out.

use std::time::Duration;

use crate::zone::Tz;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::agenda::{Times, said};
use crate::exit::Exit;
use crate::state::{Keeper, LastRun, Open, State};

/// How late the loop may be before it counts as dead.
const SLACK: TimeDelta = TimeDelta::minutes(2);

/// What is further ahead than this was written by a clock that was wrong, and not before one was set a little.
const AHEAD: TimeDelta = TimeDelta::hours(2);

/// All that the verdict depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When the job is due, and the configured catch-up, which is the grace here too; see [`grace`].
    pub times: Times<'a>,
    /// What is remembered of the job.
    pub state: &'a State,
    /// The daemon's process.
    pub keeper: Keeper,
    /// Whether a run of any job is on: others wait for it.
    pub busy: bool,
    /// What is wrong with the destination, if something is.
    pub destination: Option<&'a str>,
}

/// How well a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All as it should be.
    Healthy,
    /// There are good archives, and something to look at.
    Degraded,
    /// No good archive is as new as it should be, or none will be.
    Failed,
}

/// The verdict on one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How well.
    pub status: Status,
    /// Why, in one sentence.
    pub reason: String,
    /// When the last run began that published a verified archive, in RFC 3339.
    pub verified: Option<String>,
    /// When the last run began whose archive is complete as well, in RFC 3339.
    pub complete: Option<String>,
    /// When the job is due next, in RFC 3339.
    pub next: Option<String>,
}

impl Health {
    /// 0 or 1 only, as `HEALTHCHECK` wants it.
    pub fn exit(&self) -> Exit {
        match self.status {
            Status::Healthy | Status::Degraded => Exit::Complete,
            Status::Failed => Exit::Failed,
        }
    }
}

/// How late an archive may be: the catch-up, at least an hour, and no longer than the schedule's period if that is
/// more than an hour.
pub fn grace(catch_up: Duration, period: TimeDelta) -> TimeDelta {
    let hour = TimeDelta::hours(1);
    TimeDelta::from_std(catch_up).unwrap_or(TimeDelta::MAX).clamp(hour, period.max(hour))
}

/// The verdict.
pub fn judge(facts: Facts<'_>, now: DateTime<Utc>) -> Health {
    let Facts { times, state, .. } = facts;
    let local = |at: DateTime<Utc>| at.with_timezone(&times.zone);
    let next = times.schedule.next_after(local(now));
    let (status, reason) = verdict(facts, next, now);
    let iso = |at: DateTime<Tz>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Health {
        status,
        reason,
        verified: state.verified.map(|at| iso(local(at))),
        complete: state.complete.map(|at| iso(local(at))),
        next: next.map(iso),
    }
}

fn verdict(facts: Facts<'_>, next: Option<DateTime<Tz>>, now: DateTime<Utc>) -> (Status, String) {
    let Facts { times, state, keeper, busy, destination } = facts;
    let local = |at: DateTime<Utc>| at.with_timezone(&times.zone);
    let when = |at: DateTime<Utc>| said(local(at));
    if let Some(problem) = destination {
        return (Status::Failed, problem.to_owned());
    }
    match keeper {
        Keeper::None => return (Status::Failed, "the daemon is not running".into()),
        Keeper::Stopped(pid) => {
            let reason = format!(
                "the daemon's process {pid} is stopped and begins no run: SIGCONT lets it go on, or start it anew"
            );
            return (Status::Failed, reason);
        }
        Keeper::Silent(pid) => {
            let reason = format!(
                "the daemon's process {pid} does not answer: its loop hangs, and begins no run. Is something it needs gone, \
                 such as a network disk? Start it anew"
            );
            return (Status::Failed, reason);
        }
        Keeper::Alive => {}
    }
    let Some(next) = next else {
        return (Status::Healthy, "the daemon is running; the schedule is off".into());
    };
    let running = state.running();
    if let Some(missed) = state.next.filter(|at| now > *at + SLACK && !busy && running.is_none()) {
        return (Status::Failed, format!("the daemon is stuck: nothing began at {}", when(missed)));
    }
    let period = times.schedule.next_after(next).map_or(TimeDelta::zero(), |second| second - next);
    let grace = grace(times.catch_up, period);
    // The due times after `since`: the first one, and the one after that.
    let too_old = |since: DateTime<Utc>, periods: usize| {
        let mut due = Some(local(since));
        for _ in 0..periods {
            due = due.and_then(|due| times.schedule.next_after(due));
        }
        due.filter(|due| now > due.to_utc() + grace)
    };
    // Before a daemon knew of the job nothing could be due.
    let known = state.since.unwrap_or(now);
    // What a clock that was ahead has written does not say how old anything is: it holds until something goes wrong.
    let ahead = |at: DateTime<Utc>| at > now + AHEAD;
    let believed = |at: DateTime<Utc>| if ahead(at) { running.map_or(now, |open| open.began) } else { at };
    let last = state.last.as_ref().filter(|last| running.is_none() && !ahead(last.began));
    let published = |last: &LastRun| matches!(last.exit, 0 | 3 | 4);
    let hangs = |open: &Open| {
        format!(
            "; the run that began at {} has not come to its end: does its source or its disk answer?",
            when(open.began)
        )
    };
    let fresh_run = running.filter(|open| now <= open.began + grace);
    if ahead(state.verified.unwrap_or(known)) && last.is_some_and(|last| !published(last)) {
        let made = state.verified.map_or("no archive has been made".into(), |at| {
            format!(
                "the last verified archive is of {}, a time to come, so nobody knows how old it is",
                when(at)
            )
        });
        return (Status::Failed, format!("{made}{}", error_of(state)));
    }
    if let Some(due) = too_old(believed(state.verified.unwrap_or(known)), 1) {
        let last = match state.verified {
            Some(at) => {
                format!("the last verified archive is of {}, and one was due at {}", when(at), said(due))
            }
            None => format!("no archive has been made, and one was due at {}", said(due)),
        };
        return match fresh_run {
            Some(open) => (Status::Degraded, format!("{last}; a run is on since {}", when(open.began))),
            None => (Status::Failed, format!("{last}{}", running.map_or_else(|| error_of(state), hangs))),
        };
    }
    let complete = state.complete.unwrap_or(known);
    let incomplete = ahead(complete) && last.is_some_and(|last| last.exit == Exit::Incomplete.code());
    if incomplete || too_old(believed(complete), 2).is_some() {
        let last = match state.complete {
            Some(at) if incomplete => {
                format!(
                    "the last complete archive is of {}, a time to come, so nobody knows how old it is",
                    when(at)
                )
            }
            Some(at) => format!("the last complete archive is of {}, more than two periods ago", when(at)),
            None => "no complete archive has been made in two periods".into(),
        };
        return (Status::Failed, format!("{last}{}", error_of(state)));
    }
    if let Some(last) = state.last.as_ref().filter(|last| last.exit != 0) {
        let what = match last.exit {
            3 => "published an incomplete or suspect archive",
            4 => "published an archive, but a later step failed",
            11 => "found the destination locked by another run",
            _ => "failed",
        };
        return (
            Status::Degraded,
            format!("the last run, of {}, {what}{}", when(last.began), error_of(state)),
        );
    }
    if let Some(held) = &state.held {
        return (Status::Degraded, format!("no archive is pruned: {held}"));
    }
    if let Some(open) = state.open.as_ref().filter(|open| open.given_up()) {
        let began = when(open.began);
        return (
            Status::Degraded,
            format!("the run of {began} was cut short again and again, and is not tried any more"),
        );
    }
    if let Some(open) = running {
        return (Status::Healthy, format!("a run is on since {}", when(open.began)));
    }
    let upcoming = format!("the next run is due at {}", said(next));
    match state.verified {
        Some(at) => (Status::Healthy, format!("the last verified archive is of {}; {upcoming}", when(at))),
        None => (Status::Healthy, format!("no run has been due yet; {upcoming}")),
    }
}

fn error_of(state: &State) -> String {
    match state.last.as_ref().and_then(|last| last.error.as_deref()) {
        Some(error) => format!(": {error}"),
        None => String::new(),
    }
}
