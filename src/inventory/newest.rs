//! The archives of a job, the newest first. Names say local times, and clocks are set back and machines moved: so the
//! instants decide where names are close to each other, and only those archives are opened that this takes.

use std::collections::VecDeque;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::{Item, Known, Whose, item, known};
use crate::archive::name::Pattern;
use crate::destination::{Local, Stored};
use crate::error::Result;
use crate::state::Folder;
use crate::stop::Stop;
use crate::zone::Tz;

/// Between the zones furthest apart: UTC+14 and UTC-12.
const ZONES_APART: TimeDelta = TimeDelta::hours(26);

/// So many are opened by their names, as a schedule of every hour makes in that time. Where runs follow each other faster,
/// hundreds stand close together, and of the others only those are opened that seem to be newer than the newest found.
const COMPARED: usize = 24;

/// What [`newest`] gives.
pub struct Newest<'a> {
    destination: &'a Local,
    pattern: &'a Pattern,
    whose: Whose,
    zone: Tz,
    known: Known,
    /// Newest name first.
    unread: VecDeque<Stored>,
    /// What was opened and is not given yet.
    read: Vec<(DateTime<Utc>, Item)>,
}

/// What this pattern could have made in the destination, the newest first, until `stop` asks; without what is known to be of another job, or
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
    stop: &Stop,
) -> Result<Newest<'a>> {
    let found = destination.archives(pattern)?;
    let known = known(&found, &whose, state, stop);
    Ok(Newest { destination, pattern, whose, zone, known, unread: found.into(), read: Vec::new() })
}

impl Newest<'_> {
    /// Open the next by name.
    fn read(&mut self) -> Option<Item> {
        while !self.unread.is_empty() {
            if let Some(item) = self.read_at(0) {
                return Some(item);
            }
        }
        None
    }

    /// Open the one at this place of the unread. None if it is of something else; asked to stop, nothing is left.
    fn read_at(&mut self, place: usize) -> Option<Item> {
        let stored = self.unread.remove(place)?;
        let item = item(self.destination, self.pattern, &self.whose, &self.known, stored);
        if self.known.stop.asked().is_some() {
            self.unread.clear();
            self.read.clear();
            return None;
        }
        Some(item).filter(|item| !item.foreign)
    }

    /// When it seems to have been made, without opening it: by what was noted of it or, where nothing was, by the time of
    /// the file, which copying may change.
    fn seems(&self, stored: &Stored) -> DateTime<Utc> {
        let name = stored.name.to_string();
        let link = self.known.links.of(&name, stored.bytes).map(|link| &link.instant);
        let noted =
            link.or_else(|| self.known.records.find(&name, stored.bytes).map(|record| &record.instant));
        let noted = noted.and_then(|instant| DateTime::parse_from_rfc3339(instant).ok());
        let modified = || DateTime::from_timestamp(stored.modified.0, stored.modified.1);
        noted.map(|instant| instant.to_utc()).or_else(modified).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Of the unread that say no older time than this, the place of the one that seems to be the newest, if it seems to be
    /// newer than that instant.
    fn seems_newer(&self, oldest: NaiveDateTime, than: DateTime<Utc>) -> Option<usize> {
        let near = self.unread.iter().take_while(|stored| stored.name.local >= oldest).enumerate();
        let (place, newest) = near.max_by_key(|(_, stored)| self.seems(stored))?;
        (self.seems(newest) > than).then_some(place)
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
            if newest.is_none() && self.unread.is_empty() {
                return None;
            }
            let mut next = 0;
            if let Some((place, (instant, item))) = newest {
                let oldest = self.oldest_to_ask(item);
                let goes_on = self.unread.front().is_some_and(|stored| stored.name.local >= oldest);
                let newer = match self.read.len() {
                    _ if !goes_on => None,
                    0..COMPARED => Some(0),
                    _ => self.seems_newer(oldest, *instant),
                };
                let Some(newer) = newer else { return Some(self.read.swap_remove(place).1) };
                next = newer;
            }
            if let Some(item) = self.read_at(next) {
                self.read.push((self.instant(&item), item));
            }
        }
    }
}
