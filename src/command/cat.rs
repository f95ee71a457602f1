//! `cat`: files of an archive, to standard output.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::which::{Bytes, which};
use crate::archive::index::EntryRecord;
use crate::archive::reader::{self, Archive, Body, Opened, Unindexed};
use crate::archive::stream::{Input, Member, Stream};
use crate::cli::CatArgs;
use crate::command::output::Output;
use crate::config::Config;
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::Expanded;
use crate::printable::{printable, printable_path};
use crate::restore::paths::{clean, no_entry};
use crate::stop::Stop;

/// Links that lead to links: our archives have none, and others end somewhere.
const LINKS_MAX: usize = 40;

/// Write the bodies of files one after the other, each byte checked before it is given out as far as the archive allows.
///
/// # Errors
/// If a path is no file, or the archive is damaged where it stands.
pub fn run(args: &CatArgs, config: &Config, stop: &Stop) -> Result<Exit> {
    let names: Vec<_> = args.paths.iter().map(|path| clean(path.as_bytes())).collect();
    let which = which(&args.archive, config, stop)?;
    let bytes = which.bytes(&config.keys(), stop)?;
    let mut cat = Cat { path: &which.path, output: Output::new(), stop };
    let shown = match bytes {
        Bytes::Store(store) => match reader::from_store(store, &which.path)? {
            Opened::Indexed(archive) => cat.indexed(&archive, &names),
            Opened::Unindexed(unindexed) => cat.unindexed(&unindexed, names),
        },
        Bytes::Pipe(reader) => {
            Input::new(reader, &which.path, stop).and_then(|input| cat.piped(input, names))
        }
    };
    // What was read before an error is given out before the error is told.
    cat.output.finish()?;
    shown.map(|()| Exit::Complete)
}

/// How many members stand before each name, and what it is.
type Places = HashMap<Vec<u8>, (usize, Kind)>;

struct Cat<'a> {
    path: &'a Path,
    output: Output,
    stop: &'a Stop,
}

