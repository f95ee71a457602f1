//! The footer: the last member of an archive, and the way into its index.

use super::bytes::{Cursor, Malformed};
use super::envelope::{Envelope, PIECE};
use super::record::{Hash, hash};

/// So many bytes at the end of a file have the footer in them, whatever the envelope.
pub const FOOTER_LEN: u64 = 92;
const FOOTER_PAYLOAD: usize = 66;

/// The version of the format that is written, and the only one that is read.
const VERSION: u8 = 1;

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// What the archive is in.
    pub envelope: Envelope,
    /// Where the index members start, which is the length of all that stands before them.
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
        self.envelope.put_member(&mut member, b'F', &payload[1..]);
        member
    }

    /// Bytes of the footer member in this envelope.
    pub fn length(envelope: Envelope) -> u64 {
        (envelope.member_len() - PIECE + FOOTER_PAYLOAD - 1) as u64
    }

    /// Read the footer of a file of so many bytes in all, from the last [`FOOTER_LEN`] of them; everything it says is
    /// inside the file.
    ///
    /// # Errors
    /// If these do not end with exactly the bytes of a footer of this version, or they do not fit a file of this length.
    pub fn decode(tail: &[u8], file: u64) -> Result<Self, Malformed> {
        let mut wrong = Malformed("is too short for a footer");
        for envelope in Envelope::ALL {
            let start = usize::try_from(Self::length(envelope))
                .ok()
                .and_then(|length| tail.len().checked_sub(length));
            let Some(member) = start.map(|start| &tail[start..]) else { continue };
            match envelope.payload(member, b'F') {
                Ok(rest) => return Self::read(envelope, &[b"F", rest].concat(), file),
                Err(malformed) => wrong = malformed,
            }
        }
        Err(wrong)
    }

    fn read(envelope: Envelope, payload: &[u8], file: u64) -> Result<Self, Malformed> {
        if payload[50..] != hash(&payload[..50]) {
            return Err(Malformed("does not have the hash it says"));
        }
        let mut cursor = Cursor::new(&payload[1..]);
        if cursor.byte()? != VERSION {
            return Err(Malformed("is of a version of the format that this program does not know"));
        }
        let footer = Self {
            envelope,
            start: cursor.array().map(u64::from_le_bytes)?,
            length: cursor.array().map(u64::from_le_bytes)?,
            table: cursor.array().map(u64::from_le_bytes)?,
            stored: cursor.u32()?,
            raw: cursor.u32()?,
            hash: cursor.array()?,
        };
        let end = envelope
            .members_length(footer.length)
            .and_then(|members| members.checked_add(footer.start)?.checked_add(Self::length(envelope)));
        let table_end = footer.table.checked_add(u64::from(footer.stored));
        if end != Some(file)
            || table_end != Some(footer.length)
            || footer.start < envelope.start_len() + envelope.end_len()
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
        for (envelope, around) in [(Envelope::Gzip, 27), (Envelope::Zstd, 11)] {
            let footer = Footer {
                envelope,
                start: 100,
                length: 5000,
                table: 4900,
                stored: 100,
                raw: 300,
                hash: [7; 16],
            };
            let file = 100 + 5000 + 2 * around + Footer::length(envelope);
            let member = footer.encode();
            assert_eq!(member.len() as u64, Footer::length(envelope));
            assert!(member.len() as u64 <= FOOTER_LEN);
            let mut tail = vec![7; FOOTER_LEN as usize - member.len()];
            tail.extend_from_slice(&member);
            assert_eq!(Footer::decode(&tail, file), Ok(footer));
            assert!(Footer::decode(&tail, file + 1).is_err());
            assert!(Footer::decode(&member[1..], file).is_err());
            for bit in 0..member.len() * 8 {
                let mut flipped = member.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Footer::decode(&flipped, file).is_err(), "bit {bit}");
            }
        }
        assert_eq!(Footer::length(Envelope::Gzip), FOOTER_LEN);
    }
}
