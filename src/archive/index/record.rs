//! The records of the index, as `docs/format.md` describes them.

use serde::{Deserialize, Serialize};

use crate::entry::{Kind, Timestamp};
use crate::report::Report;

/// The first 16 bytes of a BLAKE3 hash: against damage, not against forgers.
pub type Hash = [u8; 16];

/// [`type@Hash`] of these bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    short(&blake3::hash(bytes))
}

/// The part of a whole hash that is kept.
pub fn short(whole: &blake3::Hash) -> Hash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole.as_bytes()[..16]);
    hash
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Some whole entries, and the hash of all their headers, one after the other.
    Group(Hash),
    /// The headers of one large file.
    Header,
    /// A part of that file's body.
    Piece,
    /// The end of the tar stream.
    End,
    /// Nothing.
    Padding,
}

/// One segment. Where it starts follows from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRecord {
    /// What it holds.
    pub kind: SegmentKind,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes of the tar stream.
    pub raw: u64,
    /// CRC-32 of the raw bytes.
    pub crc: u32,
    /// Hash of the raw bytes.
    pub raw_hash: Hash,
    /// Hash of the stored bytes.
    pub stored_hash: Hash,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRecord {
    /// As in the tar, without a slash at either end.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Bytes of the body as a file on disk, holes included.
    pub size: u64,
    /// When the body last changed.
    pub mtime: Timestamp,
    /// When anything about it last changed.
    pub ctime: Timestamp,
    /// Its number in its file system.
    pub inode: u64,
    /// The file system's number.
    pub device: u64,
    /// The number of the segment that its first header stands in.
    pub segment: u64,
    /// Where in that segment, decompressed, the first header starts.
    pub offset: u64,
    /// Bytes of all its headers; the body follows.
    pub headers: u64,
    /// Changed while it was read.
    pub changed: bool,
    /// Could not be read to its end: the rest is zeros.
    pub cut: bool,
    /// Where it is stored sparse: bytes of the body in the tar stream, map and data.
    pub sparse: Option<u64>,
}

impl EntryRecord {
    /// Bytes of the body in the tar stream, without padding.
    pub fn body(&self) -> u64 {
        self.sparse.unwrap_or(self.size)
    }
}

/// What the index says about the archive as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Name and version of what wrote it.
    pub tool: String,
    /// Name of the job.
    pub job: String,
    /// The paths that the job was told to archive, absolute, ascending: none in older archives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// When the run began, RFC 3339 with offset.
    pub instant: String,
    /// IANA name of the zone that the archive's name was made in.
    pub zone: String,
    /// When the scan of the source began, RFC 3339.
    pub began: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// Codec and level, `gzip:6`.
    pub codec: String,
    /// When the last run began that read everything, RFC 3339 with offset: in archives that were built on others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// Which start of the machine the scan was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// What came of it.
    pub report: Report,
}
