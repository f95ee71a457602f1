//! What a file is, by its first bytes.

/// What a file is, by its first bytes, never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip members.
    Gzip,
    /// zstd frames.
    Zstd,
    /// bzip2 streams.
    Bzip2,
    /// A tar stream as it is.
    Tar,
    /// Nothing at all.
    Empty,
    /// Something that this version cannot read.
    Other(&'static str),
}

impl Format {
    /// The format of a file that begins so; 512 bytes tell, fewer where the file is shorter.
    pub fn of(start: &[u8]) -> Self {
        const KNOWN: [(&[u8], &str); 7] = [
            (b"\x1f\x9d", "compress (.Z)"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\x04\x22\x4d\x18", "lz4"),
            (b"age-encryption.org/", "encrypted with age"),
            (b"-----BEGIN AGE", "encrypted with age"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
        ];
        if start.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        // zstd's skippable frames have sixteen magic numbers.
        let skippable = start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
        if skippable || start.starts_with(b"\x28\xb5\x2f\xfd") {
            return Self::Zstd;
        }
        if is_bzip2(start) {
            return Self::Bzip2;
        }
        if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Self::Other(name);
        }
        if start.is_empty() { Self::Empty } else { Self::Tar }
    }
}

/// Three letters and a digit may begin the name of a file in a tar; what follows them here does not.
fn is_bzip2(start: &[u8]) -> bool {
    let Some((level, rest)) = start.strip_prefix(b"BZh").and_then(<[u8]>::split_first) else { return false };
    let block = [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];
    // A file that has been cut is still known.
    (b'1'..=b'9').contains(level) && block.iter().any(|block| rest.iter().zip(block).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        for (start, format) in [
            (&b""[..], Format::Empty),
            (b"\x1f\x8b\x08\x00", Format::Gzip),
            (b"\x28\xb5\x2f\xfd\x24", Format::Zstd),
            (b"\x54\x2a\x4d\x18\x02\0\0\0TK", Format::Zstd),
            (b"BZh91AY&SY\0", Format::Bzip2),
            (b"BZh1\x17\x72\x45\x38\x50\x90", Format::Bzip2),
            (b"BZh91A", Format::Bzip2),
            (b"BZh91 is a file", Format::Tar),
            (b"BZh0", Format::Tar),
            (b"BZhello", Format::Tar),
            (b"P*\x4d", Format::Tar),
            (b"data/", Format::Tar),
            (b"\x1f\x9d\x90", Format::Other("compress (.Z)")),
        ] {
            assert_eq!(Format::of(start), format, "{start:?}");
        }
    }
}
