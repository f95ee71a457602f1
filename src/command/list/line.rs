//! One line an entry: like `tar -tv`, or JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::zone::Tz;
use chrono::{
    DateTime, Datelike as _, Offset as _, SecondsFormat, TimeDelta, TimeZone as _, Timelike as _, Utc,
};
use serde::Serialize;

use crate::archive::index::EntryRecord;
use crate::archive::stream::Member;
use crate::command::output::Output;
use crate::entry::{Kind, Timestamp};
use crate::error::Result;
use crate::printable::{human_bytes, printable};

/// Makes the lines.
pub struct Lines {
    zone: Tz,
    json: bool,
    human: bool,
    line: String,
}

/// What a line shows.
struct Shown<'a> {
    name: &'a [u8],
    kind: &'a Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: Timestamp,
    changed: bool,
    cut: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    name: Cow<'a, str>,
    /// The name's bytes, where they are not UTF-8 and `name` is only for the eye.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: String,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl Lines {
    /// Lines with times in this zone, sizes in bytes or for the eye; or JSON, which has times in UTC and sizes in bytes.
    pub fn new(zone: Tz, json: bool, human: bool) -> Self {
        Self { zone, json, human, line: String::new() }
    }

    /// An entry of an index.
    pub fn record(&mut self, entry: &EntryRecord, output: &mut Output) -> Result<()> {
        let &EntryRecord { ref name, ref kind, mode, uid, gid, size, mtime, changed, cut, .. } = entry;
        let (uid, gid) = (uid.into(), gid.into());
        self.show(&Shown { name, kind, mode, uid, gid, size, mtime, changed, cut }, output)
    }

    /// An entry of a stream.
    pub fn member(&mut self, member: &Member, output: &mut Output) -> Result<()> {
        let &Member { ref name, ref kind, mode, uid, gid, size, mtime, .. } = member;
        self.show(&Shown { name, kind, mode, uid, gid, size, mtime, changed: false, cut: false }, output)
    }

    fn show(&mut self, shown: &Shown, output: &mut Output) -> Result<()> {
        if self.json {
            return output.json(&json(shown));
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        self.write(shown, &mut line);
        let written = output.line(&line);
        self.line = line;
        written
    }

    fn write(&self, shown: &Shown, line: &mut String) {
        push_mode(line, shown.kind, shown.mode);
        line.push(' ');
        let start = line.len();
        push_number(line, shown.uid, 1);
        line.push('/');
        push_number(line, shown.gid, 1);
        line.push(' ');
        // As GNU tar does it: owner and size share 19 columns.
        let size_at = line.len();
        if let Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) = shown.kind {
            let _ = write!(line, "{major},{minor}");
        } else if self.human {
            line.push_str(&human_bytes(shown.size));
        } else {
            push_number(line, shown.size, 1);
        }
        for _ in line.len() - start..19 {
            line.insert(size_at, ' ');
        }
        line.push(' ');
        push_time(line, self.zone, shown.mtime);
        line.push(' ');
        push_name(line, shown.name);
        match shown.kind {
            Kind::Directory => line.push('/'),
            Kind::Symlink(target) => {
                line.push_str(" -> ");
                push_name(line, target);
            }
            Kind::Hardlink(target) => {
                line.push_str(" link to ");
                push_name(line, target);
            }
            _ => {}
        }
        if shown.cut {
            line.push_str("  (could not be read to its end: the rest is zeros)");
        } else if shown.changed {
            line.push_str("  (changed while it was read)");
        }
    }
}

/// `2026-11-20 01:00:00`; seconds since 1970 for what no calendar has.
pub fn push_time(line: &mut String, zone: Tz, time: Timestamp) {
    let Some(utc) = DateTime::<Utc>::from_timestamp(time.seconds, 0) else {
        let _ = write!(line, "@{}", time.seconds);
        return;
    };
    let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc();
    let Some(local) = utc.naive_utc().checked_add_signed(TimeDelta::seconds(offset.into())) else {
        let _ = write!(line, "@{}", time.seconds);
        return;
    };
    if let Ok(year @ 0..=9999) = u64::try_from(local.year()) {
        push_number(line, year, 4);
    } else {
        let _ = write!(line, "{}", local.year());
    }
    for (before, number) in [
        ('-', local.month()),
        ('-', local.day()),
        (' ', local.hour()),
        (':', local.minute()),
        (':', local.second()),
    ] {
        line.push(before);
        push_number(line, number.into(), 2);
    }
}

fn push_mode(line: &mut String, kind: &Kind, mode: u32) {
    line.push(kind.letter());
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        line.push(if bits & 4 == 0 { '-' } else { 'r' });
        line.push(if bits & 2 == 0 { '-' } else { 'w' });
        line.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
}

/// A number with zeros in front up to so many digits. Made by hand: half of the time went into formatting.
fn push_number(line: &mut String, mut number: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while number > 0 || text.len() - at < digits {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend(text[at..].iter().map(|digit| char::from(*digit)));
}

/// A name, safe to print.
pub fn push_name(line: &mut String, name: &[u8]) {
    match std::str::from_utf8(name) {
        Ok(plain) if name.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\') => {
            line.push_str(plain);
        }
        _ => line.push_str(&printable(name)),
    }
}

/// Text for JSON, and the bytes as hex where they are not UTF-8 and the text is only for the eye.
pub fn text(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), None);
    }
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    (Cow::Owned(printable(bytes)), Some(hex))
}

/// The word for a kind in JSON.
pub fn kind_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "folder",
        Kind::Symlink(_) => "symlink",
        Kind::Hardlink(_) => "hardlink",
        Kind::CharDevice(..) => "character device",
        Kind::BlockDevice(..) => "block device",
        Kind::Fifo => "fifo",
    }
}

/// A time for JSON: RFC 3339 in UTC; seconds since 1970 for what no calendar has.
pub fn json_time(time: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp(time.seconds, time.nanos).map_or_else(
        || format!("@{}", time.seconds),
        |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    )
}

fn json<'a>(shown: &Shown<'a>) -> Json<'a> {
    let (name, name_hex) = text(shown.name);
    let (target, target_hex) = match shown.kind {
        Kind::Symlink(target) | Kind::Hardlink(target) => {
            let (target, hex) = text(target);
            (Some(target), hex)
        }
        _ => (None, None),
    };
    Json {
        name,
        name_hex,
        kind: kind_word(shown.kind),
        mode: format!("{:04o}", shown.mode),
        uid: shown.uid,
        gid: shown.gid,
        size: shown.size,
        mtime: json_time(shown.mtime),
        target,
        target_hex,
        device: match *shown.kind {
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => Some((major, minor)),
            _ => None,
        },
        changed: shown.changed,
        cut: shown.cut,
    }
}
