//! One entry's headers: the ustar block with its dialects, and what extended headers say over it.

use super::BLOCK;
use crate::archive::header::MARK;
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

/// Parts that the map of a sparse file has at most: with more of them its headers are larger than what they describe.
pub const MAP_MAX: usize = 1 << 20;

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

/// A key's part behind `SCHILY.xattr.`, in which GNU tar writes `%` and `=` as in a URL.
fn attribute_name(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((first, others)) = rest.split_first() {
        name.push(match (first, others) {
            (b'%', [b'2', b'5', ..]) => b'%',
            (b'%', [b'3', b'D' | b'd', ..]) => b'=',
            _ => *first,
        });
        let coded = *first == b'%' && matches!(others, [b'2', b'5', ..] | [b'3', b'D' | b'd', ..]);
        rest = if coded { &others[2..] } else { others };
    }
    name
}

/// One block of the stream.
pub(super) struct Block(pub [u8; BLOCK]);

/// What a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// An entry, by the letter of its kind.
    Entry(u8),
    Pax,
    PaxGlobal,
    LongName,
    LongLink,
    /// The label of a volume, and the like.
    Ignored,
    /// A file that goes on from another volume.
    Unsupported,
}

/// What one block says.
pub(super) struct Header {
    pub kind: Type,
    pub size: u64,
    pub map_goes_on: bool,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: i64,
    uid: i64,
    gid: i64,
    mtime: i64,
    devices: (i64, i64),
    /// The size on disk, of a file in GNU tar's old sparse format.
    real: Option<u64>,
    /// The beginning of its map, offsets and lengths in turn.
    pub map: Vec<u64>,
}

impl Block {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// For a further block of an old sparse map: whether another one follows.
    pub fn map_goes_on(&self) -> bool {
        self.0[504] != 0
    }

    /// The numbers of a further block of an old sparse map.
    pub fn map(&self) -> Result<Vec<u64>, &'static str> {
        self.pairs(0, 21)
    }

    /// Offsets and lengths of an old sparse map; an empty field ends it.
    fn pairs(&self, start: usize, count: usize) -> Result<Vec<u64>, &'static str> {
        let fields = (0..2 * count).map(|at| start + 12 * at);
        fields
            .take_while(|at| self.0[*at] != 0)
            .map(|at| u64::try_from(self.number(at, 12)?).map_err(|_| MAP_WRONG))
            .collect()
    }

    fn field(&self, start: usize, length: usize) -> &[u8] {
        &self.0[start..start + length]
    }

    fn text(&self, start: usize, length: usize) -> &[u8] {
        until_zero(self.field(start, length))
    }

    fn number(&self, start: usize, length: usize) -> Result<i64, &'static str> {
        number(self.field(start, length)).ok_or("a number in its header makes no sense")
    }

    /// Read a header; the sum decides whether it is one.
    pub fn parse(&self) -> Result<Header, &'static str> {
        let sum = number(self.field(148, 8)).ok_or("it is no tar header")?;
        let others =
            self.0.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        // Some old tars summed signed bytes.
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for byte in others {
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        if sum != unsigned && sum != signed {
            return Err("the checksum of its header differs");
        }
        let posix = self.field(257, 6) == b"ustar\0";
        let gnu = self.field(257, 8) == b"ustar  \0";
        let mut name = self.text(0, 100).to_vec();
        let prefix = self.text(345, 155);
        if posix && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let letter = self.0[156];
        let kind = match letter {
            0 | b'0' if name.ends_with(b"/") => Type::Entry(b'5'),
            b'1'..=b'6' | b'S' | b'D' => Type::Entry(letter),
            b'x' | b'X' => Type::Pax,
            b'g' => Type::PaxGlobal,
            b'L' => Type::LongName,
            b'K' => Type::LongLink,
            b'V' | b'N' => Type::Ignored,
            b'M' => Type::Unsupported,
            // `0`, a zero byte and `7` are regular files; for POSIX, so is what is not known.
            _ => Type::Entry(b'0'),
        };
        let old_sparse = gnu && letter == b'S';
        let positive = |value: i64| u64::try_from(value).map_err(|_| "its size is negative");
        let device = |start| if posix || gnu { self.number(start, 8) } else { Ok(0) };
        let devices =
            if matches!(kind, Type::Entry(b'3' | b'4')) { (device(329)?, device(337)?) } else { (0, 0) };
        Ok(Header {
            kind,
            size: positive(self.number(124, 12)?)?,
            map_goes_on: old_sparse && self.0[482] != 0,
            name,
            link: self.text(157, 100).to_vec(),
            mode: self.number(100, 8)?,
            uid: self.number(108, 8)?,
            gid: self.number(116, 8)?,
            mtime: self.number(136, 12)?,
            devices,
            real: if old_sparse { Some(positive(self.number(483, 12)?)?) } else { None },
            map: if old_sparse { self.pairs(386, 4)? } else { Vec::new() },
        })
    }
}

