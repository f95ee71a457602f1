//! Reading an archive by its index: entries, segments, the body of one file. All by offset, so threads can share it.
//!
//! The index is a hint: every offset and length in it is held against the file before it is followed, and what is
//! decompressed is held against its hash and its CRC. What has no index is read by [`super::stream`].

mod body;
mod open;
mod segment;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use body::Body;
use open::read_page;
pub use open::{from_file, from_store, open};
pub use segment::{Decoder, Fault, Segment};

use super::index::{self, About, EntryRecord, Footer, Page, PageKind, SegmentRecord};
use super::store::Store;
use crate::entry::{is_below, name_order};
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// What opening a file came to.
#[derive(Debug)]
pub enum Opened {
    /// It has an index whose footer and table are sound.
    Indexed(Box<Archive>),
    /// It has none that can be used, and is read from its beginning to its end.
    Unindexed(Unindexed),
}

/// A file without a usable index.
#[derive(Debug)]
pub struct Unindexed {
    /// Its bytes.
    pub store: Store,
    /// Where it is, for messages.
    pub path: PathBuf,
    /// What is wrong with its index, if it should have one; `None` for an archive that another tool made.
    pub damage: Option<String>,
    /// Whether it begins or ends as ours do.
    pub ours: bool,
}

/// An archive with an index.
#[derive(Debug)]
pub struct Archive {
    store: Store,
    path: PathBuf,
    footer: Footer,
    segments: Numbered,
    entries: Numbered,
    about: Page,
    /// The page of segments that was used last: bodies are read in order.
    recent: Mutex<Option<(usize, Arc<Vec<Segment>>)>>,
    /// The pages that entries were looked for on, the last one last: to restore one file, it and the folders that it stands
    /// in are asked for several times.
    looked: Mutex<Vec<(usize, Arc<Vec<EntryRecord>>)>>,
}

/// How many pages of entries are kept: as many as a path has folders, mostly. Each takes some 200 KiB.
const PAGES_KEPT: usize = 8;

/// Pages of one kind, and how many records stand before each.
#[derive(Debug, Default)]
struct Numbered {
    pages: Vec<Page>,
    before: Vec<u64>,
    count: u64,
}

impl Numbered {
    fn push(&mut self, page: Page) {
        self.before.push(self.count);
        self.count += page.count as u64;
        self.pages.push(page);
    }
}

