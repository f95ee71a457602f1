//! Bytes that decompress to nothing, of every length from [`LEAST`] up: what comes behind them starts where it is wanted.

use super::blocks::EMPTY_STORED;
use super::index::{Envelope, SegmentKind, SegmentRecord, hash};

/// From here on there is padding of every length: for deflate, every number from 20 up is made of fives and sixes.
pub const LEAST: u64 = 20;

/// An empty block with fixed codes, and an empty stored one behind it.
const EMPTY_FIXED: [u8; 6] = [2, 0, 0, 0, 0xff, 0xff];

/// The magic number of a zstd frame (RFC 8878, 3.1.1).
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// An empty raw block, three bytes with its header, and the same as the last of its frame.
const EMPTY_RAW: [u8; 3] = [0, 0, 0];
const EMPTY_LAST: [u8; 3] = [1, 0, 0];
/// The low half of XXH64 of nothing.
const CHECKSUM: [u8; 4] = [0x99, 0xe9, 0xd8, 0x51];

/// Padding of this length, at least [`LEAST`]; of one length it is always the same.
pub fn padding(envelope: Envelope, length: u64) -> Vec<u8> {
    debug_assert!(length >= LEAST, "{length}");
    let length = length as usize;
    match envelope {
        Envelope::Gzip => {
            let sixes = length % 5;
            let mut padding = EMPTY_FIXED.repeat(sixes);
            padding.extend(EMPTY_STORED.repeat((length - 6 * sixes) / 5));
            padding
        }
        Envelope::Zstd => {
            // One frame of data: skippable ones are where a reader of a stream takes the index to begin. Blocks have three
            // bytes; what is left over goes into the header and behind the blocks. The descriptor says how long the
            // content is, in one byte or in eight, and whether there is a checksum.
            let (descriptor, content, checksum): (u8, usize, &[u8]) = match length % 3 {
                0 => (0x20, 1, &[]),
                1 => (0x24, 1, &CHECKSUM),
                _ => (0xe4, 8, &CHECKSUM),
            };
            let mut padding = FRAME.to_vec();
            padding.push(descriptor);
            padding.resize(padding.len() + content, 0);
            let blocks = (length - padding.len() - checksum.len()) / EMPTY_RAW.len();
            padding.extend(EMPTY_RAW.repeat(blocks - 1));
            padding.extend(EMPTY_LAST);
            padding.extend(checksum);
            padding
        }
    }
}

/// What the index says about such padding.
pub fn record(padding: &[u8]) -> SegmentRecord {
    SegmentRecord {
        kind: SegmentKind::Padding,
        stored: padding.len() as u64,
        raw: 0,
        crc: 0,
        raw_hash: hash(&[]),
        stored_hash: hash(padding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::codec::zstd;

    #[test]
    fn padding_of_every_length_decompresses_to_nothing() {
        for length in LEAST..5000 {
            let mut gzip = padding(Envelope::Gzip, length);
            assert_eq!(gzip.len() as u64, length);
            assert!(gzip.ends_with(&[0, 0, 0xff, 0xff]), "{length}");
            // Behind all of its blocks, and not before, comes what stands there.
            gzip.extend([1, 1, 0, 0xfe, 0xff, 7]);
            let mut out = [0; 2];
            let inflated = libdeflater::Decompressor::new().deflate_decompress(&gzip, &mut out);
            assert_eq!((inflated, out[0]), (Ok(1), 7), "{length}");

            let frame = padding(Envelope::Zstd, length);
            assert_eq!(frame.len() as u64, length);
            if zstd::BUILT {
                assert_eq!(zstd::Decompressor::new().decompress(&frame, &mut []), Some(0), "{length}");
            }
        }
    }
}
