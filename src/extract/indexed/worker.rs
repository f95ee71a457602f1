//! One thread's part: segments are decompressed, and what was wanted of them is written.

use std::os::fd::{AsFd as _, OwnedFd};

use crossbeam_channel::Receiver;
use rustix::fs::{FileType, ftruncate};
use rustix::io::Errno;

use super::{Extraction, Job, Wanted};
use crate::archive::reader::{Decoder, Fault};
use crate::archive::stream::{Member, Stream};
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::metadata::Metadata;
use crate::extract::root::{Place, split};
use crate::extract::{Extracted, sparse};
use crate::printable::{printable, printable_path};

/// One thread's part.
pub struct Worker<'a> {
    extraction: &'a Extraction<'a>,
    decoder: Decoder,
    metadata: Metadata,
    extracted: Extracted,
    /// The folder that was used last: entries come by folders.
    folder: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Worker<'a> {
    pub fn new(extraction: &'a Extraction<'a>) -> Self {
        Self {
            extraction,
            decoder: Decoder::new(),
            metadata: Metadata::new(extraction.hands.fidelity),
            extracted: Extracted::default(),
            folder: None,
        }
    }

    pub fn work(mut self, work: &Receiver<Job>) -> Result<(Extracted, Metadata)> {
        while let Ok(job) = work.recv() {
            self.extraction.hands.stop.check()?;
            let mut decoder = std::mem::take(&mut self.decoder);
            let archive = self.extraction.archive;
            let raw = decoder.read(archive.store(), &job.segment).map_err(|fault| match fault {
                Fault::Read(e) => Error::io("read archive", archive.path(), e)
                    .with_exit(if self.extraction.hands.salvage { Exit::Damaged } else { Exit::Failed }),
                fault => Error::damaged(format!(
                    "archive {}: segment {} (offset {}): {fault}",
                    printable_path(archive.path()),
                    job.segment.number,
                    job.segment.offset
                )),
            });
            match raw {
                Ok(raw) => self.write(&job.wanted, raw)?,
                Err(error) => self.extraction.survive(error, |losses, why| job.wanted.lost(losses, why))?,
            }
            self.decoder = decoder;
        }
        Ok((self.extracted, self.metadata))
    }

    fn write(&mut self, wanted: &Wanted, raw: &[u8]) -> Result<()> {
        match wanted {
            Wanted::Entries(entries) => {
                for placed in entries {
                    let (entry, place) = placed;
                    let start = raw.get(entry.offset as usize..).unwrap_or_default();
                    let body =
                        start.get(entry.headers as usize..).and_then(|rest| rest.get(..entry.size as usize));
                    match self
                        .member(start)
                        .and_then(|it| Ok((it, body.ok_or_else(|| self.lying(&entry.name))?)))
                    {
                        Ok((member, body)) => self.entry(member, place, body)?,
                        Err(error) => {
                            self.extraction.survive(error, |losses, why| super::lost(losses, placed, why))?;
                        }
                    }
                }
                Ok(())
            }
            Wanted::Headers { place, .. } => {
                let member = match self.member(raw) {
                    Ok(member) => member,
                    Err(error) => {
                        return self.extraction.survive(error, |losses, why| wanted.lost(losses, why));
                    }
                };
                self.extracted.entries += 1;
                self.extracted.bytes += member.size;
                self.extraction.hands.progress.entry();
                self.extraction.lock_last().large.push((place.clone(), member));
                Ok(())
            }
            Wanted::Piece { place, from, length, .. } => {
                let length = (*length).min(raw.len() as u64) as usize;
                self.at(place, |_, place| {
                    let file = place.open_file()?;
                    sparse::write_at(file.as_fd(), &raw[..length], *from)
                        .map_err(|e| place.failed("write file", e))
                })?;
                self.extraction.hands.progress.read(length as u64);
                Ok(())
            }
        }
    }

    fn member(&self, headers: &[u8]) -> Result<Member> {
        match Stream::new(headers).next_member() {
            Ok(Some(member)) => Ok(member),
            _ => Err(self.lying(b"")),
        }
    }

    fn lying(&self, name: &[u8]) -> Error {
        let archive = printable_path(self.extraction.archive.path());
        Error::damaged(format!("archive {archive}: what the index says of {} is not so", printable(name)))
    }

    fn entry(&mut self, member: Member, place: &[u8], body: &[u8]) -> Result<()> {
        self.extraction.hands.progress.entry();
        self.extraction.hands.progress.read(body.len() as u64);
        match &member.kind {
            Kind::Directory => {
                self.extraction.lock_last().folders.insert(place.to_vec(), member);
                return Ok(());
            }
            Kind::Hardlink(target) => {
                self.extraction.lock_last().links.insert(place.to_vec(), target.clone());
                return Ok(());
            }
            _ => {}
        }
        let made = self.at(place, |worker, place| worker.make(&member, place, body))?;
        if made {
            self.extracted.entries += 1;
            self.extracted.bytes += member.size;
        }
        Ok(())
    }

    fn make(&mut self, member: &Member, place: &Place, body: &[u8]) -> Result<bool> {
        let node = match &member.kind {
            Kind::Symlink(target) => {
                place.make_link(target)?;
                self.metadata.on_place(place, member, true)?;
                return Ok(true);
            }
            Kind::CharDevice(major, minor) => (FileType::CharacterDevice, *major, *minor),
            Kind::BlockDevice(major, minor) => (FileType::BlockDevice, *major, *minor),
            Kind::Fifo => (FileType::Fifo, 0, 0),
            _ => {
                let file = place.make_file()?;
                sparse::write_at(file.as_fd(), body, 0).map_err(|e| place.failed("write file", e))?;
                // Zeros at its end were left out.
                ftruncate(&file, body.len() as u64).map_err(|e| place.failed("set the length of", e))?;
                self.metadata.on_open(file.as_fd(), member, place.shown())?;
                return Ok(true);
            }
        };
        let (kind, major, minor) = node;
        if kind != FileType::Fifo && !self.extraction.hands.fidelity.full {
            self.metadata.unapplied.devices += 1;
            return Ok(false);
        }
        match place.make_node(kind, major, minor) {
            Ok(()) => self.metadata.on_place(place, member, false).map(|()| true),
            Err(Errno::PERM | Errno::ACCESS) if kind != FileType::Fifo => {
                self.metadata.unapplied.devices += 1;
                Ok(false)
            }
            Err(e) => Err(place.failed("make device", e)),
        }
    }

    /// Do something at a place, with its folder open.
    fn at<T>(&mut self, place: &[u8], act: impl FnOnce(&mut Self, &Place) -> Result<T>) -> Result<T> {
        let (folder, name) = split(place);
        let open = match self.folder.take() {
            Some((open, fd)) if open == folder => (open, fd),
            _ => (folder.to_vec(), self.extraction.folder(folder)?),
        };
        let result = {
            let place = Place::new(open.1.as_fd(), name, self.extraction.root.shown(place))?;
            act(self, &place)
        };
        self.folder = Some(open);
        result
    }
}
