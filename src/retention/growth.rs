//! How long the disk lasts while everything is kept.

use chrono::{DateTime, TimeDelta, Utc};

use crate::printable::counted;

/// Archives that the rate of growth is measured by: what was a year ago says little about tomorrow.
const MEASURED: usize = 30;
/// Archives that were made closer together than this say nothing about a day.
const SHORTEST_SPAN: TimeDelta = TimeDelta::hours(12);

/// At the rate of the latest archives, when all of them are kept: bytes a day, and for how many days `free` bytes are
/// enough. None where there are too few archives to say. Each is an instant and a size.
pub fn growth(archives: &[(DateTime<Utc>, u64)], free: u64) -> Option<(f64, f64)> {
    let mut latest = archives.to_vec();
    latest.sort_by_key(|(instant, _)| std::cmp::Reverse(*instant));
    latest.truncate(MEASURED);
    let (newest, oldest) = (latest.first()?.0, latest.last()?.0);
    let span = newest - oldest;
    if span < SHORTEST_SPAN {
        return None;
    }
    // What the oldest added it had added before the span begins.
    let bytes: u64 = latest[..latest.len() - 1].iter().map(|(_, bytes)| bytes).sum();
    let rate = bytes as f64 / (span.num_seconds() as f64 / 86_400.0);
    (rate > 0.0).then(|| (rate, free as f64 / rate))
}

/// [`growth`]'s days for people.
pub fn days_left(days: f64) -> String {
    const YEARS: f64 = 10.0 * 365.0;
    match days {
        days if days < 1.0 => "less than a day".into(),
        days if days > YEARS => "more than ten years".into(),
        days => format!("about {}", counted(days.floor() as u64, "day", "days")),
    }
}
