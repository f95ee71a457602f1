//! The fields of a pattern: how wide each is, what it may say, and the time that they say together.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

/// A part of a time, in as many digits whatever the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Year,
    ShortYear,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

/// What a name says, by [`Field`].
pub type Values = [Option<u32>; 8];

/// The time that these fields say; what is not said of the time of day is zero.
pub fn instant(values: &Values) -> Option<NaiveDateTime> {
    let said = |field: Field| values[field as usize];
    let year = said(Field::Year).or(said(Field::ShortYear).map(|short| 2000 + short))? as i32;
    let date = match (said(Field::Month), said(Field::Day)) {
        (Some(month), Some(day)) => NaiveDate::from_ymd_opt(year, month, day)?,
        _ => NaiveDate::from_yo_opt(year, said(Field::DayOfYear)?)?,
    };
    let clock = |field| said(field).unwrap_or(0);
    date.and_hms_opt(clock(Field::Hour), clock(Field::Minute), clock(Field::Second))
}

impl Field {
    pub fn of(code: char) -> Option<Self> {
        Some(match code {
            'Y' => Self::Year,
            'y' => Self::ShortYear,
            'm' => Self::Month,
            'd' => Self::Day,
            'j' => Self::DayOfYear,
            'H' => Self::Hour,
            'M' => Self::Minute,
            'S' => Self::Second,
            _ => return None,
        })
    }

    pub fn width(self) -> usize {
        match self {
            Self::Year => 4,
            Self::DayOfYear => 3,
            _ => 2,
        }
    }

    pub fn range(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::Year => 0..=9999,
            Self::ShortYear => 0..=99,
            Self::Month => 1..=12,
            Self::Day => 1..=31,
            Self::DayOfYear => 1..=366,
            Self::Hour => 0..=23,
            Self::Minute | Self::Second => 0..=59,
        }
    }

    pub fn value(self, local: &NaiveDateTime) -> i32 {
        match self {
            Self::Year => local.year(),
            Self::ShortYear => local.year().rem_euclid(100),
            Self::Month => local.month() as i32,
            Self::Day => local.day() as i32,
            Self::DayOfYear => local.ordinal() as i32,
            Self::Hour => local.hour() as i32,
            Self::Minute => local.minute() as i32,
            Self::Second => local.second() as i32,
        }
    }
}
