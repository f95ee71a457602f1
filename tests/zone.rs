//! The zones that are built in against a second opinion, the crate `chrono-tz`: every zone, every change of its clocks.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::{GapInfo, TZ_VARIANTS};
use tarkeep::zone::Tz;

/// The other crate has the database of 2025b. What was decided, or found out about the past, until 2026e is not in it.
const DECIDED_SINCE: [&str; 20] = [
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Bogota",
    "America/Edmonton",
    "America/Ensenada",
    "America/Inuvik",
    "America/Rainy_River",
    "America/Santa_Isabel",
    "America/Tijuana",
    "America/Vancouver",
    "America/Winnipeg",
    "America/Yellowknife",
    "Asia/Tehran",
    "Canada/Central",
    "Canada/Mountain",
    "Canada/Pacific",
    "Europe/Chisinau",
    "Europe/Tiraspol",
    "Iran",
    "Mexico/BajaNorte",
];

fn offset(zone: &impl chrono::TimeZone, at: i64) -> i32 {
    let utc = DateTime::from_timestamp(at, 0).unwrap().naive_utc();
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()
}

fn mapped(zone: &impl chrono::TimeZone, local: NaiveDateTime) -> MappedLocalTime<i32> {
    zone.offset_from_local_datetime(&local).map(|offset| offset.fix().local_minus_utc())
}

fn utc(text: &str) -> i64 {
    text.parse::<DateTime<Utc>>().unwrap().timestamp()
}

/// The first instant in a stretch of time at which one of the two has another offset than at its beginning.
fn change(ours: Tz, theirs: chrono_tz::Tz, mut from: i64, mut to: i64) -> Option<i64> {
    let at = |at| (offset(&ours, at), offset(&theirs, at));
    let before = at(from);
    if at(to) == before {
        return None;
    }
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        *(if at(middle) == before { &mut from } else { &mut to }) = middle;
    }
    Some(to)
}

#[test]
fn every_change_of_the_clocks_since_1970_is_known() {
    let (start, end) = (utc("1970-01-01T00:00:00Z"), utc("2099-12-20T00:00:00Z"));
    let step = 10 * 86_400;
    let mut changes = 0;
    let mut wrong = Vec::new();
    for theirs in TZ_VARIANTS {
        let name = theirs.name();
        if DECIDED_SINCE.contains(&name) {
            continue;
        }
        let Ok(ours) = name.parse::<Tz>() else {
            wrong.push(format!("{name}: not there"));
            continue;
        };
        assert_eq!(ours.name(), name);
        let mut from = start;
        while from < end {
            let Some(at) = change(ours, theirs, from, from + step) else {
                if offset(&ours, from) != offset(&theirs, from) {
                    wrong.push(format!("{name}: at {from}"));
                    break;
                }
                from += step;
                continue;
            };
            changes += 1;
            // The hours around, in which local times come twice or not at all.
            for local in (-7200..=7200).step_by(1800).chain([-1, 1]) {
                for offset in [offset(&theirs, at - 1), offset(&theirs, at)] {
                    let local =
                        DateTime::from_timestamp(at + local + i64::from(offset), 0).unwrap().naive_utc();
                    let end = GapInfo::new(&local, &theirs).and_then(|gap| gap.end).map(|end| end.to_utc());
                    let same = mapped(&ours, local) == mapped(&theirs, local)
                        && ours.end_of_gap(local).map(|end| end.to_utc()) == end;
                    if !same {
                        wrong.push(format!("{name}: local {local}: {:?}", mapped(&ours, local)));
                    }
                }
            }
            from = at;
        }
    }
    wrong.dedup_by(|a, b| a.split(':').next() == b.split(':').next());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(changes > 50_000, "{changes}");
}

/// What makes an old edition of the database a wrong schedule.
#[test]
fn what_canada_decided_in_2026_is_known() {
    for (name, offset) in [
        ("America/Vancouver", "-07:00"),
        ("America/Edmonton", "-06:00"),
        ("America/Winnipeg", "-05:00"),
        ("America/Toronto", "-05:00"),
        ("America/St_Johns", "-03:30"),
    ] {
        let winter = Utc.with_ymd_and_hms(2027, 1, 10, 12, 0, 0).unwrap();
        let zone: Tz = name.parse().unwrap();
        assert_eq!(winter.with_timezone(&zone).format("%:z").to_string(), offset, "{name}");
    }
}

#[test]
fn rules_go_on_for_ever() {
    let zone: Tz = "Europe/Berlin".parse().unwrap();
    for year in [2099, 2100, 2101, 2199, 9999] {
        let noon = |month, day| Utc.with_ymd_and_hms(year, month, day, 12, 0, 0).unwrap();
        for (month, hour) in [(1, 13), (7, 14), (12, 13)] {
            assert_eq!(
                noon(month, 1).with_timezone(&zone).format("%H").to_string(),
                hour.to_string(),
                "{year}"
            );
        }
        let march = zone.from_local_datetime(&noon(3, 15).naive_utc()).single().unwrap();
        assert_eq!(march.to_utc(), noon(3, 15) - chrono::TimeDelta::hours(1));
    }
    // The last Sunday of March 2101 is the 27th.
    let gap = NaiveDateTime::parse_from_str("2101-03-27 02:30", "%Y-%m-%d %H:%M").unwrap();
    assert_eq!(zone.from_local_datetime(&gap), MappedLocalTime::None);
    assert_eq!(zone.end_of_gap(gap).unwrap().to_rfc3339(), "2101-03-27T03:00:00+02:00");
    let twice = NaiveDateTime::parse_from_str("2101-10-30 02:30", "%Y-%m-%d %H:%M").unwrap();
    let MappedLocalTime::Ambiguous(first, last) = zone.from_local_datetime(&twice) else { panic!("once") };
    assert_eq!(
        [first.to_rfc3339(), last.to_rfc3339()],
        ["2101-10-30T02:30:00+02:00", "2101-10-30T02:30:00+01:00"]
    );
    for end in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let _ = zone.offset_from_utc_datetime(&end.naive_utc());
        let _ = zone.offset_from_local_datetime(&end.naive_utc());
        let _ = zone.end_of_gap(end.naive_utc());
    }
}

#[test]
fn names_are_those_of_the_database_letter_by_letter() {
    assert_eq!("UTC".parse(), Ok(Tz::UTC));
    assert_eq!("Europe/Berlin".parse::<Tz>().unwrap().to_string(), "Europe/Berlin");
    for wrong in
        ["", "utc", "europe/berlin", "Europe/Berln", "../Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"]
    {
        assert!(wrong.parse::<Tz>().is_err(), "{wrong}");
    }
    assert!(Tz::names().all(|name| name.parse::<Tz>().is_ok_and(|zone| zone.name() == name)));
    assert!(Tz::names().count() > 590);
}
