//! Which stretches of the base are worth padding, so that their blocks can be shared.
//!
//! A stretch is segments that follow each other here as they do in the base. What is new before it has another length than
//! what stood there, so it begins at another offset, and blocks are shared at the same offset modulo their size only.
//! Padding before it puts that right. Until it is long enough for that, its segments wait; if it ends before, they are
//! written as they are.

use std::io;

use super::base::Base;
use super::out::BLOCKS_LEAST;
use super::padding::{self, padding};
use super::pipeline::{Item, Laid};

/// All padding is at most so small a part of the archive: it grows by less than 1 %.
const PART: u64 = 128;
/// The padding before a stretch is at most so small a part of it. Where little has changed, nearly every stretch is long
/// enough; where much has, the sum of all would come to more than its limit, and goes to those that bring most.
const PART_OF_STRETCH: u64 = 24;
/// What a segment of padding takes in the index, at most.
const RECORD: u64 = 48;
/// What is made anew is looked for in the base up to this length. Pieces and groups have been held against it before.
const SHORT: usize = 128 * 1024;

/// Puts segments in order, with padding between them.
pub struct Stretches<'a> {
    base: &'a Base,
    stretch: Option<Stretch>,
    /// Segments of the stretch, and entries behind them, until it is known whether it is padded.
    waiting: Vec<Item>,
    /// Padding so far, with what it takes in the index.
    spent: u64,
}

struct Stretch {
    /// Where it begins in the base.
    start: u64,
    /// Bytes of it so far.
    length: u64,
    /// How much padding it wants, as long as it waits for that.
    wants: Option<u64>,
}

impl<'a> Stretches<'a> {
    pub fn new(base: &'a Base) -> Self {
        Self { base, stretch: None, waiting: Vec::new(), spent: 0 }
    }

    /// What comes next in the archive.
    ///
    /// # Errors
    /// What writing says.
    pub fn add(&mut self, mut item: Item, laid: &mut Laid) -> io::Result<()> {
        let Item::Segment(segment) = &mut item else {
            if self.waiting.is_empty() {
                return laid.put(item);
            }
            self.waiting.push(item);
            return Ok(());
        };
        let goes_on = self.stretch.as_ref().map(|stretch| stretch.start + stretch.length);
        let stored = segment.record.stored;
        segment.from = segment.from.or_else(|| goes_on.filter(|from| self.is_there(&segment.stored, *from)));
        let Some(from) = segment.from else {
            self.end(laid)?;
            return laid.put(item);
        };
        if goes_on != Some(from) {
            self.end(laid)?;
            let wants = laid.sink.wants(from).filter(|(missing, _)| *missing > 0).map(|(missing, block)| {
                // What is too little for padding is a block more.
                if missing < padding::LEAST { missing + block } else { missing }
            });
            self.stretch = Some(Stretch { start: from, length: 0, wants });
        }
        let Some(stretch) = &mut self.stretch else { return Ok(()) };
        stretch.length += stored;
        let Some(wants) = stretch.wants else { return laid.put(item) };
        let (start, length) = (stretch.start, stretch.length);
        self.waiting.push(item);
        if !self.is_worth(wants, length, laid) {
            return Ok(());
        }
        self.stretch = Some(Stretch { start, length, wants: None });
        self.spent += wants + RECORD;
        self.pad(wants, start, laid)?;
        self.release(laid)
    }

    /// Nothing comes any more that belongs to the stretch.
    ///
    /// # Errors
    /// What writing says.
    pub fn end(&mut self, laid: &mut Laid) -> io::Result<()> {
        self.stretch = None;
        self.release(laid)
    }

    fn release(&mut self, laid: &mut Laid) -> io::Result<()> {
        self.waiting.drain(..).try_for_each(|item| laid.put(item))
    }

    /// Whether a stretch of this length is. From so many times its padding on the answer is yes, so that little waits.
    fn is_worth(&self, wants: u64, length: u64, laid: &Laid) -> bool {
        let Some((_, block)) = laid.sink.wants(0) else { return false };
        length >= BLOCKS_LEAST * block
            && wants * PART_OF_STRETCH <= length
            && (self.spent + wants + RECORD) * PART <= laid.body.stored + length
    }

    /// Whether these bytes, which were made anew, stand there in the base: headers of large files mostly do.
    fn is_there(&self, bytes: &[u8], from: u64) -> bool {
        let mut there = vec![0; bytes.len().min(SHORT + 1)];
        bytes.len() <= SHORT && self.base.read_at(&mut there, from).is_ok() && there == bytes
    }

    /// Padding, before what stands there in the base. If it stood there already, it is as good as any other segment.
    fn pad(&self, length: u64, before: u64, laid: &mut Laid) -> io::Result<()> {
        let padding = padding(self.base.envelope(), length);
        let there = |from: &u64| laid.sink.goes_on(*from) && self.is_there(&padding, *from);
        let from = before.checked_sub(length).filter(there);
        laid.pad(padding, from)
    }
}
