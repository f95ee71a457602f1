//! An archive with an index, on all cores.
//!
//! First all folders are made, for nobody else. Then each segment is decompressed by itself and its entries are written;
//! files larger than a segment exist before their pieces come. Last, when no file is missing, come hard links, and the
//! metadata of large files and of folders, from the innermost out: nothing is written below a folder after that.

mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Mutex;

use crossbeam_channel::bounded;
use rustix::fs::{AtFlags, fchmod, ftruncate, unlinkat};
use worker::Worker;

use super::losses::Losses;
use super::metadata::Metadata;
use super::root::{Place, Root, split};
use super::{Choice, Extracted, FOLDER_MODE, Hands, sparse};
use crate::archive::index::{EntryRecord, SegmentKind};
use crate::archive::reader::{Archive, Segment};
use crate::archive::stream::Member;
use crate::entry::{Kind, is_restore_folder};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::{printable, printable_path};
use crate::threads::spawn;

/// Extract the chosen entries below the root, where nothing of their names is yet but folders.
///
/// # Errors
/// If anything cannot be written, or the archive is damaged after all. What was extracted stays: the root should be one
/// that can be thrown away.
pub fn extract(archive: &Archive, root: &Root, choice: &dyn Choice, hands: Hands) -> Result<Extracted> {
    let extraction =
        Extraction { archive, root, choice, hands, last: Mutex::default(), losses: Mutex::default() };
    let implied = extraction.folders()?;
    let (mut extracted, mut metadata) = extraction.segments()?;
    let mut last = std::mem::take(&mut *extraction.lock_last());
    for emptied in extraction.lock_losses().emptied(&mut extracted) {
        last.large.retain(|(place, _)| *place != emptied);
        let (folder, name) = split(&emptied);
        unlinkat(extraction.folder(folder)?, OsStr::from_bytes(name), AtFlags::empty())
            .map_err(|e| Error::io("remove", root.shown(&emptied), e))?;
    }
    extraction.hard_links(&last.links, &mut extracted)?;
    for (place, member) in last.large {
        let (folder, name) = split(&place);
        let folder = extraction.folder(folder)?;
        let place = Place::new(folder.as_fd(), name, root.shown(&place))?;
        metadata.on_open(place.open_file()?.as_fd(), &member, place.shown())?;
    }
    extracted.entries += last.folders.len() as u64;
    // Descending by name: what is in a folder comes before the folder.
    for (place, member) in last.folders.into_iter().rev() {
        let folder = extraction.folder(&place)?;
        metadata.on_open(folder.as_fd(), &member, &root.shown(&place))?;
    }
    for place in &implied {
        let folder = extraction.folder(place)?;
        fchmod(&folder, FOLDER_MODE).map_err(|e| Error::io("set the mode of", root.shown(place), e))?;
    }
    extracted.implied = implied;
    // Beside what is counted of files that stand in for links.
    extracted.unapplied.add(metadata.unapplied);
    std::mem::take(&mut *extraction.lock_losses()).tell(&mut extracted);
    Ok(extracted)
}

/// What has to wait until the files are there. By place, so that it comes in the order of names.
#[derive(Default)]
struct Last {
    folders: BTreeMap<Vec<u8>, Member>,
    large: Vec<(Vec<u8>, Member)>,
    /// Places of links, and the names in the archive of the files that they are links to.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct Extraction<'a> {
    archive: &'a Archive,
    root: &'a Root,
    choice: &'a dyn Choice,
    hands: Hands<'a>,
    last: Mutex<Last>,
    /// What damage took, where it may.
    losses: Mutex<Losses>,
}

/// An entry, and where it goes.
type Placed = (EntryRecord, Vec<u8>);

/// A segment, and what of it is wanted.
struct Job {
    segment: Segment,
    wanted: Wanted,
}

enum Wanted {
    /// These entries, and where they go.
    Entries(Vec<Placed>),
    /// The headers of a large file of this size that goes there.
    Headers { place: Vec<u8>, size: u64 },
    /// A part of that file, from this offset on, and how long it is within the file.
    Piece { place: Vec<u8>, from: u64, length: u64, size: u64 },
}

impl Wanted {
    /// What is lost with the segment.
    fn lost(&self, losses: &mut Losses, why: &str) {
        match self {
            Self::Entries(entries) => entries.iter().for_each(|placed| lost(losses, placed, why)),
            Self::Headers { place, size } => losses.headers(place, *size, why),
            Self::Piece { place, from, length, size } => {
                losses.body(place, Some((*from, *length)), *size, why);
            }
        }
    }
}

/// An entry whose header is lost, and its body with it. Folders were made before.
fn lost(losses: &mut Losses, (entry, place): &Placed, why: &str) {
    if entry.kind == Kind::Directory {
        losses.headers(place, 0, why);
    } else {
        losses.entry(&entry.name, why);
    }
}

