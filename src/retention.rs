//! Which archives stay, and why. Pure: no clock, no I/O; what deletes is [`crate::prune`].
//!
//! Each rule says how many of the latest periods that have an archive keep one of theirs, and the rules add up. Time alone
//! deletes nothing: `within` is measured from the newest archive, so a machine that makes no archives loses none.

mod growth;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, Offset, TimeDelta, Timelike, Utc};

pub use growth::{days_left, growth};

use crate::zone::Tz;

/// A kind of period. In each, one archive is kept: the newest complete one, or the newest if none is complete; never one that is
/// known to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Every archive is a period of its own.
    Last,
    /// Hours of the clock. One that comes twice, when clocks are set back, is two.
    Hourly,
    /// Days of the calendar.
    Daily,
    /// Weeks from Monday on, as in ISO 8601.
    Weekly,
    /// Months of the calendar.
    Monthly,
    /// Years of the calendar.
    Yearly,
}

/// All of them, from the shortest period on.
pub const TIERS: [Tier; 6] =
    [Tier::Last, Tier::Hourly, Tier::Daily, Tier::Weekly, Tier::Monthly, Tier::Yearly];

impl Tier {
    /// As it stands in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    /// What two archives of the same period have in common; `nth` is what no other archive has.
    fn period(self, at: DateTime<Tz>, nth: usize) -> [i64; 3] {
        let date = at.date_naive();
        let (year, day) = (i64::from(date.year()), i64::from(date.ordinal()));
        match self {
            Self::Last => [nth as i64, 0, 0],
            Self::Hourly => {
                let offset = i64::from(at.offset().fix().local_minus_utc());
                [year * 1000 + day, i64::from(at.hour()), offset]
            }
            Self::Daily => [year, day, 0],
            // Both from the ISO calendar: the 30th of December may be in the first week of the next year.
            Self::Weekly => [i64::from(date.iso_week().year()), i64::from(date.iso_week().week()), 0],
            Self::Monthly => [year, i64::from(date.month()), 0],
            Self::Yearly => [year, 0, 0],
        }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keep {
    /// Every archive.
    #[default]
    All,
    /// What one of these rules keeps.
    Rules(Rules),
}

/// Rules that add up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Of how many periods an archive is kept, by [`Tier`]; 0 is no rule.
    counts: [u32; TIERS.len()],
    /// All archives are kept that are no older than this before the newest one.
    within: Option<Duration>,
}

impl Rules {
    /// Keep an archive of each of the latest periods; 0 is no rule.
    pub fn set(&mut self, tier: Tier, periods: u32) {
        self.counts[tier as usize] = periods;
    }

    /// Keep all that are no older than this before the newest one.
    pub fn set_within(&mut self, within: Duration) {
        self.within = Some(within);
    }

    /// Of how many periods an archive is kept.
    pub fn count(&self, tier: Tier) -> u32 {
        self.counts[tier as usize]
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.counts == [0; TIERS.len()] && self.within.is_none()
    }
}

/// As it is written in the configuration: `all`, or `last=30 daily=14 within=90d`.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Rules(rules) = self else { return f.write_str("all") };
        let counts = TIERS.iter().filter(|tier| rules.count(**tier) > 0);
        let mut words: Vec<String> =
            counts.map(|tier| format!("{}={}", tier.word(), rules.count(*tier))).collect();
        words.extend(rules.within.map(|within| format!("within={}", span(within))));
        f.write_str(&words.join(" "))
    }
}

/// `90d`, `36h`, `90m`, `30s`: the largest unit that needs no other.
fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (unit, letter) = [(86_400, 'd'), (3600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

/// What must be known of an archive to decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// When its run began, by its index.
    pub instant: DateTime<Utc>,
    /// Which of those of the same instant is the newer one.
    pub number: u32,
    /// Whether all that was wanted is in it.
    pub complete: bool,
    /// Whether its source had shrunk so much that nobody should rely on it unseen.
    pub suspect: bool,
    /// Whether it was found damaged when it was read back.
    pub damaged: bool,
    /// Device and inode: hard links of one file have the same.
    pub file: (u64, u64),
}

/// Why an archive stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// All are kept.
    All,
    /// It stands for one of the latest periods of this kind.
    Rule(Tier),
    /// It is not older than the rule `within` says.
    Within,
    /// It is damaged, and stands for nothing: what is left of it is for its owner to look at.
    Damaged,
    /// It is the newest sound one, which stays whatever the rules say.
    Newest,
    /// It is the newest sound and complete one, which stays whatever the rules say.
    LastComplete,
    /// The clock stands before the newest archive: one of the two is wrong, and nothing is decided by it.
    Clock,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Rule(tier) => tier.word(),
            Self::Within => "within",
            Self::Damaged => "damaged, stays until you delete it",
            Self::Newest => "the newest one",
            Self::LastComplete => "the last complete one",
            Self::Clock => "the clock stands before the newest one",
        })
    }
}

