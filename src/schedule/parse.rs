//! What people write for a schedule.

use std::str::FromStr;

use chrono::NaiveDate;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::{LONGEST_PAUSE_DAYS, Schedule};
use crate::error::{Error, Result};
use crate::printable::printable;

const FORMS: &str = "give times of day (01:00 or 01:00,13:30), five cron fields (30 2 * * 1-5), @hourly, @daily, \
                     @weekly, @monthly or @yearly, every 15m, or off";

const DAY: u32 = 24 * 60;

/// The fields of cron: what each is called, what it may be, and the longest step that means something.
const FIELDS: [(&str, &str, u32); 5] = [
    ("minute", "0 to 59", 60),
    ("hour", "0 to 23", 24),
    ("day", "1 to 31", 31),
    ("month", "1 to 12, or JAN to DEC", 12),
    ("weekday", "0 (Sunday) to 7 (Sunday), or SUN to SAT", 7),
];

/// Descriptors and their cron fields, as in cron(5).
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl FromStr for Schedule {
    type Err = Error;

    /// # Errors
    /// A usage error that quotes the text and says what is wrong with it.
    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        parse(trimmed).map_err(|reason| match trimmed {
            "" => Error::usage(format!("the schedule is empty: {FORMS}")),
            _ => Error::usage(format!("schedule '{}': {reason}", printable(trimmed.as_bytes()))),
        })
    }
}

fn parse(text: &str) -> Result<Schedule, String> {
    let lower = text.to_ascii_lowercase();
    let fields: Vec<&str> = text.split_whitespace().collect();
    if lower == "off" {
        Ok(Schedule::off())
    } else if lower.starts_with('@') {
        let (name, pattern) =
            DESCRIPTORS.iter().find(|(name, _)| *name == lower).ok_or_else(|| FORMS.to_owned())?;
        cron((*name).to_owned(), &pattern.split_whitespace().collect::<Vec<_>>())
    } else if let Some(("every", length)) = lower.split_once(char::is_whitespace) {
        every(length.trim())
    } else if text.contains(':') {
        times_of_day(text)
    } else if fields.len() == 5 {
        cron(fields.join(" "), &fields)
    } else if fields.len() > 1 && fields.iter().all(|field| field.starts_with(cron_begins)) {
        Err(format!("cron has five fields (minute hour day month weekday), and these are {}", fields.len()))
    } else if let Some(time) = lower.parse().ok().and_then(|number: u16| sexagesimal(number)) {
        Err(format!("{FORMS}; if YAML made this number of {time}, write that in quotes"))
    } else {
        Err(FORMS.to_owned())
    }
}

/// The time of day of which YAML 1.1 makes this number, to base 60, if it stands without quotes.
fn sexagesimal(number: u16) -> Option<String> {
    let (hour, minute) = (number / 60, number % 60);
    // One that begins with a zero stays text.
    (1..24).contains(&hour).then(|| format!("{hour}:{minute:02}"))
}

fn cron_begins(letter: char) -> bool {
    letter.is_ascii_digit() || letter == '*'
}

fn times_of_day(text: &str) -> Result<Schedule, String> {
    let mut minutes =
        text.split(',').map(|time| time_of_day(time.trim())).collect::<Result<Vec<u16>, String>>()?;
    minutes.sort_unstable();
    minutes.dedup();
    let times: Vec<String> =
        minutes.iter().map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60)).collect();
    Ok(Schedule { text: times.join(","), minutes, days: None, both_passes: false })
}

fn time_of_day(text: &str) -> Result<u16, String> {
    let wrong = || {
        let commas = if text.contains(char::is_whitespace) { "; between several stand commas" } else { "" };
        format!("'{}' is not a time of day such as 01:00{commas}", printable(text.as_bytes()))
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) || !(1..=2).contains(&hour.len()) || minute.len() != 2 {
        return Err(wrong());
    }
    let (hour, minute): (u16, u16) =
        (hour.parse().map_err(|_| wrong())?, minute.parse().map_err(|_| wrong())?);
    if hour > 23 {
        return Err(format!("there is no hour {hour}: a day goes from 00:00 to 23:59"));
    }
    if minute > 59 {
        return Err(format!("there is no minute {minute}: an hour goes from 00 to 59"));
    }
    Ok(hour * 60 + minute)
}

