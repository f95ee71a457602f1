//! Exactly one run per due time, whatever happens to the clock and to the process: the daemon's core, taken through
//! time by hand.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tarkeep::agenda::{OnStart, length};
use tarkeep::daemon::Ran;
use tarkeep::daemon::core::{Core, Planned, Step};
use tarkeep::exit::Exit;
use tarkeep::state::{Counts, Folder, State};
use tarkeep::zone::Tz;
use tempfile::TempDir;

fn tz(name: &str) -> Tz {
    name.parse().unwrap()
}

const JOB: &str = "data";

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

fn hours(count: i64) -> TimeDelta {
    TimeDelta::hours(count)
}

/// A run as it was seen from outside.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    job: String,
    due: Option<DateTime<Utc>>,
    began: DateTime<Utc>,
    /// None while it is on, and for ever when the process was killed.
    exit: Option<Exit>,
}

/// A machine with a clock, a disk, and perhaps a daemon.
struct World {
    now: DateTime<Utc>,
    disk: TempDir,
    plans: Vec<Planned>,
    core: Option<Core>,
    runs: Vec<Seen>,
    /// How long runs take and how they end.
    takes: TimeDelta,
    ends: Exit,
    run_ends_at: Option<DateTime<Utc>>,
}

impl World {
    fn new(schedule: &str, zone: Tz, now: &str) -> Self {
        // State is synced at each change; in memory that is quick, and it is not what is tested here.
        let disk = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let plans = vec![plan(JOB, schedule, zone, disk.path())];
        let (core, runs) = (None, Vec::new());
        let (takes, ends) = (minutes(5), Exit::Complete);
        Self { now: utc(now), disk, plans, core, runs, takes, ends, run_ends_at: None }
    }

    fn catch_up(mut self, catch_up: TimeDelta) -> Self {
        self.plans[0].catch_up = catch_up.to_std().unwrap();
        self
    }

    fn start(&mut self) -> &mut Self {
        assert!(self.core.is_none(), "it is running already");
        self.core = Some(Core::new(self.plans.clone(), self.now));
        self.awake(self.now);
        self
    }

    fn kill(&mut self) -> &mut Self {
        self.core = None;
        self.run_ends_at = None;
        self
    }

    /// As a signal does: the run that is on is abandoned.
    fn stop(&mut self) -> &mut Self {
        let mut core = self.core.take().unwrap();
        if self.run_ends_at.take().is_some() {
            self.runs.last_mut().unwrap().exit = Some(Exit::Signal(15));
            core.ended(ran(Exit::Signal(15)), self.now);
        }
        self
    }

    /// Time goes by, with the daemon running if it is.
    fn until(&mut self, until: &str) -> &mut Self {
        self.awake(utc(until));
        self
    }

    /// The machine sleeps, or the clock is set.
    fn jump(&mut self, to: &str) -> &mut Self {
        self.jump_to(utc(to));
        self
    }

    fn jump_to(&mut self, to: DateTime<Utc>) {
        // A run that is on goes on after it for as long as it had to go.
        self.run_ends_at = self.run_ends_at.map(|end| end + (to - self.now));
        self.now = to;
        self.awake(to);
    }

    fn awake(&mut self, until: DateTime<Utc>) {
        let Some(core) = &mut self.core else {
            self.now = until;
            return;
        };
        for _ in 0..1_000_000 {
            if self.run_ends_at.is_some_and(|end| end <= self.now) {
                self.run_ends_at = None;
                self.runs.last_mut().unwrap().exit = Some(self.ends);
                core.ended(ran(self.ends), self.now);
            }
            match core.step(self.now) {
                Step::Run { job, due } => {
                    assert_eq!(self.run_ends_at, None, "two runs at a time");
                    let due = due.map(|due| due.to_utc());
                    self.runs.push(Seen { job, due, began: self.now, exit: None });
                    self.run_ends_at = Some(self.now + self.takes);
                }
                Step::Wait(next) => {
                    assert!(next.is_none_or(|next| next > self.now), "it waits for what has passed");
                    let wake = next.into_iter().chain(self.run_ends_at).chain([until]).min().unwrap();
                    if self.now >= until {
                        return;
                    }
                    self.now = wake;
                }
            }
        }
        panic!("the daemon is spinning");
    }

