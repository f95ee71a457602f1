//! Where segments are cut, so that a cut does not move when something unrelated changes.

use super::codec::Codec;

/// Files from this size up have segments of their own.
pub const LARGE: u64 = 512 * 1024;
/// A group is not cut before it has so many bytes: shorter ones compress badly.
const GROUP_MIN: usize = 64 * 1024;
/// A group is cut here whatever the names say.
const GROUP_MAX: usize = 1536 * 1024;
/// An empty group is as likely to end soon as one of so many bytes would be if likelihood grew from nothing.
const GROUP_SOON: usize = 200 * 1024;

/// How large the pieces of a body are. Small ones keep a change small; for bodies of 16 GiB and more they are larger, so
/// that the index stays small too. bzip2 has none, and sorts blocks of 900,000 bytes: a piece fills one.
pub fn piece(body: u64, codec: Codec) -> usize {
    match codec {
        Codec::Bzip2 => 876 * 1024,
        _ if body < 16 << 30 => 256 * 1024,
        _ => 1024 * 1024,
    }
}

/// Whether a group of so many bytes ends before the entry of this name, which adds `weight` bytes.
///
/// The entry itself says so: by a hash of its name, and more likely the larger it is. An entry that is added, removed or
/// renamed therefore moves no cut but its own, or few. It is also more likely to say so the longer the group is already, so
/// that few groups come to the limit, which would move the cuts behind it; but not much more likely, so that where a cut has
/// moved, the group behind it still ends where it did. A group has 500 KiB on average.
pub fn ends_before(name: &[u8], weight: usize, group: usize) -> bool {
    let hash = blake3::hash(name);
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    let chance = weight as u64 * (group + GROUP_SOON) as u64;
    let says_so = group >= GROUP_MIN && u64::from_le_bytes(*first) >> 26 < chance;
    group > 0 && (says_so || group + weight > GROUP_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A folder and 50,000 files in it: their names and how much each adds.
    fn folder() -> Vec<(String, usize)> {
        let files = (0..50_000).map(|n| (format!("data/{n:05}"), 1024 * (2 + n * 7919 % 24)));
        std::iter::once(("data".to_string(), 1024)).chain(files).collect()
    }

    /// How much would be compressed again: the groups that are not the same as before, and the folder's.
    fn cost(before: &[(String, usize)], after: &[(String, usize)]) -> usize {
        let same: HashSet<Vec<_>> = groups(before).into_iter().skip(1).collect();
        let again = groups(after).into_iter().filter(|group| !same.contains(group));
        again.flatten().map(|(_, weight)| weight).sum()
    }

    fn groups(entries: &[(String, usize)]) -> Vec<Vec<&(String, usize)>> {
        let mut groups = vec![Vec::new()];
        let mut length = 0;
        for entry in entries {
            if ends_before(entry.0.as_bytes(), entry.1, length) {
                groups.push(Vec::new());
                length = 0;
            }
            groups.last_mut().expect("there is one").push(entry);
            length += entry.1;
        }
        groups
    }

    #[test]
    fn a_file_that_comes_goes_or_gets_another_name_costs_less_than_four_mib() {
        let before = folder();
        let count = groups(&before).len();
        let mean = before.iter().map(|(_, weight)| weight).sum::<usize>() / count;
        assert!((490 * 1024..550 * 1024).contains(&mean), "{mean}");
        for at in (1..before.len()).step_by(1201) {
            let mut fewer = before.clone();
            let (_, weight) = fewer.remove(at);
            let mut more = before.clone();
            more.insert(at, (format!("{}-added", before[at - 1].0), 2048));
            let mut renamed = fewer.clone();
            let name = format!("data/{:05}-renamed", at * 7907 % 50_000);
            let to = renamed.partition_point(|(other, _)| *other < name);
            renamed.insert(to, (name, weight));
            for after in [fewer, more, renamed] {
                let cost = cost(&before, &after);
                assert!(cost > 0 && cost < 4 << 20, "{cost} at {at}");
            }
        }
    }

    #[test]
    fn no_group_is_larger_than_the_limit() {
        for weight in [512, 1024, 100_000, LARGE as usize + 4096] {
            let mut group = 0;
            for n in 0..20_000 {
                if ends_before(format!("{n}").as_bytes(), weight, group) {
                    group = 0;
                }
                group += weight;
                assert!(group <= GROUP_MAX, "{group}");
            }
        }
    }
}
