//! The last block of a deflate stream, searched from the end: fast, and to be checked.
//!
//! A block with dynamic codes begins with so much that has to fit together that other bits hardly ever do: the lengths of
//! its three codes each make a complete code, and the code for its end stands at the stream's end.

use super::Last;
use super::codes::{Bits, END, Lengths, is_complete};

/// Bits that a block's header has before the lengths of the code of lengths.
const HEADER: usize = 17;
/// What all codes of the code of lengths take together, whose longest has seven bits.
const WHOLE: u16 = 1 << 7;

/// What four lengths, of three bits each, take of [`WHOLE`].
const TAKEN: [u16; 1 << 12] = {
    let mut taken = [0; 1 << 12];
    let mut four = 0;
    while four < taken.len() {
        let mut at = 0;
        while at < 12 {
            let length = (four >> at) & 7;
            if length > 0 {
                taken[four] += WHOLE >> length;
            }
            at += 3;
        }
        four += 1;
    }
    taken
};

/// Where the last block seems to be, if it has dynamic codes. What a file holds may look like it.
#[must_use]
pub fn seek(stream: &[u8]) -> Option<Last> {
    let end = stream.iter().rposition(|byte| *byte != 0)?;
    let last_one = end * 8 + stream[end].ilog2() as usize;
    let mut before = stream.len();
    while before > 0 {
        // A header takes the bits of ten bytes, and those behind the end are zeros.
        let start = before.saturating_sub(6);
        let mut near = [0; 24];
        let length = near.len().min(stream.len() - start);
        near[..length].copy_from_slice(&stream[start..start + length]);
        let mut starts = starts(word(&near, 0), (before - start) * 8);
        while starts != 0 {
            let at = starts.ilog2() as usize;
            starts ^= 1 << at;
            if has_code_of_lengths(&near, at)
                && let Some(last) = begins_at(stream, start * 8 + at, last_one)
            {
                return Some(last);
            }
        }
        before = start;
    }
    None
}

/// Eight bytes from the one on that has this bit.
fn word(near: &[u8; 24], bit: usize) -> u64 {
    let byte = (bit / 8).min(near.len() - 8);
    u64::from_le_bytes(near[byte..byte + 8].try_into().unwrap_or_default()) >> (bit % 8)
}

/// At which of the lowest `width` bits, 48 at most, a final block with dynamic codes could begin: three bits say that it is one; of the
/// ten behind them neither five can be 30 or 31.
fn starts(word: u64, width: usize) -> u64 {
    let kind = word & !(word >> 1) & (word >> 2);
    let literals = (word >> 4) & (word >> 5) & (word >> 6) & (word >> 7);
    let distances = (word >> 9) & (word >> 10) & (word >> 11) & (word >> 12);
    kind & !literals & !distances & ((1 << width) - 1)
}

/// Whether a block that begins at this bit has a complete code of lengths.
fn has_code_of_lengths(near: &[u8; 24], at: usize) -> bool {
    let lengths = 4 + (word(near, at + HEADER - 4) & 15);
    let lengths = word(near, at + HEADER) & ((1 << (3 * lengths)) - 1);
    let taken: u16 = (0..5).map(|four| TAKEN[(lengths >> (12 * four)) as usize & 0xfff]).sum();
    taken == WHOLE
}

/// The last block, if it begins here, in a stream whose last bit that is not 0 is known.
fn begins_at(stream: &[u8], final_bit: usize, last_one: usize) -> Option<Last> {
    let mut bits = Bits { bytes: stream, position: final_bit + 3 };
    let lengths = Lengths::read(&mut bits)?;
    if !is_complete(lengths.literals()) || !is_complete(lengths.distances()) {
        return None;
    }
    let (code, length) = code_of(lengths.literals(), END)?;
    // The last bit that is not 0 is the code's own: behind the code there are only zeros.
    let end = last_one + 1 + code.trailing_zeros() as usize;
    let start = end.checked_sub(length).filter(|start| *start >= bits.position)?;
    let there = Bits { bytes: stream, position: start }.take(length)?;
    let is_there = there == code.reverse_bits() >> (usize::BITS as usize - length);
    (is_there && end.div_ceil(8) == stream.len()).then_some(Last { final_bit, end })
}

/// The code of a symbol, its first bit the highest, and how long it is, if it has one that is not all zeros.
fn code_of(lengths: &[u8], symbol: usize) -> Option<(usize, usize)> {
    let length = lengths[symbol];
    let shorter = |lengths: &[u8], by: u8| lengths.iter().filter(|&&l| l == length - by).count();
    // Every shorter code stands for as many of this length as can follow it.
    let before: usize = (1..length).map(|by| shorter(lengths, by) << by).sum();
    let code = before + shorter(&lengths[..symbol], 0);
    (length > 0 && code > 0).then_some((code, usize::from(length)))
}
