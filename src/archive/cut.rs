//! Where segments are cut, so that a cut does not move when something unrelated changes.

use super::codec::Codec;

/// Files from this size up have segments of their own.
pub const LARGE: u64 = 512 * 1024;
/// A group of small entries is not cut before it has this many bytes.
const GROUP_MIN: usize = 256 * 1024;
/// How many bytes further a group goes on average.
const GROUP_MEAN: u64 = 768 * 1024;
/// A group is cut here whatever the names say.
const GROUP_MAX: usize = 2 * 1024 * 1024;

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
/// renamed therefore moves no cut but its own; one that a limit moved is back at the next that the names decide.
pub fn ends_before(name: &[u8], weight: usize, group: usize) -> bool {
    if group == 0 || group < GROUP_MIN && group + weight <= GROUP_MAX {
        return false;
    }
    let hash = blake3::hash(name);
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first) % GROUP_MEAN < weight as u64 || group + weight > GROUP_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(names: &[String], weight: usize) -> Vec<&String> {
        let mut group = 0;
        let mut cuts = Vec::new();
        for name in names {
            if ends_before(name.as_bytes(), weight, group) {
                cuts.push(name);
                group = 0;
            }
            group += weight;
        }
        cuts
    }

    #[test]
    fn one_name_more_or_less_moves_few_cuts() {
        let names: Vec<String> = (0..50_000).map(|n| format!("data/{n:05}")).collect();
        let before = cuts(&names, 14_000);
        assert!((500..1200).contains(&before.len()), "{}", before.len());
        for gone in [0, 1, 777, 25_000, 49_999] {
            let mut fewer = names.clone();
            fewer.remove(gone);
            let after = cuts(&fewer, 14_000);
            let moved = before.iter().filter(|cut| !after.contains(cut)).count();
            assert!(moved <= 4, "{moved} cuts moved when {gone} went");
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
