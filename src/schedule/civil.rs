//! The instants that a local time stands for, where the clocks change too.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

use crate::zone::Tz;

/// The first and the last instant at which a clock in this zone shows `local`; both are the same on ordinary days. In
/// a gap both are the first instant after it. `None` when the zone skipped the whole day.
pub fn instants(local: NaiveDateTime, zone: Tz) -> Option<(DateTime<Tz>, DateTime<Tz>)> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => Some((at, at)),
        MappedLocalTime::Ambiguous(one, other) => Some((one.min(other), one.max(other))),
        MappedLocalTime::None => {
            let after = zone.end_of_gap(local)?;
            exists(local.date(), zone).then_some((after, after))
        }
    }
}

/// Whether a clock in this zone shows `local` twice.
pub fn comes_twice(local: NaiveDateTime, zone: Tz) -> bool {
    matches!(zone.from_local_datetime(&local), MappedLocalTime::Ambiguous(..))
}

/// Whether anybody in this zone lived through this day.
fn exists(day: NaiveDate, zone: Tz) -> bool {
    let midnight = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        MappedLocalTime::None => zone.end_of_gap(midnight).is_some_and(|after| after.date_naive() == day),
        _ => true,
    }
}
