//! The headers of an entry: POSIX pax, readable by what only knows ustar or GNU tar too.
//!
//! The `tar` crate makes the ustar block; what it cannot say stands in an extended header before it.

mod name;
mod pax;

use std::ops::Range;

use tar::{EntryType, Header};

use self::name::{set_name, stand_in};
use self::pax::{Pax, decimal};
use super::acl;
use crate::entry::{Entry, Kind, Timestamp};

/// The unit of a tar stream.
pub const BLOCK: usize = 512;
/// The greatest number in an octal field of eight bytes: uid, gid, device numbers.
const OCTAL_7: u64 = 0o777_7777;
/// The greatest number in an octal field of twelve bytes: size, mtime.
const OCTAL_11: u64 = 0o777_7777_7777;

/// A body that is stored without its holes, as pax format 1.0 has it.
pub struct SparseBody {
    /// The map that the stored body begins with, padded to whole blocks.
    pub map: Vec<u8>,
    /// Bytes of map and data.
    pub stored: u64,
}

impl SparseBody {
    /// The body of a file of this size that has data only here.
    pub fn new(size: u64, data: &[Range<u64>]) -> Self {
        // Where a hole ends the file an empty piece stands at its end, as GNU tar has it.
        let tail = data.last().is_none_or(|last| last.end < size).then_some(size..size);
        let mut map = format!("{}\n", data.len() + usize::from(tail.is_some())).into_bytes();
        for range in data.iter().chain(&tail) {
            map.extend_from_slice(format!("{}\n{}\n", range.start, range.end - range.start).as_bytes());
        }
        map.resize(map.len().next_multiple_of(BLOCK), 0);
        let stored = map.len() as u64 + data.iter().map(|range| range.end - range.start).sum::<u64>();
        Self { map, stored }
    }
}

/// A comment in the first entry's extended header of an archive without an index: who made it. Readers ignore comments.
pub const MARK: &[u8] = b"tarkeep 1";

/// Append the headers of an entry: an extended one where something needs it, and the ustar block. `marked` with [`MARK`].
pub fn append(entry: &Entry, sparse: Option<&SparseBody>, marked: bool, out: &mut Vec<u8>) {
    let mut pax = Pax::default();
    if marked {
        pax.record(b"comment", MARK);
    }
    let mut header = Header::new_ustar();
    let (kind, link) = match &entry.kind {
        Kind::File => (EntryType::Regular, None),
        Kind::Directory => (EntryType::Directory, None),
        Kind::Symlink(target) => (EntryType::Symlink, Some(target)),
        Kind::Hardlink(target) => (EntryType::Link, Some(target)),
        Kind::CharDevice(..) => (EntryType::Char, None),
        Kind::BlockDevice(..) => (EntryType::Block, None),
        Kind::Fifo => (EntryType::Fifo, None),
    };
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    let folder = entry.kind == Kind::Directory;
    let mut name = entry.name.clone();
    if folder {
        name.push(b'/');
    }
    if let Some(sparse) = sparse {
        pax.number("GNU.sparse.major", 1);
        pax.number("GNU.sparse.minor", 0);
        pax.record(b"GNU.sparse.name", &name);
        pax.number("GNU.sparse.realsize", entry.size);
        set_name(&mut header, &stand_in(b"GNUSparseFile", &name, folder));
        set_size(&mut header, &mut pax, sparse.stored);
    } else {
        // Where it fits it stands in the ustar header whatever its bytes, for readers that ignore the extended one.
        let fits = set_name(&mut header, &name);
        if !fits {
            set_name(&mut header, &stand_in(b"PaxLongName", &name, folder));
        }
        if !fits || !name.is_ascii() {
            pax.record(b"path", &name);
        }
        set_size(&mut header, &mut pax, entry.size);
    }
    if let Some(target) = link {
        set_link(&mut header, &mut pax, target);
    }
    set_owner(&mut header, &mut pax, entry);
    set_mtime(&mut header, &mut pax, entry.mtime);
    if let Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) = entry.kind {
        for (key, number) in [("SCHILY.devmajor", major), ("SCHILY.devminor", minor)] {
            if u64::from(number) > OCTAL_7 {
                pax.number(key, u64::from(number));
            }
        }
        let clamp = |number: u32| u64::from(number).min(OCTAL_7) as u32;
        let fits = header.set_device_major(clamp(major)).and(header.set_device_minor(clamp(minor)));
        debug_assert!(fits.is_ok(), "a ustar header has device numbers");
    }
    set_attributes(&mut pax, &entry.xattrs);
    header.set_cksum();
    pax.append(header.as_bytes(), out);
    out.extend_from_slice(header.as_bytes());
}

/// Bytes from the end of a body of this length to the next block.
pub fn padding(body: u64) -> usize {
    (body.next_multiple_of(BLOCK as u64) - body) as usize
}

fn set_size(header: &mut Header, pax: &mut Pax, size: u64) {
    if size > OCTAL_11 {
        pax.number("size", size);
    }
    header.set_size(size);
}

fn set_link(header: &mut Header, pax: &mut Pax, target: &[u8]) {
    let room = header.as_old().linkname.len();
    let field = &mut header.as_old_mut().linkname;
    let fits = target.len() <= room;
    if fits {
        field[..target.len()].copy_from_slice(target);
    } else {
        let short = stand_in(b"PaxLongName", target, false);
        field[..short.len()].copy_from_slice(&short);
    }
    if !fits || !target.is_ascii() {
        pax.record(b"linkpath", target);
    }
}

