//! When a job is due: civil times in a zone, and the instants they stand for. Pure: no clock, no I/O.
//!
//! A schedule is a list of local times of day and the days they hold on. Which *instants* these are is decided here
//! and nowhere else, for times of day, cron and `every` alike:
//!
//! * A local time that a change of clocks leaves out (spring) is due at the first instant after the gap. Two times
//!   that fall on the same instant in this way are one run.
//! * A local time that comes twice (autumn) is due once, the first time, when the schedule names hours (`01:00`,
//!   `30 2,3 * * *`). When it follows the clock round (`every 15m`, `@hourly`, a cron hour that begins with `*`) it
//!   is due both times: the real distance between runs stays what it is on other days.
//! * A day that a zone has skipped as a whole (Apia, 2011-12-30) has no times.

mod civil;
mod parse;

use std::fmt;

use crate::zone::Tz;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta};

/// No schedule has a longer pause: a 29 February on a given weekday comes again within 40 years.
const LONGEST_PAUSE_DAYS: u64 = 50 * 366;

/// When a job is due. It parses from, and prints as, what stands in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The canonical text.
    text: String,
    /// Minutes since local midnight, ascending, each once; empty for `off`.
    minutes: Vec<u16>,
    /// Which days; `None` is every day.
    days: Option<Box<croner::Cron>>,
    /// Whether a local time that comes twice is due both times.
    both_passes: bool,
}

impl Schedule {
    /// The schedule that is never due: `off`.
    pub fn off() -> Self {
        Self { text: "off".into(), minutes: Vec::new(), days: None, both_passes: false }
    }

    /// Whether this is `off`.
    pub fn is_off(&self) -> bool {
        self.minutes.is_empty()
    }

    /// The first due time strictly later than `t`, in the zone of `t`. `None` when there is none within 50 years, or
    /// when the schedule is `off`.
    pub fn next_after(&self, t: DateTime<Tz>) -> Option<DateTime<Tz>> {
        if self.is_off() {
            return None;
        }
        let zone = t.timezone();
        let today = t.date_naive();
        // Only a second pass can lie ahead of `t` and yet earlier on the dial, and no overlap is longer than a day.
        let look_back = self.both_passes && civil::comes_twice(t.naive_local(), zone);
        let from = if look_back { today.checked_sub_days(Days::new(2))? } else { today };
        let mut second_pass: Option<DateTime<Tz>> = None;
        for day in from.iter_days().take(LONGEST_PAUSE_DAYS as usize).filter(|day| self.on(*day)) {
            for &minute in &self.minutes {
                let local = day.and_time(time_of(minute));
                let Some((first, last)) = civil::instants(local, zone) else { continue };
                if self.both_passes && last > t && last != first {
                    second_pass = Some(second_pass.map_or(last, |best| best.min(last)));
                }
                // First passes stand in the order of the dial, so the first one that is later is the earliest.
                if first > t {
                    return Some(second_pass.map_or(first, |second| second.min(first)));
                }
            }
        }
        second_pass
    }

    /// The last due time that is later than `after` and not later than `until`.
    pub fn last_within(&self, after: DateTime<Tz>, until: DateTime<Tz>) -> Option<DateTime<Tz>> {
        self.next_after(after).filter(|first| *first <= until)?;
        // Look back in growing steps, so that a year of minutes is not counted through one by one.
        let mut step = TimeDelta::hours(1);
        let mut from = until;
        while from > after {
            from = until.checked_sub_signed(step).map_or(after, |earlier| earlier.max(after));
            step = step * 2;
            let mut due = self.next_after(from).filter(|due| *due <= until);
            if due.is_some() {
                while let Some(next) = due.and_then(|due| self.next_after(due)).filter(|next| *next <= until)
                {
                    due = Some(next);
                }
                return due;
            }
        }
        None
    }

    /// Whether this day is one of the schedule's.
    fn on(&self, day: NaiveDate) -> bool {
        let Some(cron) = &self.days else { return true };
        let (year, month, day) = (day.year(), day.month(), day.day());
        cron.pattern.month_match(month).unwrap_or(false)
            && cron.pattern.day_match(year, month, day).unwrap_or(false)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn time_of(minute: u16) -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minute) * 60, 0)
        .expect("parsing lets no minute past 23:59 through")
}