    /// Due time (or `start`) and begin of each run, to the minute.
    fn seen(&self) -> Vec<String> {
        let short = |at: DateTime<Utc>| at.format("%dT%H:%M").to_string();
        let line = |run: &Seen| format!("{} {}", run.due.map_or("start".to_owned(), short), short(run.began));
        self.runs.iter().map(line).collect()
    }

    fn state(&self) -> State {
        Folder::new(self.state_folder()).load(JOB)
    }

    fn state_folder(&self) -> std::path::PathBuf {
        self.disk.path().join(".tarkeep")
    }
}

fn plan(name: &str, schedule: &str, zone: Tz, disk: &Path) -> Planned {
    Planned {
        name: name.into(),
        schedule: schedule.parse().unwrap(),
        zone,
        catch_up: Duration::from_hours(12),
        on_start: OnStart::Never,
        has_archive: true,
        state: disk.join(".tarkeep"),
    }
}

fn ran(exit: Exit) -> Ran {
    Ran { exit, archive: None, counts: None, error: None }
}

#[test]
fn a_year_of_nights_has_a_run_for_each() {
    let mut world = World::new("01:00", tz("Europe/Berlin"), "2026-01-01T12:00:00Z");
    world.start().until("2027-01-01T12:00:00Z");
    assert_eq!(world.runs.len(), 365);
    for run in &world.runs {
        assert_eq!(run.due, Some(run.began));
        let local = run.began.with_timezone(&tz("Europe/Berlin"));
        assert_eq!(local.format("%H:%M:%S").to_string(), "01:00:00");
    }
}

#[test]
fn the_night_without_two_thirty_and_the_night_with_two_of_them() {
    let mut world = World::new("02:30", tz("Europe/Berlin"), "2026-03-28T12:00:00Z");
    world.takes = minutes(1);
    world.start().until("2026-03-30T12:00:00Z");
    assert_eq!(world.seen(), ["29T01:00 29T01:00", "30T00:30 30T00:30"]);
    let mut world = World::new("02:30", tz("Europe/Berlin"), "2026-10-24T12:00:00Z");
    world.takes = minutes(1);
    world.start().until("2026-10-26T12:00:00Z");
    assert_eq!(world.seen(), ["25T00:30 25T00:30", "26T01:30 26T01:30"]);
}

#[test]
fn a_run_missed_while_down_is_made_up_for_once() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-20T23:00:00Z").kill().until("2026-11-21T09:00:00Z");
    world.start().until("2026-11-21T10:00:00Z").kill().start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T09:00", "22T01:00 22T01:00"]);
}

#[test]
fn a_run_missed_for_longer_than_the_catch_up_is_not_made_up_for() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().kill().until("2026-11-21T13:00:01Z").start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["22T01:00 22T01:00"]);
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().kill().until("2026-11-21T13:00:00Z").start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T13:00", "22T01:00 22T01:00"]);
}

#[test]
fn five_missed_nights_are_one_run() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-10T20:00:00Z");
    world.start().kill().until("2026-11-15T05:00:00Z").start().until("2026-11-16T12:00:00Z");
    assert_eq!(world.seen(), ["15T01:00 15T05:00", "16T01:00 16T01:00"]);
}

#[test]
fn with_catching_up_off_only_what_is_due_now_runs() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z").catch_up(TimeDelta::zero());
    world.start().kill().until("2026-11-21T01:05:00Z").start().until("2026-11-22T00:59:50Z").kill();
    world.until("2026-11-22T01:00:20Z").start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["22T01:00 22T01:00"]);
}

#[test]
fn a_machine_that_slept_runs_once_when_it_wakes() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T00:30:00Z").jump("2026-11-21T08:00:00Z").until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T08:00", "22T01:00 22T01:00"]);
}