fn set_owner(header: &mut Header, pax: &mut Pax, entry: &Entry) {
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if u64::from(id) > OCTAL_7 {
            pax.number(key, u64::from(id));
        }
    }
    header.set_uid(u64::from(entry.uid));
    header.set_gid(u64::from(entry.gid));
    for (key, name) in [(&b"uname"[..], &entry.user), (b"gname", &entry.group)] {
        if name.len() > 31 || !name.is_ascii() {
            pax.record(key, name);
        }
    }
    if let Some(ustar) = header.as_ustar_mut() {
        for (field, name) in [(&mut ustar.uname, &entry.user), (&mut ustar.gname, &entry.group)] {
            if name.len() <= 31 && name.is_ascii() {
                field[..name.len()].copy_from_slice(name);
            }
        }
    }
}

fn set_mtime(header: &mut Header, pax: &mut Pax, mtime: Timestamp) {
    let whole = u64::try_from(mtime.seconds).ok();
    header.set_mtime(whole.unwrap_or(0).min(OCTAL_11));
    if mtime.nanos > 0 || whole.is_none_or(|seconds| seconds > OCTAL_11) {
        pax.record(b"mtime", decimal(mtime).as_bytes());
    }
}

fn set_attributes(pax: &mut Pax, attributes: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in attributes {
        let words = match name.as_slice() {
            b"system.posix_acl_access" => acl::text(value).map(|words| (&b"SCHILY.acl.access"[..], words)),
            b"system.posix_acl_default" => acl::text(value).map(|words| (&b"SCHILY.acl.default"[..], words)),
            _ => None,
        };
        if let Some((key, words)) = words {
            pax.record(key, &words);
            continue;
        }
        // As GNU tar does it: a key ends at the first `=`, so one in a name is written as in a URL.
        let mut key = b"SCHILY.xattr.".to_vec();
        for &byte in name {
            match byte {
                b'%' => key.extend_from_slice(b"%25"),
                b'=' => key.extend_from_slice(b"%3D"),
                other => key.push(other),
            }
        }
        pax.record(&key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: Kind) -> Entry {
        Entry {
            name: name.to_vec(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            user: Vec::new(),
            group: Vec::new(),
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            inode: 0,
            device: 0,
            size: 0,
            xattrs: Vec::new(),
            content: None,
        }
    }

    fn read_back(entry: &Entry) -> (tar::Archive<std::io::Cursor<Vec<u8>>>, usize) {
        let mut out = Vec::new();
        append(entry, None, false, &mut out);
        let length = out.len();
        out.resize(length + 2 * BLOCK, 0);
        (tar::Archive::new(std::io::Cursor::new(out)), length)
    }

    #[test]
    fn plain_entries_need_one_block() {
        assert_eq!(read_back(&entry(b"data/a", Kind::File)).1, BLOCK);
        assert_eq!(read_back(&entry(b"data", Kind::Directory)).1, BLOCK);
    }

    #[test]
    fn a_name_that_fits_stands_in_the_ustar_header_whatever_its_bytes() {
        for name in ["Grüße".as_bytes(), b"latin-\xe9"] {
            let mut out = Vec::new();
            append(&entry(name, Kind::Symlink(name.to_vec())), None, false, &mut out);
            let ustar = Header::from_byte_slice(&out[out.len() - BLOCK..]);
            assert_eq!(&*ustar.path_bytes(), name);
            assert_eq!(&*ustar.link_name_bytes().unwrap(), name);
            assert!(out.len() > BLOCK, "and in the extended one");
        }
    }

    #[test]
    fn names_of_every_length_come_back() {
        for length in [1, 99, 100, 101, 155, 156, 157, 254, 255, 256, 257, 300, 5000] {
            for slash in [None, Some(1), Some(50), Some(99), Some(100), Some(154), Some(155), Some(156)] {
                for kind in [Kind::File, Kind::Directory] {
                    let mut name = vec![b'n'; length];
                    if let Some(at) = slash.filter(|at| at + 1 < length) {
                        name[at] = b'/';
                    }
                    let (mut archive, _) = read_back(&entry(&name, kind));
                    let found = archive.entries().unwrap().next().unwrap().unwrap();
                    let path = found.path_bytes().into_owned();
                    assert_eq!(path.strip_suffix(b"/").unwrap_or(&path), name, "{length} {slash:?}");
                }
            }
        }
    }

    #[test]
    fn times_before_1970_have_a_sign_and_a_fraction() {
        let time = |seconds, nanos| decimal(Timestamp { seconds, nanos });
        assert_eq!(time(-2, 500_000_000), "-1.5");
        assert_eq!(time(-1, 999_999_999), "-0.000000001");
        assert_eq!(time(0, 1), "0.000000001");
        assert_eq!(time(-5, 0), "-5");
        assert_eq!(time(12, 340_000_000), "12.34");
    }

    #[test]
    fn stand_ins_differ_where_the_names_do() {
        let long = |end: u8| [vec![b'x'; 300], vec![end]].concat();
        let (one, two) =
            (stand_in(b"PaxLongName", &long(1), false), stand_in(b"PaxLongName", &long(2), false));
        assert_ne!(one, two);
        assert_eq!(one.len(), 100);
        assert!(stand_in(b"PaxLongName", &long(1), true).ends_with(b"/"));
    }

    #[test]
    fn a_map_of_holes_ends_where_the_file_does() {
        let body = SparseBody::new(1 << 40, &[0..4096, 8192..12288]);
        assert!(body.map.starts_with(b"3\n0\n4096\n8192\n4096\n1099511627776\n0\n\0"));
        assert_eq!(body.stored, 512 + 8192);
        let whole = SparseBody::new(4096, std::slice::from_ref(&(0..4096)));
        assert!(whole.map.starts_with(b"1\n0\n4096\n\0"));
    }
}