impl Extraction<'_> {
    fn lock_last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Where an entry goes, if it was chosen. The litter of an interrupted restore goes nowhere.
    fn place(&self, name: &[u8]) -> Option<Vec<u8>> {
        let place = self.choice.place(name)?;
        (!place.split(|byte| *byte == b'/').any(is_restore_folder)).then_some(place)
    }

    fn lock_losses(&self) -> std::sync::MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Go on behind damage where that is wanted: what it took is noted.
    fn survive(&self, error: Error, note: impl FnOnce(&mut Losses, &str)) -> Result<()> {
        if !self.hands.salvage || error.exit() != Exit::Damaged {
            return Err(error);
        }
        note(&mut self.lock_losses(), &error.to_string());
        Ok(())
    }

    fn folder(&self, name: &[u8]) -> Result<OwnedFd> {
        self.root.folder(name).map_err(|e| Error::io("open folder", self.root.shown(name), e))
    }

    /// Make all folders: those too that are only the beginning of a name, which are given back.
    fn folders(&self) -> Result<BTreeSet<Vec<u8>>> {
        let mut implied = BTreeSet::new();
        let mut made = Vec::new();
        for entry in self.choice.entries(self.archive) {
            self.hands.stop.check()?;
            let entry = entry?;
            let Some(place) = self.place(&entry.name) else { continue };
            let folder = if entry.kind == Kind::Directory { &place[..] } else { split(&place).0 };
            if made != folder {
                self.make_folders(folder, &mut implied)?;
                made = folder.to_vec();
            }
            if entry.kind == Kind::Directory {
                implied.remove(folder);
            }
        }
        Ok(implied)
    }

    fn make_folders(&self, name: &[u8], made: &mut BTreeSet<Vec<u8>>) -> Result<()> {
        let missing = |name: &&[u8]| !name.is_empty() && self.root.folder(name).is_err();
        let mut names: Vec<_> =
            std::iter::successors(Some(name), |name| Some(split(name).0)).take_while(missing).collect();
        while let Some(name) = names.pop() {
            let (above, last) = split(name);
            let above = self.folder(above)?;
            if Place::new(above.as_fd(), last, self.root.shown(name))?.make_folder()? {
                made.insert(name.to_vec());
            }
        }
        Ok(())
    }

    /// Decompress the segments that hold anything wanted, and write it.
    fn segments(&self) -> Result<(Extracted, Metadata)> {
        let threads = self.hands.threads.max(1);
        std::thread::scope(|scope| {
            let (jobs, work) = bounded::<Job>(2 * threads);
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let work = work.clone();
                    spawn(scope, move || Worker::new(self).work(&work))
                })
                .collect::<Result<_>>()?;
            drop(work);
            let planned = self.plan(&mut |job| jobs.send(job).is_ok());
            drop(jobs);
            let mut all = Extracted::default();
            let mut metadata = Metadata::new(self.hands.fidelity);
            let mut result = planned;
            for worker in workers {
                match worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                    Ok((extracted, found)) => {
                        all.entries += extracted.entries;
                        all.bytes += extracted.bytes;
                        all.lost.add(extracted.lost);
                        metadata.unapplied.add(found.unapplied);
                    }
                    Err(error) => result = result.and(Err(error)),
                }
            }
            result.map(|()| (all, metadata))
        })
    }

    /// Find the segments that the wanted entries stand in. `send` says whether anybody still works.
    fn plan(&self, send: &mut dyn FnMut(Job) -> bool) -> Result<()> {
        let mut here: Option<(Segment, Vec<Placed>)> = None;
        for entry in self.choice.entries(self.archive) {
            self.hands.stop.check()?;
            let entry = entry?;
            let Some(place) = self.place(&entry.name) else { continue };
            match &mut here {
                Some((segment, entries)) if segment.number == entry.segment => {
                    entries.push((entry, place));
                    continue;
                }
                _ => {}
            }
            if let Some((segment, entries)) = here.take()
                && !send(Job { segment, wanted: Wanted::Entries(entries) })
            {
                return Ok(());
            }
            let segment = self.archive.segment(entry.segment)?;
            if segment.record.kind == SegmentKind::Header {
                if !self.large(&entry, &place, segment, send)? {
                    return Ok(());
                }
            } else {
                here = Some((segment, vec![(entry, place)]));
            }
        }
        if let Some((segment, entries)) = here {
            send(Job { segment, wanted: Wanted::Entries(entries) });
        }
        Ok(())
    }

    /// A large file: its headers, and its pieces, which follow them.
    fn large(
        &self,
        entry: &EntryRecord,
        place: &[u8],
        segment: Segment,
        send: &mut dyn FnMut(Job) -> bool,
    ) -> Result<bool> {
        self.begin_large(entry, place)?;
        if !send(Job { segment, wanted: Wanted::Headers { place: place.to_vec(), size: entry.size } }) {
            return Ok(false);
        }
        let (mut from, mut number) = (0, entry.segment);
        while entry.sparse.is_none() && from < entry.size {
            self.hands.stop.check()?;
            number += 1;
            let segment = self.archive.segment(number)?;
            if segment.record.kind != SegmentKind::Piece || segment.record.raw == 0 {
                let error = Error::damaged(format!(
                    "archive {}: the body of {} ends after {from} bytes",
                    printable_path(self.archive.path()),
                    printable(&entry.name)
                ));
                self.survive(error, |losses, why| {
                    losses.body(place, Some((from, entry.size - from)), entry.size, why);
                })?;
                break;
            }
            let length = (entry.size - from).min(segment.record.raw);
            let wanted = Wanted::Piece { place: place.to_vec(), from, length, size: entry.size };
            from += segment.record.raw;
            if !send(Job { segment, wanted }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Make a large file in its full length. One that is stored sparse is written here, from its beginning to its end.
    fn begin_large(&self, entry: &EntryRecord, place: &[u8]) -> Result<()> {
        let (folder, name) = split(place);
        let folder = self.folder(folder)?;
        let at = Place::new(folder.as_fd(), name, self.root.shown(place))?;
        let file = at.make_file()?;
        ftruncate(&file, entry.size).map_err(|e| at.failed("set the length of", e))?;
        if entry.sparse.is_some() {
            self.write_sparse(entry, &at, &file).or_else(|error| {
                self.survive(error, |losses, why| losses.body(place, None, entry.size, why))
            })?;
        }
        Ok(())
    }

    fn write_sparse(&self, entry: &EntryRecord, place: &Place, file: &OwnedFd) -> Result<()> {
        let damaged = |e: std::io::Error| {
            Error::damaged(format!(
                "archive {}: body of {}: {e}",
                printable_path(self.archive.path()),
                printable(&entry.name)
            ))
        };
        let mut body = self.archive.body(entry);
        let mut buffer = vec![0; 256 * 1024];
        for (mut offset, mut left) in sparse::read_map(&mut body, entry.size).map_err(damaged)? {
            while left > 0 {
                self.hands.stop.check()?;
                let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                body.read_exact(&mut buffer[..most]).map_err(damaged)?;
                sparse::write_at(file.as_fd(), &buffer[..most], offset)
                    .map_err(|e| place.failed("write file", e))?;
                offset += most as u64;
                left -= most as u64;
                self.hands.progress.read(most as u64);
            }
        }
        Ok(())
    }

    /// Links to files that were extracted. Where a link was chosen and its file was not, the link becomes the file, and
    /// further links are links to it.
    fn hard_links(&self, links: &BTreeMap<Vec<u8>, Vec<u8>>, extracted: &mut Extracted) -> Result<()> {
        let mut instead: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for (place, target) in links {
            self.hands.stop.check()?;
            let chosen = self.place(target);
            let of = match (&chosen, instead.get(&target[..])) {
                (Some(of), _) => of,
                (None, Some(of)) => *of,
                (None, None) => {
                    self.stand_in(place, target, extracted)?;
                    instead.insert(target, place);
                    continue;
                }
            };
            let ((from_folder, from), (to_folder, to)) = (split(of), split(place));
            let (from_fd, to_fd) = (self.folder(from_folder)?, self.folder(to_folder)?);
            let from = Place::new(from_fd.as_fd(), from, self.root.shown(of))?;
            let made = Place::new(to_fd.as_fd(), to, self.root.shown(place))?.make_hard_link(&from);
            match made {
                Err(e)
                    if self.hands.salvage && e.cause().and_then(std::io::Error::raw_os_error) == Some(2) =>
                {
                    self.lock_losses().entry(place, "it is a link to a file that is lost");
                }
                made => {
                    made?;
                    extracted.entries += 1;
                }
            }
        }
        Ok(())
    }

    /// The file that a link leads to, extracted in the link's place.
    fn stand_in(&self, place: &[u8], target: &[u8], extracted: &mut Extracted) -> Result<()> {
        let alone = extract(self.archive, self.root, &Alone { name: target, place }, self.hands)?;
        extracted.entries += alone.entries;
        extracted.bytes += alone.bytes;
        extracted.unapplied.add(alone.unapplied);
        extracted.lost.add(alone.lost);
        extracted.partial.add(alone.partial);
        Ok(())
    }
}

/// One entry, and where it goes.
struct Alone<'a> {
    name: &'a [u8],
    place: &'a [u8],
}

impl Choice for Alone<'_> {
    fn place(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name == self.name).then(|| self.place.to_vec())
    }

    fn entries<'a>(&'a self, archive: &'a Archive) -> Box<dyn Iterator<Item = Result<EntryRecord>> + 'a> {
        Box::new(archive.find(self.name).transpose().into_iter())
    }
}