#[test]
fn a_clock_set_back_does_not_run_twice() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:30:00Z").jump("2026-11-21T00:30:00Z").until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
    // Over a restart as well.
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:30:00Z").kill().jump("2026-11-21T00:30:00Z").start();
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
    // By an hour, where four runs were due in it.
    let mut world = World::new("every 15m", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-20T20:50:00Z").jump("2026-11-20T19:50:00Z").until("2026-11-20T21:01:00Z");
    assert_eq!(
        world.seen(),
        ["20T20:15 20T20:15", "20T20:30 20T20:30", "20T20:45 20T20:45", "20T21:00 20T21:00"]
    );
}

#[test]
fn a_clock_that_was_years_ahead_does_not_silence_the_job() {
    let mut world = World::new("01:00", Tz::UTC, "2031-05-05T00:50:00Z");
    world.start().until("2031-05-05T02:00:00Z").jump("2026-11-20T20:00:00Z").until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["05T01:00 05T01:00", "21T01:00 21T01:00", "22T01:00 22T01:00"]);
}

#[test]
fn a_clock_set_forward_runs_what_it_passed() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T00:30:00Z").jump("2026-11-21T03:30:00Z").until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T03:30", "22T01:00 22T01:00"]);
    // The clock of a machine without a battery: years ahead at once.
    let mut world = World::new("01:00", Tz::UTC, "1970-01-01T00:00:10Z");
    world.start().jump("2026-11-20T20:00:00Z").until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
}

#[test]
fn one_run_at_most_waits_for_one_that_is_still_on() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z").catch_up(TimeDelta::zero());
    world.takes = hours(26);
    world.start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T03:00"]);
    let mut world = World::new("01:00", Tz::UTC, "2026-11-10T20:00:00Z").catch_up(TimeDelta::zero());
    world.takes = hours(75);
    world.start().until("2026-11-14T12:00:00Z");
    assert_eq!(world.seen(), ["11T01:00 11T01:00", "14T01:00 14T04:00"]);
}

#[test]
fn a_run_that_was_killed_is_made_up_for() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:02:00Z").kill().until("2026-11-21T01:20:00Z").start();
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "21T01:00 21T01:20", "22T01:00 22T01:00"]);
    // Not after the grace.
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:02:00Z").kill().until("2026-11-21T13:01:00Z").start();
    assert_eq!(world.state().open, None);
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
}

#[test]
fn a_run_that_kills_the_process_each_time_is_given_up() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.plans[0].on_start = OnStart::First;
    world.plans[0].has_archive = false;
    for _ in 0..10 {
        world.now += minutes(1);
        world.start();
        let later = world.now + minutes(1);
        world.awake(later);
        world.kill();
    }
    assert_eq!(world.seen(), ["start 20T20:01", "start 20T20:03", "start 20T20:05"]);
    assert!(world.state().open.unwrap().given_up());
    // It tries again when the next run is due.
    world.start().until("2026-11-21T12:00:00Z");
    assert_eq!(world.seen().last().unwrap(), "21T01:00 21T01:00");
    assert_eq!(world.state().open, None);
}

#[test]
fn a_run_that_was_abandoned_is_made_up_for_however_often() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:01:00Z").stop();
    for minute in 2..8 {
        world.start().until(&format!("2026-11-21T01:0{minute}:00Z")).stop();
    }
    assert_eq!(world.runs.len(), 7);
    assert!(world.runs.iter().all(|run| run.due == Some(utc("2026-11-21T01:00:00Z"))));
    world.start().until("2026-11-21T12:00:00Z");
    assert_eq!(world.runs.len(), 8);
    assert_eq!(world.runs[7].exit, Some(Exit::Complete));
    assert_eq!(world.state().open, None);
}

#[test]
fn what_waited_when_the_process_died_is_not_lost() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.takes = hours(26);
    world.start().until("2026-11-22T02:00:00Z").kill();
    world.takes = minutes(5);
    world.until("2026-11-22T04:00:00Z").start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T04:00"]);
}

#[test]
fn a_failed_run_is_done_and_the_next_one_comes() {
    for exit in [Exit::Failed, Exit::Incomplete, Exit::LaterStep] {
        let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
        world.ends = exit;
        world.start().until("2026-11-21T06:00:00Z").kill().start().until("2026-11-22T12:00:00Z");
        assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
        let state = world.state();
        assert_eq!(state.last.as_ref().unwrap().exit, exit.code());
        let began = Some(world.runs[1].began);
        assert_eq!(state.verified, began.filter(|_| exit != Exit::Failed));
        assert_eq!(state.complete, began.filter(|_| exit == Exit::LaterStep));
    }
}

