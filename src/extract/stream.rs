//! Any tar stream, entry by entry: archives that other tools made, and ours whose index is lost.
//!
//! Unless it is trusted, anybody may have written it. Names lead nowhere but below the root, and never through a link;
//! links lead nowhere outside; devices, pipes, owners, set-id bits and what others may write are left out, as Python's
//! `data` filter does it. What is refused is noted, and the rest extracted.

mod make;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use refusal::{No, no_folder};
use rustix::io::Errno;

use super::clean::clean;
use super::metadata::Metadata;
use super::root::{Place, Root, split};
use super::{Extracted, FOLDER_MODE, Hands};
use crate::archive::stream::{Attributes, Input, Member, Stream};
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::printable::{printable, printable_path};

/// Entries of an archive that is not trusted, at most.
pub const ENTRIES_MAX: u64 = 10_000_000;

/// Bytes of attributes of folders that are kept until all folders are filled.
const ATTRIBUTES_KEPT: usize = 64 << 20;

/// Where an entry goes, by its cleaned name; nowhere if it is not wanted.
pub type Places<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// Extract a stream below the root, which is empty. `archive` is for messages. `input` gives the stream, from its beginning
/// each time: where a hard link was chosen and its file was not, the link becomes the file, which may stand anywhere.
///
/// # Errors
/// If anything cannot be written, or the stream is damaged. What was extracted stays: the root should be one that can be
/// thrown away.
pub fn extract_stream(
    input: &dyn Fn() -> Result<Input>,
    archive: &Path,
    root: &Root,
    places: Places,
    hands: Hands,
) -> Result<Extracted> {
    let mut extraction = Extraction {
        root,
        places,
        hands,
        metadata: Metadata::new(hands.fidelity),
        extracted: Extracted::default(),
        folders: BTreeMap::new(),
        alone: BTreeMap::new(),
        attributes: 0,
        folder: None,
        buffer: vec![0; 256 * 1024],
        written: 0,
    };
    let mut stream = Stream::new(input()?);
    let mut last = None;
    let mut read = extraction.read(&mut stream, &mut last);
    match &read {
        Ok(()) => read = extraction.stand_in(input, &mut last),
        // Where the stream ends for us, links to what stands before that are made all the same.
        Err(No::Refused(_) | No::Cut(_)) if hands.salvage => {
            if let Err(No::Failed(error)) = extraction.stand_in(input, &mut None) {
                read = Err(No::Failed(error));
            }
        }
        Err(_) => {}
    }
    hands.stop.check()?;
    match read {
        Ok(()) => {}
        Err(No::Refused(why) | No::Cut(why)) => {
            let place = last.map_or_else(|| "from its beginning".into(), |name| printable(&name));
            if !hands.salvage {
                let archive = printable_path(archive);
                return Err(Error::damaged(format!("archive {archive}: in or behind {place}: {why}")));
            }
            let from = match extraction.extracted.partial.count {
                0 => format!("from {place} on"),
                _ => format!("after the beginning of {place}"),
            };
            extraction.extracted.cut = Some(format!(
                "everything {from} is lost, and what stands before it could not be checked: {why}"
            ));
        }
        Err(No::Failed(error)) => return Err(error),
    }
    extraction.finish()
}

struct Extraction<'a> {
    root: &'a Root,
    places: Places<'a>,
    hands: Hands<'a>,
    metadata: Metadata,
    extracted: Extracted,
    /// Folders by place: metadata that they get at the end, where they have an entry.
    folders: BTreeMap<Vec<u8>, Option<Member>>,
    /// Places of hard links to files that were not chosen, and the names of those.
    alone: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes of attributes of folders.
    attributes: usize,
    /// The folder that was used last.
    folder: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
    /// Up to where the last file was written.
    written: u64,
}

