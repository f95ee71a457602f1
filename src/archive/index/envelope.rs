//! What stands around segments and index: gzip members or zstd frames. Nothing else about an archive depends on which.

use super::bytes::Malformed;

/// Bytes of the index in each index member but the last. With the rest of the member it stays below the 16 KiB of an
/// extra field that busybox takes. igzip errs about a header that lies across two of its reads of 1 MiB
/// (`docs/readers.md`). Members of 4,096 bytes behind padding would keep clear of those, but readers go by this number.
pub(crate) const PIECE: usize = 4064;

/// A gzip header with an empty `TK` subfield.
const GZIP_START: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 4, 0, b'T', b'K', 0, 0];

/// An empty body, its CRC-32 and its length.
const GZIP_BACK: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An empty frame, since some programs know zstd only by a frame of data, and a skippable one that holds `TK`.
const ZSTD_START: [u8; 19] =
    [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0, 0x54, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, b'T', b'K'];

/// Where the skippable frame begins in [`ZSTD_START`]; those of the index begin with the same four bytes.
const ZSTD_SKIPPABLE: usize = 9;

/// The container of an archive with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// One gzip member with all of the data, then empty ones with the index.
    Gzip,
    /// A zstd frame for each segment, then skippable ones with the index.
    Zstd,
}

impl Envelope {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// Bytes of the longest [`Envelope::start`].
    pub const START_MAX: u64 = ZSTD_START.len() as u64;

