//! Which archives stay: every rule alone, together, and where calendars and clocks are awkward.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tarkeep::retention::{
    Archive, Decision, Held, Keep, Reason, Rules, TIERS, Tier, days_left, decide, growth, held,
};
use tarkeep::zone::Tz;

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

fn berlin() -> Tz {
    zone("Europe/Berlin")
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The first instant at which a clock in this zone shows this time.
fn local(text: &str, zone: Tz) -> DateTime<Utc> {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    time.and_local_timezone(zone).earliest().unwrap().to_utc()
}

fn archive(instant: DateTime<Utc>) -> Archive {
    let file = (1, instant.timestamp() as u64);
    Archive { instant, number: 1, complete: true, suspect: false, damaged: false, file }
}

fn keep(text: &str) -> Keep {
    let mut rules = Rules::default();
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        if key == "within" {
            let days: u64 = value.strip_suffix('d').unwrap().parse().unwrap();
            rules.set_within(Duration::from_hours(24 * days));
        } else {
            let tier = TIERS.into_iter().find(|tier| tier.word() == key).unwrap();
            rules.set(tier, value.parse().unwrap());
        }
    }
    Keep::Rules(rules)
}

/// What is decided about archives of these local times, one a line; a `!` behind a time makes it incomplete, an
/// `x` damaged. The clock stands a minute behind the newest.
#[track_caller]
fn golden(policy: &str, zone: Tz, expected: &str) {
    let lines: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let archives: Vec<Archive> = lines
        .iter()
        .map(|line| {
            let time = line.get(..16).unwrap();
            let is = |mark| line[16..].starts_with(mark);
            Archive { complete: !is('!'), damaged: is('x'), ..archive(local(time, zone)) }
        })
        .collect();
    let now = archives.iter().map(|archive| archive.instant).max().unwrap() + TimeDelta::minutes(1);
    let decisions = decide(&archives, &keep(policy), zone, now);
    let mut said = String::new();
    for ((archive, decision), line) in archives.iter().zip(&decisions).zip(&lines) {
        let time = &line[..16];
        let mark = match archive {
            Archive { damaged: true, .. } => "x",
            Archive { complete: false, .. } => "!",
            _ => "",
        };
        let reasons = decision.reasons().join(", ");
        let _ = writeln!(said, "{}", format!("{time}{mark} {reasons}").trim_end());
    }
    assert_eq!(said.trim_end(), lines.join("\n"), "{policy}");
}

#[test]
fn all_keeps_all_and_says_so() {
    let archives = [archive(utc("2026-11-20T00:00:00Z")), archive(utc("1999-11-20T00:00:00Z"))];
    let decisions = decide(&archives, &Keep::All, Tz::UTC, utc("2026-11-21T00:00:00Z"));
    assert_eq!(decisions, vec![Decision::Kept(vec![Reason::All]); 2]);
    assert_eq!(decide(&[], &keep("last=1"), Tz::UTC, utc("2026-11-21T00:00:00Z")), []);
}

#[test]
fn last_counts_archives_and_not_days() {
    golden(
        "last=3",
        Tz::UTC,
        "2026-11-20 01:00 last
         2026-11-20 00:59 last
         2026-10-01 01:00 last
         2026-09-30 01:00
         2026-09-29 01:00",
    );
}

#[test]
fn hours_are_those_of_the_clock() {
    golden(
        "hourly=2",
        Tz::UTC,
        "2026-11-20 02:01 hourly
         2026-11-20 02:00
         2026-11-20 01:59 hourly
         2026-11-20 00:59",
    );
}

#[test]
fn days_weeks_months_and_years_are_those_of_the_calendar_in_the_zone() {
    golden(
        "daily=2",
        berlin(),
        "2026-11-20 00:30 daily
         2026-11-19 23:30 daily
         2026-11-19 01:00
         2026-11-18 23:59",
    );
    // A Sunday and a Monday.
    golden(
        "weekly=2",
        berlin(),
        "2026-11-16 00:00 weekly
         2026-11-15 23:59 weekly
         2026-11-09 00:00
         2026-11-08 23:59",
    );
    golden(
        "monthly=2",
        berlin(),
        "2026-11-01 00:00 monthly
         2026-10-31 23:59 monthly
         2026-10-01 00:00
         2026-09-30 23:59",
    );
    golden(
        "yearly=2",
        berlin(),
        "2027-01-01 00:00 yearly
         2026-12-31 23:59 yearly
         2026-01-01 00:00
         2025-12-31 23:59",
    );
}

