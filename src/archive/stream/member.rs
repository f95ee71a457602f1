//! One entry: what its block says, and what extended headers say over it.

use super::extended::Extended;
use super::header::{Header, MAP_WRONG, Type};
use crate::entry::{Kind, Timestamp};

/// One entry, as its headers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, without slashes at its end.
    pub name: Vec<u8>,
    /// What it is; a kind that tar knows and a file system does not is a file.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// When the body last changed.
    pub mtime: Timestamp,
    /// Bytes of the body as a file on disk.
    pub size: u64,
    /// Bytes of the body in the stream.
    pub stored: u64,
    /// Whether the body holds only the data of a file with holes.
    pub sparse: bool,
    /// Of such a body, where each part of its data goes, and how long it is: ascending, within `size`, no longer in all
    /// than the body. `None` where the body itself begins with the map, as in pax format 1.0.
    pub map: Option<Vec<(u64, u64)>>,
    /// What ustar headers have no place for.
    pub attributes: Attributes,
    /// Whether a comment of its own says that tarkeep made the archive, as that of the first entry may.
    pub marked: bool,
    /// Where its first header starts in the stream.
    pub offset: u64,
    /// Bytes of all its headers.
    pub headers: u64,
}

/// What ustar headers have no place for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Extended attributes by full name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The ACL in words, as `SCHILY.acl.access` has it.
    pub acl: Option<Vec<u8>>,
    /// The ACL that a folder hands on.
    pub default_acl: Option<Vec<u8>>,
}

impl Extended {
    /// The entry that this header and what was said before it make.
    pub fn member(mut self, header: Header, offset: u64, headers: u64) -> Result<Member, &'static str> {
        let Type::Entry(letter) = header.kind else { return Err("it is no tar header") };
        let mut name = self.sparse_name.take().or(self.path.take()).unwrap_or(header.name);
        while name.len() > 1 && name.ends_with(b"/") {
            name.pop();
        }
        let link = self.link.take().unwrap_or(header.link);
        let number =
            |value: i64| u32::try_from(value).map_err(|_| "a device number in its header makes no sense");
        let device = || -> Result<(u32, u32), &'static str> {
            Ok((
                self.major.map_or_else(|| number(header.devices.0), Ok)?,
                self.minor.map_or_else(|| number(header.devices.1), Ok)?,
            ))
        };
        let kind = match letter {
            b'1' => Kind::Hardlink(link),
            b'2' => Kind::Symlink(link),
            b'3' => device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => Kind::File,
        };
        // As libarchive and Python have it: links, devices and folders have no body, whatever their size field says;
        // only GNU tar's incremental archives list a folder's names in one.
        let size = self.size.unwrap_or(header.size);
        let stored = if matches!(letter, b'1'..=b'6') { 0 } else { size };
        let sparse = kind == Kind::File && (self.sparse || letter == b'S');
        let size = match kind {
            Kind::File if sparse => self.real.or(header.real).unwrap_or(stored),
            Kind::File => stored,
            _ => 0,
        };
        let map = if letter == b'S' && sparse {
            Some(map(&header.map, size, stored)?)
        } else if sparse && !self.map_in_body {
            Some(map(&self.map, size, stored)?)
        } else {
            None
        };
        let id = |value: i64| u64::try_from(value).map_err(|_| "an owner in its header makes no sense");
        Ok(Member {
            name,
            kind,
            mode: (header.mode & 0o7777) as u32,
            uid: self.uid.map_or_else(|| id(header.uid), Ok)?,
            gid: self.gid.map_or_else(|| id(header.gid), Ok)?,
            mtime: self.mtime.unwrap_or(Timestamp { seconds: header.mtime, nanos: 0 }),
            size,
            stored,
            sparse,
            map,
            attributes: self.attributes,
            marked: self.marked,
            offset,
            headers,
        })
    }
}

/// A map from offsets and lengths in turn, if they make sense for a file of this size and a body of that.
fn map(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<(u64, u64)>, &'static str> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    let (mut end, mut sum) = (0_u64, 0_u64);
    for [offset, length] in pairs {
        let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
        end = next.ok_or(MAP_WRONG)?;
        sum += length;
    }
    if !rest.is_empty() || sum > stored {
        return Err(MAP_WRONG);
    }
    Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}