/// What becomes of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It stays, for each of these reasons; there is at least one.
    Kept(Vec<Reason>),
    /// No rule keeps it.
    Deleted,
}

impl Decision {
    /// Whether it stays.
    pub fn kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// The reasons for which it stays, in words; none for one that goes.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Kept(reasons) => reasons.iter().map(Reason::to_string).collect(),
            Self::Deleted => Vec::new(),
        }
    }
}

/// One decision for each archive, in their order. Periods are those of the calendar and the clock in `zone`.
///
/// Two names of one file with one instant are one archive: they stay or go together. One that is damaged stays, and for the
/// others it is as if it were not there.
pub fn decide(archives: &[Archive], keep: &Keep, zone: Tz, now: DateTime<Utc>) -> Vec<Decision> {
    let all = |reason| vec![Decision::Kept(vec![reason]); archives.len()];
    let rules = match keep {
        Keep::All => return all(Reason::All),
        Keep::Rules(rules) => rules,
    };
    let mut order = newest_first(archives);
    if order.first().is_some_and(|newest| archives[*newest].instant > now) {
        return all(Reason::Clock);
    }
    order.retain(|at| !archives[*at].damaged);
    let Some(&newest) = order.first() else { return all(Reason::Damaged) };

    let mut names: HashMap<_, Vec<usize>> = HashMap::new();
    let mut distinct = Vec::new();
    for &at in &order {
        let same = names.entry((archives[at].file, archives[at].instant)).or_default();
        if same.is_empty() {
            distinct.push(at);
        }
        same.push(at);
    }

    let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); archives.len()];
    for tier in TIERS {
        for at in of_each_period(archives, &distinct, tier, zone, rules.count(tier)) {
            reasons[at].push(Reason::Rule(tier));
        }
    }
    if let Some(within) = rules.within {
        let within = TimeDelta::from_std(within).unwrap_or(TimeDelta::MAX);
        let oldest = archives[newest].instant.checked_sub_signed(within).unwrap_or(DateTime::<Utc>::MIN_UTC);
        for &at in distinct.iter().filter(|at| archives[**at].instant >= oldest) {
            reasons[at].push(Reason::Within);
        }
    }
    let last_complete = distinct.iter().copied().find(|at| archives[*at].complete);
    for (at, reason) in [(Some(newest), Reason::Newest), (last_complete, Reason::LastComplete)] {
        if let Some(at) = at.filter(|at| reasons[*at].is_empty()) {
            reasons[at].push(reason);
        }
    }

    let decision = |archive: &Archive| {
        if archive.damaged { Decision::Kept(vec![Reason::Damaged]) } else { Decision::Deleted }
    };
    let mut decisions: Vec<Decision> = archives.iter().map(decision).collect();
    for (&at, same) in distinct.iter().map(|at| (at, &names[&(archives[*at].file, archives[*at].instant)])) {
        for &name in same.iter().filter(|_| !reasons[at].is_empty()) {
            decisions[name] = Decision::Kept(reasons[at].clone());
        }
    }
    decisions
}

/// Places in the list, by the instants and not by anything that copying or renaming changes.
fn newest_first(archives: &[Archive]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..archives.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse((archives[*at].instant, archives[*at].number, *at)));
    order
}

/// The archives that stand for the latest periods; `order` is newest first.
fn of_each_period(archives: &[Archive], order: &[usize], tier: Tier, zone: Tz, count: u32) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut periods: HashMap<[i64; 3], Option<usize>> = HashMap::new();
    for (nth, &at) in order.iter().enumerate() {
        let period = tier.period(archives[at].instant.with_timezone(&zone), nth);
        let room = chosen.len() < count as usize;
        let place = *periods.entry(period).or_insert_with(|| {
            room.then(|| {
                chosen.push(at);
                chosen.len() - 1
            })
        });
        if let Some(place) = place
            && archives[at].complete
            && !archives[chosen[place]].complete
        {
            chosen[place] = at;
        }
    }
    chosen
}

