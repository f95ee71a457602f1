//! What the clocks of a zone do from now on: the `TZ` string of POSIX, with the extensions of RFC 9636.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime};

/// Standard time, and when in each year it is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// Seconds ahead of UTC.
    pub(super) standard: i32,
    pub(super) summer: Option<Summer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summer {
    offset: i32,
    begins: Moment,
    ends: Moment,
}

/// A moment of each year: seconds after the local midnight that a day begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    day: Day,
    seconds: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// The month, which of its weeks (5 is the last), and the weekday from Sunday, 0.
    Week(u32, u32, u32),
    /// 1 to 365; a leap day has no number.
    Julian(u32),
    /// Days after the first of January.
    After(u32),
}

impl Rule {
    /// `CET-1CEST,M3.5.0,M10.5.0/3`, `<-03>3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        name(&mut rest)?;
        let standard = -i32::try_from(time(&mut rest)?).ok()?;
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        name(&mut rest)?;
        let offset =
            if rest.starts_with(',') { standard + 3600 } else { -i32::try_from(time(&mut rest)?).ok()? };
        let begins = moment(&mut rest)?;
        let ends = moment(&mut rest)?;
        rest.is_empty().then_some(Self { standard, summer: Some(Summer { offset, begins, ends }) })
    }

    /// When the clocks are set in this year, and to what, ascending.
    pub(super) fn changes(&self, year: i32) -> Vec<(i64, i32)> {
        let Some(Summer { offset, begins, ends }) = self.summer else { return Vec::new() };
        let begins = begins.in_year(year, self.standard).map(|at| (at, offset));
        let ends = ends.in_year(year, offset).map(|at| (at, self.standard));
        let mut changes: Vec<_> = begins.into_iter().chain(ends).collect();
        changes.sort_unstable();
        changes
    }

    /// When the clocks are set in the years around this instant, and to what, ascending.
    pub(super) fn around(&self, instant: i64) -> Vec<(i64, i32)> {
        let year = DateTime::from_timestamp(instant, 0).map_or(0, |at| at.year());
        (year - 1..=year + 1).flat_map(|year| self.changes(year)).collect()
    }
}

impl Moment {
    /// Where the clocks are so far ahead of UTC just before.
    fn in_year(self, year: i32, offset: i32) -> Option<i64> {
        let midnight = self.day.in_year(year)?.and_time(NaiveTime::MIN).and_utc().timestamp();
        Some(midnight + self.seconds - i64::from(offset))
    }
}

impl Day {
    fn in_year(self, year: i32) -> Option<NaiveDate> {
        let january = NaiveDate::from_ymd_opt(year, 1, 1)?;
        match self {
            Self::After(days) => january.checked_add_signed(Duration::days(days.into())),
            Self::Julian(day) => {
                let leap = u32::from(january.leap_year() && day >= 60);
                NaiveDate::from_yo_opt(year, day + leap)
            }
            Self::Week(month, week, weekday) => {
                let first = NaiveDate::from_ymd_opt(year, month, 1)?;
                let to_first = (7 + weekday - first.weekday().num_days_from_sunday()) % 7;
                let day = 1 + to_first + 7 * (week - 1);
                NaiveDate::from_ymd_opt(year, month, day)
                    .or_else(|| NaiveDate::from_ymd_opt(year, month, day - 7))
            }
        }
    }
}

/// Three letters or more, or anything in angle brackets. It is not kept.
fn name(rest: &mut &str) -> Option<()> {
    let length = match rest.strip_prefix('<') {
        Some(quoted) => quoted.find('>')? + 2,
        None => rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len()),
    };
    *rest = &rest[length..];
    (length >= 3).then_some(())
}

fn number(rest: &mut &str) -> Option<u32> {
    let end = rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..end].parse().ok()?;
    *rest = &rest[end..];
    Some(number)
}

fn take(rest: &mut &str, sign: char) -> bool {
    let taken = rest.strip_prefix(sign);
    *rest = taken.unwrap_or(rest);
    taken.is_some()
}

/// Hours, and perhaps minutes and seconds, as seconds.
fn time(rest: &mut &str) -> Option<i64> {
    let negative = take(rest, '-');
    take(rest, '+');
    let mut seconds = 0;
    for unit in [3600, 60, 1] {
        if unit < 3600 && !take(rest, ':') {
            break;
        }
        seconds += i64::from(number(rest)?) * unit;
    }
    Some(if negative { -seconds } else { seconds })
}

/// `,M3.5.0/2`
fn moment(rest: &mut &str) -> Option<Moment> {
    take(rest, ',').then_some(())?;
    let day = if take(rest, 'M') {
        let month = number(rest)?;
        take(rest, '.').then_some(())?;
        let week = number(rest)?;
        take(rest, '.').then_some(())?;
        let weekday = number(rest)?;
        let right = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7;
        right.then_some(Day::Week(month, week, weekday))?
    } else if take(rest, 'J') {
        Day::Julian(number(rest).filter(|day| (1..=365).contains(day))?)
    } else {
        Day::After(number(rest).filter(|days| *days < 366)?)
    };
    let seconds = if take(rest, '/') { time(rest)? } else { 2 * 3600 };
    Some(Moment { day, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(rule: &str, year: i32) -> Vec<String> {
        let changes = Rule::parse(rule).unwrap().changes(year);
        let at = |at: i64| DateTime::from_timestamp(at, 0).unwrap().format("%m-%dT%H:%M").to_string();
        changes.into_iter().map(|(instant, offset)| format!("{} {offset}", at(instant))).collect()
    }

    #[test]
    fn rules_are_read_as_posix_and_the_rfc_have_them() {
        assert_eq!(changes("CET-1CEST,M3.5.0,M10.5.0/3", 2026), ["03-29T01:00 7200", "10-25T01:00 3600"]);
        assert_eq!(changes("EST5EDT,M3.2.0,M11.1.0", 2026), ["03-08T07:00 -14400", "11-01T06:00 -18000"]);
        // Half an hour, in the south; before midnight; long after it.
        assert_eq!(
            changes("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2026),
            ["04-04T15:00 37800", "10-03T15:30 39600"]
        );
        assert_eq!(
            changes("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2026),
            ["03-29T01:00 -3600", "10-25T01:00 -7200"]
        );
        assert_eq!(
            changes("EET-2EEST,M3.4.4/50,M10.4.4/50", 2026),
            ["03-28T00:00 10800", "10-23T23:00 7200"]
        );
        // By the day of the year, without and with leap days.
        for year in [2026, 2028] {
            assert_eq!(changes("AAA0BBB,J60/0,59/0", year), ["02-28T23:00 0", "03-01T00:00 3600"]);
        }
        assert_eq!(Rule::parse("<+0545>-5:45").unwrap(), Rule { standard: 20_700, summer: None });
        for wrong in
            ["", "CET", "CE-1", "<+05", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.1.0,M1.1.0", "CET-1 "]
        {
            assert_eq!(Rule::parse(wrong), None, "{wrong}");
        }
    }
}
