//! Reading any tar stream from its beginning to its end: ustar, pax, GNU, v7, plain or compressed.
//!
//! This is how an archive without a usable index is read, and what the index is compared with. Only names, kinds and
//! sizes are understood here; a body is passed over or read as it is stored.

mod extended;
mod format;
mod header;
mod input;
mod member;
mod parts;
mod pipe;

use std::fmt;
use std::io::{self, Read};

use extended::Extended;
pub use extended::MAP_MAX;
pub use format::Format;
use header::{Block, Type};
pub use input::Input;
pub use member::{Attributes, Member};
pub(super) use parts::{Bytes, Part};
pub use parts::{Gunzip, Trailing};
pub use pipe::Pipe;

use crate::error::cause_text;

/// Bytes of a tar block.
const BLOCK: usize = 512;

/// Bytes of all extended headers of one entry at most: names and attributes are far smaller in every real archive.
const EXTENDED_MAX: u64 = 16 << 20;

/// Bytes of a global header at most: it is copied for every entry.
const GLOBAL_MAX: u64 = 64 << 10;

/// Why a stream cannot be read on.
#[derive(Debug)]
pub enum Bad {
    /// It could not be read or decompressed.
    Read(io::Error),
    /// It is no tar stream from this offset in it on.
    Tar {
        /// Where the wrong header starts.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the file ends too early: it has been cut")
            }
            Self::Read(e) => f.write_str(&cause_text(e)),
            Self::Tar { offset, what } => write!(f, "at offset {offset} of the tar stream: {what}"),
        }
    }
}

/// How a tar stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ending {
    /// Zero blocks at its end; two belong there.
    pub blocks: u8,
    /// Bytes that are not zero somewhere behind them.
    pub trailing: bool,
}

/// Walks over the entries of a tar stream.
#[derive(Debug)]
pub struct Stream<R> {
    reader: R,
    /// How far the stream has been read.
    offset: u64,
    /// Bytes of the body that have not been read.
    body: u64,
    /// Bytes behind the body, up to the next block.
    padding: u64,
    globals: Extended,
    ending: Option<Ending>,
}

impl<R: Read> Stream<R> {
    /// A tar stream from its beginning.
    pub fn new(reader: R) -> Self {
        Self { reader, offset: 0, body: 0, padding: 0, globals: Extended::default(), ending: None }
    }

    /// How far the stream has been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the body that have not been read.
    pub fn left(&self) -> u64 {
        self.body
    }

