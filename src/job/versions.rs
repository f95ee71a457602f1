//! Numbered names: 1 is the newest archive, and each new one makes the others one older.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::archive::name::ArchiveName;
use crate::config::Job;
use crate::destination::Local;
use crate::error::Result;
use crate::inventory;
use crate::stop::Stop;

use super::{state_folder, whose};

/// Which archives get another number, in this order, so that the lowest number is free; and that number, which is 1
/// unless a file that is not ours has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub moves: Vec<(ArchiveName, ArchiveName)>,
    pub free: u32,
    /// The hashes in the records of those of them that are encrypted, and how they are called then.
    pub noted: Vec<(String, String)>,
}

/// Look what is there, and make room for one more.
///
/// # Errors
/// If the destination cannot be listed; if `stop` asks.
pub fn room(job: &Job, destination: &Local, stop: &Stop) -> Result<Room> {
    let items = inventory::take(destination, &job.pattern, &whose(job), &state_folder(job), stop)?;
    let hashes: HashMap<String, String> = items
        .iter()
        .filter_map(|item| Some((item.stored.name.to_string(), item.record.as_ref()?.blake3.clone())))
        .collect();
    let occupied = destination.occupied(&job.pattern)?.into_iter().map(|name| (name, false));
    let mut room = plan(items.into_iter().map(|item| (item.stored.name, item.own.is_ok())).chain(occupied));
    let noted = |(from, to): &(ArchiveName, ArchiveName)| {
        Some((hashes.get(&from.to_string())?.clone(), to.to_string()))
    };
    room.noted = room.moves.iter().filter_map(noted).collect();
    Ok(room)
}

/// Only what stands before the first gap moves, the oldest first, and each to a number that is free by then: interrupted at any
/// step, the order is what it was, and the next run fills the gap. What is not ours keeps its number, and is passed over.
fn plan(taken: impl Iterator<Item = (ArchiveName, bool)>) -> Room {
    let mut own: BTreeMap<u32, Vec<ArchiveName>> = BTreeMap::new();
    let mut foreign = BTreeSet::new();
    for (name, is_own) in taken {
        if is_own {
            own.entry(name.number).or_default().push(name);
        } else {
            foreign.insert(name.number);
        }
    }
    // Two files of one number differ in their endings; where one of them is foreign neither moves.
    let slots: Vec<u32> = (1..=u32::MAX)
        .filter(|number| !foreign.contains(number))
        .take_while_inclusive(|number| own.contains_key(number))
        .collect();
    let mut moves = Vec::new();
    for pair in slots.windows(2).rev() {
        for name in &own[&pair[0]] {
            moves.push((name.clone(), name.numbered(pair[1])));
        }
    }
    Room { moves, free: slots[0], noted: Vec::new() }
}

trait TakeWhileInclusive: Iterator + Sized {
    /// Up to and including the first item for which it does not hold.
    fn take_while_inclusive(
        self,
        mut holds: impl FnMut(&Self::Item) -> bool,
    ) -> impl Iterator<Item = Self::Item> {
        let mut ended = false;
        self.take_while(move |item| {
            let take = !ended;
            ended = ended || !holds(item);
            take
        })
    }
}

impl<I: Iterator> TakeWhileInclusive for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::name::Pattern;

    /// `1 2 x3`: what is ours and, with an x, what is not; a `t` behind a number is a plain tar. The moves, and the number
    /// that is free then.
    fn said(taken: &str) -> String {
        let pattern = Pattern::new("db/volume.{version}", "data").unwrap();
        let room = plan(taken.split_whitespace().map(|word| {
            let (number, own) = word.strip_prefix('x').map_or((word, true), |number| (number, false));
            let (number, ending) =
                number.strip_suffix('t').map_or((number, ".tar.gz"), |number| (number, ".tar"));
            (pattern.parse(&format!("db/volume.{number}{ending}")).unwrap(), own)
        }));
        let short = |name: &ArchiveName| name.to_string().replace("db/volume.", "").replace(".tar.gz", "");
        let moves: Vec<_> =
            room.moves.iter().map(|(from, to)| format!("{}>{}", short(from), short(to))).collect();
        format!("{} {}", moves.join(" "), room.free).trim().to_owned()
    }

    #[test]
    fn everything_moves_up_to_the_first_gap_the_oldest_first() {
        assert_eq!(said(""), "1");
        assert_eq!(said("1"), "1>2 1");
        assert_eq!(said("3 1 2"), "3>4 2>3 1>2 1");
        assert_eq!(said("1 2 4 5"), "2>3 1>2 1");
        assert_eq!(said("2 3"), "1", "interrupted before it was named");
        assert_eq!(said("1 3t"), "1>2 1");
        assert_eq!(said("1t 2"), "2>3 1.tar>2.tar 1");
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        assert_eq!(said("1 x2 3"), "3>4 1>3 1");
        assert_eq!(said("x1"), "2");
        assert_eq!(said("x1 2 3"), "3>4 2>3 2");
        assert_eq!(said("1 2t x2"), "1>3 1");
    }
}
