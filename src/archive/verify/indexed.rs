//! An archive with an index: its constant bytes, its index, and every segment, on all cores.

use std::iter::Peekable;
use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::{Sender, bounded};

use super::segment::{Checker, Holds, Job};
use super::{By, Depth, Options, Verified, index_problem};
use crate::archive::index::{EntryRecord, Footer, SegmentKind};
use crate::archive::reader::{Archive, Entries, Segment};
use crate::entry::name_order;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::printable;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::threads::spawn;

/// Bytes of the two zero blocks that end a tar stream.
const END: u64 = 1024;

/// What was found, and where it belongs in the order of the file.
type Problems = Mutex<Vec<(u64, String)>>;

/// Verify it.
///
/// # Errors
/// Of the kind *damaged* if the index cannot be followed; otherwise if it cannot be read, or `stop` asks.
pub fn verify(archive: &Archive, options: Options, stop: &Stop, progress: &Progress) -> Result<Verified> {
    let mut verified = Verified::new(By::Index, archive.length());
    verified.entries = archive.entry_count();
    verified.segments = archive.segment_count();
    let problems = Problems::default();
    constants(archive, &problems)?;
    archive.about()?;

    let sums = thread::scope(|scope| {
        let (jobs, work) = bounded::<Job>(2 * options.threads);
        for _ in 0..options.threads.max(1) {
            let (work, problems) = (work.clone(), &problems);
            spawn(scope, move || {
                let mut checker = Checker::new(archive.store(), options.depth);
                for job in work {
                    if let Err(problem) = checker.check(&job) {
                        note(problems, job.segment.offset, problem);
                    }
                    progress.read(job.segment.record.raw);
                }
            })?;
        }
        drop(work);
        let mut plan = Plan::new(archive, &problems);
        let ran = plan.run(&jobs, stop, progress);
        // The threads end when no more work can come.
        drop(jobs);
        ran.map(|()| plan.sums)
    })?;
    trailer(archive, &sums, &problems)?;

    if options.depth == Depth::Full {
        verified.raw = sums.raw;
    }
    let mut problems = problems.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    problems.sort();
    problems.into_iter().for_each(|(_, what)| verified.problem(what));
    Ok(verified)
}

fn send(jobs: &Sender<Job>, segment: Segment, holds: Holds) -> Result<()> {
    jobs.send(Job { segment, holds }).map_err(|_| Error::failed("verify: a thread ended early"))
}

fn note(problems: &Problems, at: u64, what: String) {
    problems.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, what));
}

/// The bytes that are the same in every archive: the first header, and all around the pieces of the index. The footer
/// was read when the archive was opened.
fn constants(archive: &Archive, problems: &Problems) -> Result<()> {
    let envelope = archive.footer().envelope;
    let mut start = vec![0; envelope.start().len()];
    if read(archive, &mut start, 0, problems)? && start != envelope.start() {
        note(problems, 0, "the header at offset 0 is not that of an archive of this kind".into());
    }
    let end = archive.length() - Footer::length(envelope);
    let mut at = archive.footer().start;
    let mut buffer = vec![0; 64 * envelope.member_len()];
    while at < end {
        let count = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let readable = read(archive, &mut buffer[..count], at, problems)?;
        for (number, member) in buffer[..count].chunks(envelope.member_len()).enumerate() {
            if let Err(e) = envelope.piece(member)
                && readable
            {
                let offset = at + (number * envelope.member_len()) as u64;
                note(problems, offset, format!("the index member at offset {offset} {e}"));
            }
        }
        at += count as u64;
    }
    Ok(())
}

/// Fill the buffer from this offset on. Where what was encrypted is damaged that is noted, and nothing read.
fn read(archive: &Archive, buffer: &mut [u8], at: u64, problems: &Problems) -> Result<bool> {
    match archive.read_exact_at(buffer, at) {
        Err(e) if e.exit() == Exit::Damaged => {
            note(problems, at, index_problem(&e, archive.path()));
            Ok(false)
        }
        read => read.map(|()| true),
    }
}

/// What closes the data. In gzip: the final block, and the sums over the whole tar stream.
fn trailer(archive: &Archive, sums: &Sums, problems: &Problems) -> Result<()> {
    let Footer { envelope, start, .. } = archive.footer();
    let at = start - envelope.end_len();
    let expected = envelope.end(sums.crc.clone().finalize(), sums.raw);
    let mut found = vec![0; expected.len()];
    if !read(archive, &mut found, at, problems)? {
        return Ok(());
    }
    for (range, what) in [(0..2, "the final block"), (2..6, "the CRC-32"), (6..10, "the length")] {
        if found.get(range.clone()) != expected.get(range.clone()) {
            let offset = at + range.start as u64;
            note(problems, offset, format!("{what} of the tar stream (offset {offset}) differs"));
        }
    }
    Ok(())
}

/// What the segments add up to.
struct Sums {
    crc: crc32fast::Hasher,
    raw: u64,
}

/// Brings segments and entries together, and holds the index against itself.
struct Plan<'a> {
    archive: &'a Archive,
    problems: &'a Problems,
    entries: Peekable<Entries<'a>>,
    /// The name of the entry before.
    last: Option<Vec<u8>>,
    /// The large file whose pieces come now, and how many bytes of it are to come, padding included.
    large: Option<(Arc<[u8]>, u64)>,
    body: u64,
    ended: bool,
    sums: Sums,
}

