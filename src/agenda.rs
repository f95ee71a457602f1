//! What to do about the due times of a job: run now, or sleep until. Pure: no clock, no I/O.
//!
//! The promise is exactly one run per due time. What makes it hold is one instant per job, *seen*: all due times up to
//! and including it are dealt with, by a run or by the decision not to make up for them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::zone::Tz;
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, Result};
use crate::printable::printable;
use crate::schedule::Schedule;

/// A run that begins within this of its due time is on time: a loaded machine wakes late. It is also the least that a
/// run may be late when catching up is off.
const ON_TIME: TimeDelta = TimeDelta::minutes(1);

/// How far behind what was seen the clock may stand and still be believed, when the schedule's period is shorter.
/// A clock that was ahead by years must not silence the job for years.
const STEP_BELIEVED: TimeDelta = TimeDelta::hours(2);

/// How often a run that is cut short is begun again: a run that gets the process killed each time must not be
/// repeated with each restart.
pub const ATTEMPTS: u32 = 3;

/// When to run at start, besides what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStart {
    /// When there is no archive yet, so that a new user sees one; not when the schedule is `off`.
    #[default]
    First,
    /// At each start.
    Always,
    /// Not at all.
    Never,
}

impl FromStr for OnStart {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "first" => Ok(Self::First),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(Error::usage(format!(
                "'{}' is not a time to run at start: say first, always or never",
                printable(text.as_bytes())
            ))),
        }
    }
}

impl fmt::Display for OnStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Always => "always",
            Self::Never => "never",
        })
    }
}

/// When a job is due, and how long after that it is still worth running.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// Where its times are read off the clock.
    pub zone: Tz,
    /// How late a missed run is still made up for; zero is never.
    pub catch_up: Duration,
}

impl Times<'_> {
    /// How late a run may begin.
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::from_std(self.catch_up).unwrap_or(TimeDelta::MAX).max(ON_TIME)
    }

    fn local(&self, at: DateTime<Utc>) -> DateTime<Tz> {
        at.with_timezone(&self.zone)
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The due time that a run must be begun for.
    pub due: Option<DateTime<Tz>>,
    /// When to decide again: the next due time.
    pub next: Option<DateTime<Tz>>,
    /// All due times up to here are dealt with, once the run for `due` has begun.
    pub seen: DateTime<Utc>,
    /// What people should know.
    pub note: Option<String>,
}

/// Whether something is due. `seen` is what the last decision said; `busy` that this process was at work, so that
/// whatever came due meanwhile has waited and is not late.
pub fn decide(times: Times<'_>, seen: DateTime<Utc>, busy: bool, now: DateTime<Utc>) -> Decision {
    let mut note = None;
    let mut seen = seen;
    if seen > now && !believable(times, seen, now) {
        note = Some(format!(
            "the clock stands at {}, before the last run that was due, {}: going by the clock from now on",
            said(times.local(now)),
            said(times.local(seen))
        ));
        seen = now;
    }
    let next = times.schedule.next_after(times.local(seen.max(now)));
    let Some(due) = times.schedule.last_within(times.local(seen), times.local(now)) else {
        return Decision { due: None, next, seen, note };
    };
    let seen = due.to_utc();
    let late = now - seen;
    if busy || late <= times.grace() {
        if !busy && late > ON_TIME {
            note = Some(format!("missed the run that was due at {}: making up for it", said(due)));
        }
        return Decision { due: Some(due), next, seen, note };
    }
    note = Some(format!(
        "missed the run that was due at {}, too long ago to make up for it (catch-up: {})",
        said(due),
        length(times.catch_up)
    ));
    Decision { due: None, next, seen, note }
}

/// Whether the clock was merely set back a little, so that the due times up to `seen` had their run already.
fn believable(times: Times<'_>, seen: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let first = times.schedule.next_after(times.local(now));
    let second = first.and_then(|first| times.schedule.next_after(first));
    let period = first.zip(second).map_or(TimeDelta::zero(), |(first, second)| second - first);
    seen - now <= STEP_BELIEVED.max(period)
}

/// A run that has begun and, as far as is known, not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The due time that it was for; none for a run at start.
    pub due: Option<DateTime<Utc>>,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How often a run for it has begun, this one included.
    pub attempt: u32,
}

/// A run to begin at start.
#[derive(Debug, Clone, PartialEq)]
pub struct AtStart {
    /// The run, if there should be one.
    pub run: Option<Attempt>,
    /// Whether the run that was cut short is given up, and must be remembered as that.
    pub given_up: bool,
    /// What people should know.
    pub note: Option<String>,
}

/// A run, and how often it was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// The due time that it is for; none for a run at start.
    pub due: Option<DateTime<Tz>>,
    /// 1 for the first.
    pub attempt: u32,
}

/// Whether to run at start, when [`decide`] finds nothing due. `cut_short` is a run of a process that was killed.
pub fn at_start(
    times: Times<'_>,
    on_start: OnStart,
    has_archive: bool,
    cut_short: Option<Begun>,
    now: DateTime<Utc>,
) -> AtStart {
    let off = times.schedule.is_off();
    let mut note = None;
    let mut given_up = false;
    if let Some(begun) = cut_short.filter(|_| !off) {
        let began = said(times.local(begun.at));
        let late = now - begun.due.unwrap_or(begun.at);
        if late > times.grace() {
            note = Some(format!(
                "the run of {began} was cut short, too long ago to make up for it (catch-up: {})",
                length(times.catch_up)
            ));
        } else if begun.attempt >= ATTEMPTS {
            given_up = true;
            note = Some(format!(
                "the run of {began} was cut short, as {ATTEMPTS} in a row were: not trying again"
            ));
        } else {
            let due = begun.due.map(|due| times.local(due));
            return AtStart {
                run: Some(Attempt { due, attempt: begun.attempt + 1 }),
                given_up: false,
                note: Some(format!("the run of {began} was cut short: making up for it")),
            };
        }
    }
    let run = match on_start {
        OnStart::Always => true,
        OnStart::First => !has_archive && !off && !given_up,
        OnStart::Never => false,
    };
    AtStart { run: run.then_some(Attempt { due: None, attempt: 1 }), given_up, note }
}

/// An instant for people, with its offset: `2026-11-20 01:00:00 +01:00`.
pub fn said(at: DateTime<Tz>) -> String {
    at.format("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A length of time for people: `12h`, `1h 30m`, `45s`, `off` for none.
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts =
        [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if words.is_empty() { "off".into() } else { words.join(" ") }
}
