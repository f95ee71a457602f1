//! When the clocks of a zone were and will be set, and to what.

use super::rule::Rule;

/// The last year that the rule is written out for. Later ones are worked out each time.
const LAST_YEAR: i32 = 2100;
/// The furthest that a clock was ever from UTC is 16 hours, and what was decided for a day it began with may be set
/// a day after it.
const NEAR: i64 = 48 * 3600;

/// Offsets, in seconds ahead of UTC, by the instants from which they held.
#[derive(Debug)]
pub(super) struct Table {
    /// Before the first change.
    first: i32,
    /// Ascending.
    changes: Vec<(i64, i32)>,
    /// After the last change, if it sets clocks at all.
    rule: Option<Rule>,
}

impl Table {
    pub(super) const fn utc() -> Self {
        Self { first: 0, changes: Vec::new(), rule: None }
    }

    /// Read TZif of version 2 or later, without leap seconds: RFC 9636, 3.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let old = Counts::parse(data)?;
        // The first block is for readers that know 32 bits only.
        let data = data.get(HEADER + old.length(4)?..)?;
        let counts = Counts::parse(data)?;
        let (block, footer) = data.get(HEADER..)?.split_at_checked(counts.length(8)?)?;
        let (times, rest) = block.split_at_checked(counts.times * 8)?;
        let (kinds, rest) = rest.split_at_checked(counts.times)?;
        let (types, _) = rest.split_at_checked(counts.types * 6)?;
        let types: Vec<i32> = types
            .chunks_exact(6)
            .map(|kind| i32::from_be_bytes([kind[0], kind[1], kind[2], kind[3]]))
            .collect();
        let mut changes = Vec::new();
        for (time, kind) in times.chunks_exact(8).zip(kinds) {
            changes.push((i64::from_be_bytes(time.try_into().ok()?), *types.get(usize::from(*kind))?));
        }
        let footer = std::str::from_utf8(footer).ok()?.strip_prefix('\n')?.strip_suffix('\n')?;
        let rule = if footer.is_empty() { None } else { Some(Rule::parse(footer)?) };
        let mut first = *types.first()?;
        if let (Some(rule), None) = (rule, changes.last()) {
            first = rule.standard;
        }
        let rule = rule.filter(|rule| rule.summer.is_some());
        let known = changes.last().map_or(i64::MIN, |(at, _)| *at);
        changes.extend(rule.iter().flat_map(|rule| {
            (1970..=LAST_YEAR).flat_map(|year| rule.changes(year)).filter(|(at, _)| *at > known)
        }));
        Some(Self { first, changes, rule })
    }

    /// The offset at this instant.
    pub(super) fn of_instant(&self, instant: i64) -> i32 {
        let passed = self.changes.partition_point(|(at, _)| *at <= instant);
        if passed == self.changes.len()
            && let Some(rule) = self.rule
        {
            let last = rule.around(instant).into_iter().rfind(|(at, _)| *at <= instant);
            return last.map_or(rule.standard, |(_, offset)| offset);
        }
        passed.checked_sub(1).map_or(self.first, |last| self.changes[last].1)
    }

    /// The offsets at the first and the last instant at which a clock shows this local time, in seconds as if it were
    /// UTC.
    pub(super) fn of_local(&self, local: i64) -> Option<(i32, i32)> {
        let mut offsets = vec![self.of_instant(local - NEAR)];
        offsets.extend(self.near(local).into_iter().map(|(_, _, after)| after));
        // Further ahead of UTC is earlier.
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        offsets.retain(|offset| self.of_instant(local - i64::from(*offset)) == *offset);
        Some((*offsets.first()?, *offsets.last()?))
    }

    /// The instant at which clocks were set forward over this local time.
    pub(super) fn end_of_gap(&self, local: i64) -> Option<i64> {
        let over = |(at, before, after): &(i64, i32, i32)| {
            (at + i64::from(*before)..at + i64::from(*after)).contains(&local)
        };
        self.near(local).into_iter().find(over).map(|(at, ..)| at)
    }

    /// The changes around this time: when, from what, to what.
    fn near(&self, local: i64) -> Vec<(i64, i32, i32)> {
        let (from, to) = (local - NEAR, local + NEAR);
        let start = self.changes.partition_point(|(at, _)| *at <= from);
        let mut near: Vec<_> =
            self.changes[start..].iter().take_while(|(at, _)| *at <= to).copied().collect();
        if let Some(rule) = self.rule
            && start + near.len() == self.changes.len()
        {
            let last = self.changes.last().map_or(i64::MIN, |(at, _)| *at);
            let later = |(at, _): &(i64, i32)| *at > last && *at > from && *at <= to;
            near.extend(rule.around(local).into_iter().filter(later));
        }
        let mut before = self.of_instant(from);
        near.into_iter()
            .map(|(at, after)| {
                let change = (at, before, after);
                before = after;
                change
            })
            .collect()
    }
}

const HEADER: usize = 44;

/// How many there are of each thing in a block.
struct Counts {
    universal: usize,
    standard: usize,
    leaps: usize,
    times: usize,
    types: usize,
    letters: usize,
}

impl Counts {
    fn parse(data: &[u8]) -> Option<Self> {
        let header = data.get(..HEADER)?;
        if !header.starts_with(b"TZif") || header[4] < b'2' {
            return None;
        }
        let count = |at: usize| {
            let bytes = header[20 + 4 * at..][..4].try_into().expect("four bytes were taken");
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        let [universal, standard, leaps, times, types, letters] =
            [count(0)?, count(1)?, count(2)?, count(3)?, count(4)?, count(5)?];
        Some(Self { universal, standard, leaps, times, types, letters })
    }

    /// Bytes of a block whose times have so many bytes.
    fn length(&self, time: usize) -> Option<usize> {
        let parts = [
            self.times.checked_mul(time + 1)?,
            self.types.checked_mul(6)?,
            self.letters,
            self.leaps.checked_mul(time + 4)?,
            self.standard,
            self.universal,
        ];
        parts.into_iter().try_fold(0_usize, usize::checked_add)
    }
}