impl<'a> Plan<'a> {
    fn new(archive: &'a Archive, problems: &'a Problems) -> Self {
        Self {
            archive,
            problems,
            entries: archive.entries().peekable(),
            last: None,
            large: None,
            body: 0,
            ended: false,
            sums: Sums { crc: crc32fast::Hasher::new(), raw: 0 },
        }
    }

    fn problem(&self, at: u64, what: impl Into<String>) {
        note(self.problems, at, what.into());
    }

    fn run(&mut self, jobs: &Sender<Job>, stop: &Stop, progress: &Progress) -> Result<()> {
        let Footer { envelope, start, .. } = self.archive.footer();
        let mut next = envelope.start_len();
        for segment in self.archive.segments() {
            stop.check()?;
            let segment = segment?;
            let place = format!("segment {} (offset {})", segment.number, segment.offset);
            if (segment.offset, segment.raw_offset) != (next, self.sums.raw) {
                self.problem(segment.offset, format!("{place} does not begin where the one before it ends"));
            }
            let SegmentKind::Padding = segment.record.kind else {
                if self.ended {
                    self.problem(segment.offset, format!("{place} stands behind the end of the tar stream"));
                }
                self.job(segment, &place, jobs, progress)?;
                next = self.count(&segment);
                continue;
            };
            if segment.record.raw != 0 {
                self.problem(segment.offset, format!("{place} should hold nothing"));
            }
            send(jobs, segment, Holds::Padding)?;
            next = self.count(&segment);
        }
        let end = start - envelope.end_len();
        if next != end {
            self.problem(next, format!("the bytes from offset {next} to {end} belong to no segment"));
        }
        if !self.ended {
            self.problem(end, "the end of the tar stream is missing");
        }
        if let Some(entry) = self.entries.next() {
            let name = printable(&entry?.name);
            self.problem(end, format!("entry {name} stands in no segment"));
        }
        Ok(())
    }

    fn count(&mut self, segment: &Segment) -> u64 {
        let record = &segment.record;
        self.sums.crc.combine(&crc32fast::Hasher::new_with_initial_len(record.crc, record.raw));
        self.sums.raw = self.sums.raw.wrapping_add(record.raw);
        segment.offset + record.stored
    }

    fn job(&mut self, segment: Segment, place: &str, jobs: &Sender<Job>, progress: &Progress) -> Result<()> {
        let at = segment.offset;
        let unfinished = self.large.as_ref().filter(|_| segment.record.kind != SegmentKind::Piece);
        if let Some((name, left)) = unfinished.filter(|(_, left)| *left > 0) {
            self.problem(at, format!("{place}: {left} bytes of {} are missing", printable(name)));
        }
        let holds = match segment.record.kind {
            SegmentKind::Group(headers) => {
                Holds::Group { entries: self.entries(segment.number, progress)?, headers }
            }
            SegmentKind::Header => {
                let mut entries = self.entries(segment.number, progress)?;
                if entries.len() != 1 {
                    self.problem(at, format!("{place} should hold the headers of one entry"));
                    self.large = None;
                    return Ok(());
                }
                let entry = entries.remove(0);
                self.body = entry.body();
                self.large = Some((entry.name.clone().into(), entry.body().next_multiple_of(512)));
                Holds::Header(entry)
            }
            SegmentKind::Piece => {
                let Some((name, left)) = &mut self.large else {
                    self.problem(at, format!("{place} is part of no file"));
                    return Ok(());
                };
                let from = self.body.next_multiple_of(512) - *left;
                let name = Arc::clone(name);
                match left.checked_sub(segment.record.raw) {
                    Some(rest) => *left = rest,
                    None => self
                        .problem(at, format!("{place} is longer than what is left of {}", printable(&name))),
                }
                Holds::Piece { name, from }
            }
            SegmentKind::End => {
                self.ended = true;
                if segment.record.raw != END {
                    self.problem(at, format!("{place} should be the two zero blocks that end a tar stream"));
                }
                Holds::End
            }
            SegmentKind::Padding => Holds::Padding,
        };
        if segment.record.kind != SegmentKind::Piece && !matches!(holds, Holds::Header(_)) {
            self.large = None;
        }
        send(jobs, segment, holds)
    }

    /// The entries that stand in this segment.
    fn entries(&mut self, segment: u64, progress: &Progress) -> Result<Vec<EntryRecord>> {
        let mut found = Vec::new();
        while let Some(next) = self.entries.peek() {
            if next.as_ref().is_ok_and(|entry| entry.segment > segment) {
                break;
            }
            let Some(entry) = self.entries.next().transpose()? else { break };
            progress.entry();
            if let Some(last) = &self.last
                && name_order(last, &entry.name).is_ge()
            {
                let (last, name) = (printable(last), printable(&entry.name));
                self.problem(
                    0,
                    format!("the index: entry {name} stands behind {last}, against the order of names"),
                );
            }
            self.last = Some(entry.name.clone());
            if entry.segment < segment {
                let name = printable(&entry.name);
                self.problem(0, format!("the index: entry {name} stands in a segment that holds no entries"));
            } else {
                found.push(entry);
            }
        }
        Ok(found)
    }
}
