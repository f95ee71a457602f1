//! A body as the file has it: what is stored without its holes is read with zeros in their place.

use std::io::{self, Read};

use super::sparse::read_map;
use crate::archive::stream::Member;

/// Reads exactly as many bytes as the file has.
pub struct Expanded<R> {
    body: R,
    size: u64,
    at: u64,
    /// Where the data goes that `body` still has, and how long it is: the next part first.
    data: std::iter::Peekable<std::vec::IntoIter<(u64, u64)>>,
}

impl<R: Read> Expanded<R> {
    /// Of a file of this size. A body that is stored sparse begins with its map, which is read here.
    ///
    /// # Errors
    /// If the map cannot be read, or makes no sense.
    pub fn new(mut body: R, size: u64, sparse: bool) -> io::Result<Self> {
        let map = if sparse { read_map(&mut body, size)? } else { vec![(0, size)] };
        Ok(Self::with(body, size, map))
    }

    /// Of an entry of a stream, whose headers may have the map.
    ///
    /// # Errors
    /// As for [`Expanded::new`].
    pub fn of_member(body: R, member: &Member) -> io::Result<Self> {
        match &member.map {
            Some(map) => Ok(Self::with(body, member.size, map.clone())),
            None => Self::new(body, member.size, member.sparse),
        }
    }

    fn with(body: R, size: u64, map: Vec<(u64, u64)>) -> Self {
        Self { body, size, at: 0, data: map.into_iter().peekable() }
    }
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.data.next_if(|(start, length)| start + length <= self.at).is_some() {}
        let (start, end) = match self.data.peek() {
            Some((start, length)) => (*start, start + length),
            None => (self.size, self.size),
        };
        let hole = self.at < start;
        let left = if hole { start } else { end }.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = &mut buffer[..most];
        let count = if hole {
            part.fill(0);
            most
        } else {
            self.body.read(part)?
        };
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(stored: &[u8], size: u64, sparse: bool) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Expanded::new(stored, size, sparse)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn holes_are_zeros() {
        let stored = |map: &str, data: &[u8]| {
            let mut stored = map.as_bytes().to_vec();
            stored.resize(512, 0);
            stored.extend_from_slice(data);
            stored
        };
        assert_eq!(whole(b"abc", 3, false).unwrap(), b"abc");
        assert_eq!(whole(b"", 0, false).unwrap(), b"");
        assert_eq!(whole(&stored("2\n2\n3\n9\n0\n", b"abc"), 9, true).unwrap(), b"\0\0abc\0\0\0\0");
        assert_eq!(whole(&stored("2\n0\n1\n4\n2\n", b"abc"), 6, true).unwrap(), b"a\0\0\0bc");
        assert_eq!(whole(&stored("0\n", b""), 3, true).unwrap(), b"\0\0\0");
        assert!(whole(b"ab", 3, false).is_err());
        assert!(whole(&stored("1\n2\n3\n", b"ab"), 9, true).is_err());
    }
}