impl Archive {
    fn new(store: Store, path: PathBuf, footer: Footer, pages: Vec<Page>) -> Self {
        let mut segments = Numbered::default();
        let mut entries = Numbered::default();
        let mut about = None;
        for page in pages {
            match page.kind {
                PageKind::Segments { .. } => segments.push(page),
                PageKind::Entries(_) => entries.push(page),
                PageKind::About => about = Some(page),
            }
        }
        let about = about.expect("a table without its page about the archive does not decode");
        Self {
            store,
            path,
            footer,
            segments,
            entries,
            about,
            recent: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// Give up on its index, because of this damage to it.
    pub fn into_unindexed(self, damage: String) -> Unindexed {
        Unindexed { store: self.store, path: self.path, damage: Some(damage), ours: true }
    }

    /// Take its index for what anybody may have put there.
    pub fn into_foreign(self) -> Unindexed {
        Unindexed { store: self.store, path: self.path, damage: None, ours: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.store.length()
    }

    /// What its footer says.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// How many entries it has.
    pub fn entry_count(&self) -> u64 {
        self.entries.count
    }

    /// How many segments it has.
    pub fn segment_count(&self) -> u64 {
        self.segments.count
    }

    /// The pages of its index that are about segments, and those about entries.
    pub(super) fn pages(&self) -> (&[Page], &[Page]) {
        (&self.segments.pages, &self.entries.pages)
    }

    /// It is damaged, and how.
    pub(super) fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::damaged(format!("archive {}: {what}", printable_path(&self.path)))
    }

    /// Fill the buffer from this offset on.
    ///
    /// # Errors
    /// If it cannot be read, or was encrypted and is damaged there.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.store.read_exact_at(buffer, at).map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidData => {
                self.damaged(format_args!("what was encrypted at offset {at} is damaged"))
            }
            _ => Error::io("read archive", &self.path, e),
        })
    }

    fn page(&self, page: &Page) -> Result<Vec<u8>> {
        read_page(&self.store, &self.path, &self.footer, page)?.map_err(|e| self.page_damaged(page, e))
    }

    fn page_damaged(&self, page: &Page, what: impl std::fmt::Display) -> Error {
        let which = match &page.kind {
            PageKind::Segments { stored, .. } => format!("of the segments from offset {stored}"),
            PageKind::Entries(first) => format!("of the entries from {}", printable(first)),
            PageKind::About => "about the archive".into(),
        };
        self.damaged(format_args!("the index's page {which} {what}"))
    }

    /// What the index says about the archive as a whole.
    ///
    /// # Errors
    /// If the page is damaged.
    pub fn about(&self) -> Result<About> {
        let raw = self.page(&self.about)?;
        serde_json::from_slice(&raw)
            .map_err(|e| self.page_damaged(&self.about, format_args!("is not what it should be: {e}")))
    }

    /// All entries, in the order of the tar stream.
    pub fn entries(&self) -> Entries<'_> {
        Entries { archive: self, page: 0, now: Vec::new().into_iter() }
    }

    /// This entry, if there is one, and all below it, in the order of the tar stream.
    pub fn below(&self, name: &[u8]) -> impl Iterator<Item = Result<EntryRecord>> {
        let within = name.to_vec();
        let (here, behind) = match self.page_with(name) {
            None => (Vec::new(), 0),
            Some(page) => match self.looked_at(page) {
                Ok(entries) => {
                    let from = entries.partition_point(|entry| name_order(&entry.name, name).is_lt());
                    let below = entries[from..].iter().take_while(|entry| is_below(&entry.name, name));
                    let below: Vec<_> = below.cloned().map(Ok).collect();
                    let goes_on = from + below.len() == entries.len();
                    (below, if goes_on { page + 1 } else { usize::MAX })
                }
                Err(e) => (vec![Err(e)], usize::MAX),
            },
        };
        let behind = Entries { archive: self, page: behind, now: Vec::new().into_iter() };
        let below = move |entry: &Result<EntryRecord>| {
            entry.as_ref().map_or(true, |entry| is_below(&entry.name, &within))
        };
        here.into_iter().chain(behind.take_while(below))
    }

    /// The entry with this name, if there is one.
    ///
    /// # Errors
    /// If the page that it would be on is damaged.
    pub fn find(&self, name: &[u8]) -> Result<Option<EntryRecord>> {
        let Some(page) = self.page_with(name) else { return Ok(None) };
        let entries = self.looked_at(page)?;
        let found = entries.binary_search_by(|entry| name_order(&entry.name, name));
        Ok(found.ok().map(|at| entries[at].clone()))
    }

    /// A page of entries that others may be looked for on soon.
    fn looked_at(&self, number: usize) -> Result<Arc<Vec<EntryRecord>>> {
        let lock = || self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut looked = lock();
        if let Some(at) = looked.iter().position(|(page, _)| *page == number) {
            looked[at..].rotate_left(1);
            return Ok(Arc::clone(&looked[looked.len() - 1].1));
        }
        drop(looked);
        let entries = Arc::new(self.entry_page(number)?);
        let mut looked = lock();
        if looked.len() == PAGES_KEPT {
            looked.remove(0);
        }
        looked.push((number, Arc::clone(&entries)));
        Ok(entries)
    }

    /// The page that this name stands on, if it stands on any.
    fn page_with(&self, name: &[u8]) -> Option<usize> {
        let first = |page: &Page| match &page.kind {
            PageKind::Entries(first) => name_order(first, name).is_le(),
            _ => false,
        };
        self.entries.pages.partition_point(first).checked_sub(1)
    }

    fn entry_page(&self, number: usize) -> Result<Vec<EntryRecord>> {
        let page = &self.entries.pages[number];
        let raw = self.page(page)?;
        let entries = index::decode_entries(&raw, page.count).map_err(|e| self.page_damaged(page, e))?;
        if PageKind::Entries(entries[0].name.clone()) != page.kind {
            return Err(self.page_damaged(page, "begins with another name than the table says"));
        }
        Ok(entries)
    }

    /// All segments, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = Result<Segment>> {
        (0..self.segments.pages.len()).flat_map(|page| match self.segment_page(page) {
            Ok(segments) => segments.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(e) => vec![Err(e)],
        })
    }

    /// The segment with this number.
    ///
    /// # Errors
    /// If there is none, or the page that it stands on is damaged.
    pub fn segment(&self, number: u64) -> Result<Segment> {
        let page = match self.segments.before.partition_point(|before| *before <= number).checked_sub(1) {
            Some(page) if number < self.segments.count => page,
            _ => return Err(self.damaged(format_args!("the index has no segment {number}"))),
        };
        let at = (number - self.segments.before[page]) as usize;
        let recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let segments = match recent {
            Some((number, segments)) if number == page => segments,
            _ => {
                let segments = Arc::new(self.segment_page(page)?);
                let recent = Some((page, Arc::clone(&segments)));
                *self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = recent;
                segments
            }
        };
        Ok(segments[at])
    }

    fn segment_page(&self, number: usize) -> Result<Vec<Segment>> {
        let page = &self.segments.pages[number];
        let PageKind::Segments { stored: mut offset, raw: mut raw_offset } = page.kind else {
            return Err(self.page_damaged(page, "is of another kind"));
        };
        let raw = self.page(page)?;
        let records = index::decode_segments(&raw, page.count).map_err(|e| self.page_damaged(page, e))?;
        let envelope = self.footer.envelope;
        let limit = self.footer.start - envelope.end_len();
        let mut segments = Vec::with_capacity(records.len());
        for (number, record) in (self.segments.before[number]..).zip(records) {
            let SegmentRecord { stored, raw, .. } = record;
            segments.push(Segment { number, offset, raw_offset, record, envelope });
            let inside = offset.checked_add(stored).filter(|end| *end <= limit);
            let most = stored.saturating_mul(envelope.ratio());
            if raw.max(stored / 2) > segment::SEGMENT_MAX || raw > most {
                return Err(self.page_damaged(page, "has a segment of an impossible size"));
            }
            let Some((end, raw_end)) = inside.zip(raw_offset.checked_add(raw)) else {
                return Err(self.page_damaged(page, "has a segment outside the data"));
            };
            (offset, raw_offset) = (end, raw_end);
        }
        Ok(segments)
    }

    /// The tar stream's bytes of this segment, checked against its hashes and its CRC.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn read_segment(&self, number: u64) -> Result<Vec<u8>> {
        let segment = self.segment(number)?;
        let mut decoder = Decoder::new();
        match decoder.read(&self.store, &segment) {
            Ok(raw) => Ok(raw.to_vec()),
            Err(Fault::Read(e)) => Err(Error::io("read archive", &self.path, e)),
            Err(fault) => {
                Err(self.damaged(format_args!("segment {number} (offset {}): {fault}", segment.offset)))
            }
        }
    }

    /// The body of an entry as it stands in the tar stream: of one that is stored sparse, the map and the data.
    pub fn body<'a>(&'a self, entry: &EntryRecord) -> Body<'a> {
        Body::new(self, entry)
    }
}

/// See [`Archive::entries`]. Ends after the first error.
pub struct Entries<'a> {
    archive: &'a Archive,
    page: usize,
    now: std::vec::IntoIter<EntryRecord>,
}

impl Iterator for Entries<'_> {
    type Item = Result<EntryRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.now.next() {
                return Some(Ok(entry));
            }
            if self.page >= self.archive.entries.pages.len() {
                return None;
            }
            match self.archive.entry_page(self.page) {
                Ok(entries) => self.now = entries.into_iter(),
                Err(e) => {
                    self.page = usize::MAX;
                    return Some(Err(e));
                }
            }
            self.page += 1;
        }
    }
}
