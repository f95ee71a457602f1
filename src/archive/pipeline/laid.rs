//! The end of the pipeline: what is laid into the archive, in order, and what it adds up to.

use std::collections::VecDeque;
use std::io;

use crossbeam_channel::{Receiver, Sender};

use super::super::base::Base;
use super::super::codec::Codec;
use super::super::index::{Builder, EntryRecord, Envelope};
use super::super::out::{Out, Sink};
use super::super::padding;
use super::super::stretch::Stretches;
use super::{Compressed, Next};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::report::Reused;

/// What has been written: the index so far, and the sums over the tar stream.
pub struct Body {
    /// The index, not yet written, if there is to be one.
    pub index: Option<Builder>,
    /// CRC-32 of the tar stream.
    pub crc: u32,
    /// Bytes of the tar stream.
    pub raw: u64,
    /// Bytes written.
    pub stored: u64,
    /// What of it was taken over.
    pub reused: Reused,
    /// Hash of all that was written, where there is no index that has hashes.
    pub whole: blake3::Hasher,
}

/// What goes into the archive, in its order.
pub enum Item {
    /// A segment.
    Segment(Compressed),
    /// Entries, whose segments come before.
    Entries(Vec<EntryRecord>),
}

/// What has been put in order, and what it adds up to.
pub struct Laid<'a, 'b> {
    pub sink: Sink<'a, 'b>,
    pub body: Body,
    crc: crc32fast::Hasher,
    progress: &'a Progress,
    spare: &'a Sender<Vec<u8>>,
    /// Segments that were fed in: entries name them by their number among these.
    fed: u64,
    /// Before which of them padding stands, as long as entries may come that do not know of it, and how much stands
    /// before all others.
    paddings: VecDeque<u64>,
    passed: u64,
}

impl Laid<'_, '_> {
    /// The next of the archive.
    ///
    /// # Errors
    /// What writing says.
    pub fn put(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Entries(entries) => self.entries(entries),
            Item::Segment(segment) => {
                self.fed += 1;
                if segment.reused {
                    let reused = &mut self.body.reused;
                    reused.segments += 1;
                    reused.raw += segment.record.raw;
                    reused.stored += segment.record.stored;
                }
                self.segment(segment)?;
            }
        }
        Ok(())
    }

    /// A segment that holds nothing, and where it stands in the base.
    ///
    /// # Errors
    /// What writing says.
    pub fn pad(&mut self, padding: Vec<u8>, from: Option<u64>) -> io::Result<()> {
        self.paddings.push_back(self.fed);
        let record = padding::record(&padding);
        self.segment(Compressed { from, ..Compressed::anew(record, padding) })
    }

    fn segment(&mut self, segment: Compressed) -> io::Result<()> {
        let Compressed { record, stored, from, .. } = segment;
        self.sink.put(&stored, from)?;
        self.progress.stored(record.stored);
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(record.crc, record.raw));
        self.body.raw += record.raw;
        self.body.stored += record.stored;
        // With an index the hashes of the segments say all.
        match &mut self.body.index {
            Some(index) => index.segment(record),
            None => {
                self.body.whole.update(&stored);
            }
        }
        let _ = self.spare.send(stored);
        Ok(())
    }

    fn entries(&mut self, entries: Vec<EntryRecord>) {
        let Some(index) = &mut self.body.index else { return };
        for entry in entries {
            while self.paddings.pop_front_if(|before| *before <= entry.segment).is_some() {
                self.passed += 1;
            }
            index.entry(EntryRecord { segment: entry.segment + self.passed, ..entry });
        }
    }
}

/// Write what comes, in its order.
pub(super) fn write(
    order: &Receiver<Next>,
    spare: &Sender<Vec<u8>>,
    codec: Codec,
    base: Option<&Base>,
    out: &mut Out,
    progress: &Progress,
    failed: impl Fn(io::Error) -> Error,
) -> Result<Body> {
    let index = codec.envelope().map(Builder::new);
    let (reused, whole) = (Reused::default(), blake3::Hasher::new());
    let body = Body { index, crc: 0, raw: 0, stored: 0, reused, whole };
    let start = codec.envelope().map_or(0, Envelope::start_len);
    let mut stretches = base.filter(|_| matches!(out, Out::Shared(_))).map(Stretches::new);
    let mut laid = Laid {
        sink: Sink::new(out, base.and_then(Base::file), start),
        body,
        crc: crc32fast::Hasher::new(),
        progress,
        spare,
        fed: 0,
        paddings: VecDeque::new(),
        passed: 0,
    };
    while let Ok(next) = order.recv() {
        let item = match next {
            Next::Entries(entries) => Item::Entries(entries),
            Next::Segment(result) => {
                let gone = || Error::failed("compress a segment: a thread ended early");
                Item::Segment(result.recv().map_err(|_| gone())??)
            }
        };
        match &mut stretches {
            None => laid.put(item),
            Some(stretches) => stretches.add(item, &mut laid),
        }
        .map_err(&failed)?;
    }
    if let Some(mut stretches) = stretches {
        stretches.end(&mut laid).map_err(&failed)?;
    }
    let Laid { sink, mut body, crc, .. } = laid;
    body.reused.shared = sink.finish().map_err(&failed)?;
    body.crc = crc.finalize();
    Ok(body)
}
