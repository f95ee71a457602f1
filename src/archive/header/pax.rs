//! The extended header, record by record.

use tar::{EntryType, Header};

use super::name::set_name;
use super::{BLOCK, padding};
use crate::entry::Timestamp;

/// The records of an extended header.
#[derive(Default)]
pub(super) struct Pax {
    records: Vec<u8>,
    binary: bool,
}

impl Pax {
    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.record(key.as_bytes(), number.to_string().as_bytes());
    }

    /// One record, `LENGTH KEY=VALUE\n`, where the length counts itself too.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) {
        // Attributes are bytes by nature; only names make readers that convert them stumble.
        if !key.starts_with(b"SCHILY.") && std::str::from_utf8(value).is_err() {
            self.binary = true;
        }
        push_record(&mut self.records, key, value);
    }

    /// Append the extended header that goes before this ustar block, if there is anything to say.
    pub(super) fn append(&self, ustar: &[u8; BLOCK], out: &mut Vec<u8>) {
        if self.records.is_empty() {
            return;
        }
        let mut records = Vec::new();
        if self.binary {
            push_record(&mut records, b"hdrcharset", b"BINARY");
        }
        records.extend_from_slice(&self.records);
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(records.len() as u64);
        let end = ustar[..100].iter().position(|byte| *byte == 0).unwrap_or(100);
        let name = ustar[..end].strip_suffix(b"/").unwrap_or(&ustar[..end]);
        let name = [b"PaxHeaders/", &name[name.len().saturating_sub(89)..]].concat();
        set_name(&mut header, &name);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
}

pub(super) fn push_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with their fraction, `-1.5` for half a second before -1.
pub(super) fn decimal(time: Timestamp) -> String {
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, fraction) = (nanos.abs() / 1_000_000_000, nanos.abs() % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{seconds}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{seconds}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value in 0..2000 {
            let mut records = Vec::new();
            push_record(&mut records, b"k", &vec![b'v'; value]);
            let text = String::from_utf8(records.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), records.len());
        }
    }
}
