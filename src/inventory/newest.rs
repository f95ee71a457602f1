//! The archives of a job, the newest first. Names say local times, and clocks are set back and machines moved: so the
//! instants decide where names are close to each other, and only those archives are opened that this takes.

use std::vec::IntoIter;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::{Item, Known, Whose, item, known};
use crate::archive::name::Pattern;
use crate::destination::{Local, Stored};
use crate::error::Result;
use crate::state::Folder;
use crate::zone::Tz;

/// Between the zones furthest apart: UTC+14 and UTC-12.
const ZONES_APART: TimeDelta = TimeDelta::hours(26);

/// No more are compared than a schedule of every hour makes in that time, or one of every five minutes in two hours: where
/// runs follow each other faster, this is not to open hundreds each time.
const COMPARED: usize = 24;

/// What [`newest`] gives.
pub struct Newest<'a> {
    destination: &'a Local,
    pattern: &'a Pattern,
    whose: Whose,
    zone: Tz,
    known: Known,
    /// Newest name first.
    unread: std::iter::Peekable<IntoIter<Stored>>,
    /// What was opened and is not given yet.
    read: Vec<(DateTime<Utc>, Item)>,
}

/// What this pattern could have made in the destination, the newest first; without what is known to be of another job, or
/// of other sources. What says no instant has that of its name, in this zone.
///
/// # Errors
/// If the destination cannot be listed.
pub fn newest<'a>(
    destination: &'a Local,
    pattern: &'a Pattern,
    whose: Whose,
    state: &Folder,
    zone: Tz,
) -> Result<Newest<'a>> {
    let found = destination.archives(pattern)?;
    let known = known(&found, &whose, state);
    let unread = found.into_iter().peekable();
    Ok(Newest { destination, pattern, whose, zone, known, unread, read: Vec::new() })
}

impl Newest<'_> {
    /// Open the next by name.
    fn read(&mut self) -> Option<Item> {
        loop {
            let stored = self.unread.next()?;
            let item = item(self.destination, self.pattern, &self.whose, &self.known, stored);
            if !item.foreign {
                return Some(item);
            }
        }
    }

    fn instant(&self, item: &Item) -> DateTime<Utc> {
        let named = || {
            let local = item.stored.name.local;
            local.and_local_timezone(self.zone).earliest().map_or(local.and_utc(), |time| time.to_utc())
        };
        item.own.as_ref().map_or_else(|_| named(), |own| own.instant)
    }

    /// The time that the oldest name says under which an archive may stand that is newer than the one of this name.
    fn oldest_to_ask(&self, item: &Item) -> NaiveDateTime {
        let name = &item.stored.name;
        let before = name.local.checked_sub_signed(ZONES_APART).unwrap_or(name.local);
        // As exactly as names of this pattern say it: to the day, perhaps.
        let named = self.pattern.name(before, name.ending(), 1).to_string();
        self.pattern.parse(&named).map_or(before, |name| name.local)
    }
}

impl Iterator for Newest<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.pattern.is_versioned() {
            // There the number says it.
            return self.read();
        }
        loop {
            let newest = self.read.iter().enumerate().max_by_key(|(_, (instant, item))| {
                (*instant, item.stored.name.local, item.stored.name.rank())
            });
            if let Some((place, (_, item))) = newest {
                let oldest = self.oldest_to_ask(item);
                if self.read.len() >= COMPARED
                    || self.unread.peek().is_none_or(|stored| stored.name.local < oldest)
                {
                    return Some(self.read.swap_remove(place).1);
                }
            }
            match self.read() {
                Some(item) => self.read.push((self.instant(&item), item)),
                None if self.read.is_empty() => return None,
                None => {}
            }
        }
    }
}
