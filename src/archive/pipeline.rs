//! From raw segments to an archive in order, on all cores, in bounded memory.
//!
//! The caller's thread reads and cuts; as many threads as asked for compress; one writes. Two bounded channels hold
//! them together: the work, in any order, and the results, in the order in which they were begun.

mod laid;

use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use self::laid::write;
pub use self::laid::{Body, Item, Laid};
use super::base::Base;
use super::codec::Codec;
use super::cut;
use super::index::{EntryRecord, Hash, SegmentKind, SegmentRecord, hash};
use super::out::Out;
use super::reader::Segment;
use super::segment::{Encoder, Shape};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::threads::spawn;

/// A segment on its way to a compressor.
pub struct Raw {
    /// What it holds; a group's hash of headers is made when it is compressed.
    pub kind: RawKind,
    /// Its part of the tar stream.
    pub bytes: Vec<u8>,
    /// The segment of the base that may hold the same bytes.
    pub same: Option<Segment>,
    /// Bodies in it that have to be as they are in the base.
    pub checks: Vec<Check>,
}

impl Raw {
    /// With nothing known about the base.
    pub fn new(kind: RawKind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes, same: None, checks: Vec::new() }
    }
}

/// A part of a segment that has to be the same in the base.
pub struct Check {
    /// The file that it is of.
    pub name: Vec<u8>,
    /// Where it starts in the segment.
    pub at: usize,
    /// How many bytes it has.
    pub length: usize,
    /// The segment of the base that it stands in, and where in that.
    pub then: (u64, u64),
}

/// What a segment will be.
pub enum RawKind {
    /// Small entries: where in the bytes their headers stand.
    Group(Vec<(usize, usize)>),
    /// One of the other kinds.
    Other(SegmentKind),
}

/// A segment on its way to the file.
pub struct Compressed {
    pub record: SegmentRecord,
    pub stored: Vec<u8>,
    /// Where these bytes stand in the base, if that is known.
    pub from: Option<u64>,
    /// Whether they were taken over from there.
    reused: bool,
}

impl Compressed {
    fn anew(record: SegmentRecord, stored: Vec<u8>) -> Self {
        Self { record, stored, from: None, reused: false }
    }

    fn copied(then: &Segment, stored: Vec<u8>) -> Self {
        Self { record: then.record, stored, from: Some(then.offset), reused: true }
    }
}

type Slot = Sender<Result<Compressed>>;

/// What the writer takes up next.
enum Next {
    Segment(Receiver<Result<Compressed>>),
    Entries(Vec<EntryRecord>),
}

/// The end of the pipeline that takes segments in.
pub struct Feed {
    work: Sender<(Raw, Slot)>,
    order: Sender<Next>,
    spare: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    segments: u64,
    codec: Codec,
}

/// Why feeding ends early.
pub enum Halt {
    /// The writer has ended, with an error that [`run`] returns.
    Writer,
    /// The source, or the wish to stop.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Feed {
    /// A buffer to fill, empty.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.used_buffer();
        buffer.clear();
        buffer
    }

    /// A buffer to write over, with whatever it held before.
    pub fn used_buffer(&self) -> Vec<u8> {
        self.spare.1.try_recv().unwrap_or_default()
    }

    /// How large the pieces of a body of this length are.
    pub fn piece(&self, body: u64) -> usize {
        cut::piece(body, self.codec)
    }

    /// The number of the next segment.
    pub fn next_segment(&self) -> u64 {
        self.segments
    }

    /// Send a segment on; waits while enough others are under way.
    pub fn segment(&mut self, raw: Raw) -> Result<(), Halt> {
        let (slot, result) = bounded(1);
        self.order.send(Next::Segment(result)).map_err(|_| Halt::Writer)?;
        self.work.send((raw, slot)).map_err(|_| Halt::Writer)?;
        self.segments += 1;
        Ok(())
    }

    /// Send on a segment of the base, with its stored bytes.
    pub fn copied(&mut self, then: &Segment, stored: Vec<u8>) -> Result<(), Halt> {
        let (slot, result) = bounded(1);
        let _ = slot.send(Ok(Compressed::copied(then, stored)));
        self.order.send(Next::Segment(result)).map_err(|_| Halt::Writer)?;
        self.segments += 1;
        Ok(())
    }

    /// Note entries, whose segments have been sent.
    pub fn entries(&mut self, entries: Vec<EntryRecord>) -> Result<(), Halt> {
        self.order.send(Next::Entries(entries)).map_err(|_| Halt::Writer)
    }
}

