//! zstd: the one place that calls it.

use std::io::{self, BufRead as _, Read};

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::archive::segment::sample;
use crate::archive::stream::{Bytes, Part};
use crate::error::{Error, Result};

/// Whether it is in this build.
pub const BUILT: bool = true;

/// A frame that is read as a stream may refer back so far: 128 MiB, and its reader needs so much memory. `zstd` itself
/// refuses more too, unless it is told otherwise. Our own frames refer back by no more than 2 MiB.
const WINDOW_LOG_MAX: u32 = 27;

/// Up to this level incompressible data goes through as fast as it can be sampled.
const FAST: u8 = 3;

/// Compresses segments, each to one frame that says its length and has a checksum.
pub struct Compressor {
    level: u8,
    context: CCtx<'static>,
    check: Decompressor,
    sample: Vec<u8>,
    checked: Vec<u8>,
}

impl Compressor {
    /// For this level, 1 to 19.
    pub fn new(level: u8) -> Self {
        let (sample, checked) = (Vec::new(), Vec::new());
        Self { level, context: CCtx::default(), check: Decompressor::new(), sample, checked }
    }

    /// Replace `stored` by the frame that decompresses to `raw`. It has been decompressed again and compared.
    ///
    /// # Errors
    /// If what comes out again is not what went in: a fault of memory or of zstd, and never to be written.
    pub fn compress(&mut self, raw: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        let failed = |code| Error::failed(format!("compress a segment: zstd: {}", get_error_name(code)));
        // What hardly compresses (photographs, video) is hardly worth trying at the slow levels.
        let pays = self.level <= FAST || !sample(raw, &mut self.sample) || {
            let length = self.frame(1, None, stored).map_err(failed)?;
            length < self.sample.len() / 100 * 97
        };
        self.frame(if pays { self.level } else { 1 }, Some(raw), stored).map_err(failed)?;
        if self.checked.len() < raw.len() {
            self.checked.resize(raw.len(), 0);
        }
        let checked = &mut self.checked[..raw.len()];
        if self.check.decompress(stored, checked) != Some(raw.len()) || checked != raw {
            return Err(Error::failed(
                "compress a segment: it did not come back as it was; check the machine's memory",
            ));
        }
        Ok(())
    }

    /// One frame with these bytes, or else the sample.
    fn frame(&mut self, level: u8, raw: Option<&[u8]>, stored: &mut Vec<u8>) -> Result<usize, usize> {
        // By themselves the slow levels take up to 32 MiB for the tables of a segment; these limits cost 1 to 3 % of size
        // there (docs/decisions/codecs.md). 0 leaves it to zstd.
        let (hash, chain) = match level {
            ..=6 => (0, 0),
            7..=12 => (19, 0),
            13.. => (18, 19),
        };
        let raw = raw.unwrap_or(&self.sample);
        let context = &mut self.context;
        context.set_parameter(CParameter::CompressionLevel(level.into()))?;
        context.set_parameter(CParameter::HashLog(hash))?;
        context.set_parameter(CParameter::ChainLog(chain))?;
        context.set_parameter(CParameter::ChecksumFlag(true))?;
        stored.clear();
        stored.reserve(zstd_safe::compress_bound(raw.len()));
        context.compress2(stored, raw)
    }
}

/// Decompresses segments.
pub struct Decompressor(DCtx<'static>);

impl Decompressor {
    /// Without anything in it yet.
    pub fn new() -> Self {
        Self(DCtx::default())
    }

    /// All of `stored`, which is whole frames, into `raw`: how many bytes that made.
    pub fn decompress(&mut self, stored: &[u8], raw: &mut [u8]) -> Option<usize> {
        self.0.decompress(raw, stored).ok()
    }
}

/// A frame of a stream, of data or skippable.
pub struct Frame<R> {
    bytes: Bytes<R>,
    context: DCtx<'static>,
    ended: bool,
}

impl<R: Read> Part for Frame<R> {
    type Source = R;
    const NAME: &'static str = "zstd";

    fn new(bytes: Bytes<R>) -> Self {
        let mut context = DCtx::default();
        let window = DParameter::WindowLogMax(WINDOW_LOG_MAX);
        context.set_parameter(window).expect("27 is a size that zstd knows");
        Self { bytes, context, ended: false }
    }

    fn next(mut self) -> Self {
        self.ended = false;
        self
    }

    fn bytes(&self) -> &Bytes<R> {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut Bytes<R> {
        &mut self.bytes
    }

    fn begins(first: u8) -> bool {
        Self::is_data(first) || first & 0xf0 == 0x50
    }

    fn is_data(first: u8) -> bool {
        first == 0x28
    }
}

impl<R: Read> Read for Frame<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed =
            |code| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {}", get_error_name(code)));
        let mut output = OutBuffer::around(buffer);
        while !self.ended && output.pos() == 0 {
            let bytes = self.bytes.fill_buf()?;
            let at_end = bytes.is_empty();
            let mut input = InBuffer::around(bytes);
            let left = self.context.decompress_stream(&mut output, &mut input).map_err(failed)?;
            let count = input.pos();
            self.bytes.consume(count);
            self.ended = left == 0;
            if at_end && !self.ended && output.pos() == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(output.pos())
    }
}
