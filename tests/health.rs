//! When a job counts as well, and when not.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tarkeep::agenda::Times;
use tarkeep::exit::Exit;
use tarkeep::health::{Facts, Health, Status, grace, judge};
use tarkeep::schedule::Schedule;
use tarkeep::state::{Keeper, LastRun, Open, State};
use tarkeep::zone::Tz;

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

struct Case {
    schedule: &'static str,
    catch_up: Duration,
    state: State,
    keeper: Keeper,
    busy: bool,
    destination: Option<&'static str>,
}

impl Case {
    /// A nightly job that a daemon has kept since the 10th at noon.
    fn nightly() -> Self {
        let state = State { since: Some(utc("2026-11-10T12:00:00Z")), ..State::default() };
        let catch_up = Duration::from_hours(12);
        Self { schedule: "01:00", catch_up, state, keeper: Keeper::Alive, busy: false, destination: None }
    }

    fn ran(mut self, began: &str, exit: Exit) -> Self {
        let began = utc(began);
        let error = (exit == Exit::Failed).then(|| "write archive: no space left".to_owned());
        let ended = began + TimeDelta::minutes(5);
        self.state.note(LastRun { began, ended, exit: exit.code(), archive: None, error }, exit);
        self
    }

    fn open(mut self, began: &str) -> Self {
        self.state.open = Some(Open { due: None, began: utc(began), attempt: 1 });
        self.busy = true;
        self
    }

    fn judge(&self, now: &str) -> Health {
        let schedule: Schedule = self.schedule.parse().unwrap();
        let times = Times { schedule: &schedule, zone: Tz::UTC, catch_up: self.catch_up };
        let Self { state, keeper, busy, destination, .. } = self;
        judge(Facts { times, state, keeper: *keeper, busy: *busy, destination: *destination }, utc(now))
    }

    #[track_caller]
    fn expect(&self, now: &str, status: Status, reason: &str) {
        let health = self.judge(now);
        assert!(health.status == status && health.reason.contains(reason), "at {now}: {health:?}");
        let exit = if status == Status::Failed { Exit::Failed } else { Exit::Complete };
        assert_eq!(health.exit(), exit);
    }
}

use Status::{Degraded, Failed, Healthy};

#[test]
fn before_the_first_due_time_all_is_well() {
    let case = Case::nightly();
    case.expect(
        "2026-11-10T12:00:01Z",
        Healthy,
        "no run has been due yet; the next run is due at 2026-11-11 01:00:00 +00:00",
    );
    case.expect("2026-11-11T13:00:00Z", Healthy, "");
    case.expect(
        "2026-11-11T13:00:01Z",
        Failed,
        "no archive has been made, and one was due at 2026-11-11 01:00:00",
    );
    // A daemon that has just begun to write its state.
    let case = Case { state: State::default(), ..Case::nightly() };
    case.expect("2026-11-10T12:00:00Z", Healthy, "no run has been due yet");
}

#[test]
fn a_verified_archive_is_good_until_the_next_one_is_late() {
    let case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete);
    case.expect(
        "2026-11-20T12:00:00Z",
        Healthy,
        "the last verified archive is of 2026-11-20 01:00:00 +00:00",
    );
    case.expect("2026-11-21T13:00:00Z", Healthy, "");
    case.expect("2026-11-21T13:00:01Z", Failed, "and one was due at 2026-11-21 01:00:00");
    let health = case.judge("2026-11-20T12:00:00Z");
    assert_eq!(health.verified.as_deref(), Some("2026-11-20T01:00:00Z"));
    assert_eq!(health.next.as_deref(), Some("2026-11-21T01:00:00Z"));
}

#[test]
fn a_failed_run_degrades_and_then_fails() {
    let case =
        Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete).ran("2026-11-21T01:00:00Z", Exit::Failed);
    case.expect("2026-11-21T02:00:00Z", Degraded, "failed: write archive: no space left");
    case.expect("2026-11-21T13:00:01Z", Failed, "the last verified archive is of 2026-11-20");
}

#[test]
fn an_incomplete_archive_degrades_and_fails_after_two_periods() {
    let mut case = Case::nightly().ran("2026-11-18T01:00:00Z", Exit::Complete);
    for day in 19..=21 {
        case = case.ran(&format!("2026-11-{day}T01:00:00Z"), Exit::Incomplete);
        if day == 19 {
            case.expect("2026-11-19T02:00:00Z", Degraded, "published an incomplete or suspect archive");
        }
    }
    case.expect(
        "2026-11-21T02:00:00Z",
        Failed,
        "the last complete archive is of 2026-11-18 01:00:00 +00:00, more than two periods ago",
    );
    let never = Case::nightly()
        .ran("2026-11-11T01:00:00Z", Exit::Incomplete)
        .ran("2026-11-13T01:00:00Z", Exit::Incomplete);
    never.expect("2026-11-13T02:00:00Z", Failed, "no complete archive");
}

#[test]
fn a_later_step_that_failed_degrades() {
    let case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::LaterStep);
    case.expect("2026-11-20T02:00:00Z", Degraded, "a later step failed");
}

#[test]
fn pruning_that_is_held_degrades() {
    let mut case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete);
    case.state.held = Some("the source of 2026-11-19/01-00-00.tar.gz had shrunk".into());
    case.expect("2026-11-20T02:00:00Z", Degraded, "no archive is pruned: the source of 2026-11-19");
}

