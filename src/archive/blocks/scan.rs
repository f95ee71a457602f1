//! The last block of a deflate stream, found by reading the stream from its start: sure, and slow.

use super::Last;
use super::codes::{Bits, Code, END, Lengths};

/// Where the last block is; `None` if this is not a deflate stream that ends in its last byte.
#[must_use]
pub fn scan(stream: &[u8]) -> Option<Last> {
    let mut bits = Bits { bytes: stream, position: 0 };
    loop {
        let final_bit = bits.position;
        let header = bits.take(3)?;
        match header >> 1 {
            0 => skip_stored(&mut bits)?,
            1 => {
                let mut literals = [8; 288];
                literals[144..256].fill(9);
                literals[256..280].fill(7);
                skip_coded(&mut bits, &literals, &[5; 30])?;
            }
            2 => {
                let lengths = Lengths::read(&mut bits)?;
                skip_coded(&mut bits, lengths.literals(), lengths.distances())?;
            }
            _ => return None,
        }
        if header & 1 == 1 {
            let is_whole = bits.position.div_ceil(8) == stream.len();
            return is_whole.then_some(Last { final_bit, end: bits.position });
        }
    }
}

fn skip_stored(bits: &mut Bits) -> Option<()> {
    let at = bits.position.div_ceil(8);
    let head = bits.bytes.get(at..at + 4)?;
    let length = u16::from_le_bytes([head[0], head[1]]);
    if length != !u16::from_le_bytes([head[2], head[3]]) {
        return None;
    }
    bits.position = (at + 4) * 8;
    bits.skip(usize::from(length) * 8)
}

/// Go to the end of a block with codes of these lengths.
fn skip_coded(bits: &mut Bits, literals: &[u8], distances: &[u8]) -> Option<()> {
    let (literals, distances) = (Code::new(literals)?, Code::new(distances)?);
    loop {
        let (symbol, length) = literals.symbol(bits.peek())?;
        bits.skip(length)?;
        if symbol == END {
            return Some(());
        }
        if symbol < END {
            continue;
        }
        let extra = match symbol {
            257..=264 | 285 => 0,
            _ => (symbol - 261) / 4,
        };
        bits.skip(extra)?;
        let (symbol, length) = distances.symbol(bits.peek())?;
        let extra = if symbol < 4 { 0 } else { symbol / 2 - 1 };
        bits.skip(length + extra)?;
    }
}
