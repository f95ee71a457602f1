//! Deflate blocks: turning a complete deflate stream into a segment that others can follow.
//!
//! libdeflate compresses better and faster than encoders that can flush, but it always ends its stream. So the last
//! block's final bit is cleared, and an empty stored block brings the end to a byte boundary. The bit is found by
//! reading the stream without writing anything (RFC 1951); see `docs/decisions/segments.md` for what this costs.

/// The empty stored block on a byte boundary, and what decompresses to nothing in general.
pub const EMPTY_STORED: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// The final, empty block with fixed codes that ends a deflate stream.
pub const FINAL: [u8; 2] = [3, 0];
/// The most that one stored block can hold.
const STORED_MAX: usize = 65_535;

/// Open the end of a complete deflate stream: no block of it is final any more, and it ends on a byte boundary.
/// `None` if it is not a deflate stream that ends in its last byte.
#[must_use]
pub fn open_end(stream: &mut Vec<u8>) -> Option<()> {
    let ends = scan(stream)?;
    stream[ends.final_bit / 8] &= !(1 << (ends.final_bit % 8));
    // What is left of the last byte after the end-of-block code is zeros; three of them are the empty stored block's
    // header, and where fewer than three are left, the header reaches into another byte.
    let used = ends.end % 8;
    if used == 0 || used > 5 {
        stream.push(0);
    }
    stream.extend_from_slice(&EMPTY_STORED[1..]);
    Some(())
}

/// These bytes as stored blocks, none of them final: for what does not compress.
pub fn store(raw: &[u8], out: &mut Vec<u8>) {
    for block in raw.chunks(STORED_MAX) {
        let length = block.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&EMPTY_STORED);
}

/// Where a stream's last block begins and where it ends, in bits.
struct Ends {
    final_bit: usize,
    end: usize,
}

/// Bits that the fast table of literals and lengths looks at: longer codes are rare, and decoded bit by bit. An entry
/// stands for all literals that these bits hold in full, and for the length behind them if its code is there too.
const LITERAL_BITS: usize = 11;
/// The same for distances.
const DISTANCE_BITS: usize = 9;
/// Marks of a table's entry, above the number of bits that the symbol takes in all.
const LENGTH: u16 = 0x100;
const END: u16 = 0x200;
const CODE_SHIFT: usize = 12;

fn scan(stream: &[u8]) -> Option<Ends> {
    let mut bits = Bits { bytes: stream, position: 0 };
    let mut codes = Codes::new();
    loop {
        let start = bits.position;
        let header = bits.take(3)?;
        match header >> 1 {
            0 => bits.skip_stored()?,
            1 => {
                codes.fixed();
                codes.skip_block(&mut bits)?;
            }
            2 => {
                codes.read(&mut bits)?;
                codes.skip_block(&mut bits)?;
            }
            _ => return None,
        }
        if header & 1 == 1 {
            let complete = bits.position.div_ceil(8) == stream.len();
            return complete.then_some(Ends { final_bit: start, end: bits.position });
        }
    }
}