#[test]
fn within_is_measured_from_the_newest_archive() {
    golden(
        "within=7d",
        Tz::UTC,
        "2026-11-20 01:00 within
         2026-11-13 01:00 within
         2026-11-13 00:59",
    );
    // A year without a run costs nothing.
    let archives = [archive(utc("2026-11-20T00:00:00Z")), archive(utc("2026-11-19T00:00:00Z"))];
    let decisions = decide(&archives, &keep("within=7d"), Tz::UTC, utc("2027-11-20T00:00:00Z"));
    assert!(decisions.iter().all(Decision::kept), "{decisions:?}");
}

#[test]
fn rules_add_up() {
    golden(
        "last=2 daily=3 weekly=2 monthly=2 yearly=2 within=1d",
        berlin(),
        "2026-11-20 13:00 last, daily, weekly, monthly, yearly, within
         2026-11-20 01:00 last, within
         2026-11-19 13:00 daily, within
         2026-11-19 01:00
         2026-11-18 13:00 daily
         2026-11-17 13:00
         2026-11-15 13:00 weekly
         2026-11-14 13:00
         2026-10-31 13:00 monthly
         2026-10-30 13:00
         2025-12-31 13:00 yearly
         2025-12-30 13:00",
    );
}

#[test]
fn new_year_is_in_the_week_that_iso_8601_says() {
    // 2024-12-30 to 2025-01-05 is the first week of 2025; 2020-12-28 to 2021-01-03 the 53rd of 2020.
    golden(
        "weekly=3",
        Tz::UTC,
        "2025-01-06 01:00 weekly
         2025-01-05 01:00 weekly
         2025-01-01 01:00
         2024-12-31 01:00
         2024-12-30 01:00
         2024-12-29 01:00 weekly
         2024-12-23 01:00",
    );
    golden(
        "weekly=2 yearly=2",
        Tz::UTC,
        "2021-01-03 01:00 weekly, yearly
         2021-01-01 01:00
         2020-12-31 01:00 yearly
         2020-12-28 01:00
         2020-12-27 01:00 weekly
         2019-12-31 01:00",
    );
    // The first week of 2026 begins in 2025, and is not the first week of 2025.
    golden(
        "weekly=2",
        Tz::UTC,
        "2025-12-31 01:00 weekly
         2025-01-01 01:00 weekly
         2024-12-31 01:00",
    );
}

#[test]
fn leap_days_are_days() {
    golden(
        "daily=3",
        Tz::UTC,
        "2028-03-01 01:00 daily
         2028-02-29 01:00 daily
         2028-02-28 01:00 daily
         2028-02-27 01:00",
    );
    golden(
        "monthly=3 yearly=2",
        Tz::UTC,
        "2028-03-31 01:00 monthly, yearly
         2028-02-29 01:00 monthly
         2028-02-28 01:00
         2028-01-31 01:00 monthly
         2027-02-28 01:00 yearly",
    );
}

#[test]
fn the_night_that_clocks_change_is_one_day_and_its_double_hour_two() {
    // In Berlin on 2026-10-25 it is two o'clock twice: at 00:00 and 01:00 UTC.
    let instants =
        ["2026-10-25T02:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-24T23:30:00Z"];
    let archives = instants.map(|text| archive(utc(text)));
    let now = utc("2026-10-25T03:00:00Z");
    let kept = |policy| -> Vec<bool> {
        decide(&archives, &keep(policy), berlin(), now).iter().map(Decision::kept).collect()
    };
    assert_eq!(kept("hourly=3"), [true, true, true, false]);
    assert_eq!(kept("daily=3"), [true, false, false, false], "01:30 is of the 25th in Berlin");
    // In spring the day has 23 hours, and 02:00 to 03:00 none.
    golden(
        "hourly=2 daily=2",
        berlin(),
        "2026-03-29 03:00 hourly, daily
         2026-03-29 01:59 hourly
         2026-03-29 00:59
         2026-03-28 23:59 daily",
    );
    // On Lord Howe clocks go back by half an hour: 01:30 to 02:00 comes twice.
    let archives = ["2026-04-04T15:15:00Z", "2026-04-04T14:45:00Z"].map(|text| archive(utc(text)));
    let decisions =
        decide(&archives, &keep("hourly=2"), zone("Australia/Lord_Howe"), utc("2026-04-05T00:00:00Z"));
    assert!(decisions.iter().all(Decision::kept), "01:45 and 01:45");
}