#[test]
fn a_run_that_finds_the_lock_held_tries_again_within_the_catch_up() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z").catch_up(minutes(30));
    world.takes = TimeDelta::zero();
    world.ends = Exit::Locked;
    world.start().until("2026-11-21T01:10:30Z");
    assert_eq!(world.runs.len(), 11);
    world.ends = Exit::Complete;
    world.until("2026-11-21T12:00:00Z");
    assert_eq!(world.runs.len(), 12);
    world.ends = Exit::Locked;
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(world.runs.len(), 12 + 32);
    assert_eq!(world.state().open, None);
}

#[test]
fn at_the_first_start_nothing_is_missed() {
    let runs = |on_start: OnStart, has_archive: bool, schedule: &str| {
        let mut world = World::new(schedule, Tz::UTC, "2026-11-20T02:00:00Z");
        world.plans[0].on_start = on_start;
        world.plans[0].has_archive = has_archive;
        world.start().until("2026-11-20T03:00:00Z");
        world.seen()
    };
    let at_once = ["start 20T02:00"];
    assert_eq!(runs(OnStart::First, false, "01:00"), at_once);
    assert_eq!(runs(OnStart::First, true, "01:00"), [""; 0]);
    assert_eq!(runs(OnStart::Always, true, "01:00"), at_once);
    assert_eq!(runs(OnStart::Never, false, "01:00"), [""; 0]);
    assert_eq!(runs(OnStart::First, false, "off"), [""; 0]);
    assert_eq!(runs(OnStart::Always, false, "off"), at_once);
}

#[test]
fn a_run_at_start_and_a_missed_one_are_one() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().kill().until("2026-11-21T02:00:00Z");
    world.plans[0].on_start = OnStart::Always;
    world.start().until("2026-11-21T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T02:00"]);
}

#[test]
fn two_jobs_run_one_after_the_other_and_none_is_late_for_that() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z").catch_up(TimeDelta::zero());
    let mut second = plan("other", "01:00", Tz::UTC, world.disk.path());
    second.catch_up = Duration::ZERO;
    world.plans.push(second);
    world.takes = hours(4);
    world.start().until("2026-11-21T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "21T01:00 21T05:00"]);
    assert_eq!([&world.runs[0].job, &world.runs[1].job], [JOB, "other"]);
}

#[test]
fn a_damaged_state_counts_as_none() {
    for text in ["", "{", "null", "[]", "{\"seen\": 3}", "{\"seen\": \"yesterday\"}", "{\"open\": {}}"] {
        let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
        world.start().until("2026-11-20T21:00:00Z").kill();
        let file = world.state_folder().join("data.json");
        assert!(file.exists());
        fs::write(&file, text).unwrap();
        world.until("2026-11-21T02:00:00Z").start().until("2026-11-22T12:00:00Z");
        assert_eq!(world.seen(), ["22T01:00 22T01:00"], "{text:?}");
    }
}

#[test]
fn a_destination_that_is_gone_stops_no_run_and_is_not_made() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    let gone = world.disk.path().join("gone");
    world.plans[0].state = gone.join(".tarkeep");
    world.start().until("2026-11-22T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "22T01:00 22T01:00"]);
    assert!(!gone.exists());
}

#[test]
fn a_new_configuration_keeps_what_was_seen() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:02:00Z");
    // Read again while the run is on: later today, and a second job.
    let mut later = plan(JOB, "03:00", Tz::UTC, world.disk.path());
    later.on_start = OnStart::Always;
    let mut other = plan("other", "04:00", Tz::UTC, world.disk.path());
    other.on_start = OnStart::Always;
    let now = world.now;
    world.core.as_mut().unwrap().replace(vec![later, other], now);
    world.until("2026-11-21T12:00:00Z");
    assert_eq!(world.seen(), ["21T01:00 21T01:00", "21T03:00 21T03:00", "21T04:00 21T04:00"]);
    // A job that is gone is not run, though its run that was on has ended well.
    let now = world.now;
    world.core.as_mut().unwrap().replace(vec![plan("new", "13:00", Tz::UTC, world.disk.path())], now);
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(world.runs.len(), 4);
    assert_eq!(world.runs[3].job, "new");
}