fn every(length: &str) -> Result<Schedule, String> {
    let wrong = || "give minutes, hours or one day: every 15m, every 2h, every 1d".to_owned();
    let end = length.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = length.split_at(end);
    let factor = match unit.trim() {
        "m" | "min" => 1,
        "h" => 60,
        "d" => DAY,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let step = number.checked_mul(factor).ok_or_else(wrong)?;
    if step == 0 || !DAY.is_multiple_of(step) {
        return Err(format!(
            "a day cannot be divided evenly by {number}{}, so it would not be due at the same times each day: \
             take 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30m, or 1, 2, 3, 4, 6, 8 or 12h, or 1d",
            &unit.trim()[..1]
        ));
    }
    let text = match step {
        DAY => "every 1d".to_owned(),
        whole if whole % 60 == 0 => format!("every {}h", whole / 60),
        _ => format!("every {step}m"),
    };
    let minutes = (0..DAY / step).map(|nth| (nth * step) as u16).collect();
    // Once a day stays once a day, also where midnight comes twice.
    Ok(Schedule { text, minutes, days: None, both_passes: step < DAY })
}

/// croner reads the fields and knows which days and minutes match; the instants are found in this module's parent.
fn cron(text: String, fields: &[&str]) -> Result<Schedule, String> {
    let pattern = fields.join(" ");
    let cron = parse_fields(fields).map_err(|reason| match culprit(fields) {
        Some(((name, range), field)) => {
            let field = printable(field.as_bytes());
            format!("the {name} '{field}' is not right for cron: {reason}; a {name} is {range}")
        }
        None => format!("not right for cron: {reason}"),
    })?;
    let matches = |minute: u32| {
        cron.pattern.hour_match(minute / 60).unwrap_or(false)
            && cron.pattern.minute_match(minute % 60).unwrap_or(false)
    };
    let minutes: Vec<u16> = (0..DAY).filter(|minute| matches(*minute)).map(|minute| minute as u16).collect();
    let all_days = pattern.ends_with(" * * *");
    let both_passes = fields[1].starts_with('*');
    let days = (!all_days).then(|| Box::new(cron));
    let schedule = Schedule { text, minutes, days, both_passes };
    let start = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");
    let ever = start.iter_days().take(LONGEST_PAUSE_DAYS as usize).any(|day| schedule.on(day));
    if schedule.minutes.is_empty() || !ever {
        return Err(
            "no such day or time ever comes, so this would never be due; say off if that is meant".into()
        );
    }
    Ok(schedule)
}

fn parse_fields(fields: &[&str]) -> Result<Cron, String> {
    if let Some(field) = fields.iter().find(|field| field.split(',').any(str::is_empty)) {
        return Err(format!("'{}' has an empty place between its commas", printable(field.as_bytes())));
    }
    // A step longer than the field would count once, so that `*/90` would mean every hour.
    for ((.., most), field) in FIELDS.iter().zip(fields) {
        let steps = field.split(',').filter_map(|part| part.split_once('/')?.1.parse::<u32>().ok());
        if let Some(step) = steps.into_iter().find(|step| step > most) {
            return Err(format!("a step of {step} is longer than all of them"));
        }
    }
    // As in Vixie cron: a day and a weekday are alternatives, unless one of them begins with a star.
    let both_days = fields[2].starts_with('*') || fields[4].starts_with('*');
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .dom_and_dow(both_days)
        .build()
        .parse(&fields.join(" "))
        .map_err(|error| {
            let text = error.to_string();
            text.strip_prefix("Component error: ").unwrap_or(&text).trim_end_matches('.').to_lowercase()
        })
}

/// The field that cannot be parsed, found by trying each alone: croner's errors do not name it.
/// And what it may be.
fn culprit<'a>(fields: &[&'a str]) -> Option<((&'static str, &'static str), &'a str)> {
    (0..5).find_map(|place| {
        let mut alone = ["*"; 5];
        alone[place] = fields[place];
        let (name, range, _) = FIELDS[place];
        parse_fields(&alone).is_err().then_some(((name, range), fields[place]))
    })
}
