//! Deflate blocks: turning a complete deflate stream into a segment that others can follow.
//!
//! libdeflate compresses better and faster than encoders that can flush, but it always ends its stream. So the last
//! block's final bit is cleared, and an empty stored block brings the end to a byte boundary. Where that bit stands is
//! sought from the end; see `docs/decisions/segments.md` for what the ways to it cost.

mod codes;
mod scan;
mod seek;

pub use self::scan::scan;
pub use self::seek::seek;

/// The empty stored block on a byte boundary, and what decompresses to nothing in general.
pub const EMPTY_STORED: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// A final, stored block of one byte. It is appended to a segment to be decompressed: the byte arrives behind the
/// segment's own only if every one of its blocks was read and none was final.
pub const SENTINEL_BLOCK: [u8; 6] = [1, 1, 0, 0xfe, 0xff, SENTINEL];
/// That byte.
pub const SENTINEL: u8 = 0xa5;
/// The most that one stored block can hold.
const STORED_MAX: usize = 65_535;

/// Where a stream's last block begins and where its end-of-block code ends, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    final_bit: usize,
    end: usize,
}

/// Open the end of a complete deflate stream: its last block is not final any more, and it ends on a byte boundary.
pub fn open(stream: &mut Vec<u8>, last: Last) {
    stream[last.final_bit / 8] &= !(1 << (last.final_bit % 8));
    // What is left of the last byte after the end-of-block code is zeros; three of them are the empty stored block's
    // header, and where fewer than three are left, the header reaches into another byte.
    let used = last.end % 8;
    if used == 0 || used > 5 {
        stream.push(0);
    }
    stream.extend_from_slice(&EMPTY_STORED[1..]);
}

/// Take [`open()`] back, for a stream that had this length.
pub fn close(stream: &mut Vec<u8>, last: Last, length: usize) {
    stream.truncate(length);
    stream[last.final_bit / 8] |= 1 << (last.final_bit % 8);
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

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor, Decompressor};
    use proptest::prelude::*;

    fn compressed(raw: &[u8], level: i32) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut stream = vec![0; compressor.deflate_compress_bound(raw.len())];
        let length = compressor.deflate_compress(raw, &mut stream).unwrap();
        stream.truncate(length);
        stream
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    fn assert_follows(parts: &[(&[u8], i32)]) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (raw, level) in parts {
            let mut part = compressed(raw, *level);
            let last = scan(&part).unwrap();
            assert!(seek(&part).is_none_or(|found| found == last));
            open(&mut part, last);
            stream.extend(part);
            expected.extend_from_slice(raw);
        }
        stream.extend(SENTINEL_BLOCK);
        expected.push(SENTINEL);
        let mut out = vec![0; expected.len()];
        let length = Decompressor::new().deflate_decompress(&stream, &mut out).unwrap();
        assert_eq!((length, out == expected), (expected.len(), true));
    }

    #[test]
    fn segments_follow_each_other_at_every_level_and_kind_of_block() {
        let text = include_bytes!("blocks.rs");
        let (noise, zeros) = (noise(200_000), vec![0; 300_000]);
        for level in 0..=12 {
            assert_follows(&[(text, level), (b"", level), (b"a", level), (&noise, level), (&zeros, level)]);
        }
    }

    #[test]
    fn what_was_opened_is_closed_again() {
        let stream = compressed(include_bytes!("blocks.rs"), 6);
        let last = scan(&stream).unwrap();
        let mut again = stream.clone();
        open(&mut again, last);
        assert_ne!(again, stream);
        close(&mut again, last, stream.len());
        assert_eq!(again, stream);
    }

    #[test]
    fn the_last_block_of_text_is_found_from_the_end() {
        let text = include_bytes!("blocks.rs");
        let mixed = [&noise(70_000)[..], text, text].concat();
        for level in 1..=12 {
            for raw in [&text[..], &mixed] {
                let stream = compressed(raw, level);
                assert_eq!(seek(&stream), Some(scan(&stream).unwrap()), "level {level}");
            }
        }
    }

    #[test]
    fn what_looks_like_a_last_block_in_stored_bytes_is_not_the_last() {
        let stream = compressed(&[noise(1000), compressed(include_bytes!("blocks.rs"), 6)].concat(), 6);
        let (found, last) = (seek(&stream).unwrap(), scan(&stream).unwrap());
        assert_ne!(found, last);
    }

    #[test]
    fn stored_blocks_hold_anything() {
        for length in [0, 1, STORED_MAX - 1, STORED_MAX, STORED_MAX + 1, 3 * STORED_MAX] {
            let raw = vec![7; length];
            let mut stream = Vec::new();
            store(&raw, &mut stream);
            stream.extend(SENTINEL_BLOCK);
            let mut out = vec![0; length + 1];
            assert_eq!(Decompressor::new().deflate_decompress(&stream, &mut out).unwrap(), length + 1);
            assert_eq!(out[..length], raw);
        }
    }

    #[test]
    fn what_is_not_one_whole_stream_is_refused() {
        let stream = compressed(include_bytes!("blocks.rs"), 6);
        assert!(scan(&[&stream[..], &[0]].concat()).is_none());
        for cut in 0..stream.len() {
            assert!(scan(&stream[..cut]).is_none(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_follow(parts in prop::collection::vec((prop::collection::vec(0_u8..20, 0..5000), 1..12_i32), 1..4)) {
            let parts: Vec<_> = parts.iter().map(|(raw, level)| (raw.as_slice(), *level)).collect();
            assert_follows(&parts);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes);
            let _ = seek(&bytes);
        }
    }
}
