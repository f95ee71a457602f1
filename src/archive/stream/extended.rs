//! What extended headers say over the block that follows them: pax records, and GNU tar's long names.

use super::header::until_zero;
use super::member::Attributes;
use crate::archive::header::MARK;
use crate::entry::Timestamp;

/// Parts that the map of a sparse file has at most: with more of them its headers are larger than what they describe.
pub const MAP_MAX: usize = 1 << 20;

/// What extended headers say.
#[derive(Debug, Clone, Default)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Timestamp>,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub sparse: bool,
    /// Whether the map of a sparse file stands in its body.
    pub map_in_body: bool,
    /// Otherwise its numbers, offsets and lengths in turn.
    pub map: Vec<u64>,
    pub sparse_name: Option<Vec<u8>>,
    pub real: Option<u64>,
    pub attributes: Attributes,
    /// Whether a comment is the mark of our archives.
    pub marked: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

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
