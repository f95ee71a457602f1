//! What stands in the place of a codec that was left out of the build: nothing can be done with it, and it says so.
#![allow(
    dead_code,
    clippy::unused_self,
    clippy::needless_pass_by_ref_mut,
    reason = "it looks like a real one"
)]

use std::io::{self, Read};

use crate::archive::stream::{Bytes, Part};
use crate::error::{Error, Result};

/// Whether it is in this build.
pub const BUILT: bool = false;

const WITHOUT: &str = "this tarkeep was built without that codec";

/// Compresses nothing.
pub struct Compressor;

impl Compressor {
    pub fn new(_level: u8) -> Self {
        Self
    }

    pub fn compress(&mut self, _raw: &[u8], _stored: &mut Vec<u8>) -> Result<()> {
        Err(Error::failed(WITHOUT))
    }
}

/// Decompresses nothing.
pub struct Decompressor;

impl Decompressor {
    pub fn new() -> Self {
        Self
    }

    pub fn decompress(&mut self, _stored: &[u8], _raw: &mut [u8]) -> Option<usize> {
        None
    }
}

/// Reads nothing.
pub struct Frame<R>(Bytes<R>);

/// The same, under bzip2's name.
pub type Stream<R> = Frame<R>;

impl<R: Read> Part for Frame<R> {
    type Source = R;
    const NAME: &'static str = "known here";

    fn new(bytes: Bytes<R>) -> Self {
        Self(bytes)
    }

    fn next(self) -> Self {
        self
    }

    fn bytes(&self) -> &Bytes<R> {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut Bytes<R> {
        &mut self.0
    }

    fn begins(_first: u8) -> bool {
        false
    }
}

impl<R: Read> Read for Frame<R> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(WITHOUT))
    }
}