#[test]
fn a_dead_daemon_and_a_lost_destination_fail() {
    let mut case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete);
    case.keeper = Keeper::None;
    case.expect("2026-11-20T02:00:00Z", Failed, "the daemon is not running");
    case.keeper = Keeper::Stopped(7);
    case.expect("2026-11-20T02:00:00Z", Failed, "the daemon's process 7 is stopped");
    case.keeper = Keeper::Silent(7);
    case.expect("2026-11-20T02:00:00Z", Failed, "the daemon's process 7 does not answer");
    case.destination = Some("destination /backup: no such file or directory");
    case.expect("2026-11-20T02:00:00Z", Failed, "destination /backup");
}

#[test]
fn a_loop_that_let_a_due_time_go_by_is_stuck() {
    let mut case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete);
    case.state.next = Some(utc("2026-11-21T01:00:00Z"));
    case.expect("2026-11-21T01:02:00Z", Healthy, "");
    case.expect("2026-11-21T01:02:01Z", Failed, "stuck: nothing began at 2026-11-21 01:00:00");
    case.busy = true;
    case.expect("2026-11-21T01:02:01Z", Healthy, "");
}

#[test]
fn a_run_that_is_on_is_well_and_excuses_an_old_archive_for_a_while() {
    let case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete).open("2026-11-21T01:00:00Z");
    case.expect("2026-11-21T02:00:00Z", Healthy, "a run is on since 2026-11-21 01:00:00");
    case.expect("2026-11-21T13:00:01Z", Failed, "one was due at 2026-11-21");
    case.expect("2026-11-21T13:00:01Z", Failed, "has not come to its end");
    let back = Case::nightly().ran("2026-11-12T01:00:00Z", Exit::Complete).open("2026-11-21T09:00:00Z");
    back.expect("2026-11-21T09:30:00Z", Degraded, "a run is on since 2026-11-21 09:00:00");
    back.expect("2026-11-21T21:00:01Z", Failed, "");
    let mut given_up =
        Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete).open("2026-11-21T01:00:00Z");
    given_up.state.open.as_mut().unwrap().attempt = 4;
    given_up.expect("2026-11-21T02:00:00Z", Degraded, "not tried any more");
}

#[test]
fn with_the_schedule_off_to_live_is_enough() {
    let case = Case { schedule: "off", ..Case::nightly() };
    case.expect("2026-12-31T00:00:00Z", Healthy, "the schedule is off");
}

#[test]
fn a_clock_that_was_set_back_is_no_failure() {
    let case = Case::nightly().ran("2031-01-01T01:00:00Z", Exit::Complete);
    case.expect("2026-11-20T02:00:00Z", Healthy, "");
}

#[test]
fn what_a_clock_that_was_ahead_has_written_excuses_nothing_that_fails_now() {
    let ahead = || Case::nightly().ran("2031-01-01T01:00:00Z", Exit::Complete);
    let failed = ahead().ran("2026-11-20T01:00:00Z", Exit::Failed);
    failed.expect("2026-11-20T02:00:00Z", Failed, "of 2031-01-01 01:00:00 +00:00, a time to come");
    failed.expect("2026-11-20T02:00:00Z", Failed, ": write archive: no space left");
    ahead().ran("2026-11-20T01:00:00Z", Exit::Complete).expect("2026-11-20T02:00:00Z", Healthy, "");
    let open = ahead().open("2026-11-20T01:00:00Z");
    open.expect("2026-11-20T02:00:00Z", Healthy, "a run is on");
    open.expect("2026-11-21T13:00:01Z", Failed, "has not come to its end");
    // Nothing but incomplete archives since.
    let incomplete = ahead().ran("2026-11-20T01:00:00Z", Exit::Incomplete);
    incomplete.expect("2026-11-20T02:00:00Z", Failed, "of 2031-01-01 01:00:00 +00:00, a time to come");
    // A daemon that began to keep the job then.
    let mut never = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Failed);
    never.state.since = Some(utc("2031-01-01T00:00:00Z"));
    never.expect("2026-11-20T02:00:00Z", Failed, "no archive has been made");
    // A step of minutes is no such clock.
    let step =
        Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete).ran("2026-11-20T00:30:00Z", Exit::Failed);
    step.expect("2026-11-20T00:40:00Z", Degraded, "the last run, of 2026-11-20 00:30:00 +00:00, failed");
}

#[test]
fn grace_follows_the_catch_up_within_reason() {
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
    assert_eq!(grace(Duration::from_hours(12), day), TimeDelta::hours(12));
    assert_eq!(grace(Duration::from_hours(48), day), day);
    assert_eq!(grace(Duration::ZERO, day), hour);
    assert_eq!(grace(Duration::from_hours(12), TimeDelta::minutes(15)), hour);
    assert_eq!(grace(Duration::MAX, day), day);
}

#[test]
fn the_verdict_is_plain_json() {
    let case = Case::nightly().ran("2026-11-20T01:00:00Z", Exit::Complete);
    let json = serde_json::to_value(case.judge("2026-11-20T02:00:00Z")).unwrap();
    assert_eq!(json["status"], "healthy");
    assert_eq!(json["verified"], "2026-11-20T01:00:00Z");
}
