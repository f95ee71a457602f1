//! The bits of a deflate stream, and the Huffman codes that a block begins with (RFC 1951).

/// The symbol that ends a block.
pub const END: usize = 256;

/// The stream as bits, the lowest of each byte first.
pub struct Bits<'a> {
    pub bytes: &'a [u8],
    pub position: usize,
}

impl Bits<'_> {
    /// At least 56 bits from here on, zeros behind the end.
    #[inline]
    pub fn peek(&self) -> u64 {
        let byte = self.position / 8;
        let word = if let Some(eight) = self.bytes.get(byte..byte + 8) {
            u64::from_le_bytes(eight.try_into().unwrap_or_default())
        } else {
            let mut eight = [0; 8];
            let rest = self.bytes.get(byte..).unwrap_or_default();
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(eight)
        };
        word >> (self.position % 8)
    }

    /// Go on by so many bits, unless they reach behind the end.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.position += count;
        (self.position <= self.bytes.len() * 8).then_some(())
    }

    pub fn take(&mut self, count: usize) -> Option<usize> {
        let value = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        Some(value as usize)
    }
}

/// One canonical Huffman code: how many codes of each length, and the symbols in their order.
pub struct Code {
    counts: [u16; 16],
    symbols: [u16; 288],
}

impl Code {
    /// From the length of each symbol's code, unless there are more than fit.
    pub fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let mut left = 1_i32;
        for &count in &counts[1..] {
            left = (left << 1) - i32::from(count);
            if left < 0 {
                return None;
            }
        }
        let mut offsets = [0_u16; 16];
        for length in 1..15 {
            offsets[length + 1] = offsets[length] + counts[length];
        }
        let mut symbols = [0; 288];
        for (symbol, &length) in lengths.iter().enumerate() {
            if length > 0 {
                let offset = &mut offsets[usize::from(length)];
                symbols[usize::from(*offset)] = symbol as u16;
                *offset += 1;
            }
        }
        Some(Self { counts, symbols })
    }

    /// The symbol that these bits begin with and the length of its code.
    pub fn symbol(&self, bits: u64) -> Option<(usize, usize)> {
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for length in 1..16 {
            code |= (bits >> (length - 1) & 1) as i32;
            let count = i32::from(self.counts[length]);
            if code - count < first {
                return Some((usize::from(self.symbols[(index + code - first) as usize]), length));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// How long the codes of a block are, by symbol.
pub struct Lengths {
    all: [u8; 320],
    literals: usize,
    distances: usize,
}

impl Lengths {
    /// What a block with dynamic codes begins with, behind its three bits of header; `None` as well if its codes of
    /// literals and lengths are more than fit.
    pub fn read(bits: &mut Bits) -> Option<Self> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = bits.take(5)? + 257;
        let distances = bits.take(5)? + 1;
        let lengths = bits.take(4)? + 4;
        if literals > 286 {
            return None;
        }
        let mut of_lengths = [0_u8; 19];
        for &symbol in &ORDER[..lengths] {
            of_lengths[symbol] = bits.take(3)? as u8;
        }
        let code = Code::new(&of_lengths)?;
        let mut all = [0_u8; 320];
        let (mut at, mut taken) = (0, 0);
        while at < literals + distances {
            let (symbol, length) = code.symbol(bits.peek())?;
            bits.skip(length)?;
            let (value, times) = match symbol {
                16 => (*all.get(at.checked_sub(1)?)?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length as u8, 1),
            };
            all.get_mut(at..at + times)?.fill(value);
            at += times;
            // Known as soon as it is so, since almost all that a search tries ends here.
            if at <= literals {
                taken += times * share(value);
                if taken > WHOLE {
                    return None;
                }
            }
        }
        (at == literals + distances).then_some(Self { all, literals, distances })
    }

    /// Of the literals and lengths.
    pub fn literals(&self) -> &[u8] {
        &self.all[..self.literals]
    }

    /// Of the distances.
    pub fn distances(&self) -> &[u8] {
        &self.all[self.literals..self.literals + self.distances]
    }
}

/// What all codes of a complete code take together.
const WHOLE: usize = 1 << 15;

/// What a code of this length takes of all that there are.
fn share(length: u8) -> usize {
    if length == 0 { 0 } else { WHOLE >> length }
}

/// Whether every sequence of bits begins with one of these codes.
pub fn is_complete(lengths: &[u8]) -> bool {
    lengths.iter().map(|&length| share(length)).sum::<usize>() == WHOLE
}
