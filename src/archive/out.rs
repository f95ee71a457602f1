//! Where an archive goes, and how bytes of another file get there without being written.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::error::cause_text;

/// Fewer blocks than these are not worth an extent of their own.
pub(super) const BLOCKS_LEAST: u64 = 8;

/// So much waits to be shared at once, so that what cannot be shared is still at hand to be written.
const BATCH: usize = 1 << 20;

/// A file that can have blocks in common with others.
pub trait Shares: Write + Send {
    /// Bytes of a block. Only whole ones can be had in common, at multiples of it in both files.
    fn block(&self) -> u64;

    /// What [`Write`] would do with so many bytes of this file, from this offset on, by having their blocks in common.
    ///
    /// # Errors
    /// If that cannot be done. Then nothing has happened, as far as those know who write on.
    fn share(&mut self, from: &File, at: u64, length: u64) -> io::Result<()>;
}

/// Where an archive goes.
pub enum Out<'a> {
    /// To be written only.
    Written(&'a mut (dyn Write + Send)),
    /// A file that can have blocks in common with the base.
    Shared(&'a mut dyn Shares),
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Written(out) => out.write(bytes),
            Self::Shared(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Written(out) => out.flush(),
            Self::Shared(out) => out.flush(),
        }
    }
}

/// Puts bytes behind each other, and shares those that stand in the base at an offset that suits.
pub(super) struct Sink<'a, 'b> {
    out: BufWriter<&'a mut Out<'b>>,
    /// What is shared with, in blocks of how many bytes; none as soon as it was seen that it cannot be.
    base: Option<(&'a File, u64)>,
    /// Where the next byte goes in the file, those that are held counted.
    at: u64,
    /// The last bytes, as long as they may become shared.
    held: Vec<u8>,
    /// Where in the base the byte behind them stands.
    next: Option<u64>,
    /// Whether what stands before them is shared: then one more block costs no extent.
    joined: bool,
    /// Whether it has been said that something could not be shared.
    said: bool,
    shared: u64,
}

impl<'a, 'b> Sink<'a, 'b> {
    /// Behind so many bytes of this file.
    pub fn new(out: &'a mut Out<'b>, base: Option<&'a File>, at: u64) -> Self {
        let block = match out {
            Out::Written(_) => None,
            Out::Shared(out) => Some(out.block()),
        };
        Self {
            // Headers of large files are short segments; the others go through as they are.
            out: BufWriter::with_capacity(64 * 1024, out),
            base: base.zip(block),
            at,
            held: Vec::new(),
            next: None,
            joined: false,
            said: false,
            shared: 0,
        }
    }

    /// How many bytes are missing here, modulo the block, until what stands there in the base could be shared. None if
    /// nothing can be.
    pub fn wants(&self, from: u64) -> Option<(u64, u64)> {
        let (_, block) = self.base?;
        Some((from.wrapping_sub(self.at) % block, block))
    }

    /// Whether bytes that stand there in the base follow the last ones there as they do here.
    pub fn goes_on(&self, from: u64) -> bool {
        self.next == Some(from)
    }

    /// Put these bytes, which stand there in the base.
    ///
    /// # Errors
    /// If they cannot be written. That they cannot be shared is none.
    pub fn put(&mut self, bytes: &[u8], from: Option<u64>) -> io::Result<()> {
        let Some(from) = from.filter(|from| self.wants(*from).is_some_and(|(missing, _)| missing == 0))
        else {
            self.settle(true)?;
            self.at += bytes.len() as u64;
            return self.out.write_all(bytes);
        };
        if !self.goes_on(from) {
            self.settle(true)?;
        }
        self.held.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        self.next = Some(from + bytes.len() as u64);
        if self.held.len() >= BATCH { self.settle(false) } else { Ok(()) }
    }

    /// Everything to the file; how many bytes of it are shared.
    ///
    /// # Errors
    /// As [`Sink::put`].
    pub fn finish(mut self) -> io::Result<u64> {
        self.settle(true)?;
        self.out.flush()?;
        Ok(self.shared)
    }

    /// Share what of the held bytes is whole blocks. The rest goes on waiting, unless it is the last that comes.
    fn settle(&mut self, last: bool) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let mut done = 0;
        if let Some(((file, block), next)) = self.base.zip(self.next) {
            let start = self.at - held.len() as u64;
            let head = (start.next_multiple_of(block) - start).min(held.len() as u64);
            let whole = (held.len() as u64 - head) / block * block;
            if whole >= BLOCKS_LEAST * block || whole > 0 && self.joined {
                let from = next - held.len() as u64 + head;
                self.out.write_all(&held[..head as usize])?;
                done = (head + whole) as usize;
                self.joined = self.share(file, from, &held[head as usize..done])?;
            }
        }
        if last {
            self.out.write_all(&held[done..])?;
            done = held.len();
            (self.next, self.joined) = (None, false);
        }
        self.held = held;
        self.held.drain(..done);
        Ok(())
    }

    /// Share these bytes, which stand there in the base, or write them where that fails.
    fn share(&mut self, file: &File, from: u64, bytes: &[u8]) -> io::Result<bool> {
        self.out.flush()?;
        let Out::Shared(out) = self.out.get_mut() else { return Ok(false) };
        let Err(why) = out.share(file, from, bytes.len() as u64) else {
            self.shared += bytes.len() as u64;
            return Ok(true);
        };
        if !std::mem::replace(&mut self.said, true) {
            log::info!(
                "blocks of the last archive could not be shared, and are written instead: {}",
                cause_text(&why)
            );
        }
        // A full disk may be full for this range only: XFS keeps some room in each of its groups. The rest stays.
        if why.kind() != io::ErrorKind::StorageFull {
            self.base = None;
        }
        self.out.write_all(bytes)?;
        Ok(false)
    }
}
