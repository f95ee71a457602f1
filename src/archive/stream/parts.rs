//! From the bytes of a compressed file to what is in it: gzip members, zstd frames or bzip2 streams, one after the other.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

/// The bytes of a file, with their position.
pub type Bytes<R> = BufReader<Counted<R>>;

/// One part of a compressed file: a gzip member, a zstd frame, a bzip2 stream. Reading ends behind it.
pub trait Part: Read + Sized {
    /// What the file is read from.
    type Source: Read;

    /// What it is called.
    const NAME: &'static str;

    /// The first one.
    fn new(bytes: Bytes<Self::Source>) -> Self;

    /// The one behind this one, which has ended.
    #[must_use]
    fn next(self) -> Self;

    /// The file; of a part that has ended, what stands behind it.
    fn bytes(&self) -> &Bytes<Self::Source>;

    /// The same, to be read.
    fn bytes_mut(&mut self) -> &mut Bytes<Self::Source>;

    /// Whether another part begins with this byte, and no garbage.
    fn begins(first: u8) -> bool;

    /// Whether it can have data in an archive of ours that has data before it; the index stands behind.
    fn is_data(_first: u8) -> bool {
        false
    }
}

/// gzip members.
pub type Gunzip<R> = Parts<GzDecoder<Bytes<R>>>;

impl<R: Read> Part for GzDecoder<Bytes<R>> {
    type Source = R;
    const NAME: &'static str = "gzip";

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
        first == 0x1f
    }
}

/// What stands behind the last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailing {
    /// Where it starts in the file.
    pub offset: u64,
    /// Whether it is more than the zeros that fill a block.
    pub garbage: bool,
}

/// Decompresses all parts to the end of the file, with every checksum and length checked that they have.
pub struct Parts<P> {
    /// None at the end.
    part: Option<P>,
    /// Where that is.
    end: u64,
    read: u64,
    trailing: Option<Trailing>,
    only_data: bool,
}

impl<P: Part> Parts<P> {
    /// From the beginning of a file.
    pub fn new(source: P::Source) -> Self {
        let bytes = BufReader::with_capacity(128 * 1024, Counted { source, position: 0 });
        Self { part: Some(P::new(bytes)), end: 0, read: 0, trailing: None, only_data: false }
    }

    /// What begins behind the part that has ended, if anything.
    fn next_part(&mut self, mut part: P) -> io::Result<()> {
        let bytes = part.bytes_mut();
        self.end = position(bytes);
        let Some(&first) = bytes.fill_buf()?.first() else { return Ok(()) };
        if self.only_data && self.read > 0 && !P::is_data(first) {
            return Ok(());
        }
        if P::begins(first) {
            self.part = Some(part.next());
            return Ok(());
        }
        let mut garbage = false;
        loop {
            let rest = bytes.fill_buf()?;
            if rest.is_empty() {
                break;
            }
            garbage |= rest.iter().any(|byte| *byte != 0);
            let count = rest.len();
            bytes.consume(count);
        }
        self.trailing = Some(Trailing { offset: self.end, garbage });
        Ok(())
    }
}

/// A compressed file, whatever with.
pub trait Unpack: Read {
    /// What it is compressed with.
    fn name(&self) -> &'static str;

    /// Of an archive of ours, end behind the data: what follows is the index.
    fn only_data(&mut self);

    /// How far the file has been decompressed.
    fn position(&self) -> u64;

    /// What stands behind the last part, once all has been read.
    fn trailing(&self) -> Option<Trailing>;
}

impl<P: Part> Unpack for Parts<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn only_data(&mut self) {
        self.only_data = true;
    }

    fn position(&self) -> u64 {
        self.part.as_ref().map_or(self.end, |part| position(part.bytes()))
    }

    fn trailing(&self) -> Option<Trailing> {
        self.trailing
    }
}

impl<P: Part> Read for Parts<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(part) = &mut self.part else { return Ok(0) };
            let count = part.read(buffer)?;
            if count > 0 {
                self.read += count as u64;
                return Ok(count);
            }
            if let Some(part) = self.part.take() {
                self.next_part(part)?;
            }
        }
    }
}

fn position<R>(bytes: &Bytes<R>) -> u64 {
    bytes.get_ref().position - bytes.buffer().len() as u64
}

/// Counts what is read.
#[derive(Debug)]
pub struct Counted<R> {
    source: R,
    position: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
