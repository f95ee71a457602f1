//! bzip2: the one place that calls it.

use std::io::Read;

use bzip2::bufread::BzDecoder;
use bzip2::{Action, Compress, Compression, Decompress, Status};

use crate::archive::stream::{Bytes, Part};
use crate::error::{Error, Result};

/// Whether it is in this build.
pub const BUILT: bool = true;

/// bzip2's own default for how long it tries before it takes the slower way with bytes that repeat a lot.
const WORK_FACTOR: u32 = 30;

/// Compresses segments, each to a bzip2 stream of its own: a file may have many.
pub struct Compressor {
    level: u8,
    checked: Vec<u8>,
}

impl Compressor {
    /// For blocks of so many times 100,000 bytes, 1 to 9.
    pub fn new(level: u8) -> Self {
        Self { level, checked: vec![0; 64 * 1024] }
    }

    /// Replace `stored` by the stream that decompresses to `raw`. It has been decompressed again and compared.
    ///
    /// # Errors
    /// If what comes out again is not what went in: a fault of memory or of bzip2, and never to be written.
    pub fn compress(&mut self, raw: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        let wrong = || {
            Error::failed("compress a segment: it did not come back as it was; check the machine's memory")
        };
        stored.clear();
        // What bzip2's manual says is enough.
        stored.reserve(raw.len() + raw.len() / 100 + 600);
        let mut compress = Compress::new(Compression::new(self.level.into()), WORK_FACTOR);
        loop {
            let rest = &raw[compress.total_in() as usize..];
            match compress.compress_vec(rest, stored, Action::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(_) => stored.reserve(64 * 1024),
                Err(_) => return Err(wrong()),
            }
        }
        // It has its 8 MB no longer than it needs them.
        drop(compress);
        self.comes_back(raw, stored).then_some(()).ok_or_else(wrong)
    }

    fn comes_back(&mut self, raw: &[u8], stored: &[u8]) -> bool {
        let mut decompress = Decompress::new(false);
        loop {
            let (read, made) = (decompress.total_in() as usize, decompress.total_out() as usize);
            let status = decompress.decompress(&stored[read..], &mut self.checked);
            let part = &self.checked[..decompress.total_out() as usize - made];
            if !raw[made..].starts_with(part) {
                return false;
            }
            let all = made + part.len() == raw.len();
            match status {
                Ok(Status::StreamEnd) => return all && decompress.total_in() == stored.len() as u64,
                Ok(_) if !part.is_empty() || decompress.total_in() as usize > read => {}
                _ => return false,
            }
        }
    }
}

/// A bzip2 stream among several in a file.
pub type Stream<R> = BzDecoder<Bytes<R>>;

impl<R: Read> Part for Stream<R> {
    type Source = R;
    const NAME: &'static str = "bzip2";

    fn new(bytes: Bytes<R>) -> Self {
        Self::new(bytes)
    }

    fn next(self) -> Self {
        Self::new(self.into_inner())
    }

    fn bytes(&self) -> &Bytes<R> {
        self.get_ref()
    }

    fn bytes_mut(&mut self) -> &mut Bytes<R> {
        self.get_mut()
    }

    fn begins(first: u8) -> bool {
        first == b'B'
    }
}
