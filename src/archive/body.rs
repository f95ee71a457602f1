//! Bodies of files: read to exactly the length that the header says, whatever the file does meanwhile.

use std::io;

use super::base::BasePieces;
use super::header::{self, SparseBody};
use super::index::SegmentKind;
use super::pipeline::{Check, Feed, Halt, Raw, RawKind};
use crate::entry::{Content, Entry, Miss};
use crate::error::cause_text;
use crate::progress::Progress;
use crate::stop::Stop;

/// Files with holes of so many bytes in all are stored without them. Smaller holes are written as zeros, which compress
/// to nothing and which every reader understands.
const SPARSE: u64 = 64 * 1024 * 1024;

/// How the body of this entry is stored without its holes, if that is worth it.
pub fn sparse(entry: &Entry, content: &dyn Content) -> Option<SparseBody> {
    let data = content.data()?;
    let held: u64 = data.iter().map(|range| range.end - range.start).sum();
    (entry.size - held >= SPARSE).then(|| SparseBody::new(entry.size, data))
}

/// In which way a body is not what its file was, and why.
pub type Trouble = (Miss, String);

/// Fill the part with the body's next bytes. What the file no longer has stays zeros.
pub fn read_small(part: &mut [u8], content: &mut dyn Content) -> io::Result<Option<Trouble>> {
    let read = read_full(content, part)?;
    if read < part.len() {
        return Ok(Some(shrank(part.len() as u64, read as u64)));
    }
    Ok(content.changed()?.then(changed))
}

/// Why an entry is not there when its body could not be read.
pub fn unreadable(error: &io::Error) -> Trouble {
    (Miss::Skipped, format!("read source file: {}", cause_text(error)))
}

pub fn changed() -> Trouble {
    (Miss::Changed, "changed while it was read".into())
}

fn shrank(size: u64, read: u64) -> Trouble {
    (Miss::Changed, format!("shrank while it was read: {read} of {size} bytes, the rest is zeros"))
}

/// How many bytes were read; the part has zeros behind them, whatever it had before.
pub fn read_full(content: &mut dyn Content, part: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    let outcome = loop {
        match content.read(&mut part[read..]) {
            Ok(0) => break Ok(read),
            Ok(more) => read += more,
            Err(error) => break Err(error),
        }
    };
    part[read..].fill(0);
    outcome
}

/// The body of a large file on its way into pieces.
pub struct Pieces<'a> {
    feed: &'a mut Feed,
    stop: &'a Stop,
    progress: &'a Progress,
    piece: usize,
    /// A buffer that has been used before, and how much of it is this piece: clearing it first would cost as much as
    /// hashing it.
    bytes: Vec<u8>,
    filled: usize,
    then: Option<Then<'a>>,
    /// Where in the body the piece begins.
    at: u64,
}

/// The same body in the base.
pub struct Then<'a> {
    /// Those of its pieces that are to come.
    pub pieces: BasePieces<'a>,
    /// The name of the file, if its body has to be the same.
    pub name: Option<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    /// For a body that is stored in so many bytes.
    pub fn new(
        feed: &'a mut Feed,
        (stop, progress): (&'a Stop, &'a Progress),
        stored: u64,
        then: Option<Then<'a>>,
    ) -> Self {
        let (bytes, piece) = (feed.used_buffer(), feed.piece(stored));
        Self { feed, stop, progress, piece, bytes, filled: 0, then, at: 0 }
    }

    /// Everything of the content, or everything between its holes after their map.
    pub fn body(
        mut self,
        size: u64,
        content: &mut dyn Content,
        sparse: Option<SparseBody>,
    ) -> Result<Option<Trouble>, Halt> {
        let mut trouble = None;
        let mut stored = size;
        if let Some(sparse) = sparse {
            let mut map = sparse.map.as_slice();
            self.fill(map.len() as u64, |part| {
                let (now, later) = map.split_at(part.len());
                part.copy_from_slice(now);
                map = later;
            })?;
            stored = sparse.stored;
            for range in content.data().unwrap_or_default().to_vec() {
                if trouble.is_none() {
                    trouble = content.skip_to(range.start).err().map(|error| unreadable(&error));
                }
                self.read(range.start, range.end, size, content, &mut trouble)?;
            }
        } else {
            self.read(0, size, size, content, &mut trouble)?;
        }
        self.part(header::padding(stored)).fill(0);
        self.send()?;
        if trouble.is_none() {
            trouble = match content.changed() {
                Ok(false) => None,
                Ok(true) => Some(changed()),
                Err(error) => Some(unreadable(&error)),
            };
        }
        Ok(trouble)
    }

    fn read(
        &mut self,
        from: u64,
        to: u64,
        size: u64,
        content: &mut dyn Content,
        trouble: &mut Option<Trouble>,
    ) -> Result<(), Halt> {
        let mut at = from;
        self.fill(to - from, |part| {
            if trouble.is_some() {
                part.fill(0);
            } else {
                *trouble = match read_full(content, part) {
                    Ok(read) if read == part.len() => None,
                    Ok(read) => Some(shrank(size, at + read as u64)),
                    Err(error) => Some(unreadable(&error)),
                };
            }
            at += part.len() as u64;
        })
    }

    /// So many more bytes, which `with` writes over, part by part.
    fn fill(&mut self, mut length: u64, mut with: impl FnMut(&mut [u8])) -> Result<(), Halt> {
        while length > 0 {
            if self.filled == self.piece {
                self.send()?;
            }
            let part = length.min((self.piece - self.filled) as u64) as usize;
            with(self.part(part));
            self.progress.read(part as u64);
            length -= part as u64;
        }
        Ok(())
    }

    /// The next bytes of the piece, with whatever they held before.
    fn part(&mut self, length: usize) -> &mut [u8] {
        let start = self.filled;
        self.filled += length;
        if self.bytes.len() < self.filled {
            self.bytes.resize(self.filled, 0);
        }
        &mut self.bytes[start..self.filled]
    }

    fn send(&mut self) -> Result<(), Halt> {
        self.stop.check()?;
        let mut bytes = std::mem::replace(&mut self.bytes, self.feed.used_buffer());
        bytes.truncate(std::mem::take(&mut self.filled));
        let at = self.at;
        self.at += bytes.len() as u64;
        let mut raw = Raw::new(RawKind::Other(SegmentKind::Piece), bytes);
        if let Some(then) = &mut self.then {
            raw.same = then.pieces.at(at);
            if let Some(same) = &raw.same {
                let (length, number) = (raw.bytes.len(), same.number);
                let check = |name: &Vec<u8>| Check { name: name.clone(), at: 0, length, then: (number, 0) };
                raw.checks.extend(then.name.as_ref().map(check));
            } else {
                // The body was shorter.
                self.then = None;
            }
        }
        self.feed.segment(raw)
    }
}
