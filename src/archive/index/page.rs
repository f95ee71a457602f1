//! Pages of records, column by column.

use super::bytes::{Cursor, Malformed, put_bytes, put_varint, put_zigzag};
use super::record::{EntryRecord, SegmentKind, SegmentRecord};
use crate::entry::{Kind, Timestamp};

/// Records in a page at most.
pub(crate) const RECORDS: usize = 1024;

/// Bytes of a page at most, and of the whole names in it; a reader refuses more before it allocates.
pub(crate) const PAGE_MAX: u64 = 16 << 20;

const CHANGED: u8 = 1;
const CUT: u8 = 2;
const SPARSE: u8 = 4;

/// A page of segments as it is before compression.
pub(super) fn encode_segments(records: &[SegmentRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 64);
    for record in records {
        out.push(match record.kind {
            SegmentKind::Group(_) => 0,
            SegmentKind::Header => 1,
            SegmentKind::Piece => 2,
            SegmentKind::End => 3,
            SegmentKind::Padding => 4,
        });
    }
    records.iter().for_each(|record| put_varint(&mut out, record.stored));
    records.iter().for_each(|record| put_varint(&mut out, record.raw));
    records.iter().for_each(|record| out.extend_from_slice(&record.crc.to_le_bytes()));
    records.iter().for_each(|record| out.extend_from_slice(&record.raw_hash));
    records.iter().for_each(|record| out.extend_from_slice(&record.stored_hash));
    for record in records {
        if let SegmentKind::Group(headers) = &record.kind {
            out.extend_from_slice(headers);
        }
    }
    out
}

/// Read a page of so many segments.
///
/// # Errors
/// If it is not one.
pub fn decode_segments(raw: &[u8], count: usize) -> Result<Vec<SegmentRecord>, Malformed> {
    let mut cursor = Cursor::new(raw);
    let mut records = Vec::with_capacity(count.min(raw.len()));
    let empty = SegmentRecord {
        kind: SegmentKind::Padding,
        stored: 0,
        raw: 0,
        crc: 0,
        raw_hash: [0; 16],
        stored_hash: [0; 16],
    };
    for &kind in cursor.take(count)? {
        let kind = match kind {
            0 => SegmentKind::Group([0; 16]),
            1 => SegmentKind::Header,
            2 => SegmentKind::Piece,
            3 => SegmentKind::End,
            4 => SegmentKind::Padding,
            _ => return Err(Malformed("has a segment of an unknown kind")),
        };
        records.push(SegmentRecord { kind, ..empty });
    }
    for record in &mut records {
        record.stored = cursor.varint()?;
    }
    for record in &mut records {
        record.raw = cursor.varint()?;
    }
    for record in &mut records {
        record.crc = cursor.u32()?;
    }
    for record in &mut records {
        record.raw_hash = cursor.array()?;
    }
    for record in &mut records {
        record.stored_hash = cursor.array()?;
    }
    for record in &mut records {
        if let SegmentKind::Group(headers) = &mut record.kind {
            *headers = cursor.array()?;
        }
    }
    cursor.end()?;
    Ok(records)
}

/// How many bytes two names have in common at their beginning.
fn shared(before: &[u8], name: &[u8]) -> usize {
    before.iter().zip(name).take_while(|(a, b)| a == b).count()
}

/// A page of entries as it is before compression.
pub(super) fn encode_entries(records: &[EntryRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 64);
    let mut before: &[u8] = b"";
    for record in records {
        let shared = shared(before, &record.name);
        put_varint(&mut out, shared as u64);
        put_bytes(&mut out, &record.name[shared..]);
        before = &record.name;
    }
    records.iter().for_each(|record| out.push(record.kind.letter() as u8));
    records.iter().for_each(|record| put_varint(&mut out, record.mode.into()));
    records.iter().for_each(|record| put_varint(&mut out, record.uid.into()));
    records.iter().for_each(|record| put_varint(&mut out, record.gid.into()));
    records.iter().for_each(|record| put_varint(&mut out, record.size));
    let mut last = 0;
    for record in records {
        put_zigzag(&mut out, record.mtime.seconds.wrapping_sub(last));
        last = record.mtime.seconds;
    }
    records.iter().for_each(|record| out.extend_from_slice(&record.mtime.nanos.to_le_bytes()));
    for record in records {
        put_zigzag(&mut out, record.ctime.seconds.wrapping_sub(record.mtime.seconds));
    }
    for record in records {
        out.extend_from_slice(&(record.ctime.nanos ^ record.mtime.nanos).to_le_bytes());
    }
    let mut last = 0;
    for record in records {
        put_zigzag(&mut out, record.inode.wrapping_sub(last) as i64);
        last = record.inode;
    }
    records.iter().for_each(|record| put_varint(&mut out, record.device));
    let mut last = 0;
    for record in records {
        debug_assert!(record.segment >= last, "entries come in the order of the stream");
        put_varint(&mut out, record.segment.wrapping_sub(last));
        last = record.segment;
    }
    records.iter().for_each(|record| put_varint(&mut out, record.offset));
    records.iter().for_each(|record| put_varint(&mut out, record.headers));
    for record in records {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(record.changed, CHANGED) | flag(record.cut, CUT) | flag(record.sparse.is_some(), SPARSE),
        );
    }
    for record in records {
        if let Kind::Symlink(target) | Kind::Hardlink(target) = &record.kind {
            put_bytes(&mut out, target);
        }
    }
    for record in records {
        if let Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) = record.kind {
            put_varint(&mut out, major.into());
            put_varint(&mut out, minor.into());
        }
    }
    records.iter().filter_map(|record| record.sparse).for_each(|stored| put_varint(&mut out, stored));
    out
}

