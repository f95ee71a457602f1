//! Entries into an archive: their part of the tar stream, cut into segments, with a record of each.

use std::collections::HashSet;
use std::io::Write;

use super::base::Base;
use super::body::{self, Pieces, Then, Trouble};
use super::codec::Codec;
use super::cut;
use super::header::{self, BLOCK, SparseBody};
use super::index::{About, EntryRecord, Envelope, FOOTER_LEN, SegmentKind};
use super::out::Out;
use super::pipeline::{self, Check, Feed, Halt, Raw, RawKind};
use super::reader::Segment;
use super::reuse::Reuse;
use crate::entry::{Content, Entry, Find, Found, Kind, Miss, Missed};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::report::Report;
use crate::stop::Stop;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Codec and level.
    pub codec: Codec,
    /// Threads that compress, at least 1.
    pub threads: usize,
}

/// What was written, and how to know it again.
#[derive(Debug)]
pub struct Written {
    /// Counts, and what was missed.
    pub report: Report,
    /// What a file with these contents must show when it is read back.
    pub proof: Proof,
    /// Whether it is what it was built on, but for the instants of the run.
    pub unchanged: bool,
}

/// See [`Written::proof`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// These last bytes: the footer. It has the hash of the table of pages, that has those of the pages, and they have
    /// those of the segments; so it stands for every byte.
    Footer(Vec<u8>),
    /// This hash of the whole file.
    Hash(blake3::Hash),
}

/// Write an archive of everything that is found, all of it read.
///
/// `about` makes what the index says of the whole when all has been read; it may add to the report, and refuse.
///
/// # Errors
/// If writing fails, by `failed` with its cause; if `stop` asks; what `about` says. What cannot be read is no error: it
/// is in the report.
pub fn write<F: Iterator<Item = Found>>(
    found: &mut F,
    options: Options,
    about: impl FnOnce(&F, &mut Report) -> Result<About>,
    out: &mut (dyn Write + Send),
    hands: (&Stop, &Progress),
    failed: impl Fn(std::io::Error) -> Error + Send + Copy,
) -> Result<Written> {
    let about = |open: &Open<'_, F>, report: &mut Report| about(open.0, report);
    write_on(None, &mut Open(found), options, about, &mut Out::Written(out), hands, failed)
}

/// What is open when it is found.
struct Open<'a, F>(&'a mut F);

impl<F: Iterator<Item = Found>> Iterator for Open<'_, F> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        self.0.next()
    }
}

impl<F: Iterator<Item = Found>> Find for Open<'_, F> {
    fn open(&mut self, _: &Entry) -> Option<Found> {
        None
    }
}

/// [`write()`], taking over from a base what is the same as there. The archive is the one that [`write()`] would make, byte by
/// byte, but for what its index says about the run, and, where blocks are shared, for the padding that it takes.
///
/// # Errors
/// As [`write()`]. What is wrong with the base is no error: then what it would have given is read.
pub fn write_on<F: Find>(
    base: Option<&Base>,
    found: &mut F,
    options: Options,
    about: impl FnOnce(&F, &mut Report) -> Result<About>,
    out: &mut Out,
    (stop, progress): (&Stop, &Progress),
    failed: impl Fn(std::io::Error) -> Error + Send + Copy,
) -> Result<Written> {
    options.codec.built()?;
    let start = options.codec.envelope().map_or(&[][..], Envelope::start);
    out.write_all(start).map_err(failed)?;
    let feed = |feed: &mut Feed| {
        let mut writer = Writer::new(feed, (stop, progress), options.codec.envelope().is_none());
        if let Some(base) = base {
            return Reuse::new(writer, base).all(found);
        }
        for found in found.by_ref() {
            stop.check()?;
            match found {
                Found::Entry(entry) => writer.add(*entry, Hint::default())?,
                Found::Missed(missed) => writer.report.miss(&missed),
            }
        }
        writer.finish()
    };
    let how = (options.codec, options.threads);
    let (mut report, body) = pipeline::run(how, base, out, progress, feed, failed)?;
    report.raw = body.raw;
    report.stored = body.stored;
    report.reused = body.reused;
    if let Some(base) = base {
        base.report(&mut report);
    }
    let about = about(found, &mut report)?;
    let Some((envelope, mut index)) = options.codec.envelope().zip(body.index) else {
        let proof = Proof::Hash(body.whole.finalize());
        return Ok(Written { report, proof, unchanged: false });
    };
    let end = envelope.end(body.crc, body.raw);
    out.write_all(&end).map_err(failed)?;
    let data = (start.len() + end.len()) as u64 + body.stored;
    let unchanged = base.is_some_and(|base| base.is_again(&mut index, &about));
    let mut tail = Tail { out, last: Vec::new() };
    let index = index.finish(&about, data, &mut tail).map_err(failed)?;
    let footer = tail.last;
    report.stored = data + index;
    Ok(Written { report, proof: Proof::Footer(footer), unchanged })
}