impl Extraction<'_> {
    /// All entries. `last` is the name of the one that was begun last.
    fn read(&mut self, stream: &mut Stream<Input>, last: &mut Option<Vec<u8>>) -> Result<(), No> {
        let mut count = 0;
        while let Some(mut member) = stream.next_member()? {
            self.hands.stop.check().map_err(No::Failed)?;
            *last = Some(member.name.clone());
            count += 1;
            if count > ENTRIES_MAX && !self.hands.trusted {
                return Err(No::Failed(Error::failed("the archive has more entries than is plausible")));
            }
            let place = match clean(&member.name) {
                Ok(name) => (self.places)(&name),
                Err(why) => {
                    if (self.places)(&member.name).is_some() {
                        self.refuse(&member.name, why);
                    }
                    None
                }
            };
            let Some(place) = place else { continue };
            self.hands.progress.entry();
            self.restrain(&mut member);
            let size = member.size;
            match self.entry(member, &place, stream) {
                Ok(made) => {
                    self.extracted.entries += u64::from(made);
                    self.extracted.bytes += if made { size } else { 0 };
                }
                Err(No::Refused(why)) => self.refuse(last.as_deref().unwrap_or_default(), &why),
                Err(no) => return Err(no),
            }
        }
        // The sums of the last member are checked at its end.
        stream.finish()?;
        Ok(())
    }

    /// The files that links lead to, extracted in the place of the first; further links are links to that.
    fn stand_in(&mut self, input: &dyn Fn() -> Result<Input>, last: &mut Option<Vec<u8>>) -> Result<(), No> {
        let mut links: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for (place, target) in std::mem::take(&mut self.alone) {
            links.entry(target).or_default().push(place);
        }
        if links.is_empty() {
            return Ok(());
        }
        let mut found = BTreeSet::new();
        let read = self.stand_in_for(&links, &mut found, input, last);
        for place in links.values().flatten().filter(|place| !found.contains(*place)) {
            if read.is_ok() {
                self.refuse(place, "a hard link to no file of the archive");
            } else {
                let name = printable(place);
                self.extracted.lost.note(format!("{name}: the file that it is a link to was not found"));
            }
        }
        read
    }

    fn stand_in_for(
        &mut self,
        links: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
        found: &mut BTreeSet<Vec<u8>>,
        input: &dyn Fn() -> Result<Input>,
        last: &mut Option<Vec<u8>>,
    ) -> Result<(), No> {
        let mut stream = Stream::new(input().map_err(No::Failed)?);
        while let Some(mut member) = stream.next_member()? {
            self.hands.stop.check().map_err(No::Failed)?;
            let Some(places) = clean(&member.name).ok().and_then(|name| links.get(&name)) else { continue };
            if member.kind != Kind::File {
                continue;
            }
            *last = Some(member.name.clone());
            self.restrain(&mut member);
            let (first, size, partial) = (&places[0], member.size, self.extracted.partial.count);
            for (number, place) in places.iter().enumerate() {
                let made = if number == 0 {
                    self.entry(member.clone(), place, &mut stream)
                } else {
                    let (above, name) = split(place);
                    let folder = self.take_folder(above)?;
                    let at = Place::new(folder.as_fd(), name, self.root.shown(place))?;
                    self.link_to(first, place, &at)
                };
                match made {
                    Ok(made) => {
                        found.insert(place.clone());
                        self.extracted.entries += u64::from(made);
                        self.extracted.bytes += if made && number == 0 { size } else { 0 };
                    }
                    Err(No::Refused(why)) => self.refuse(place, &why),
                    Err(no) => {
                        if self.extracted.partial.count > partial {
                            found.insert(place.clone());
                        }
                        return Err(no);
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, name: &[u8], why: &str) {
        self.extracted.refused.note(format!("{}: {why}", printable(name)));
    }

    /// Take from the mode what an archive of anybody's may not set: the owner can read and write, others cannot write.
    /// What Python's filter takes away, it takes away from folders too, which it gives the mode of new ones.
    fn restrain(&mut self, member: &mut Member) {
        if self.hands.trusted || matches!(member.kind, Kind::Symlink(_) | Kind::Hardlink(_)) {
            return;
        }
        let special = member.mode & 0o7000;
        let was = member.mode & 0o777;
        let mut mode = was & 0o755;
        mode |= if member.kind == Kind::Directory { 0o700 } else { 0o600 };
        if mode & 0o100 == 0 {
            mode &= 0o666;
        }
        self.metadata.unapplied.modes += u64::from(mode != was);
        member.mode = mode | special;
    }

    /// Whether something is there now that was not before.
    fn entry(&mut self, member: Member, place: &[u8], stream: &mut Stream<Input>) -> Result<bool, No> {
        if place.is_empty() {
            if member.kind != Kind::Directory {
                return Err("it would take the place of the whole folder".into());
            }
            return Ok(self.keep(place, member));
        }
        self.alone.remove(place);
        let (above, name) = split(place);
        let folder = self.take_folder(above)?;
        let made = {
            let at = Place::new(folder.as_fd(), name, self.root.shown(place))?;
            self.make(member, place, &at, stream)
        };
        if made.is_ok() && self.folder.is_none() {
            self.folder = Some((above.to_vec(), folder));
        }
        made
    }

    /// What a folder gets when nothing is written into it any more. Whether it is its first entry.
    fn keep(&mut self, place: &[u8], mut member: Member) -> bool {
        let attributes = &mut member.attributes;
        let size = attributes.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + [&attributes.acl, &attributes.default_acl]
                .iter()
                .filter_map(|acl| Some(acl.as_ref()?.len()))
                .sum::<usize>();
        if self.attributes + size > ATTRIBUTES_KEPT {
            self.metadata.unapplied.attributes += attributes.xattrs.len() as u64;
            *attributes = Attributes::default();
        } else {
            self.attributes += size;
        }
        member.name = Vec::new();
        self.folders.insert(place.to_vec(), Some(member)).flatten().is_none()
    }

    /// A folder to make something in, with those above it made where they are missing.
    fn take_folder(&mut self, name: &[u8]) -> Result<OwnedFd, No> {
        match self.folder.take() {
            Some((open, fd)) if open == name => return Ok(fd),
            _ => {}
        }
        match self.root.folder(name) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(no_folder(e)),
        }
        let mut made = 0;
        while made < name.len() {
            let rest = &name[made..];
            let (above, end) = match rest.iter().position(|byte| *byte == b'/') {
                Some(slash) => (&name[..made.saturating_sub(1)], made + slash),
                None => (&name[..made.saturating_sub(1)], name.len()),
            };
            let place = &name[..end];
            let above = self.root.folder(above).map_err(no_folder)?;
            let at = Place::new(above.as_fd(), &name[made..end], self.root.shown(place))?;
            if at.make_folder()? {
                self.folders.entry(place.to_vec()).or_insert(None);
            }
            made = end + 1;
        }
        self.root.folder(name).map_err(no_folder)
    }

    /// Metadata of folders, what is in a folder before the folder.
    fn finish(mut self) -> Result<Extracted> {
        for (place, member) in std::mem::take(&mut self.folders).into_iter().rev() {
            let shown = self.root.shown(&place);
            let folder = self.root.folder(&place).map_err(|e| Error::io("open folder", &shown, e))?;
            if let Some(member) = member {
                self.metadata.on_open(folder.as_fd(), &member, &shown)?;
            } else {
                rustix::fs::fchmod(&folder, FOLDER_MODE)
                    .map_err(|e| Error::io("set the mode of", &shown, e))?;
                self.extracted.implied.insert(place);
            }
        }
        self.extracted.unapplied = self.metadata.unapplied;
        Ok(self.extracted)
    }
}
