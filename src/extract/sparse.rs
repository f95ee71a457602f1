//! Writing bodies: long runs of zeros become holes, and bodies that are stored sparse find their places.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, pwrite};

use crate::archive::stream::MAP_MAX;

/// A run of zeros of this length, at a multiple of it, is left as a hole.
const BLOCK: usize = 4096;

/// Write these bytes at this offset of a new file, zeros left out. The file's length is set by whoever made it.
pub fn write_at(fd: BorrowedFd, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    let mut start = 0;
    while start < bytes.len() {
        let zeros = leading_zero_blocks(&bytes[start..]);
        start += zeros;
        let length = data(&bytes[start..]);
        let mut written = 0;
        while written < length {
            match pwrite(fd, &bytes[start + written..start + length], offset + (start + written) as u64) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        start += length;
    }
    Ok(())
}

fn leading_zero_blocks(bytes: &[u8]) -> usize {
    bytes.chunks(BLOCK).take_while(|block| is_zero(block)).map(<[u8]>::len).sum()
}

fn data(bytes: &[u8]) -> usize {
    bytes.chunks(BLOCK).take_while(|block| !is_zero(block)).map(<[u8]>::len).sum()
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// The map that a body in pax format 1.0 begins with: where each part of its data goes, and how long it is.
///
/// # Errors
/// If it cannot be read, or makes no sense for a file of this size.
pub fn read_map(body: &mut impl Read, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut numbers = Numbers { body, block: [0; 512], at: 512 };
    let count = numbers.next()?;
    let mut map = Vec::new();
    let mut end = 0;
    if count > MAP_MAX as u64 {
        return Err(bad());
    }
    for _ in 0..count {
        let (offset, length) = (numbers.next()?, numbers.next()?);
        if offset < end || offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(bad());
        }
        end = offset + length;
        map.push((offset, length));
    }
    Ok(map)
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file makes no sense")
}

/// Decimal numbers, each ended by a newline, in whole blocks.
struct Numbers<'a, R> {
    body: &'a mut R,
    block: [u8; 512],
    at: usize,
}

impl<R: Read> Numbers<'_, R> {
    fn next(&mut self) -> io::Result<u64> {
        let mut value = None;
        loop {
            if self.at == self.block.len() {
                self.body.read_exact(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return value.ok_or_else(bad),
                b'0'..=b'9' => {
                    let shifted = value.unwrap_or(0_u64).checked_mul(10);
                    value =
                        Some(shifted.and_then(|v| v.checked_add(u64::from(byte - b'0'))).ok_or_else(bad)?);
                }
                _ => return Err(bad()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Vec<u8> {
        let mut block = text.as_bytes().to_vec();
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    #[test]
    fn maps_are_read_and_lies_refused() {
        assert_eq!(read_map(&mut &block("2\n0\n5\n10\n0\n")[..], 10).unwrap(), [(0, 5), (10, 0)]);
        let pairs: Vec<String> = (0..200).map(|n| format!("{}\n1\n", n * 2)).collect();
        let long = format!("200\n{}", pairs.concat());
        assert_eq!(read_map(&mut &block(&long)[..], 400).unwrap().len(), 200);
        for lie in ["1\n5\n6\n", "2\n5\n1\n0\n1\n", "x\n", "\n", "1\n99999999999999999999\n0\n", "9\n0\n1\n"]
        {
            assert!(read_map(&mut &block(lie)[..], 10).is_err(), "{lie:?}");
        }
    }
}