#[test]
fn a_day_that_a_zone_skipped_counts_for_nobody() {
    // Samoa had no 2011-12-30.
    golden(
        "daily=2",
        zone("Pacific/Apia"),
        "2011-12-31 01:00 daily
         2011-12-29 23:00 daily
         2011-12-29 01:00",
    );
}

#[test]
fn gaps_of_months_use_up_no_periods() {
    golden(
        "daily=3 monthly=2",
        Tz::UTC,
        "2026-11-20 01:00 daily, monthly
         2026-03-02 01:00 daily, monthly
         2026-03-01 01:00 daily
         2025-12-24 01:00
         2025-12-23 01:00",
    );
}

#[test]
fn a_complete_archive_is_preferred_in_its_period() {
    golden(
        "daily=3",
        Tz::UTC,
        "2026-11-20 13:00! the newest one
         2026-11-20 01:00 daily
         2026-11-19 13:00!
         2026-11-19 02:00 daily
         2026-11-19 01:00
         2026-11-18 13:00! daily
         2026-11-18 01:00!
         2026-11-17 01:00",
    );
}

#[test]
fn the_last_complete_one_stays_whatever_the_rules_say() {
    golden(
        "last=2",
        Tz::UTC,
        "2026-11-20 01:00! last
         2026-11-19 01:00! last
         2026-11-18 01:00!
         2026-11-17 01:00 the last complete one
         2026-11-16 01:00",
    );
    golden("last=1", Tz::UTC, "2026-11-20 01:00! last\n2026-11-19 01:00!\n2026-11-18 01:00!");
}

#[test]
fn an_archive_known_to_be_damaged_stands_for_nothing_and_stays() {
    golden(
        "last=2 monthly=2",
        Tz::UTC,
        "2026-11-20 01:00x damaged, stays until you delete it
         2026-11-19 01:00 last, monthly
         2026-11-18 01:00 last
         2026-11-17 01:00
         2026-10-31 01:00x damaged, stays until you delete it
         2026-10-30 01:00 monthly
         2026-10-29 01:00",
    );
    // The newest sound one stays, and `within` is measured from it.
    golden(
        "within=1d",
        Tz::UTC,
        "2026-11-20 01:00x damaged, stays until you delete it
         2026-11-10 01:00 within
         2026-11-09 01:00 within
         2026-11-08 01:00",
    );
    golden(
        "yearly=1",
        Tz::UTC,
        "2026-11-20 01:00! the newest one
         2026-11-19 01:00x damaged, stays until you delete it
         2026-11-18 01:00 yearly
         2026-11-17 01:00",
    );
    golden(
        "last=1",
        Tz::UTC,
        "2026-11-20 01:00x damaged, stays until you delete it
         2026-11-19 01:00x damaged, stays until you delete it",
    );
}

#[test]
fn of_archives_of_one_instant_the_higher_number_is_the_newer() {
    let instant = utc("2026-11-20T01:00:00Z");
    let of = |number: u32| Archive { number, file: (1, u64::from(number)), ..archive(instant) };
    let decisions = decide(&[of(1), of(3), of(2)], &keep("last=2"), Tz::UTC, instant);
    let kept: Vec<bool> = decisions.iter().map(Decision::kept).collect();
    assert_eq!(kept, [false, true, true]);
}