#[test]
fn what_a_run_has_counted_is_noted_with_its_end_and_stays_when_the_next_fails() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T01:01:00Z");
    world.run_ends_at = None;
    let counts = Counts { sources: vec!["/data".into()], entries: 7, bytes: 8 };
    let made = Ran { counts: Some(counts.clone()), ..ran(Exit::Complete) };
    world.core.as_mut().unwrap().ended(made, utc("2026-11-21T01:01:00Z"));
    assert_eq!(world.state().counts, Some(counts.clone()));
    assert_eq!(world.state().last.unwrap().exit, 0);
    world.ends = Exit::Failed;
    world.until("2026-11-22T02:00:00Z");
    assert_eq!((world.state().counts, world.state().last.unwrap().exit), (Some(counts), 1));
}

#[test]
fn a_new_state_folder_is_told_since_when_the_job_is_known() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T12:00:00Z");
    let moved = Folder::new(world.disk.path().join("moved"));
    let plan = Planned { state: moved.path().to_owned(), ..world.plans[0].clone() };
    let now = world.now;
    world.core.as_mut().unwrap().replace(vec![plan], now);
    world.until("2026-11-21T12:01:00Z");
    let state = moved.load(JOB);
    assert_eq!(state.since, Some(utc("2026-11-21T12:00:00Z")));
    assert_eq!(state.seen, Some(utc("2026-11-21T01:00:00Z")));
    assert_eq!(state.next, Some(utc("2026-11-22T01:00:00Z")));
    // The runs of the other place are none of this one.
    assert_eq!((state.verified, state.last), (None, None));
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(moved.load(JOB).verified, Some(utc("2026-11-22T01:00:00Z")));
}

/// Health counts from there: without it, no archive would ever be too old.
#[test]
fn a_state_that_could_not_be_written_or_was_deleted_is_told_since_when_as_soon_as_it_can_be() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.ends = Exit::Failed;
    let late = world.disk.path().join("late");
    let folder = Folder::new(late.join(".tarkeep"));
    world.plans[0].state = folder.path().to_owned();
    world.start().until("2026-11-20T21:00:00Z");
    fs::create_dir(&late).unwrap();
    world.until("2026-11-21T12:00:00Z");
    assert_eq!(folder.load(JOB).since, Some(utc("2026-11-20T20:00:00Z")));
    fs::remove_file(folder.path().join("data.json")).unwrap();
    world.until("2026-11-22T12:00:00Z");
    assert_eq!(folder.load(JOB).since, Some(utc("2026-11-20T20:00:00Z")));
    assert_eq!(folder.load(JOB).last.unwrap().exit, 1);
}

