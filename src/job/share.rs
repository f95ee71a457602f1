//! Archives that have blocks in common with the one they are built on.

use std::fs::File;
use std::io::{self, Write};

use super::base::Ground;
use crate::archive::Shares;
use crate::config::Job;
use crate::destination::{Local, Upload};
use crate::error::{Error, Result};

/// Of an archive that shares blocks with the last one at least so small a part is written: its index, and what lies around
/// what is shared.
const LEAST: u64 = 64;

/// An upload into a folder whose files can have blocks of this size in common.
pub struct Sharing<'a> {
    /// Where the archive is written.
    pub upload: &'a mut Upload,
    /// Bytes of a block.
    pub block: u64,
}

impl Write for Sharing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}

impl Shares for Sharing<'_> {
    fn block(&self) -> u64 {
        self.block
    }

    fn share(&mut self, from: &File, at: u64, length: u64) -> io::Result<()> {
        self.upload.share(from, at, length)
    }
}

/// How large the blocks are that a run shares, if it is to share any, takes something over, and can.
pub fn block(job: &Job, destination: &Local, ground: &Ground) -> Option<u64> {
    let takes_over = ground.base.as_ref().is_some_and(|base| !base.compares());
    if !job.share || !takes_over {
        return None;
    }
    let found = destination.shares();
    found.inspect_err(|error| log::info!("job {}: nothing is shared: {error}", job.name)).ok()
}

/// How much room a run needs at least that builds on an archive of this size.
pub fn needed(last: u64, block: Option<u64>) -> u64 {
    if block.is_some() { last / LEAST } else { last }
}

/// What is to be said about sharing in this destination, by trying it.
///
/// # Errors
/// If it is asked for, and cannot be done.
pub fn look(job: &Job, destination: &Local) -> Result<Option<String>> {
    let can_be_built_on = job.codec.envelope().is_some() && job.recipients.is_none();
    match (job.share, destination.shares()) {
        (true, _) if !can_be_built_on => Err(Error::failed(
            "nothing is shared, as nothing is taken over from archives that are encrypted, or of codec bzip2 or none; \
             leave TARKEEP_SHARE off",
        )),
        (true, Ok(block)) => Ok(Some(format!("what does not change is stored once, in blocks of {block} bytes"))),
        (true, Err(error)) => Err(Error::failed(format!(
            "{error}: archives are whole all the same, and take their full size; leave TARKEEP_SHARE off, or keep them on \
             XFS or btrfs"
        ))),
        (false, Ok(_)) if can_be_built_on => Ok(Some(
            "off; this file system could store once what does not change: TARKEEP_SHARE=on, see docs/reuse.md".into(),
        )),
        (false, _) => Ok(None),
    }
}
