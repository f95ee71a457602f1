//! Where things stand in the file: the first member's header, the index members, the footer.

use super::bytes::{Cursor, Malformed};
use super::record::{Hash, hash};

/// The first bytes of an archive: a gzip header with an empty `TK` subfield.
pub const START: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 4, 0, b'T', b'K', 0, 0];

/// Bytes of [`START`]; the first segment begins behind it.
pub const HEADER_LEN: u64 = START.len() as u64;

/// What follows the last segment: the final, empty deflate block, then CRC-32 and ISIZE.
pub const TRAILER_LEN: u64 = 10;

/// Bytes of the index in each index member but the last. With the rest of the member it stays below the 16 KiB of an
/// extra field that busybox takes, and igzip is content with many of them.
pub(crate) const PIECE: usize = 4064;

/// Bytes of an index member that carries a whole piece.
pub(crate) const MEMBER_LEN: usize = FRONT + PIECE + BACK;

/// Bytes of an index member in front of its piece of the index, and behind it.
const FRONT: usize = 17;
const BACK: usize = 10;

/// Bytes of the footer member, the last of every archive.
pub const FOOTER_LEN: u64 = (FOOTER_PAYLOAD + 26) as u64;
const FOOTER_PAYLOAD: usize = 66;

/// The version of the format that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the index members start, which is the length of member 1.
    pub start: u64,
    /// Bytes of the index.
    pub length: u64,
    /// Where in the index the table of pages starts; it is the last thing in it.
    pub table: u64,
    /// Stored bytes of the table.
    pub stored: u32,
    /// Bytes of the table, decompressed.
    pub raw: u32,
    /// Hash of the table's stored bytes.
    pub hash: Hash,
}

/// An empty gzip member that carries this payload, given in two parts, in its extra field.
fn put_member(out: &mut Vec<u8>, letter: u8, rest: &[u8]) {
    let payload = u16::try_from(rest.len() + 1).expect("pieces and the footer are short");
    out.extend_from_slice(&START[..10]);
    out.extend_from_slice(&(payload + 4).to_le_bytes());
    out.extend_from_slice(b"TK");
    out.extend_from_slice(&payload.to_le_bytes());
    out.push(letter);
    out.extend_from_slice(rest);
    out.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// The payload, behind its letter, of a member that holds nothing else, byte by byte as [`put_member`] writes it.
fn member_payload(member: &[u8], letter: u8) -> Result<&[u8], Malformed> {
    let wrong = Malformed("is not an empty member with a TK subfield");
    let length = member.len().checked_sub(FRONT + BACK).ok_or(wrong)?;
    let payload = u16::try_from(length + 1).map_err(|_| wrong)?;
    let front = member.first_chunk::<FRONT>().ok_or(wrong)?;
    let mut expected = [0; FRONT];
    expected[..10].copy_from_slice(&START[..10]);
    expected[10..12].copy_from_slice(&payload.checked_add(4).ok_or(wrong)?.to_le_bytes());
    expected[12..14].copy_from_slice(b"TK");
    expected[14..16].copy_from_slice(&payload.to_le_bytes());
    expected[16] = letter;
    if *front != expected || member[FRONT + length..] != [3, 0, 0, 0, 0, 0, 0, 0, 0, 0] {
        return Err(wrong);
    }
    Ok(&member[FRONT..FRONT + length])
}

/// Append one index member with this piece of the index.
pub(super) fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    debug_assert!((1..=PIECE).contains(&piece.len()), "a piece is never empty and never longer");
    put_member(out, b'I', piece);
}

/// The piece of the index in this index member.
pub(crate) fn piece(member: &[u8]) -> Result<&[u8], Malformed> {
    member_payload(member, b'I')
}

/// Where byte `at` of the index stands, counted from the first index member.
pub(crate) fn position(at: u64) -> Option<u64> {
    let piece = PIECE as u64;
    (at / piece).checked_mul(piece + (FRONT + BACK) as u64)?.checked_add(FRONT as u64 + at % piece)
}

/// Bytes of all index members of an index of this length.
pub(crate) fn members_length(length: u64) -> Option<u64> {
    length.checked_add(length.div_ceil(PIECE as u64).checked_mul((FRONT + BACK) as u64)?)
}

impl Footer {
    /// The footer member.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = vec![b'F', VERSION];
        payload.extend_from_slice(&self.start.to_le_bytes());
        payload.extend_from_slice(&self.length.to_le_bytes());
        payload.extend_from_slice(&self.table.to_le_bytes());
        payload.extend_from_slice(&self.stored.to_le_bytes());
        payload.extend_from_slice(&self.raw.to_le_bytes());
        payload.extend_from_slice(&self.hash);
        let check = hash(&payload);
        payload.extend_from_slice(&check);
        debug_assert_eq!(payload.len(), FOOTER_PAYLOAD, "docs/format.md");
        let mut member = Vec::with_capacity(FOOTER_LEN as usize);
        put_member(&mut member, b'F', &payload[1..]);
        member
    }

    /// Read the footer member of a file of so many bytes in all; everything it says is inside the file.
    ///
    /// # Errors
    /// If these are not exactly the bytes of a footer of this version, or they do not fit a file of this length.
    pub fn decode(member: &[u8], file: u64) -> Result<Self, Malformed> {
        if member.len() as u64 != FOOTER_LEN {
            return Err(Malformed("is too short for a footer"));
        }
        let payload = &member[FRONT - 1..FRONT - 1 + FOOTER_PAYLOAD];
        member_payload(member, b'F')?;
        if payload[50..] != hash(&payload[..50]) {
            return Err(Malformed("does not have the hash it says"));
        }
        let mut cursor = Cursor::new(&payload[1..]);
        if cursor.byte()? != VERSION {
            return Err(Malformed("is of a version of the format that this program does not know"));
        }
        let footer = Self {
            start: cursor.array().map(u64::from_le_bytes)?,
            length: cursor.array().map(u64::from_le_bytes)?,
            table: cursor.array().map(u64::from_le_bytes)?,
            stored: cursor.u32()?,
            raw: cursor.u32()?,
            hash: cursor.array()?,
        };
        let end = members_length(footer.length)
            .and_then(|members| members.checked_add(footer.start)?.checked_add(FOOTER_LEN));
        let table_end = footer.table.checked_add(u64::from(footer.stored));
        if end != Some(file)
            || table_end != Some(footer.length)
            || footer.start < HEADER_LEN + TRAILER_LEN
            || footer.stored == 0
        {
            return Err(Malformed("does not fit the length of the file"));
        }
        Ok(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_round_trips_and_every_flipped_bit_is_found() {
        let footer = Footer { start: 100, length: 5000, table: 4900, stored: 100, raw: 300, hash: [7; 16] };
        let file = 100 + 5000 + 2 * 27 + FOOTER_LEN;
        let member = footer.encode();
        assert_eq!(member.len() as u64, FOOTER_LEN);
        assert_eq!(Footer::decode(&member, file), Ok(footer));
        assert!(Footer::decode(&member, file + 1).is_err());
        for bit in 0..member.len() * 8 {
            let mut flipped = member.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&flipped, file).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn bytes_of_the_index_stand_where_the_format_says() {
        for at in [0_u64, 1, 4063, 4064, 4065, 1 << 40] {
            assert_eq!(position(at), Some(at / 4064 * 4091 + 17 + at % 4064));
        }
        assert_eq!(position(u64::MAX), None);
        assert_eq!(members_length(u64::MAX), None);
        assert_eq!(members_length(4064), Some(4091));
        assert_eq!(members_length(4065), Some(4065 + 54));
    }
}