/// The stream as bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    /// At least 56 bits from here on, zeros behind the end.
    #[inline]
    fn peek(&self) -> u64 {
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

    fn inside(&self) -> Option<()> {
        (self.position <= self.bytes.len() * 8).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<u32> {
        let value = self.peek() & ((1 << count) - 1);
        self.position += count;
        self.inside()?;
        Some(value as u32)
    }

    fn skip_stored(&mut self) -> Option<()> {
        let at = self.position.div_ceil(8);
        let head = self.bytes.get(at..at + 4)?;
        let length = u16::from_le_bytes([head[0], head[1]]);
        if length != !u16::from_le_bytes([head[2], head[3]]) {
            return None;
        }
        self.position = (at + 4 + usize::from(length)) * 8;
        self.inside()
    }
}

/// One canonical Huffman code: how many codes of each length, and the symbols in their order.
struct Code {
    counts: [u16; 16],
    symbols: [u16; 288],
}

impl Code {
    fn new(lengths: &[u8]) -> Option<Self> {
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

    /// The symbol that these bits begin with and the length of its code, one bit after the other.
    #[cold]
    fn slow(&self, bits: u64) -> Option<(usize, usize)> {
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

    /// Fill a table that is looked up with the next bits; what stays 0 has a longer code.
    fn fill(&self, table: &mut [u16], entry: impl Fn(usize, usize) -> u16) {
        table.fill(0);
        let table_bits = table.len().trailing_zeros() as usize;
        let (mut code, mut index) = (0_usize, 0_usize);
        for length in 1..=table_bits {
            for _ in 0..self.counts[length] {
                let symbol = usize::from(self.symbols[index]);
                let entry = entry(symbol, length);
                let mut at = code.reverse_bits() >> (usize::BITS as usize - length);
                while at < table.len() {
                    table[at] = entry;
                    at += 1 << length;
                }
                code += 1;
                index += 1;
            }
            code <<= 1;
        }
    }
}

/// What these bits say, as one entry.
fn join(single: &[u16; 1 << LITERAL_BITS], bits: usize) -> u16 {
    let mut used = 0;
    loop {
        let entry = single[bits >> used];
        let code = usize::from(entry >> CODE_SHIFT);
        // Above the bits that are there stand zeros, and a code that reaches into them may be another.
        if entry == 0 || used + code > LITERAL_BITS {
            return used as u16;
        }
        let entry = entry & ((1 << CODE_SHIFT) - 1);
        if entry >= LENGTH {
            return entry + used as u16;
        }
        used += code;
    }
}

/// Both codes of a block, ready to skip its symbols.
struct Codes {
    /// What the table of literals is made from: one symbol an entry, with the bits of its code above [`CODE_SHIFT`].
    single: Box<[u16; 1 << LITERAL_BITS]>,
    literals: Box<[u16; 1 << LITERAL_BITS]>,
    distances: Box<[u16; 1 << DISTANCE_BITS]>,
    literal_code: Code,
    distance_code: Code,
}

/// The entry of one literal or length whose code has so many bits: those, extra bits, and what follows.
fn literal_entry(symbol: usize, length: usize) -> u16 {
    let meaning = match symbol {
        0..=255 => 0,
        256 => END,
        257..=264 | 285 => LENGTH,
        _ => LENGTH + (symbol as u16 - 261) / 4,
    };
    meaning + length as u16
}

fn distance_entry(symbol: usize, length: usize) -> u16 {
    let extra = if symbol < 4 { 0 } else { symbol as u16 / 2 - 1 };
    extra + length as u16
}

impl Codes {
    fn new() -> Self {
        let empty = || Code { counts: [0; 16], symbols: [0; 288] };
        Self {
            single: Box::new([0; 1 << LITERAL_BITS]),
            literals: Box::new([0; 1 << LITERAL_BITS]),
            distances: Box::new([0; 1 << DISTANCE_BITS]),
            literal_code: empty(),
            distance_code: empty(),
        }
    }

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literal_code = Code::new(literals)?;
        self.distance_code = Code::new(distances)?;
        let of_code = |symbol, length| literal_entry(symbol, length) | (length as u16) << CODE_SHIFT;
        self.literal_code.fill(&mut self.single[..], of_code);
        for (at, joined) in self.literals.iter_mut().enumerate() {
            *joined = join(&self.single, at);
        }
        self.distance_code.fill(&mut self.distances[..], distance_entry);
        Some(())
    }

    fn fixed(&mut self) {
        let mut literals = [8; 288];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        let complete = self.set(&literals, &[5; 30]);
        debug_assert!(complete.is_some(), "the fixed codes of RFC 1951 are complete");
    }

    /// The codes that a block with dynamic codes begins with.
    fn read(&mut self, bits: &mut Bits) -> Option<()> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let lengths = bits.take(4)? as usize + 4;
        let mut of_lengths = [0_u8; 19];
        for &symbol in &ORDER[..lengths] {
            of_lengths[symbol] = bits.take(3)? as u8;
        }
        let code = Code::new(&of_lengths)?;
        let mut all = [0_u8; 320];
        let mut at = 0;
        while at < literals + distances {
            let (symbol, length) = code.slow(bits.peek())?;
            bits.position += length;
            let (value, times) = match symbol {
                16 => (*all.get(at.checked_sub(1)?)?, 3 + bits.take(2)? as usize),
                17 => (0, 3 + bits.take(3)? as usize),
                18 => (0, 11 + bits.take(7)? as usize),
                length => (length as u8, 1),
            };
            all.get_mut(at..at + times)?.fill(value);
            at += times;
        }
        if at != literals + distances || literals > 286 {
            return None;
        }
        self.set(&all[..literals], &all[literals..at])
    }

    /// Go to the end of a block, whose codes these are.
    fn skip_block(&self, bits: &mut Bits) -> Option<()> {
        loop {
            // 56 bits are there.
            let word = bits.peek();
            let mut used = 0;
            // A code has 15 bits at most.
            while used <= 56 - 15 {
                let entry = match self.literals[(word >> used) as usize & ((1 << LITERAL_BITS) - 1)] {
                    0 => {
                        let (symbol, length) = self.literal_code.slow(word >> used)?;
                        literal_entry(symbol, length)
                    }
                    entry => entry,
                };
                let next = used + usize::from(entry & 0xff);
                if entry >= END {
                    bits.position += next;
                    return bits.inside();
                }
                if entry >= LENGTH {
                    // A distance has 28 bits at most. With fewer, the length is looked at again in the next word.
                    if next > 56 - 28 {
                        break;
                    }
                    used = next
                        + match self.distances[(word >> next) as usize & ((1 << DISTANCE_BITS) - 1)] {
                            0 => {
                                let (symbol, length) = self.distance_code.slow(word >> next)?;
                                usize::from(distance_entry(symbol, length))
                            }
                            entry => usize::from(entry),
                        };
                } else {
                    used = next;
                }
            }
            bits.position += used;
            bits.inside()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor, Decompressor};
    use proptest::prelude::*;

    fn opened(raw: &[u8], level: i32) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut stream = vec![0; compressor.deflate_compress_bound(raw.len())];
        let length = compressor.deflate_compress(raw, &mut stream).unwrap();
        stream.truncate(length);
        open_end(&mut stream).unwrap();
        stream
    }

    fn assert_follows(parts: &[(&[u8], i32)]) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (raw, level) in parts {
            stream.extend(opened(raw, *level));
            expected.extend_from_slice(raw);
        }
        stream.extend(FINAL);
        let mut out = vec![0; expected.len()];
        let length = Decompressor::new().deflate_decompress(&stream, &mut out).unwrap();
        assert_eq!((length, out == expected), (expected.len(), true));
    }

    #[test]
    fn segments_follow_each_other_at_every_level_and_kind_of_block() {
        let text = include_bytes!("blocks.rs");
        let (mut noise, zeros) = (vec![0_u8; 200_000], vec![0; 300_000]);
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for level in 0..=12 {
            assert_follows(&[(text, level), (b"", level), (b"a", level), (&noise, level), (&zeros, level)]);
        }
    }

    #[test]
    fn stored_blocks_hold_anything() {
        for length in [0, 1, STORED_MAX - 1, STORED_MAX, STORED_MAX + 1, 3 * STORED_MAX] {
            let raw = vec![7; length];
            let mut stream = Vec::new();
            store(&raw, &mut stream);
            stream.extend(FINAL);
            let mut out = vec![0; length];
            assert_eq!(Decompressor::new().deflate_decompress(&stream, &mut out).unwrap(), length);
            assert_eq!(out, raw);
        }
    }

    #[test]
    fn what_is_not_one_whole_stream_is_refused() {
        let mut compressor = Compressor::new(CompressionLvl::new(6).unwrap());
        let mut stream = vec![0; 100_000];
        let length = compressor.deflate_compress(include_bytes!("blocks.rs"), &mut stream).unwrap();
        stream.truncate(length);
        let mut longer = stream.clone();
        longer.push(0);
        assert!(open_end(&mut longer).is_none());
        for cut in 0..length {
            assert!(open_end(&mut stream[..cut].to_vec()).is_none(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_follow(parts in prop::collection::vec((prop::collection::vec(0_u8..20, 0..5000), 1..12_i32), 1..4)) {
            let parts: Vec<_> = parts.iter().map(|(raw, level)| (raw.as_slice(), *level)).collect();
            assert_follows(&parts);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = open_end(&mut bytes);
        }
    }
}