/// Why nothing may be deleted now; each names the archive, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The clock stands before this archive, the newest one.
    Clock(usize),
    /// The source of this one had shrunk, and nobody has said yet that it should.
    Suspect(usize),
    /// Between these two neighbours lies so long that too much of what `within` kept would go for that alone: nothing was made
    /// for long, or a clock was wrong.
    Pause {
        /// The newest before it.
        before: usize,
        /// The first after it.
        after: usize,
    },
    /// This one, the newest sound one, is incomplete: nothing is deleted but after a success.
    Incomplete(usize),
}

/// Whether something forbids to delete. What is no newer than `accepted` has been looked at by somebody.
pub fn held(
    archives: &[Archive],
    keep: &Keep,
    zone: Tz,
    accepted: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Held> {
    let Keep::Rules(rules) = keep else { return None };
    let order = newest_first(archives);
    let newest = *order.first()?;
    if archives[newest].instant > now {
        return Some(Held::Clock(newest));
    }
    // What was accepted at a time to come was accepted by a clock that was wrong.
    let accepted = accepted.filter(|accepted| *accepted <= now);
    let unseen = |at: &usize| accepted.is_none_or(|accepted| archives[*at].instant > accepted);
    if let Some(at) = order.iter().copied().filter(unseen).find(|at| archives[*at].suspect) {
        return Some(Held::Suspect(at));
    }
    let sound: Vec<usize> = order.into_iter().filter(|at| !archives[*at].damaged).collect();
    let newest = *sound.first()?;
    if let Some(pause) = rules.within.and_then(|within| pause(archives, &sound, within, keep, zone, &unseen))
    {
        return Some(pause);
    }
    Some(newest).filter(|at| unseen(at) && !archives[*at].complete).map(Held::Incomplete)
}

/// A pause that is no longer than `within` may cost fewer archives than these without anybody being asked: a short `within`
/// and a night that was missed are nothing unusual.
const FEW: usize = 3;
/// Nor does one of which so many archives are left: what is found broken after some days is whole in one of them.
const ENOUGH: usize = 7;

/// The newest pause that nobody has seen yet and that would cost archives: those that `within` alone kept until it, and no
/// rule keeps after it. One that is no longer than `within` must cost more than half of them, and leave few. `order` is newest
/// first.
fn pause(
    archives: &[Archive],
    order: &[usize],
    within: Duration,
    keep: &Keep,
    zone: Tz,
    unseen: &impl Fn(&usize) -> bool,
) -> Option<Held> {
    let within = TimeDelta::from_std(within).ok()?;
    let decided = |places: &[usize]| -> Vec<Decision> {
        let of: Vec<Archive> = places.iter().map(|at| archives[*at]).collect();
        of.first().map_or(Vec::new(), |newest| decide(&of, keep, zone, newest.instant))
    };
    let today = decided(order);
    let only_within = Decision::Kept(vec![Reason::Within]);
    // How many of the older ones are no older than `within` before that instant.
    let near = |older: &[usize], instant: DateTime<Utc>| {
        older.partition_point(|at| instant - archives[*at].instant <= within)
    };
    for (nth, pair) in order.windows(2).enumerate() {
        let ((after, before), older) = ((pair[0], pair[1]), &order[nth + 1..]);
        let is_long = archives[after].instant - archives[before].instant > within;
        let most = near(older, archives[before].instant) - near(older, archives[after].instant);
        if !is_long && most < FEW || !unseen(&after) || today[nth + 1..].iter().all(Decision::kept) {
            continue;
        }
        // What goes by other rules later, night by night, does not go because of the pause.
        let (until, from) = (decided(older), decided(&order[nth..]));
        let costs = |(old, new): &(&Decision, &Decision)| **old == only_within && !new.kept();
        let cost = until.iter().zip(&from[1..]).filter(costs).count();
        let kept = until.iter().filter(|old| **old == only_within).count();
        let left = from.iter().filter(|new| new.kept()).count();
        if is_long && cost > 0 || cost >= FEW && cost * 2 > kept && left < ENOUGH {
            return Some(Held::Pause { before, after });
        }
    }
    None
}
