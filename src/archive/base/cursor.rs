//! The base's entries and groups, found in the order of the walk.

use super::Base;
use crate::archive::index::{EntryRecord, SegmentKind};
use crate::archive::reader::{Entries, Segment};
use crate::entry::name_order;
use crate::error::Error;

/// A group in the base, and what stands in it.
pub(in crate::archive) struct Group {
    pub segment: Segment,
    pub entries: Vec<EntryRecord>,
}

/// No group has so many entries: what says so is no index of ours.
const ENTRIES: usize = 1 << 16;

/// Goes through the base beside the walk.
pub(in crate::archive) struct Cursor<'a> {
    pub base: &'a Base,
    entries: std::iter::Peekable<Entries<'a>>,
}

impl<'a> Cursor<'a> {
    pub fn new(base: &'a Base) -> Self {
        Self { base, entries: base.archive.entries().peekable() }
    }

    /// Go to this name, if it is not behind us: its record, if it has one.
    fn seek(&mut self, name: &[u8]) -> Option<&EntryRecord> {
        loop {
            let order = if let Ok(record) = self.entries.peek()? {
                name_order(&record.name, name)
            } else {
                if let Some(Err(error)) = self.entries.next() {
                    self.failed(&error);
                }
                return None;
            };
            match order {
                std::cmp::Ordering::Less => drop(self.entries.next()),
                std::cmp::Ordering::Equal => return self.entries.peek()?.as_ref().ok(),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }

    fn failed(&self, error: &Error) {
        self.base.damaged(&error.to_string());
    }

    /// What the base says about this name. Names are asked for in their order.
    pub fn record(&mut self, name: &[u8]) -> Option<EntryRecord> {
        self.seek(name)?;
        self.entries.next()?.ok()
    }

    /// The group that begins with this name, if one does; it is behind us then.
    pub fn group(&mut self, name: &[u8]) -> Option<Group> {
        let base = self.base;
        let first = self.seek(name).filter(|first| first.offset == 0)?;
        let number = first.segment;
        let segment = base.segment(number)?;
        if !matches!(segment.record.kind, SegmentKind::Group(_)) {
            return None;
        }
        let mut entries = Vec::new();
        while let Some(Ok(next)) = self.entries.peek()
            && next.segment == number
        {
            entries.extend(self.entries.next().and_then(Result::ok));
            if entries.len() > ENTRIES {
                return None;
            }
        }
        Some(Group { segment, entries })
    }
}
