//! Files that have blocks in common, on file systems that can do that (XFS, btrfs).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use rustix::fs::fstatvfs;
use rustix::ioctl::{Setter, ioctl, opcode};

use super::Local;
use super::upload::make_temporary;
use crate::error::{Error, Result};

/// File systems have blocks of 4 KiB and more where they share any, or share them in such steps anyhow.
const BLOCK_LEAST: u64 = 4096;
/// More than any file system that was tried has; what would wait for whole blocks of more is too much memory.
const BLOCK_MOST: u64 = 64 * 1024;

/// `struct file_clone_range` of linux/fs.h.
#[repr(C)]
struct CloneRange {
    from: i64,
    at: u64,
    length: u64,
    to: u64,
}

/// FICLONERANGE: let one file have these blocks of another in common, from this offset on.
pub(super) fn share(file: &File, to: u64, from: &File, at: u64, length: u64) -> io::Result<()> {
    let range = CloneRange { from: from.as_raw_fd().into(), at, length, to };
    #[allow(unsafe_code, reason = "no safe call shares a part of a file")]
    // SAFETY: the request takes this structure and only reads it; both files are open while it runs.
    unsafe { ioctl(file, Setter::<{ opcode::write::<CloneRange>(0x94, 13) }, CloneRange>::new(range)) }?;
    Ok(())
}

impl Local {
    /// How large the blocks are that files in this folder can have in common, found out by sharing one.
    ///
    /// # Errors
    /// If they can have none, or nothing can be written.
    pub fn shares(&self) -> Result<u64> {
        let failed = |e: io::Error| Error::io("share blocks in", self.root(), e);
        let found = fstatvfs(&self.fd).map_err(|e| failed(e.into()))?;
        let block = found.f_frsize.max(BLOCK_LEAST);
        if !block.is_power_of_two() || block > BLOCK_MOST {
            return Err(Error::failed(format!("blocks of {block} bytes are not shared")));
        }
        let (mut one, one_name) = make_temporary(&self.fd, self.root())?;
        let outcome = make_temporary(&self.fd, self.root()).and_then(|(mut other, other_name)| {
            // Not the first block, and not all of them, as it will be with archives.
            let outcome = one
                .write_all(&vec![1; 3 * block as usize])
                .and_then(|()| other.write_all(&vec![2; block as usize]))
                .and_then(|()| share(&other, block, &one, block, block))
                .map_err(failed);
            self.remove_temporary(&other_name).and(outcome)
        });
        self.remove_temporary(&one_name).and(outcome).map(|()| block)
    }
}
