//! One segment: raw bytes in, deflate blocks out that stand alone and that others can follow.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::blocks;
use super::codec::{Codec, bzip2, zstd};
use crate::error::{Error, Result};

/// Segments from this size up are sampled before they are compressed.
const SAMPLED: usize = 32 * 1024;
/// How many samples are taken, and of how many bytes each.
const SAMPLES: usize = 4;
const SAMPLE: usize = 4096;
/// Bits of information in a byte, by how often each value occurs, from which on samples are compressed to know. Below it
/// a Huffman code alone saves more than what makes storing worth it.
const DENSE: f32 = 7.5;
/// From here on only what repeats could be saved, and half of the samples show it as well.
const NOISE: f32 = 7.9;
/// Below this much information in a byte, as in the pages of databases, a higher level takes hardly longer.
const SPARSE: f32 = 3.5;

/// Compresses segments; each thread has one.
pub struct Deflater {
    compressor: Compressor,
    /// At the default level, for groups and for pieces that are not [`SPARSE`].
    faster: Option<[Compressor; 2]>,
    sampler: Compressor,
    check: Decompressor,
    sample: Vec<u8>,
    /// Room to compress and decompress into, never cleared.
    scratch: Vec<u8>,
}

/// What a segment holds decides about the level it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Many small entries.
    Group,
    /// Part of one large body.
    Piece,
}

impl Deflater {
    /// For this level, 1 to 12.
    pub fn new(level: u8) -> Self {
        let compressor = |level: u8| {
            let level = CompressionLvl::new(i32::from(level)).unwrap_or_default();
            Compressor::new(level)
        };
        // At the default level time goes where it saves most (docs/decisions/segments.md).
        let faster = (level == 6).then(|| [4, 5].map(compressor));
        Self {
            compressor: compressor(level),
            faster,
            sampler: compressor(1),
            check: Decompressor::new(),
            sample: Vec::with_capacity(SAMPLES * SAMPLE),
            scratch: Vec::new(),
        }
    }

    /// Replace `stored` by the segment that decompresses to `raw`. It has been decompressed again and compared.
    ///
    /// # Errors
    /// If what comes out again is not what went in: a fault of memory or of a compressor, and never to be written.
    pub fn deflate(&mut self, shape: Shape, raw: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        stored.clear();
        let entropy = sample(raw, &mut self.sample).then(|| entropy(&self.sample));
        if entropy.is_some_and(|entropy| entropy >= DENSE && self.would_not_pay(entropy)) {
            blocks::store(raw, stored);
            return Ok(());
        }
        let is_sparse = entropy.is_some_and(|entropy| entropy < SPARSE);
        let compressor = match (&mut self.faster, shape) {
            (Some([group, _]), Shape::Group) if !is_sparse => group,
            (Some([_, piece]), Shape::Piece) if !is_sparse => piece,
            _ => &mut self.compressor,
        };
        let wrong = || {
            Error::failed("compress a segment: it did not come back as it was; check the machine's memory")
        };
        let out = room(&mut self.scratch, compressor.deflate_compress_bound(raw.len()));
        let length = compressor.deflate_compress(raw, out).map_err(|_| wrong())?;
        if length + blocks::EMPTY_STORED.len() > raw.len() {
            blocks::store(raw, stored);
            return Ok(());
        }
        // For what comes behind it, too, so that nothing is moved.
        stored.reserve(length + 16);
        stored.extend_from_slice(&out[..length]);
        self.open_end(raw, stored).ok_or_else(wrong)
    }

    /// Make a complete stream one that others can follow, and that decompresses to `raw`.
    fn open_end(&mut self, raw: &[u8], stored: &mut Vec<u8>) -> Option<()> {
        let length = stored.len();
        let found = blocks::seek(stored);
        if let Some(found) = found {
            blocks::open(stored, found);
            if self.comes_back(raw, stored) {
                return Some(());
            }
            blocks::close(stored, found, length);
        }
        // What a file holds may look like a last block.
        let last = blocks::scan(stored).filter(|last| Some(*last) != found)?;
        blocks::open(stored, last);
        self.comes_back(raw, stored).then_some(())
    }

    fn comes_back(&mut self, raw: &[u8], stored: &mut Vec<u8>) -> bool {
        let out = room(&mut self.scratch, raw.len() + 1);
        stored.extend_from_slice(&blocks::SENTINEL_BLOCK);
        let length = self.check.deflate_decompress(stored, out);
        stored.truncate(stored.len() - blocks::SENTINEL_BLOCK.len());
        length == Ok(raw.len() + 1) && out[..raw.len()] == *raw && out[raw.len()] == blocks::SENTINEL
    }