const MAP_WRONG: &str = "the map of a sparse file in its headers makes no sense";

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

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or, with the first bit set, a signed number of base 256.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let start = i128::from(first & 0x7f) - if first & 0x40 == 0 { 0 } else { 0x80 };
        let value = field[1..].iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
        return i64::try_from(value).ok();
    }
    let digits = until_zero(field.trim_ascii_start()).trim_ascii_end();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// What extended headers say.
#[derive(Debug, Clone, Default)]
pub(super) struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<Timestamp>,
    major: Option<u32>,
    minor: Option<u32>,
    sparse: bool,
    /// Whether the map of a sparse file stands in its body.
    map_in_body: bool,
    /// Otherwise its numbers, offsets and lengths in turn.
    map: Vec<u64>,
    sparse_name: Option<Vec<u8>>,
    real: Option<u64>,
    attributes: Attributes,
    marked: bool,
}

impl Extended {
    /// Take in the records of a pax header: `LENGTH KEY=VALUE\n`, by their lengths alone, as values may hold anything.
    pub fn pax(&mut self, mut records: &[u8]) -> Result<(), &'static str> {
        const WRONG: &str = "a record of its extended header makes no sense";
        // Some tars fill their last block with zeros and count these.
        while records.first().is_some_and(|byte| *byte != 0) {
            let space = records.iter().take(20).position(|byte| *byte == b' ').ok_or(WRONG)?;
            let length: usize = decimal(&records[..space]).and_then(|n| n.try_into().ok()).ok_or(WRONG)?;
            let record = records.get(space + 1..length).ok_or(WRONG)?;
            let record = record.strip_suffix(b"\n").ok_or(WRONG)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
            self.record(&record[..equals], &record[equals + 1..]).ok_or(WRONG)?;
            records = &records[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // An empty value takes back what a global header said.
        let number = || if value.is_empty() { Some(None) } else { decimal(value).map(Some) };
        let device =
            || Some(if value.is_empty() { None } else { Some(u32::try_from(decimal(value)?).ok()?) });
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            b"comment" => self.marked = value == MARK,
            b"SCHILY.devmajor" => self.major = device()?,
            b"SCHILY.devminor" => self.minor = device()?,
            b"GNU.sparse.name" => self.sparse_name = text(),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse = true;
                self.real = number()?;
            }
            b"SCHILY.acl.access" => self.attributes.acl = text(),
            b"SCHILY.acl.default" => self.attributes.default_acl = text(),
            _ if key.starts_with(b"SCHILY.xattr.") => {
                self.attributes.xattrs.push((attribute_name(&key[13..]), value.to_vec()));
            }
            b"GNU.sparse.major" => {
                self.sparse = true;
                self.map_in_body = decimal(value)? > 0;
            }
            b"GNU.sparse.numblocks" => self.sparse = true,
            // Format 0.1 has the map in one record, 0.0 in two for each part.
            b"GNU.sparse.map" => {
                self.sparse = true;
                let numbers = value.split(|byte| *byte == b',');
                self.map = numbers.take(2 * MAP_MAX + 1).map(decimal).collect::<Option<_>>()?;
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse = true;
                self.map.push(decimal(value).filter(|_| self.map.len() <= 2 * MAP_MAX)?);
            }
            _ => {}
        }
        Some(())
    }

    pub fn long_name(&mut self, mut name: Vec<u8>) {
        name.truncate(until_zero(&name).len());
        self.path = Some(name);
    }

    pub fn long_link(&mut self, mut link: Vec<u8>) {
        link.truncate(until_zero(&link).len());
        self.link = Some(link);
    }

    /// Of a global header: what cannot be true of all entries would only pile up.
    pub fn forget_what_is_of_one(&mut self) {
        self.attributes = Attributes::default();
        self.marked = false;
        self.map = Vec::new();
        (self.sparse, self.map_in_body, self.sparse_name, self.real) = (false, false, None, None);
    }

    /// Let what `above` says stand over this.
    pub fn overlay(&mut self, above: Self) {
        self.path = above.path.or(self.path.take());
        self.link = above.link.or(self.link.take());
        self.size = above.size.or(self.size);
        self.uid = above.uid.or(self.uid);
        self.gid = above.gid.or(self.gid);
        self.mtime = above.mtime.or(self.mtime);
        self.major = above.major.or(self.major);
        self.minor = above.minor.or(self.minor);
        self.marked |= above.marked;
        self.sparse |= above.sparse;
        self.map_in_body |= above.map_in_body;
        if !above.map.is_empty() {
            self.map = above.map;
        }
        self.sparse_name = above.sparse_name.or(self.sparse_name.take());
        self.real = above.real.or(self.real);
        self.attributes.xattrs.extend(above.attributes.xattrs);
        self.attributes.acl = above.attributes.acl.or(self.attributes.acl.take());
        self.attributes.default_acl = above.attributes.default_acl.or(self.attributes.default_acl.take());
    }

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