/// Run the pipeline: `feed` gives segments in, `out` gets them in the same order.
///
/// # Errors
/// What `feed` returned, or else the first error of compressing or writing.
pub fn run<T>(
    (codec, threads): (Codec, usize),
    base: Option<&Base>,
    out: &mut Out,
    progress: &Progress,
    feed: impl FnOnce(&mut Feed) -> Result<T, Halt>,
    failed: impl Fn(std::io::Error) -> Error + Send,
) -> Result<(T, Body)> {
    let threads = compressing(codec, threads);
    // Segments that wait for bzip2 wait long, and nobody for them.
    let ahead = if codec == Codec::Bzip2 { 1 } else { threads };
    thread::scope(|scope| {
        // In here, so that threads that wait for them end when one of the others could not be started.
        let (work_in, work) = bounded::<(Raw, Slot)>(ahead);
        let (order_in, order) = bounded::<Next>(threads + ahead + 2);
        let spare = unbounded();
        for _ in 0..threads {
            let (work, spare) = (work.clone(), spare.clone());
            spawn(scope, move || compress(codec, base, &work, &spare))?;
        }
        drop(work);
        let recycle = spare.0.clone();
        let writer = spawn(scope, move || write(&order, &recycle, codec, base, out, progress, failed))?;
        let mut end = Feed { work: work_in, order: order_in, spare, segments: 0, codec };
        let fed = feed(&mut end);
        drop(end);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match fed {
            Ok(value) => Ok((value, written?)),
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Writer) => {
                Err(written.err().unwrap_or_else(|| Error::failed("write archive: a thread ended early")))
            }
        }
    })
}

/// How many of the threads compress. At libdeflate's levels 10 to 12 each takes 10.5 MiB, measured, with bzip2 a little
/// more, and a thread may cost 8 (tests/memory.rs): where there are more than two, a third of them is left out.
fn compressing(codec: Codec, threads: usize) -> usize {
    match codec {
        Codec::Gzip(10..) | Codec::Bzip2 => (2 * threads).div_ceil(3),
        _ => threads,
    }
}

fn compress(
    codec: Codec,
    base: Option<&Base>,
    work: &Receiver<(Raw, Slot)>,
    spare: &(Sender<Vec<u8>>, Receiver<Vec<u8>>),
) {
    let mut encoder = Encoder::new(codec);
    let mut headers_together = Vec::new();
    while let Ok((raw, slot)) = work.recv() {
        let mut stored = spare.1.try_recv().unwrap_or_default();
        let (shape, kind) = match &raw.kind {
            RawKind::Group(headers) => {
                (Shape::Group, SegmentKind::Group(headers_hash(&raw.bytes, headers, &mut headers_together)))
            }
            RawKind::Other(kind) => (Shape::Piece, *kind),
        };
        let raw_hash = hash(&raw.bytes);
        let is_same = |then: &&Segment| {
            let length = raw.bytes.len() as u64;
            (then.record.kind, then.record.raw, then.record.raw_hash) == (kind, length, raw_hash)
        };
        let same = raw.same.as_ref().filter(is_same);
        if let Some(base) = base
            && same.is_none()
        {
            check(base, &raw);
        }
        let copied =
            same.filter(|then| base.is_some_and(|base| !base.compares() && base.copy(then, &mut stored)));
        let result = match copied {
            Some(then) => Ok(Compressed::copied(then, stored)),
            None => encoder.encode(shape, &raw.bytes, &mut stored).map(|()| {
                let record = SegmentRecord {
                    kind,
                    stored: stored.len() as u64,
                    raw: raw.bytes.len() as u64,
                    crc: crc32fast::hash(&raw.bytes),
                    raw_hash,
                    stored_hash: hash(&stored),
                };
                Compressed::anew(record, stored)
            }),
        };
        let _ = spare.0.send(raw.bytes);
        // Nobody waits for it any more when the writer has failed.
        let _ = slot.send(result);
    }
}

/// Hold the bodies that have to be as they are in the base against it.
fn check(base: &Base, raw: &Raw) {
    let mut then: Option<(u64, Option<Vec<u8>>)> = None;
    for check in &raw.checks {
        let (number, at) = check.then;
        if then.as_ref().is_none_or(|(known, _)| *known != number) {
            then = Some((number, base.raw(number)));
        }
        let Some((_, Some(then))) = &then else { continue };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let then = then.get(at..at.saturating_add(check.length));
        if then != Some(&raw.bytes[check.at..check.at + check.length]) {
            base.differs(&check.name);
        }
    }
}

/// Put together first: one long hash uses the wide registers, many short ones do not.
fn headers_hash(bytes: &[u8], headers: &[(usize, usize)], all: &mut Vec<u8>) -> Hash {
    all.clear();
    headers.iter().for_each(|&(start, length)| all.extend_from_slice(&bytes[start..start + length]));
    hash(all)
}