impl Cat<'_> {
    fn indexed(&mut self, archive: &Archive, names: &[Vec<u8>]) -> Result<()> {
        // All of them before the first byte: half of an answer helps nobody.
        let entries = names.iter().map(|name| self.find(archive, name)).collect::<Result<Vec<_>>>()?;
        for (name, entry) in names.iter().zip(&entries) {
            let body = Expanded::new(archive.body(entry), entry.size, entry.sparse.is_some());
            self.body(name, entry.size, body)?;
            if entry.cut {
                log::warn!(
                    "{} could not be read to its end when it was archived: the rest is zeros",
                    printable(name)
                );
            } else if entry.changed {
                log::warn!("{} changed while it was archived", printable(name));
            }
        }
        Ok(())
    }

    /// The file of this name, or the one that it is a link to.
    fn find(&self, archive: &Archive, name: &[u8]) -> Result<EntryRecord> {
        let Some(entry) = archive.find(name)? else {
            let first = archive.entries().next().transpose()?;
            return Err(self.none(name, first.as_ref().map(|entry| entry.name.as_slice())));
        };
        match &entry.kind {
            Kind::Hardlink(target) => match archive.find(target)? {
                Some(entry) if entry.kind == Kind::File => Ok(entry),
                _ => Err(self.damaged(format_args!("{} is a link to nothing", printable(name)))),
            },
            kind => self.check(name, kind).map(|()| entry),
        }
    }

    fn none(&self, name: &[u8], first: Option<&[u8]>) -> Error {
        let none = no_entry(&printable(name), first);
        Error::failed(format!("archive {}: {none}", printable_path(self.path)))
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::damaged(format!("archive {}: {what}", printable_path(self.path)))
    }

    /// Only files have a body.
    fn check(&self, name: &[u8], kind: &Kind) -> Result<()> {
        let what = match kind {
            Kind::File | Kind::Hardlink(_) => return Ok(()),
            Kind::Directory => "a folder".into(),
            Kind::Symlink(target) => format!("a symbolic link to {}", printable(target)),
            Kind::CharDevice(..) | Kind::BlockDevice(..) => "a device".into(),
            Kind::Fifo => "a pipe".into(),
        };
        let (archive, name) = (printable_path(self.path), printable(name));
        Err(Error::usage(format!("archive {archive}: {name} is {what}, and has no text of its own")))
    }

    fn body(&mut self, name: &[u8], size: u64, body: io::Result<Expanded<impl Read>>) -> Result<()> {
        let mut given = 0;
        let failed = |cat: &Self, error, given| {
            let what = format!("archive {}: body of {}", printable_path(cat.path), printable(name));
            let error = cat.stop.check().err().unwrap_or_else(|| Body::error(error, what));
            let lost = format!("{error}; given out: {given} of the {size} bytes of {}", printable(name));
            if error.exit() == Exit::Damaged { Error::damaged(lost) } else { error }
        };
        let mut body = body.map_err(|e| failed(self, e, given))?;
        let mut buffer = vec![0; 128 * 1024];
        while !self.output.closed() {
            self.stop.check()?;
            let count = body.read(&mut buffer).map_err(|e| failed(self, e, given))?;
            if count == 0 {
                break;
            }
            self.output.bytes(&buffer[..count])?;
            given += count as u64;
        }
        Ok(())
    }

    /// A file that has to be read through: once to see that it is whole and where the files are, and then for each.
    fn unindexed(&mut self, unindexed: &Unindexed, names: Vec<Vec<u8>>) -> Result<()> {
        if let Some(damage) = &unindexed.damage {
            log::warn!("archive {}: {damage}; it is read through", printable_path(self.path));
        }
        let (path, stop) = (self.path, self.stop);
        let again = || Input::of(&unindexed.store, path, stop).map(Stream::new);
        let mut links = names.clone();
        let mut places = vec![0; names.len()];
        for _ in 0..LINKS_MAX {
            let (found, damage) = self.places(again()?, &links);
            self.stop.check()?;
            let mut linked = false;
            for ((link, place), name) in links.iter_mut().zip(&mut places).zip(&names) {
                let Some((number, kind)) = found.get(link) else {
                    return Err(damage.unwrap_or_else(|| self.none(link, None)));
                };
                self.check(name, kind)?;
                *place = *number;
                if let Kind::Hardlink(target) = kind {
                    *link = clean(target);
                    linked = true;
                }
            }
            if !linked {
                for (name, place) in names.iter().zip(places) {
                    let mut stream = again()?;
                    for _ in 0..place {
                        stream.next_member().map_err(|bad| self.damaged(bad))?;
                    }
                    if let Some(member) = stream.next_member().map_err(|bad| self.damaged(bad))? {
                        self.member(name, &member, &mut stream)?;
                    }
                }
                // What stands before the damage was given out; that it could not be checked is told all the same.
                return damage.map_or(Ok(()), Err);
            }
        }
        Err(self.damaged("its links lead in a circle"))
    }

    /// Where the last of each name stands; and what is wrong with the archive, which is read to its end for that.
    fn places(&self, mut stream: Stream<Input>, names: &[Vec<u8>]) -> (Places, Option<Error>) {
        let mut found = Places::new();
        let mut number = 0;
        loop {
            match stream.next_member() {
                Ok(Some(member)) => {
                    let name = clean(&member.name);
                    if names.contains(&name) {
                        found.insert(name, (number, member.kind));
                    }
                    number += 1;
                }
                Ok(None) => {
                    let damage = stream.finish().err().map(|bad| self.damaged(bad));
                    return (found, damage);
                }
                Err(bad) => return (found, Some(self.damaged(bad))),
            }
        }
    }

    fn member(&mut self, name: &[u8], member: &Member, stream: &mut Stream<Input>) -> Result<()> {
        self.body(name, member.size, Expanded::of_member(stream, member))
    }

    /// What can be read only once: files in the order of the archive.
    fn piped(&mut self, input: Input, names: Vec<Vec<u8>>) -> Result<()> {
        let mut stream = Stream::new(input);
        let mut missing = names;
        while !self.output.closed() {
            let next = stream.next_member();
            let Some(member) =
                next.map_err(|bad| self.stop.check().err().unwrap_or_else(|| self.damaged(bad)))?
            else {
                break;
            };
            let name = clean(&member.name);
            if !missing.contains(&name) {
                continue;
            }
            self.check(&name, &member.kind)?;
            if let Kind::Hardlink(target) = &member.kind {
                return Err(Error::usage(format!(
                    "archive {}: {} is a link to {}, which came before it and cannot be read again here: name that instead",
                    printable_path(self.path),
                    printable(&name),
                    printable(target)
                )));
            }
            self.member(&name, &member, &mut stream)?;
            missing.retain(|other| *other != name);
        }
        if !self.output.closed() {
            stream.finish().map_err(|bad| self.stop.check().err().unwrap_or_else(|| self.damaged(bad)))?;
        }
        missing.first().map_or(Ok(()), |name| Err(self.none(name, None)))
    }
}
