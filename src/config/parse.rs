//! Text to values with a unit. Each error says what is wrong and what to write instead.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::zone::Tz;

use super::nearest::nearest_zones;

/// The most threads that can be asked for.
const THREADS_MOST: usize = 256;
/// The longest duration: a leap year. More is a mistake of unit.
const DURATION_MOST: Duration = Duration::from_hours(366 * 24);

/// A whole number and a unit: `30s`, `15m`, `12h`, `7d`, up to 366 days.
pub fn duration(text: &str) -> Result<Duration, String> {
    duration_up_to(text, DURATION_MOST)
}

/// A [`duration`] that is no longer than this, a number of days.
pub fn duration_up_to(text: &str, most: Duration) -> Result<Duration, String> {
    let wrong =
        |what: &str| format!("{text:?}: {what}; write a whole number and a unit: 30s, 15m, 12h or 7d");
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("not a duration"));
    }
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "" => return Err(wrong("the unit is missing")),
        _ => return Err(wrong("no such unit")),
    };
    digits
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(unit))
        .map(Duration::from_secs)
        .filter(|duration| *duration <= most)
        .ok_or_else(|| wrong(&format!("longer than {}d", most.as_secs() / 86_400)))
}

/// A [`duration`], or `off` for none at all.
pub fn duration_or_off(text: &str) -> Result<Duration, String> {
    if text == "off" { Ok(Duration::ZERO) } else { duration(text).map_err(|error| error + ", or off") }
}

/// Permissions in octal, `0640` or `640`, by which the owner can read, and nobody may do what the owner may not.
///
/// The second is what a number without quotes comes to: compose and other readers of YAML make 416 of `0640`, and `0416` is
/// nothing that anybody means.
pub fn mode(text: &str) -> Result<u32, String> {
    let wrong = |what: &str| format!("{text:?}: {what}; write three octal digits, such as 0640 or 600");
    let digits = match text.len() {
        3 => text,
        4 => text.strip_prefix('0').ok_or_else(|| wrong("not permissions"))?,
        _ => return Err(wrong("not permissions")),
    };
    if !digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
        return Err(wrong("not octal"));
    }
    let mode = u32::from_str_radix(digits, 8).map_err(|_| wrong("not octal"))?;
    let (owner, group, others) = (mode >> 6, mode >> 3 & 7, mode & 7);
    if mode & 0o400 == 0 {
        Err(wrong("the owner could not read the archive"))
    } else if (group | others) & !owner != 0 {
        Err(format!(
            "{text:?}: others could do what the owner cannot, as when YAML makes a number of 0640; write it in quotes, \"0640\""
        ))
    } else {
        Ok(mode)
    }
}

/// A user's and a group's number: `1000:1000`.
pub fn owner(text: &str) -> Result<(u32, u32), String> {
    let number = |digits: &str| match digits.parse::<u32>() {
        // chown(2) takes the highest number for "leave as it is".
        Ok(number) if number != u32::MAX && !digits.starts_with('+') => Some(number),
        _ => None,
    };
    text.split_once(':').and_then(|(user, group)| Some((number(user)?, number(group)?))).ok_or_else(|| {
        format!("{text:?}: not an owner; write the numbers of a user and a group, such as 1000:1000")
    })
}

/// `true` or `false`, or what else people write for them.
pub fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?}: write true or false")),
    }
}

/// A time zone's IANA name. A colon before it, which `TZ` may have, does not count.
pub fn zone(text: &str) -> Result<Tz, String> {
    let name = text.strip_prefix(':').unwrap_or(text);
    name.parse().map_err(|_| {
        let near = nearest_zones(name);
        let near =
            if near.is_empty() { String::new() } else { format!("; the nearest are {}", near.join(", ")) };
        format!("{text:?}: no such time zone{near}; write an IANA name such as Europe/Berlin, or UTC")
    })
}

/// How much other work comes first: 0 to 19.
pub fn nice(text: &str) -> Result<u8, String> {
    number(text, 0, 19).map(|nice| nice as u8)
}

/// How many threads: 1 to 256.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    number(text, 1, THREADS_MOST).map(|threads| NonZeroUsize::new(threads).expect("at least 1"))
}

fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) && !text.starts_with('+') => Ok(number),
        _ => Err(format!("{text:?}: write a number from {least} to {most}")),
    }
}

/// One of these words.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("{text:?}: write {}", alternatives(&words))
    })
}

/// `a, b or c`.
pub fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "12",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "12hours",
            "1h30m",
            "367d",
            "99999999999999999999d",
            "½h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration_or_off("off"), Ok(Duration::ZERO));
    }

    #[test]
    fn modes() {
        for (text, bits) in [("0640", 0o640), ("640", 0o640), ("400", 0o400), ("0777", 0o777)] {
            assert_eq!(mode(text), Ok(bits));
        }
        for text in ["", "64", "0o640", "1640", "4755", "06400", "689", "-40", "+40", "0000", "0240", "rw-"] {
            assert!(mode(text).is_err(), "{text}");
        }
        // 0640, 0644, 0660, 0664 and 0400 as YAML reads them where they stand without quotes.
        for text in ["416", "420", "432", "436", "256"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn owners() {
        assert_eq!(owner("1000:100"), Ok((1000, 100)));
        for text in
            ["", "1000", "1000:", ":1000", "me:me", "-1:-1", "+1:1", "4294967295:0", "1:2:3", "1000 :1"]
        {
            assert!(owner(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_limits() {
        assert_eq!(nice("19"), Ok(19));
        assert!(nice("20").is_err() && nice("-5").is_err() && nice("").is_err());
        assert_eq!(threads("256").map(NonZeroUsize::get), Ok(256));
        assert!(threads("0").is_err() && threads("257").is_err() && threads("two").is_err());
    }

    #[test]
    fn zones_may_have_the_colon_of_tz() {
        assert_eq!(zone(":Europe/Berlin"), Ok("Europe/Berlin".parse().unwrap()));
        assert!(zone("Europe/Berln").unwrap_err().contains("Europe/Berlin"));
    }
}