    /// The first bytes of an archive. The first segment begins behind them.
    pub fn start(self) -> &'static [u8] {
        match self {
            Self::Gzip => &GZIP_START,
            Self::Zstd => &ZSTD_START,
        }
    }

    /// Which one a file is in that begins so, if it is an archive with an index.
    pub fn of(start: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|envelope| start.starts_with(envelope.start()))
    }

    /// Bytes of [`Envelope::start`].
    pub fn start_len(self) -> u64 {
        self.start().len() as u64
    }

    /// What closes the data, behind the last segment. In gzip the final, empty deflate block, CRC-32 and ISIZE; each
    /// frame of zstd has its own.
    pub fn end(self, crc: u32, raw: u64) -> Vec<u8> {
        match self {
            Self::Gzip => [&[3, 0][..], &crc.to_le_bytes(), &(raw as u32).to_le_bytes()].concat(),
            Self::Zstd => Vec::new(),
        }
    }

    /// Bytes of [`Envelope::end`].
    pub fn end_len(self) -> u64 {
        match self {
            Self::Gzip => 10,
            Self::Zstd => 0,
        }
    }

    /// How many times its length a segment decompresses to at most: zlib's technical notes; a block of zstd that repeats
    /// one byte 128 Ki times has four.
    pub(crate) fn ratio(self) -> u64 {
        match self {
            Self::Gzip => 1032,
            Self::Zstd => 32 * 1024,
        }
    }

    /// Bytes of an index member in front of its piece of the index, and behind it.
    const fn around_len(self) -> (usize, usize) {
        match self {
            Self::Gzip => (17, GZIP_BACK.len()),
            Self::Zstd => (11, 0),
        }
    }

    /// Bytes of an index member that carries a whole piece.
    pub(crate) fn member_len(self) -> usize {
        let (front, back) = self.around_len();
        front + PIECE + back
    }

    /// What stands in front of a payload of so many bytes behind its letter, and behind it.
    fn around(self, letter: u8, rest: usize) -> Option<(Vec<u8>, &'static [u8])> {
        match self {
            Self::Gzip => {
                let payload = u16::try_from(rest + 1).ok()?;
                let field = payload.checked_add(4)?.to_le_bytes();
                let front = [&GZIP_START[..10], &field, b"TK", &payload.to_le_bytes(), &[letter]].concat();
                Some((front, &GZIP_BACK))
            }
            Self::Zstd => {
                let payload = u32::try_from(rest + 3).ok()?.to_le_bytes();
                let magic = &ZSTD_START[ZSTD_SKIPPABLE..ZSTD_SKIPPABLE + 4];
                Some(([magic, &payload, b"TK", &[letter]].concat(), &[]))
            }
        }
    }

    /// Append an empty member that carries this payload behind its letter.
    pub(super) fn put_member(self, out: &mut Vec<u8>, letter: u8, rest: &[u8]) {
        let (front, back) = self.around(letter, rest.len()).expect("pieces and the footer are short");
        out.extend_from_slice(&front);
        out.extend_from_slice(rest);
        out.extend_from_slice(back);
    }

    /// The payload, behind its letter, of a member that holds nothing else, byte by byte as it is written.
    pub(super) fn payload(self, member: &[u8], letter: u8) -> Result<&[u8], Malformed> {
        let wrong = Malformed("is not an empty member that is marked with TK");
        let (front, back) = self.around_len();
        let rest = member.len().checked_sub(front + back).ok_or(wrong)?;
        let (front, back) = self.around(letter, rest).ok_or(wrong)?;
        member.strip_prefix(&front[..]).and_then(|member| member.strip_suffix(back)).ok_or(wrong)
    }

    /// Append one index member with this piece of the index, of 1 to 4,064 bytes.
    pub fn put_piece(self, out: &mut Vec<u8>, piece: &[u8]) {
        debug_assert!((1..=PIECE).contains(&piece.len()), "a piece is never empty and never longer");
        self.put_member(out, b'I', piece);
    }

    /// The piece of the index in this index member.
    pub(crate) fn piece(self, member: &[u8]) -> Result<&[u8], Malformed> {
        self.payload(member, b'I')
    }

    /// Where byte `at` of the index stands, counted from the first index member.
    pub(crate) fn position(self, at: u64) -> Option<u64> {
        let piece = PIECE as u64;
        let front = self.around_len().0 as u64;
        (at / piece).checked_mul(self.member_len() as u64)?.checked_add(front + at % piece)
    }

    /// Bytes of all index members of an index of this length.
    pub(crate) fn members_length(self, length: u64) -> Option<u64> {
        let around = (self.member_len() - PIECE) as u64;
        length.checked_add(length.div_ceil(PIECE as u64).checked_mul(around)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_index_stand_where_the_format_says() {
        for at in [0_u64, 1, 4063, 4064, 4065, 1 << 40] {
            assert_eq!(Envelope::Gzip.position(at), Some(at / 4064 * 4091 + 17 + at % 4064));
            assert_eq!(Envelope::Zstd.position(at), Some(at / 4064 * 4075 + 11 + at % 4064));
        }
        assert_eq!(Envelope::Gzip.position(u64::MAX), None);
        assert_eq!(Envelope::Gzip.members_length(u64::MAX), None);
        assert_eq!(Envelope::Gzip.members_length(4064), Some(4091));
        assert_eq!(Envelope::Gzip.members_length(4065), Some(4065 + 54));
        assert_eq!(Envelope::Zstd.members_length(4065), Some(4065 + 22));
    }

    #[test]
    fn a_member_is_as_long_as_it_is_said_to_be_and_reads_back() {
        for envelope in Envelope::ALL {
            assert_eq!(envelope.end(1, 2).len() as u64, envelope.end_len());
            assert_eq!(Envelope::of(envelope.start()), Some(envelope));
            for length in [1, 100, PIECE] {
                let piece = vec![7; length];
                let mut member = Vec::new();
                envelope.put_piece(&mut member, &piece);
                assert_eq!(Some(member.len() as u64), envelope.members_length(length as u64));
                assert_eq!(envelope.piece(&member), Ok(&piece[..]));
                for at in (0..member.len()).filter(|at| member[*at] != 7) {
                    let mut flipped = member.clone();
                    flipped[at] ^= 1;
                    assert!(envelope.piece(&flipped).is_err(), "{envelope:?} {length} {at}");
                }
            }
        }
    }
}