/// Passes on what is written, and keeps the footer.
struct Tail<'a, 'b> {
    out: &'a mut Out<'b>,
    last: Vec<u8>,
}

impl Write for Tail<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.last.extend_from_slice(&bytes[..written]);
        self.last.drain(..self.last.len().saturating_sub(FOOTER_LEN as usize));
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// What is known about an entry from the base.
#[derive(Default)]
pub(super) struct Hint<'a> {
    /// Of a large file, its body there.
    pub body: Option<Then<'a>>,
    /// Of a small one that has to be the same, the segment and the offset in it.
    pub check: Option<(u64, u64)>,
}

/// Cuts the stream into segments.
pub(super) struct Writer<'a> {
    pub feed: &'a mut Feed,
    pub stop: &'a Stop,
    pub progress: &'a Progress,
    /// Whether the first entry says who made the archive, as there is no index to say it.
    marks: bool,
    pub report: Report,
    /// The segment of the base that begins as the group does.
    pub same: Option<Segment>,
    checks: Vec<Check>,
    group: Vec<u8>,
    group_headers: Vec<(usize, usize)>,
    group_entries: Vec<EntryRecord>,
    pub headers: Vec<u8>,
    /// Files that others may be links to and that are not in the archive.
    dropped: HashSet<Vec<u8>>,
}

impl<'a> Writer<'a> {
    fn new(feed: &'a mut Feed, (stop, progress): (&'a Stop, &'a Progress), marks: bool) -> Self {
        Self {
            feed,
            stop,
            progress,
            marks,
            report: Report::default(),
            same: None,
            checks: Vec::new(),
            group: Vec::new(),
            group_headers: Vec::new(),
            group_entries: Vec::new(),
            headers: Vec::new(),
            dropped: HashSet::new(),
        }
    }

    /// Bytes of the group so far.
    pub fn length(&self) -> usize {
        self.group.len()
    }

    /// Whether this is a link to a file that is not in the archive: then it is noted as missed.
    pub fn is_dropped(&mut self, entry: &Entry) -> bool {
        let dropped = matches!(&entry.kind, Kind::Hardlink(target) if self.dropped.contains(target));
        if dropped {
            let cause = "the file that it is a link to could not be read".into();
            self.miss(entry.name.clone(), (Miss::Skipped, cause));
        }
        dropped
    }

