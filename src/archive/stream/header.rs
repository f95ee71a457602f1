//! The block that stands before every body: ustar's, with its dialects.

use super::BLOCK;

/// One block of the stream.
pub(super) struct Block(pub [u8; BLOCK]);

/// What a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// An entry, by the letter of its kind.
    Entry(u8),
    Pax,
    PaxGlobal,
    LongName,
    LongLink,
    /// The label of a volume, and the like.
    Ignored,
    /// A file that goes on from another volume.
    Unsupported,
}

/// What one block says.
pub(super) struct Header {
    pub kind: Type,
    pub size: u64,
    pub map_goes_on: bool,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    pub mtime: i64,
    pub devices: (i64, i64),
    /// The size on disk, of a file in GNU tar's old sparse format.
    pub real: Option<u64>,
    /// The beginning of its map, offsets and lengths in turn.
    pub map: Vec<u64>,
}

pub(super) const MAP_WRONG: &str = "the map of a sparse file in its headers makes no sense";

impl Block {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// For a further block of an old sparse map: whether another one follows.
    pub fn map_goes_on(&self) -> bool {
        self.0[504] != 0
    }

    /// The numbers of a further block of an old sparse map.
    pub fn map(&self) -> Result<Vec<u64>, &'static str> {
        self.pairs(0, 21)
    }

    /// Offsets and lengths of an old sparse map; an empty field ends it.
    fn pairs(&self, start: usize, count: usize) -> Result<Vec<u64>, &'static str> {
        let fields = (0..2 * count).map(|at| start + 12 * at);
        fields
            .take_while(|at| self.0[*at] != 0)
            .map(|at| u64::try_from(self.number(at, 12)?).map_err(|_| MAP_WRONG))
            .collect()
    }

    fn field(&self, start: usize, length: usize) -> &[u8] {
        &self.0[start..start + length]
    }

    fn text(&self, start: usize, length: usize) -> &[u8] {
        until_zero(self.field(start, length))
    }

    fn number(&self, start: usize, length: usize) -> Result<i64, &'static str> {
        number(self.field(start, length)).ok_or("a number in its header makes no sense")
    }

    /// Read a header; the sum decides whether it is one.
    pub fn parse(&self) -> Result<Header, &'static str> {
        let sum = number(self.field(148, 8)).ok_or("it is no tar header")?;
        let others =
            self.0.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        // Some old tars summed signed bytes.
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for byte in others {
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        if sum != unsigned && sum != signed {
            return Err("the checksum of its header differs");
        }
        let posix = self.field(257, 6) == b"ustar\0";
        let gnu = self.field(257, 8) == b"ustar  \0";
        let mut name = self.text(0, 100).to_vec();
        let prefix = self.text(345, 155);
        if posix && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let letter = self.0[156];
        let kind = match letter {
            0 | b'0' if name.ends_with(b"/") => Type::Entry(b'5'),
            b'1'..=b'6' | b'S' | b'D' => Type::Entry(letter),
            b'x' | b'X' => Type::Pax,
            b'g' => Type::PaxGlobal,
            b'L' => Type::LongName,
            b'K' => Type::LongLink,
            b'V' | b'N' => Type::Ignored,
            b'M' => Type::Unsupported,
            // `0`, a zero byte and `7` are regular files; for POSIX, so is what is not known.
            _ => Type::Entry(b'0'),
        };
        let old_sparse = gnu && letter == b'S';
        let positive = |value: i64| u64::try_from(value).map_err(|_| "its size is negative");
        let device = |start| if posix || gnu { self.number(start, 8) } else { Ok(0) };
        let devices =
            if matches!(kind, Type::Entry(b'3' | b'4')) { (device(329)?, device(337)?) } else { (0, 0) };
        Ok(Header {
            kind,
            size: positive(self.number(124, 12)?)?,
            map_goes_on: old_sparse && self.0[482] != 0,
            name,
            link: self.text(157, 100).to_vec(),
            mode: self.number(100, 8)?,
            uid: self.number(108, 8)?,
            gid: self.number(116, 8)?,
            mtime: self.number(136, 12)?,
            devices,
            real: if old_sparse { Some(positive(self.number(483, 12)?)?) } else { None },
            map: if old_sparse { self.pairs(386, 4)? } else { Vec::new() },
        })
    }
}

pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or, with the first bit set, a signed number of base 256.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let start = i128::from(first & 0x7f) - if first & 0x40 == 0 { 0 } else { 0x80 };
        let value = field[1..].iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
        return i64::try_from(value).ok();
    }
    let digits = until_zero(field.trim_ascii_start()).trim_ascii_end();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"0000644 "), Some(0o644));
        assert_eq!(number(&[0; 8]), Some(0));
        assert_eq!(number(b"        "), Some(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(b"0000x44\0"), None);
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