#[test]
fn names_of_one_file_are_one_archive_if_they_are_of_one_instant() {
    let [new, old, older] =
        ["2026-11-20T01:00:00Z", "2026-11-19T01:00:00Z", "2026-11-18T01:00:00Z"].map(|at| archive(utc(at)));
    let now = utc("2026-11-20T02:00:00Z");
    let kept = |archives: &[Archive], policy| -> Vec<bool> {
        decide(archives, &keep(policy), Tz::UTC, now).iter().map(Decision::kept).collect()
    };
    // Two names of the newest: they stay together, and take the place of one.
    let second_name = Archive { number: 2, ..new };
    assert_eq!(kept(&[new, second_name, old, older], "last=2"), [true, true, true, false]);
    assert_eq!(kept(&[new, old, Archive { number: 2, ..old }], "last=1"), [true, false, false]);
    // The same file, kept again because nothing had changed: an archive of its own day.
    let unchanged = Archive { file: old.file, ..new };
    assert_eq!(kept(&[unchanged, old, older], "daily=2"), [true, true, false]);
    assert_eq!(kept(&[unchanged, old, older], "daily=1"), [true, false, false]);
}

/// A link is decided about by its own instant, as if it were a file of its own: whichever names share a file.
#[test]
fn links_are_kept_and_go_each_by_its_own_instant() {
    let expected = "2026-11-20 01:00 last, daily, weekly
                    2026-11-19 01:00 last, daily
                    2026-11-18 01:00 daily
                    2026-11-17 01:00
                    2026-11-16 01:00
                    2026-11-15 01:00 weekly
                    2026-11-14 01:00";
    golden("last=2 daily=3 weekly=2", Tz::UTC, expected);
    let archives: Vec<Archive> =
        expected.lines().map(|line| archive(local(&line.trim()[..16], Tz::UTC))).collect();
    let now = archives[0].instant;
    let decisions = |of: &[Archive]| decide(of, &keep("last=2 daily=3 weekly=2"), Tz::UTC, now);
    for files in [[1; 7], [1, 1, 1, 2, 2, 2, 2], [1, 2, 1, 2, 1, 2, 1], [1, 1, 2, 3, 3, 3, 4]] {
        let linked: Vec<Archive> = archives
            .iter()
            .zip(files)
            .map(|(archive, file)| Archive { file: (1, file), ..*archive })
            .collect();
        assert_eq!(decisions(&linked), decisions(&archives), "{files:?}");
    }
}

#[test]
fn a_clock_before_the_newest_archive_decides_nothing() {
    let archives = ["2031-01-01T01:00:00Z", "2026-11-19T01:00:00Z", "2026-11-18T01:00:00Z"];
    let archives = archives.map(|at| archive(utc(at)));
    let decisions = decide(&archives, &keep("last=1"), Tz::UTC, utc("2026-11-20T01:00:00Z"));
    assert_eq!(decisions, vec![Decision::Kept(vec![Reason::Clock]); 3]);
    assert_eq!(
        held(&archives, &keep("last=1"), Tz::UTC, None, utc("2026-11-20T01:00:00Z")),
        Some(Held::Clock(0))
    );
    let decisions = decide(&archives, &keep("last=1"), Tz::UTC, utc("2031-01-01T01:00:00Z"));
    assert_eq!(decisions.iter().filter(|decision| decision.kept()).count(), 1);
    assert_eq!(held(&archives, &keep("last=1"), Tz::UTC, None, utc("2031-01-01T01:00:00Z")), None);
}

