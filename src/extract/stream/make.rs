//! One entry of a stream, made where it goes.

use std::io::{self, Read};
use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, FileType, ftruncate, readlinkat, statat, unlinkat};
use rustix::io::Errno;

use super::Extraction;
use super::refusal::No;
use crate::archive::stream::{Bad, Input, Member, Stream};
use crate::entry::Kind;
use crate::extract::clean::{check_link, clean};
use crate::extract::root::{Place, split};
use crate::extract::sparse;
use crate::printable::{human_bytes, printable};

impl Extraction<'_> {
    /// Make what this member is. Whether something is there now that was not before.
    pub(super) fn make(
        &mut self,
        member: Member,
        place: &[u8],
        at: &Place,
        stream: &mut Stream<Input>,
    ) -> Result<bool, No> {
        let trusted = self.hands.trusted;
        let new = match &member.kind {
            Kind::Directory => {
                // A folder that is there is this one; anything else makes room.
                let mut room = true;
                if at.make_folder().is_err() {
                    room = self.make_room(at, place)?;
                    at.make_folder()?;
                }
                return Ok(self.keep(place, member) && room);
            }
            Kind::Symlink(target) => {
                if !trusted {
                    check_link(split(place).0, target)?;
                }
                let new = self.make_room(at, place)?;
                at.make_link(target)?;
                self.metadata.on_place(at, &member, true)?;
                new
            }
            Kind::Hardlink(target) => self.hard_link(target, place, at)?,
            Kind::File => {
                let new = self.make_room(at, place)?;
                if let Err(no) = self.file(&member, at, stream) {
                    if self.hands.salvage && matches!(no, No::Cut(_)) && self.begun(&member, at)? {
                        return Err(no);
                    }
                    // Half a file is none.
                    let (folder, name) = at.at();
                    unlinkat(folder, name, AtFlags::empty()).map_err(|e| at.failed("remove", e))?;
                    return Err(no);
                }
                new
            }
            _ if !trusted => return Err("a device or pipe".into()),
            Kind::Fifo => self.node(&member, place, at, (FileType::Fifo, 0, 0))?,
            Kind::CharDevice(major, minor) => {
                self.node(&member, place, at, (FileType::CharacterDevice, *major, *minor))?
            }
            Kind::BlockDevice(major, minor) => {
                self.node(&member, place, at, (FileType::BlockDevice, *major, *minor))?
            }
        };
        Ok(new)
    }

    fn node(
        &mut self,
        member: &Member,
        place: &[u8],
        at: &Place,
        (kind, major, minor): (FileType, u32, u32),
    ) -> Result<bool, No> {
        let device = kind != FileType::Fifo;
        if device && !self.hands.fidelity.full {
            self.metadata.unapplied.devices += 1;
            return Ok(false);
        }
        let new = self.make_room(at, place)?;
        match at.make_node(kind, major, minor) {
            Ok(()) => self.metadata.on_place(at, member, false)?,
            Err(Errno::PERM | Errno::ACCESS) if device => {
                self.metadata.unapplied.devices += 1;
                return Ok(false);
            }
            Err(e) => return Err(at.failed("make device", e).into()),
        }
        Ok(new)
    }

    /// Another name of what this archive made before.
    fn hard_link(&mut self, target: &[u8], place: &[u8], at: &Place) -> Result<bool, No> {
        let cleaned =
            clean(target).map_err(|why| No::Refused(format!("a hard link to a file of which {why}")))?;
        let Some(of) = (self.places)(&cleaned) else {
            self.make_room(at, place)?;
            self.alone.insert(place.to_vec(), cleaned);
            return Ok(false);
        };
        if of == place {
            return Err("a hard link to itself".into());
        }
        self.link_to(&of, place, at)
    }

    /// Another name of what is at this place.
    pub(super) fn link_to(&mut self, of: &[u8], place: &[u8], at: &Place) -> Result<bool, No> {
        let (above, name) = split(of);
        let none = "a hard link to what is not there, or only through a link";
        let folder = self.root.folder(above).map_err(|_| none)?;
        let of = Place::new(folder.as_fd(), name, self.root.shown(of)).map_err(|_| none)?;
        let (folder, name) = of.at();
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| none)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err("a hard link to a folder".into()),
            FileType::Symlink if !self.hands.trusted => {
                // From here the same target may lead somewhere else.
                let target = readlinkat(folder, name, Vec::new()).map_err(|e| of.failed("read link", e))?;
                check_link(split(place).0, target.as_bytes())?;
            }
            _ => {}
        }
        let new = self.make_room(at, place)?;
        at.make_hard_link(&of)?;
        Ok(new)
    }

    /// A file whose end is lost: it is as long as its beginning. Whether there is any.
    fn begun(&mut self, member: &Member, at: &Place) -> Result<bool, No> {
        if self.written == 0 {
            return Ok(false);
        }
        let file = at.open_file()?;
        ftruncate(&file, self.written).map_err(|e| at.failed("set the length of", e))?;
        self.metadata.on_open(file.as_fd(), member, at.shown())?;
        self.extracted.entries += 1;
        self.extracted.bytes += self.written;
        let (name, there, all) =
            (printable(&member.name), human_bytes(self.written), human_bytes(member.size));
        self.extracted.partial.note(format!("{name}: only its first {there} of {all} are there"));
        Ok(true)
    }

    fn file(&mut self, member: &Member, at: &Place, stream: &mut Stream<Input>) -> Result<(), No> {
        self.written = 0;
        let file = at.make_file()?;
        ftruncate(&file, member.size).map_err(|e| at.failed("set the length of", e))?;
        let map = match &member.map {
            Some(map) => map.clone(),
            None if member.sparse => {
                let map = sparse::read_map(stream, member.size).map_err(|e| No::Refused(e.to_string()))?;
                if map.iter().map(|(_, length)| length).sum::<u64>() > stream.left() {
                    return Err("its map speaks of more data than there is".into());
                }
                map
            }
            None => vec![(0, member.size)],
        };
        for (mut offset, mut left) in map {
            while left > 0 {
                let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let (count, read) = fill(stream, &mut self.buffer[..most]);
                // Where the stream ends for us, what came before that is there.
                let bytes = &self.buffer[..count];
                sparse::write_at(file.as_fd(), bytes, offset).map_err(|e| at.failed("write file", e))?;
                offset += count as u64;
                left -= count as u64;
                self.written = if count > 0 { offset } else { self.written };
                self.hands.progress.read(count as u64);
                read.map_err(|e| No::from(Bad::Read(e)))?;
            }
        }
        Ok(self.metadata.on_open(file.as_fd(), member, at.shown())?)
    }

    /// Take away what has the name, itself and never what it leads to. Whether there was nothing.
    fn make_room(&mut self, at: &Place, place: &[u8]) -> Result<bool, No> {
        let (folder, name) = at.at();
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::ISDIR) => match unlinkat(folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => {
                    self.folders.remove(place);
                    Ok(false)
                }
                Err(Errno::NOTEMPTY | Errno::EXIST) => Err("a folder with content has its name".into()),
                Err(e) => Err(at.failed("remove", e).into()),
            },
            Err(e) => Err(at.failed("remove", e).into()),
        }
    }
}

/// Fill the buffer as far as it can be: how far, and why not to its end.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (filled, Err(e)),
        }
    }
    (filled, Ok(()))
}