/// The names of a page of entries, whole.
fn decode_names(cursor: &mut Cursor, count: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut names: Vec<Vec<u8>> = Vec::with_capacity(count);
    let mut bytes = 0_u64;
    for index in 0..count {
        let shared: usize = cursor.small()?;
        let rest = cursor.bytes()?;
        let before: &[u8] = if index == 0 { b"" } else { &names[index - 1] };
        let front = before.get(..shared).ok_or(Malformed("has a name that shares more than there is"))?;
        bytes += (shared + rest.len()) as u64;
        if bytes > PAGE_MAX {
            return Err(Malformed("has names of an impossible length"));
        }
        let mut name = Vec::with_capacity(shared + rest.len());
        name.extend_from_slice(front);
        name.extend_from_slice(rest);
        names.push(name);
    }
    Ok(names)
}

/// Read a page of so many entries.
///
/// # Errors
/// If it is not one.
pub fn decode_entries(raw: &[u8], count: usize) -> Result<Vec<EntryRecord>, Malformed> {
    // The shortest entry has 23 bytes: so no more is ever allocated than a page is long.
    if count > raw.len() / 23 {
        return Err(Malformed("says more entries than it has room for"));
    }
    let mut cursor = Cursor::new(raw);
    let names = decode_names(&mut cursor, count)?;
    let letters = cursor.take(count)?;
    let mut records: Vec<EntryRecord> = names
        .into_iter()
        .map(|name| EntryRecord {
            name,
            kind: Kind::File,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            inode: 0,
            device: 0,
            segment: 0,
            offset: 0,
            headers: 0,
            changed: false,
            cut: false,
            sparse: None,
        })
        .collect();
    for record in &mut records {
        record.mode = cursor.small()?;
    }
    for record in &mut records {
        record.uid = cursor.small()?;
    }
    for record in &mut records {
        record.gid = cursor.small()?;
    }
    for record in &mut records {
        record.size = cursor.varint()?;
    }
    let mut last = 0_i64;
    for record in &mut records {
        last = last.wrapping_add(cursor.zigzag()?);
        record.mtime.seconds = last;
    }
    for record in &mut records {
        record.mtime.nanos = cursor.u32()?;
    }
    for record in &mut records {
        record.ctime.seconds = record.mtime.seconds.wrapping_add(cursor.zigzag()?);
    }
    for record in &mut records {
        record.ctime.nanos = record.mtime.nanos ^ cursor.u32()?;
    }
    let mut last = 0_u64;
    for record in &mut records {
        last = last.wrapping_add(cursor.zigzag()? as u64);
        record.inode = last;
    }
    for record in &mut records {
        record.device = cursor.varint()?;
    }
    let mut last = 0_u64;
    for record in &mut records {
        last = last.checked_add(cursor.varint()?).ok_or(Malformed("a number has more than 64 bits"))?;
        record.segment = last;
    }
    for record in &mut records {
        record.offset = cursor.varint()?;
    }
    for record in &mut records {
        record.headers = cursor.varint()?;
    }
    let flags = cursor.take(count)?;
    for (record, letter) in records.iter_mut().zip(letters) {
        record.kind = match letter {
            b'-' => Kind::File,
            b'd' => Kind::Directory,
            b'l' => Kind::Symlink(cursor.bytes()?.to_vec()),
            b'h' => Kind::Hardlink(cursor.bytes()?.to_vec()),
            b'c' => Kind::CharDevice(0, 0),
            b'b' => Kind::BlockDevice(0, 0),
            b'p' => Kind::Fifo,
            _ => return Err(Malformed("has an entry of an unknown type")),
        };
    }
    for record in &mut records {
        if let Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) = &mut record.kind {
            *major = cursor.small()?;
            *minor = cursor.small()?;
        }
    }
    for (record, flags) in records.iter_mut().zip(flags) {
        if flags & !(CHANGED | CUT | SPARSE) != 0 {
            return Err(Malformed("has an entry with unknown flags"));
        }
        record.changed = flags & CHANGED != 0;
        record.cut = flags & CUT != 0;
        record.sparse = if flags & SPARSE == 0 { None } else { Some(cursor.varint()?) };
    }
    cursor.end()?;
    let sound = |time: Timestamp| time.nanos < 1_000_000_000;
    if !records.iter().all(|record| record.mode <= 0o7777 && sound(record.mtime) && sound(record.ctime)) {
        return Err(Malformed("has an entry with an impossible mode or time"));
    }
    // So that no sum of them overflows.
    let lengths = |record: &EntryRecord| record.size | record.body() | record.offset | record.headers;
    if !records.iter().all(|record| lengths(record) < 1 << 60) {
        return Err(Malformed("has an entry of an impossible size"));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::archive::index::Hash;

    fn name() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..40)
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (any::<i64>(), 0_u32..1_000_000_000).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::File),
            Just(Kind::Directory),
            Just(Kind::Fifo),
            name().prop_map(Kind::Symlink),
            name().prop_map(Kind::Hardlink),
            any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice(major, minor)),
            any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice(major, minor)),
        ]
    }

    fn entry() -> impl Strategy<Value = EntryRecord> {
        let length = || 0_u64..1 << 60;
        let who = (name(), kind(), 0_u32..=0o7777, any::<u32>(), any::<u32>());
        let when = (time(), time(), any::<u64>(), any::<u64>());
        let place = (0_u64..1 << 40, length(), length());
        let body = (length(), any::<bool>(), any::<bool>(), proptest::option::of(length()));
        (who, when, place, body).prop_map(|(who, when, place, body)| {
            let (name, kind, mode, uid, gid) = who;
            let (mtime, ctime, inode, device) = when;
            let (segment, offset, headers) = place;
            let (size, changed, cut, sparse) = body;
            EntryRecord {
                name,
                kind,
                mode,
                uid,
                gid,
                size,
                mtime,
                ctime,
                inode,
                device,
                segment,
                offset,
                headers,
                changed,
                cut,
                sparse,
            }
        })
    }

    fn segment() -> impl Strategy<Value = SegmentRecord> {
        let kind = prop_oneof![
            any::<Hash>().prop_map(SegmentKind::Group),
            Just(SegmentKind::Header),
            Just(SegmentKind::Piece),
            Just(SegmentKind::End),
            Just(SegmentKind::Padding),
        ];
        (kind, any::<(u64, u64, u32)>(), any::<(Hash, Hash)>()).prop_map(|(kind, numbers, hashes)| {
            SegmentRecord {
                kind,
                stored: numbers.0,
                raw: numbers.1,
                crc: numbers.2,
                raw_hash: hashes.0,
                stored_hash: hashes.1,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn entries_round_trip(mut records in vec(entry(), 1..8)) {
            records.sort_by_key(|record| record.segment);
            let raw = encode_entries(&records);
            prop_assert_eq!(decode_entries(&raw, records.len()), Ok(records.clone()));
            for end in (0..raw.len()).step_by(5) {
                prop_assert!(decode_entries(&raw[..end], records.len()).is_err());
            }
        }

        #[test]
        fn segments_round_trip(records in vec(segment(), 1..8)) {
            let raw = encode_segments(&records);
            prop_assert_eq!(decode_segments(&raw, records.len()), Ok(records.clone()));
            for end in (0..raw.len()).step_by(5) {
                prop_assert!(decode_segments(&raw[..end], records.len()).is_err());
            }
        }
    }

    #[test]
    fn what_is_not_an_entry_is_refused() {
        assert!(decode_entries(&[0; 1000], 1000).is_err());
        assert!(decode_entries(&[0xff; 1000], 1).is_err());
        // A name that shares more than there is before it.
        let mut raw = [0; 23];
        raw[0] = 1;
        assert!(decode_entries(&raw, 1).is_err());
        // The letter of no type.
        assert!(decode_entries(&[0; 23], 1).is_err());
    }
}