#[test]
fn an_incomplete_or_a_suspect_archive_holds_all_pruning_until_it_is_accepted() {
    let [new, old] = ["2026-11-20T01:00:00Z", "2026-11-19T01:00:00Z"].map(|at| archive(utc(at)));
    let now = utc("2026-11-20T02:00:00Z");
    let incomplete = |archive: Archive| Archive { complete: false, ..archive };
    let suspect = |archive: Archive| Archive { complete: false, suspect: true, ..archive };
    assert_eq!(held(&[], &keep("last=1"), Tz::UTC, None, now), None);
    assert_eq!(held(&[old, new], &keep("last=1"), Tz::UTC, None, now), None);
    assert_eq!(held(&[old, incomplete(new)], &keep("last=1"), Tz::UTC, None, now), Some(Held::Incomplete(1)));
    assert_eq!(
        held(&[incomplete(old), new], &keep("last=1"), Tz::UTC, None, now),
        None,
        "a complete one came after it"
    );
    assert_eq!(
        held(&[suspect(old), new], &keep("last=1"), Tz::UTC, None, now),
        Some(Held::Suspect(0)),
        "it is measured by the last"
    );
    assert_eq!(
        held(&[suspect(old), suspect(new)], &keep("last=1"), Tz::UTC, None, now),
        Some(Held::Suspect(1))
    );
    assert_eq!(
        held(&[suspect(old), suspect(new)], &keep("last=1"), Tz::UTC, Some(old.instant), now),
        Some(Held::Suspect(1))
    );
    assert_eq!(held(&[suspect(old), suspect(new)], &keep("last=1"), Tz::UTC, Some(new.instant), now), None);
    assert_eq!(held(&[old, incomplete(new)], &keep("last=1"), Tz::UTC, Some(new.instant), now), None);
    assert_eq!(
        held(&[old, incomplete(new)], &keep("last=1"), Tz::UTC, Some(old.instant), now),
        Some(Held::Incomplete(1))
    );
}

/// Why pruning is held for these archives, one a line with a `+` behind what stands before and after the gap.
#[track_caller]
fn gap(policy: &str, accepted: Option<&str>, expected: &str) {
    let lines: Vec<&str> = expected.lines().map(str::trim).collect();
    let archives: Vec<Archive> =
        lines.iter().map(|line| archive(local(line.get(..16).unwrap(), Tz::UTC))).collect();
    let accepted = accepted.map(|accepted| local(accepted, Tz::UTC));
    let found = held(&archives, &keep(policy), Tz::UTC, accepted, archives[0].instant);
    let around = match found {
        None => vec![],
        Some(Held::Pause { before, after }) => vec![before, after],
        Some(other) => panic!("{other:?}"),
    };
    let mark = |at: &usize| if around.contains(at) { "+" } else { "" };
    let said: Vec<String> = (0..lines.len()).map(|at| format!("{}{}", &lines[at][..16], mark(&at))).collect();
    assert_eq!(said.join("\n"), lines.join("\n"), "{policy}");
}

#[test]
fn a_pause_longer_than_within_holds_what_would_go_for_that_alone() {
    // A clock that was wrong for one run, or the first night after years.
    let five = "2036-01-06 01:00+\n2026-01-05 01:00+\n2026-01-04 01:00\n2026-01-03 01:00";
    gap("within=90d", None, five);
    gap("within=90d last=1 monthly=12", None, five);
    gap("within=90d", Some("2026-01-05 01:00"), five);
    // The nights after it change nothing; that somebody has seen it does.
    let nights = "2036-01-08 01:00\n2036-01-07 01:00\n2036-01-06 01:00+\n2026-01-05 01:00+\n2026-01-04 01:00";
    gap("within=90d", None, nights);
    gap("within=90d", Some("2036-01-05 01:00"), nights);
    gap("within=90d", Some("2036-01-06 01:00"), &nights.replace('+', ""));
    // Of two the newer one.
    gap(
        "within=2d",
        None,
        "2026-03-01 01:00+\n2026-02-01 01:00+\n2026-01-31 01:00\n2026-01-01 01:00\n2025-12-31 01:00",
    );
}

/// So many nights up to the 8th of March, and one that many days later, with a `+` around that if pruning is held.
fn nights_and_one(nights: i64, later: i64, held: bool) -> String {
    let mark = if held { "+" } else { "" };
    let last = utc("2026-03-08T01:00:00Z");
    let line = |days: i64| (last + TimeDelta::days(days)).format("%Y-%m-%d %H:%M").to_string();
    let mut lines = vec![line(later) + mark, line(0) + mark];
    lines.extend((1..nights).map(|ago| line(-ago)));
    lines.join("\n")
}