    /// Whether the sample, of this entropy, hardly compresses: photographs, video, archives.
    fn would_not_pay(&mut self, entropy: f32) -> bool {
        if entropy >= NOISE {
            self.sample.truncate(SAMPLES * SAMPLE / 2);
        }
        let out = room(&mut self.scratch, self.sampler.deflate_compress_bound(self.sample.len()));
        let length = self.sampler.deflate_compress(&self.sample, out);
        length.is_ok_and(|length| length >= self.sample.len() / 100 * 97)
    }
}

/// The beginning of a buffer that is never cleared: what is asked for is written over.
pub(super) fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        *buffer = vec![0; length];
    }
    &mut buffer[..length]
}

/// Take a sample of these bytes, unless they are too few.
pub(super) fn sample(raw: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if raw.len() < SAMPLED {
        return false;
    }
    let step = (raw.len() - SAMPLE) / (SAMPLES - 1);
    for at in (0..SAMPLES).map(|n| n * step) {
        out.extend_from_slice(&raw[at..at + SAMPLE]);
    }
    true
}

/// Bits of information in each byte, by how often each value occurs.
fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let all = bytes.len() as f32;
    counts.iter().filter(|count| **count > 0).map(|count| *count as f32 / all).map(|p| -p * p.log2()).sum()
}

/// How a codec turns a segment's raw bytes into stored ones.
pub enum Encoder {
    /// Through deflate.
    Deflate(Box<Deflater>),
    /// To a zstd frame.
    Zstd(Box<zstd::Compressor>),
    /// To a bzip2 stream.
    Bzip2(bzip2::Compressor),
    /// As they are.
    Plain,
}

impl Encoder {
    /// For this codec.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Gzip(level) => Self::Deflate(Box::new(Deflater::new(level))),
            Codec::Zstd(level) => Self::Zstd(Box::new(zstd::Compressor::new(level))),
            Codec::Bzip2 => Self::Bzip2(bzip2::Compressor::new(9)),
            Codec::None => Self::Plain,
        }
    }

    /// Replace `stored` by what goes into the file for `raw`.
    ///
    /// # Errors
    /// If what comes out again is not what went in.
    pub fn encode(&mut self, shape: Shape, raw: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Deflate(deflater) => deflater.deflate(shape, raw, stored),
            Self::Zstd(compressor) => compressor.compress(raw, stored),
            Self::Bzip2(compressor) => compressor.compress(raw, stored),
            Self::Plain => {
                stored.clear();
                stored.extend_from_slice(raw);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn noise_is_stored_and_text_is_not() {
        let mut deflater = Deflater::new(6);
        let mut stored = Vec::new();
        let noise = noise(256 * 1024);
        deflater.deflate(Shape::Piece, &noise, &mut stored).unwrap();
        assert!(stored.len() > noise.len() && stored.len() < noise.len() + 64);
        let text = include_bytes!("segment.rs").repeat(40);
        deflater.deflate(Shape::Group, &text, &mut stored).unwrap();
        assert!(stored.len() < text.len() / 10);
    }

    #[test]
    fn what_only_grows_is_stored() {
        let mut stored = Vec::new();
        Deflater::new(12).deflate(Shape::Piece, &noise(1000), &mut stored).unwrap();
        assert_eq!(stored.len(), 1000 + 5 + 5);
    }
    fn compressed(level: i32, raw: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(raw.len())];
        let length = compressor.deflate_compress(raw, &mut out).unwrap();
        out.truncate(length);
        out
    }

    #[test]
    fn a_file_that_ends_as_a_stream_does_is_not_taken_for_the_end() {
        let text = include_bytes!("segment.rs");
        let raw = [&b"text ".repeat(20_000), &noise(60_000)[..], &compressed(12, text)].concat();
        let level = 7;
        let stream = compressed(i32::from(level), &raw);
        assert_ne!(blocks::seek(&stream), blocks::scan(&stream), "it is not, and this shows nothing");
        let mut stored = Vec::new();
        Deflater::new(level).deflate(Shape::Group, &raw, &mut stored).unwrap();
        assert!(stored.len() < stream.len() + 8, "the stream, opened");
        stored.extend(blocks::SENTINEL_BLOCK);
        let mut out = vec![0; raw.len() + 1];
        assert_eq!(Decompressor::new().deflate_decompress(&stored, &mut out), Ok(raw.len() + 1));
        assert_eq!(out[..raw.len()], raw);
    }
}