/// A number in decimal digits and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds with an optional sign and fraction, rounded down to nanoseconds.
fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let mut nanos = 0;
    let mut more = false;
    for at in 0..fraction.len().max(9) {
        let digit = fraction.get(at).map_or(Some(0), |digit| digit.is_ascii_digit().then(|| digit - b'0'))?;
        if at < 9 {
            nanos = nanos * 10 + u32::from(digit);
        } else {
            more |= digit != 0;
        }
    }
    if !negative {
        return Some(Timestamp { seconds, nanos });
    }
    let all = -(i128::from(seconds) * 1_000_000_000 + i128::from(nanos) + i128::from(more));
    Some(Timestamp {
        seconds: i64::try_from(all.div_euclid(1_000_000_000)).ok()?,
        nanos: all.rem_euclid(1_000_000_000) as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"0000644 "), Some(0o644));
        assert_eq!(number(&[0; 8]), Some(0));
        assert_eq!(number(b"        "), Some(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(b"0000x44\0"), None);
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn times_in_all_their_forms() {
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        assert_eq!(time(b"1"), at(1, 0));
        assert_eq!(time(b"1.5"), at(1, 500_000_000));
        assert_eq!(time(b"-1.5"), at(-2, 500_000_000));
        assert_eq!(time(b"-0.000000001"), at(-1, 999_999_999));
        assert_eq!(time(b"0.0000000019"), at(0, 1));
        assert_eq!(time(b"-0.0000000001"), at(-1, 999_999_999));
        for bad in [&b""[..], b"-", b"1.x", b"1.5.5", b"99999999999999999999", b"+1"] {
            assert_eq!(time(bad), None);
        }
    }

    #[test]
    fn a_value_with_newlines_cannot_forge_a_record() {
        let mut extended = Extended::default();
        extended.pax(b"34 SCHILY.xattr.user.a=\n9 path=x\n\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(extended.path, None);
    }
}