    /// What the stream is read from.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The next entry, or `None` at the end of the archive. What was not read of the last body is passed over.
    ///
    /// # Errors
    /// If the stream cannot be read on; there is no entry after an error.
    pub fn next_member(&mut self) -> Result<Option<Member>, Bad> {
        if self.ending.is_some() {
            return Ok(None);
        }
        let rest = self.body + self.padding;
        (self.body, self.padding) = (0, 0);
        self.skip(rest)?;
        let start = self.offset;
        let mut extended = self.globals.clone();
        let mut room = EXTENDED_MAX;
        let mut begun = false;
        loop {
            let at = self.offset;
            let bad = |what| Bad::Tar { offset: at, what };
            let Some(block) = self.block()? else {
                if begun {
                    return Err(bad("it ends between the headers of an entry"));
                }
                self.ending = Some(Ending::default());
                return Ok(None);
            };
            if block.is_zero() {
                if begun {
                    return Err(bad("it ends between the headers of an entry"));
                }
                self.end()?;
                return Ok(None);
            }
            let mut header = block.parse().map_err(bad)?;
            begun = true;
            match header.kind {
                Type::Pax | Type::PaxGlobal | Type::LongName | Type::LongLink => {
                    if header.kind == Type::PaxGlobal {
                        room = room.min(GLOBAL_MAX);
                    }
                    room = room.checked_sub(header.size).ok_or(bad("its extended header is too long"))?;
                    let records = self.record(header.size)?;
                    match header.kind {
                        Type::Pax => extended.pax(&records).map_err(bad)?,
                        Type::LongName => extended.long_name(records),
                        Type::LongLink => extended.long_link(records),
                        _ => {
                            self.globals.pax(&records).map_err(bad)?;
                            self.globals.forget_what_is_of_one();
                            // What was said for this entry alone stays above what is said for all.
                            let mut all = self.globals.clone();
                            all.overlay(extended);
                            extended = all;
                        }
                    }
                }
                Type::Ignored => {
                    self.pass(header.size).map_err(bad)?;
                    let rest = std::mem::take(&mut self.body) + std::mem::take(&mut self.padding);
                    self.skip(rest)?;
                }
                Type::Unsupported => return Err(bad("it is one volume of several")),
                Type::Entry(_) => {
                    // The old sparse format of GNU tar has further blocks of its map behind the header.
                    let mut more = header.map_goes_on;
                    while more {
                        let map = self.block()?.ok_or(bad("it ends in the map of a sparse file"))?;
                        more = map.map_goes_on();
                        header.map.extend(map.map().map_err(bad)?);
                        if header.map.len() > 2 * MAP_MAX {
                            return Err(bad("the map of a sparse file is too long"));
                        }
                    }
                    let member = extended.member(header, start, self.offset - start).map_err(bad)?;
                    self.pass(member.stored).map_err(bad)?;
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Read on to the end of the file and say how it ended. A decompressor checks its sums only there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn finish(&mut self) -> Result<Ending, Bad> {
        let mut ending = self.ending.unwrap_or_default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read_some(&mut buffer)? {
                0 => return Ok(ending),
                count => ending.trailing |= buffer[..count].iter().any(|byte| *byte != 0),
            }
        }
    }

    fn end(&mut self) -> Result<(), Bad> {
        let second = self.block()?;
        self.ending = Some(match second {
            Some(block) if block.is_zero() => Ending { blocks: 2, trailing: false },
            Some(_) => Ending { blocks: 1, trailing: true },
            None => Ending { blocks: 1, trailing: false },
        });
        Ok(())
    }

    /// A body of this length comes now.
    fn pass(&mut self, body: u64) -> Result<(), &'static str> {
        let padded = body.checked_next_multiple_of(BLOCK as u64);
        // So that no sum of lengths below can overflow.
        let padded = padded.filter(|all| *all < 1 << 62).ok_or("its size is impossible")?;
        (self.body, self.padding) = (body, padded - body);
        Ok(())
    }

    /// The body of an extended header, with what follows it up to the next block.
    fn record(&mut self, size: u64) -> Result<Vec<u8>, Bad> {
        let mut bytes = Vec::new();
        let count = (&mut self.reader).take(size).read_to_end(&mut bytes).map_err(Bad::Read)?;
        self.offset += count as u64;
        if (count as u64) < size {
            return Err(cut());
        }
        self.skip(size.next_multiple_of(BLOCK as u64) - size)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut count: u64) -> Result<(), Bad> {
        let mut buffer = [0; 16 * 1024];
        while count > 0 {
            let most = buffer.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            match self.read_some(&mut buffer[..most])? {
                0 => return Err(cut()),
                read => count -= read as u64,
            }
        }
        Ok(())
    }

    /// The next block, or `None` where the stream ends before it.
    fn block(&mut self) -> Result<Option<Block>, Bad> {
        let mut block = [0; BLOCK];
        let mut length = 0;
        while length < BLOCK {
            match self.read_some(&mut block[length..])? {
                0 if length == 0 => return Ok(None),
                0 => return Err(cut()),
                count => length += count,
            }
        }
        Ok(Some(Block(block)))
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Bad> {
        loop {
            match self.reader.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Bad::Read(e)),
            }
        }
    }
}

/// The body of the entry that came last, as it is stored.
impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.body).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.body -= count as u64;
        Ok(count)
    }
}

fn cut() -> Bad {
    Bad::Read(io::ErrorKind::UnexpectedEof.into())
}

/// Read all of a tar stream and count its entries: for tests that throw anything at it.
///
/// # Errors
/// If it is not one.
pub fn parse(reader: &mut impl Read) -> Result<u64, Bad> {
    let mut stream = Stream::new(reader);
    let mut entries = 0;
    while stream.next_member()?.is_some() {
        entries += 1;
    }
    stream.finish()?;
    Ok(entries)
}
