//! One segment, read and checked.

use std::fmt;
use std::io;

use libdeflater::Decompressor;

use crate::archive::blocks::{SENTINEL, SENTINEL_BLOCK};
use crate::archive::codec::zstd;
use crate::archive::index::{Envelope, SegmentRecord, hash};
use crate::archive::segment::room;
use crate::archive::store::Store;
use crate::error::cause_text;

/// Bytes that a segment decompresses to at most; a reader refuses more before it allocates.
pub(super) const SEGMENT_MAX: u64 = 64 << 20;

/// A segment and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number, from 0.
    pub number: u64,
    /// Where it starts in the file.
    pub offset: u64,
    /// Where it starts in the tar stream.
    pub raw_offset: u64,
    /// What the index says about it.
    pub record: SegmentRecord,
    /// What the archive is in.
    pub envelope: Envelope,
}

/// What is wrong with a segment.
#[derive(Debug)]
pub enum Fault {
    /// It could not be read.
    Read(io::Error),
    /// It was encrypted, and its encrypted bytes are not those that were written.
    Undecrypted,
    /// Its stored bytes are not those that were written.
    StoredHash,
    /// Its stored bytes do not end as a segment ends.
    End,
    /// Its stored bytes do not decompress to the length that the index says.
    Inflate,
    /// It decompresses to other bytes than those that were compressed.
    RawHash,
    /// Its CRC-32 is not the one that the index says.
    Crc,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) => write!(f, "cannot be read: {}", cause_text(e)),
            Self::Undecrypted => f.write_str("cannot be decrypted: its encrypted bytes are damaged"),
            Self::StoredHash => f.write_str("hash of the stored bytes differs"),
            Self::End => f.write_str("does not end on a byte boundary with an empty block"),
            Self::Inflate => f.write_str("cannot be decompressed to its length"),
            Self::RawHash => f.write_str("hash of the decompressed bytes differs"),
            Self::Crc => f.write_str("CRC-32 differs"),
        }
    }
}

/// Reads segments, with buffers that are used again.
pub struct Decoder {
    deflate: Decompressor,
    zstd: Option<zstd::Decompressor>,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Without buffers yet.
    pub fn new() -> Self {
        Self { deflate: Decompressor::new(), zstd: None, stored: Vec::new(), raw: Vec::new() }
    }

    /// The stored bytes of a segment, checked against their hash.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn stored(&mut self, store: &Store, segment: &Segment) -> Result<&[u8], Fault> {
        let length = segment.record.stored as usize;
        let stored = room(&mut self.stored, length + SENTINEL_BLOCK.len());
        stored[length..].copy_from_slice(&SENTINEL_BLOCK);
        let stored = &mut stored[..length];
        store.read_exact_at(stored, segment.offset).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => Fault::Undecrypted,
            _ => Fault::Read(e),
        })?;
        if hash(stored) != segment.record.stored_hash {
            return Err(Fault::StoredHash);
        }
        Ok(stored)
    }

    /// The decompressed bytes of a segment, checked against all that the index says about them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&mut self, store: &Store, segment: &Segment) -> Result<&[u8], Fault> {
        let ends = self.stored(store, segment)?.ends_with(&[0, 0, 0xff, 0xff]);
        let (stored, length) = (segment.record.stored as usize, segment.record.raw as usize);
        let out = room(&mut self.raw, length + 1);
        match segment.envelope {
            Envelope::Gzip if !ends => return Err(Fault::End),
            Envelope::Gzip => {
                match self.deflate.deflate_decompress(&self.stored[..stored + SENTINEL_BLOCK.len()], out) {
                    Ok(count) if count == length + 1 && out[length] == SENTINEL => {}
                    _ => return Err(Fault::Inflate),
                }
            }
            Envelope::Zstd => {
                let zstd = self.zstd.get_or_insert_with(zstd::Decompressor::new);
                if zstd.decompress(&self.stored[..stored], &mut out[..length]) != Some(length) {
                    return Err(Fault::Inflate);
                }
            }
        }
        let raw = &self.raw[..length];
        if hash(raw) != segment.record.raw_hash {
            return Err(Fault::RawHash);
        }
        if crc32fast::hash(raw) != segment.record.crc {
            return Err(Fault::Crc);
        }
        Ok(raw)
    }
}