#[test]
fn a_jump_shorter_than_within_holds_what_would_take_most_of_the_archives() {
    gap("within=30d", None, &nights_and_one(31, 29, true));
    gap("within=30d daily=5", None, &nights_and_one(31, 29, true));
    gap("within=30d", Some("2026-04-06 01:00"), &nights_and_one(31, 29, false));
    gap("within=7d", None, &nights_and_one(8, 5, true));
    // Seven are enough to go back to.
    gap("within=30d daily=7", None, &nights_and_one(31, 29, false));
    gap("within=30d", None, &nights_and_one(31, 26, true));
    gap("within=30d", None, &nights_and_one(31, 25, false));
    // Less than half is a weekend, and so is a night that was missed.
    gap("within=7d", None, &nights_and_one(8, 4, false));
    gap("within=2d", None, &nights_and_one(3, 2, false));
    gap("within=30d", None, &nights_and_one(31, 1, false));
    gap("within=30d daily=40", None, &nights_and_one(31, 29, false));
}

#[test]
fn a_pause_holds_nothing_where_other_rules_decide() {
    // No longer than `within`.
    gap("within=90d", None, "2026-06-01 01:00\n2026-03-03 01:00\n2026-03-02 01:00");
    // All that was there before it stays.
    gap("within=90d daily=9", None, "2036-01-06 01:00\n2026-01-05 01:00\n2026-01-04 01:00");
    // Without `within`.
    gap("last=1", None, "2036-01-06 01:00\n2026-01-05 01:00\n2026-01-04 01:00");
    // What pruning has left of older months is far apart, and goes when it is not one of the latest any more.
    gap(
        "within=20d monthly=3",
        None,
        "2026-05-20 01:00\n2026-04-20 01:00\n2026-03-20 01:00\n2026-02-20 01:00",
    );
    // Nor does a schedule that is longer than `within` hold up the other rules.
    gap("within=1d last=2", None, "2026-05-29 01:00\n2026-05-22 01:00\n2026-05-15 01:00\n2026-05-08 01:00");
    gap("within=1d last=1", None, "2026-05-29 01:00\n2026-05-22 01:00\n2026-05-15 01:00");
}

#[test]
fn an_acceptance_of_a_time_to_come_was_said_by_a_wrong_clock() {
    let [new, old] = ["2026-11-20T01:00:00Z", "2026-11-19T01:00:00Z"].map(|at| archive(utc(at)));
    let suspect = Archive { suspect: true, complete: false, ..new };
    let held = |accepted| held(&[suspect, old], &keep("last=1"), Tz::UTC, Some(utc(accepted)), new.instant);
    assert_eq!(held("2036-01-01T01:00:00Z"), Some(Held::Suspect(0)));
    assert_eq!(held("2026-11-20T01:00:00Z"), None);
}

#[test]
fn growth_says_how_long_the_disk_lasts_and_no_nonsense() {
    let at = |day: i64, bytes| (utc("2026-11-01T01:00:00Z") + TimeDelta::days(day), bytes);
    assert_eq!(growth(&[], 100), None);
    assert_eq!(growth(&[at(0, 10)], 100), None);
    assert_eq!(growth(&[at(0, 10), at(0, 10)], 100), None, "no time between them");
    assert_eq!(growth(&[at(0, 0), at(1, 0)], 100), None, "nothing grows");
    assert_eq!(growth(&[at(0, 999), at(1, 10), at(2, 30)], 100), Some((20.0, 5.0)));
    assert_eq!(growth(&[at(2, 30), at(0, 999), at(1, 10)], 0), Some((20.0, 0.0)));
    // Only the latest count: what a year ago was small is small no more.
    let mut archives: Vec<_> = (0..100).map(|day| at(day, 1)).collect();
    archives.extend((100..130).map(|day| at(day, 50)));
    assert_eq!(growth(&archives, 500), Some((50.0, 10.0)));
    assert_eq!(days_left(0.0), "less than a day");
    assert_eq!(days_left(1.9), "about 1 day");
    assert_eq!(days_left(412.7), "about 412 days");
    assert_eq!(days_left(1e12), "more than ten years");
}

prop_compose! {
    fn any_archive()(minutes in 0_i64..3_000_000, complete in prop::bool::weighted(0.8), file in 0_u64..200, number in 1_u32..3)
        -> Archive
    {
        let instant = utc("2021-06-01T00:00:00Z") + TimeDelta::minutes(minutes);
        Archive { instant, number, complete, suspect: false, damaged: false, file: (1, file) }
    }
}

