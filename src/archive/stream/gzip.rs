//! From the bytes of a file to its tar stream: what it is compressed with, and gzip members one after the other.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

/// What a file is, by its first bytes, never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip members.
    Gzip,
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
        const KNOWN: [(&[u8], &str); 8] = [
            (b"BZh", "bzip2"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
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
        if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Self::Other(name);
        }
        // zstd's skippable frames have sixteen magic numbers.
        if start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18] {
            return Self::Other("zstd");
        }
        if start.is_empty() { Self::Empty } else { Self::Tar }
    }
}

/// What stands behind the last gzip member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailing {
    /// Where it starts in the file.
    pub offset: u64,
    /// Whether it is more than the zeros that fill a block.
    pub garbage: bool,
}

/// Decompresses gzip members to the end of the file, with every CRC-32 and length checked.
#[derive(Debug)]
pub struct Gunzip<R> {
    state: State<R>,
    members: u64,
    trailing: Option<Trailing>,
    first: bool,
}

#[derive(Debug)]
enum State<R> {
    Member(Box<GzDecoder<BufReader<Counted<R>>>>),
    Done(u64),
}

impl<R: Read> Gunzip<R> {
    /// From the beginning of a file.
    pub fn new(reader: R) -> Self {
        let counted = Counted { reader, position: 0 };
        let state = State::Member(Box::new(GzDecoder::new(BufReader::with_capacity(128 * 1024, counted))));
        Self { state, members: 0, trailing: None, first: false }
    }

    /// End with the first member.
    pub fn only_first(&mut self) {
        self.first = true;
    }

    /// How far the file has been decompressed.
    pub fn position(&self) -> u64 {
        match &self.state {
            State::Member(decoder) => position(decoder.get_ref()),
            State::Done(position) => *position,
        }
    }

    /// Members that have been read and whose sums are right.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// What stands behind the last member, once all has been read.
    pub fn trailing(&self) -> Option<Trailing> {
        self.trailing
    }

    fn next_member(&mut self, mut reader: BufReader<Counted<R>>) -> io::Result<()> {
        self.members += 1;
        let offset = position(&reader);
        self.state = State::Done(offset);
        if self.first {
            return Ok(());
        }
        match reader.fill_buf()? {
            [] => {}
            [0x1f, ..] => self.state = State::Member(Box::new(GzDecoder::new(reader))),
            _ => {
                let mut garbage = false;
                loop {
                    let bytes = reader.fill_buf()?;
                    if bytes.is_empty() {
                        break;
                    }
                    garbage |= bytes.iter().any(|byte| *byte != 0);
                    let count = bytes.len();
                    reader.consume(count);
                }
                self.trailing = Some(Trailing { offset, garbage });
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let State::Member(decoder) = &mut self.state else { return Ok(0) };
            let count = decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let State::Member(decoder) = std::mem::replace(&mut self.state, State::Done(0)) else {
                return Ok(0);
            };
            self.next_member(decoder.into_inner())?;
        }
    }
}

fn position<R>(reader: &BufReader<Counted<R>>) -> u64 {
    reader.get_ref().position - reader.buffer().len() as u64
}

#[derive(Debug)]
struct Counted<R> {
    reader: R,
    position: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