#[test]
fn the_state_is_small_plain_json() {
    let mut world = World::new("01:00", Tz::UTC, "2026-11-20T20:00:00Z");
    world.start().until("2026-11-21T12:00:00Z");
    let text = fs::read_to_string(world.state_folder().join("data.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["since"], "2026-11-20T20:00:00Z");
    assert_eq!(state["seen"], "2026-11-21T01:00:00Z");
    assert_eq!(state["next"], "2026-11-22T01:00:00Z");
    assert_eq!(state["complete"], "2026-11-21T01:00:00Z");
    assert_eq!(state["last"]["ended"], "2026-11-21T01:05:00Z");
    assert_eq!(state["open"], serde_json::Value::Null);
}

#[test]
fn a_job_is_kept_by_one_daemon_and_its_name_is_no_path() {
    let disk = TempDir::new().unwrap();
    let folder = Folder::new(disk.path().join("state"));
    assert!(!folder.occupied(JOB));
    let sign = folder.occupy(JOB, None).unwrap();
    assert!(folder.occupied(JOB));
    let error = folder.occupy(JOB, None).unwrap_err();
    assert_eq!(error.exit(), Exit::Locked);
    assert!(error.to_string().contains("another daemon keeps the job data"), "{error}");
    drop(sign);
    assert!(!folder.occupied(JOB));
    folder.update("../../a/b", |state| state.since = Some(utc("2026-11-20T20:00:00Z"))).unwrap();
    assert_eq!(folder.load("../../a/b").since, Some(utc("2026-11-20T20:00:00Z")));
    assert_eq!(folder.load("..").since, None);
    let outside: Vec<_> =
        fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["state"]);
}

#[test]
fn lengths_of_time_for_people() {
    let cases =
        [(0, "off"), (45, "45s"), (5400, "1h 30m"), (43_200, "12h"), (86_400, "1d"), (90_061, "1d 1h 1m 1s")];
    for (seconds, text) in cases {
        assert_eq!(length(Duration::from_secs(seconds)), text);
    }
}

/// What happens to a machine.
#[derive(Debug, Clone)]
enum Happens {
    Awake(i64),
    Asleep(i64),
    Killed(i64),
    Stopped(i64),
    RunsTake(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1..3000_i64).prop_map(Happens::Awake),
        2 => (1..2000_i64).prop_map(Happens::Asleep),
        1 => (0..2000_i64).prop_map(Happens::Killed),
        1 => (0..2000_i64).prop_map(Happens::Stopped),
        1 => (0..2000_i64).prop_map(Happens::RunsTake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_happens_no_due_time_has_two_runs_and_none_is_lost(
        events in prop::collection::vec(happens(), 1..30),
        zone in prop::sample::select(vec![Tz::UTC, tz("Europe/Berlin"), tz("Australia/Lord_Howe"), tz("America/Santiago")]),
        schedule in prop::sample::select(vec!["01:00", "02:30", "00:00,12:00", "0 */6 * * *", "every 12h"]),
        start in 0..400_i64,
    ) {
        let mut world = World::new(schedule, zone, "2026-01-01T12:00:00Z");
        world.now += TimeDelta::days(start) + minutes(17);
        let begin = world.now;
        world.start();
        for event in &events {
            match event {
                Happens::Awake(time) => { let to = world.now + minutes(*time); world.awake(to); }
                Happens::Asleep(time) => { let to = world.now + minutes(*time); world.jump_to(to); }
                Happens::Killed(time) => { world.kill(); world.now += minutes(*time); world.start(); }
                Happens::Stopped(time) => { world.stop(); world.now += minutes(*time); world.start(); }
                Happens::RunsTake(time) => world.takes = minutes(*time),
            }
        }
        // Let what is on or waits come to its end.
        let to = world.now + TimeDelta::days(10);
        world.takes = minutes(1);
        world.awake(to);

        let done: Vec<_> = world.runs.iter().filter(|run| run.exit == Some(Exit::Complete)).collect();
        let mut dues: Vec<_> = done.iter().map(|run| run.due.expect("no run at start was asked for")).collect();
        let ordered = dues.windows(2).all(|pair| pair[0] < pair[1]);
        prop_assert!(ordered, "a due time was run for twice, or late ones after early ones: {dues:?}");
        dues.dedup();
        for run in &world.runs {
            prop_assert!(run.began >= run.due.unwrap(), "a run before it was due");
        }
        // Each due time is followed by a run that has all that was there at that time, at the latest ten days on,
        // unless it was too long ago when the machine was back; the longest absence there can be is under two days
        // for each event, and a due time that is given up is given up for a later one.
        let mut now = begin.with_timezone(&zone);
        let plan: tarkeep::schedule::Schedule = schedule.parse().unwrap();
        while let Some(due) = plan.next_after(now).filter(|due| due.to_utc() < to - TimeDelta::days(2)) {
            let due_utc = due.to_utc();
            prop_assert!(done.iter().any(|run| run.due >= Some(due_utc) && run.began >= due_utc), "{due} is lost");
            now = due;
        }
        // The last ten days were quiet: each of their due times has its own run, on time.
        let quiet = to - TimeDelta::days(7);
        let mut now = quiet.with_timezone(&zone);
        while let Some(due) = plan.next_after(now).filter(|due| due.to_utc() < to - minutes(5)) {
            let runs = done.iter().filter(|run| run.due == Some(due.to_utc())).count();
            prop_assert_eq!(runs, 1, "{}", due);
            now = due;
        }
    }
}