prop_compose! {
    fn any_keep()(counts in prop::array::uniform6(0_u32..6), within in prop::option::of(1_u64..400)) -> Keep {
        let mut rules = Rules::default();
        for (tier, count) in TIERS.into_iter().zip(counts) {
            rules.set(tier, count);
        }
        if let Some(days) = within {
            rules.set_within(Duration::from_hours(24 * days));
        }
        if rules.is_empty() {
            rules.set(Tier::Last, 1);
        }
        Keep::Rules(rules)
    }
}

fn any_zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![
        Tz::UTC,
        berlin(),
        zone("America/Santiago"),
        zone("Australia/Lord_Howe"),
        zone("Pacific/Apia"),
        zone("America/New_York"),
    ])
}

const LATER: &str = "2040-01-01T00:00:00Z";

proptest! {
    #[test]
    fn every_archive_is_kept_with_a_reason_or_deleted(
        archives in prop::collection::vec(any_archive(), 0..80), keep in any_keep(), zone in any_zone()
    ) {
        let decisions = decide(&archives, &keep, zone, utc(LATER));
        prop_assert_eq!(decisions.len(), archives.len());
        for decision in &decisions {
            prop_assert_eq!(decision.kept(), !decision.reasons().is_empty());
        }
        // The newest and the newest complete one are among those that stay.
        let kept: Vec<_> = archives.iter().zip(&decisions).filter(|(_, decision)| decision.kept()).collect();
        let newest = archives.iter().map(|archive| archive.instant).max();
        prop_assert_eq!(kept.iter().map(|(archive, _)| archive.instant).max(), newest);
        let complete = archives.iter().filter(|archive| archive.complete).map(|archive| archive.instant).max();
        let kept = kept.iter().filter(|(archive, _)| archive.complete);
        prop_assert_eq!(kept.map(|(archive, _)| archive.instant).max(), complete);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(
        archives in prop::collection::vec(any_archive(), 0..40), keep in any_keep(), zone in any_zone()
    ) {
        // Two that have everything in common are told apart by their places only.
        let mut archives = archives;
        archives.sort_by_key(|archive| (archive.instant, archive.number, archive.file));
        archives.dedup_by_key(|archive| (archive.instant, archive.number));
        let decisions = decide(&archives, &keep, zone, utc(LATER));
        archives.reverse();
        let mut reversed = decide(&archives, &keep, zone, utc(LATER));
        reversed.reverse();
        prop_assert_eq!(decisions, reversed);
    }

    #[test]
    fn more_time_and_more_archives_never_bring_back_what_was_pruned(
        archives in prop::collection::vec(any_archive(), 1..60), later in prop::collection::vec(any_archive(), 0..20),
        keep in any_keep(), zone in any_zone()
    ) {
        let newest = archives.iter().map(|archive| archive.instant).max().unwrap();
        let before = decide(&archives, &keep, zone, newest);
        let mut all = archives.clone();
        // Made after all others, of files of their own.
        let start = utc("2021-06-01T00:00:00Z");
        all.extend(later.iter().map(|archive| Archive {
            instant: newest + (archive.instant - start) + TimeDelta::seconds(1),
            file: (2, archive.file.1),
            ..*archive
        }));
        let after = decide(&all, &keep, zone, utc(LATER) + TimeDelta::days(9999));
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before.kept() || !after.kept(), "{before:?} became {after:?}");
        }
    }

    #[test]
    fn pruning_every_night_ends_where_pruning_once_would(
        archives in prop::collection::vec(any_archive(), 1..40), keep in any_keep(), zone in any_zone()
    ) {
        let mut archives = archives;
        archives.sort_by_key(|archive| (archive.instant, archive.number));
        archives.dedup_by_key(|archive| archive.instant);
        let left = |of: &[Archive], now| -> Vec<Archive> {
            let decisions = decide(of, &keep, zone, now);
            of.iter().zip(decisions).filter(|(_, decision)| decision.kept()).map(|(archive, _)| *archive).collect()
        };
        let mut nightly: Vec<Archive> = Vec::new();
        for archive in &archives {
            nightly.push(*archive);
            nightly = left(&nightly, archive.instant);
        }
        prop_assert_eq!(nightly, left(&archives, utc(LATER)));
    }
}