    /// An entry that is open, if it has a body.
    pub fn add(&mut self, mut entry: Entry, hint: Hint<'a>) -> Result<(), Halt> {
        if self.is_dropped(&entry) {
            return Ok(());
        }
        let mut content = entry.content.take();
        let sparse = content.as_ref().and_then(|content| body::sparse(&entry, content.as_ref()));
        self.headers.clear();
        let marked = self.marks && self.report.entries == 0;
        header::append(&entry, sparse.as_ref(), marked, &mut self.headers);
        self.progress.entry();
        if entry.size >= cut::LARGE
            && let Some(content) = &mut content
        {
            return self.large(entry, content.as_mut(), sparse, hint.body);
        }
        let size = entry.size as usize;
        let weight = self.headers.len() + size.next_multiple_of(BLOCK);
        if cut::ends_before(&entry.name, weight, self.group.len()) {
            self.flush()?;
        }
        let at = self.group.len();
        self.group.extend_from_slice(&self.headers);
        let mut trouble = None;
        if let Some(content) = &mut content {
            let start = self.group.len();
            self.group.resize(start + size, 0);
            match body::read_small(&mut self.group[start..], content.as_mut()) {
                Ok(found) => trouble = found,
                Err(error) => {
                    self.group.truncate(at);
                    self.dropped.insert(entry.name.clone());
                    self.miss(entry.name, body::unreadable(&error));
                    return Ok(());
                }
            }
            self.progress.read(size as u64);
            self.group.resize(self.group.len() + header::padding(size as u64), 0);
        }
        self.group_headers.push((at, self.headers.len()));
        let mut record = self.record(entry, at as u64);
        if let Some(trouble) = trouble {
            record.changed = true;
            self.miss(record.name.clone(), trouble);
        } else if let Some(then) = hint.check {
            let at = at + self.headers.len();
            self.checks.push(Check { name: record.name.clone(), at, length: size, then });
        }
        self.group_entries.push(record);
        Ok(())
    }

    fn large(
        &mut self,
        entry: Entry,
        content: &mut dyn Content,
        sparse: Option<SparseBody>,
        then: Option<Then<'a>>,
    ) -> Result<(), Halt> {
        self.flush()?;
        let mut record = self.record(entry, 0);
        record.sparse = sparse.as_ref().map(|sparse| sparse.stored);
        self.send_headers()?;
        let then = then.filter(|_| sparse.is_none());
        let pieces = Pieces::new(self.feed, (self.stop, self.progress), record.body(), then);
        if let Some(trouble) = pieces.body(record.size, content, sparse)? {
            record.changed = trouble.0 == Miss::Changed;
            record.cut = trouble.0 == Miss::Skipped;
            self.miss(record.name.clone(), trouble);
        }
        self.feed.entries(vec![record])
    }

    /// The headers of a large file, as a segment.
    pub fn send_headers(&mut self) -> Result<(), Halt> {
        let mut headers = self.feed.buffer();
        headers.extend_from_slice(&self.headers);
        self.feed.segment(Raw::new(RawKind::Other(SegmentKind::Header), headers))
    }

    pub fn miss(&mut self, name: Vec<u8>, (what, cause): Trouble) {
        self.report.miss(&Missed { name, what, cause });
    }

    pub fn record(&mut self, entry: Entry, offset: u64) -> EntryRecord {
        self.report.entries += 1;
        match entry.kind {
            Kind::File => self.report.files += 1,
            Kind::Directory => self.report.folders += 1,
            _ => {}
        }
        self.report.bytes += entry.size;
        EntryRecord {
            name: entry.name,
            kind: entry.kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            ctime: entry.ctime,
            inode: entry.inode,
            device: entry.device,
            segment: self.feed.next_segment(),
            offset,
            headers: self.headers.len() as u64,
            changed: false,
            cut: false,
            sparse: None,
        }
    }

    /// End the group and send it on.
    pub fn flush(&mut self) -> Result<(), Halt> {
        let same = self.same.take();
        if self.group.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.group, self.feed.buffer());
        let headers = std::mem::take(&mut self.group_headers);
        let checks = std::mem::take(&mut self.checks);
        self.feed.segment(Raw { same, checks, ..Raw::new(RawKind::Group(headers), bytes) })?;
        self.feed.entries(std::mem::take(&mut self.group_entries))
    }

    pub fn finish(mut self) -> Result<Report, Halt> {
        self.flush()?;
        self.feed.segment(Raw::new(RawKind::Other(SegmentKind::End), vec![0; 2 * BLOCK]))?;
        Ok(self.report)
    }
}
