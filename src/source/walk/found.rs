//! What is found, as entries.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use super::super::content::Body;
use super::super::folder::Hint;
use super::super::open::{Fault, Opened, device, id, kind, open, times};
use super::Walk;
use crate::entry::{Entry, Found, Kind, Miss};

impl Walk {
    /// Anything but a folder.
    pub(super) fn count_one(&mut self, stat: &Statx) {
        let again = stat.stx_nlink > 1 && self.links.insert(id(stat), Box::default()).is_some();
        let counts = kind(stat) == FileType::RegularFile && !again && !self.is_left_out(stat);
        if let Some(amount) = &mut self.amount {
            amount.entries += 1;
            if counts {
                amount.bytes += stat.stx_size;
                amount.stored += stat.stx_size.min(stat.stx_blocks.saturating_mul(512));
            }
        }
    }

    pub(super) fn file(&mut self, fd: OwnedFd, stat: Statx) -> Found {
        let shared = stat.stx_nlink > 1;
        if shared && let Some(link) = self.link(&stat) {
            return link;
        }
        let (xattrs, fault) = self.xattrs.of_open(fd.as_fd());
        if shared {
            // Only now, when it is open: had opening failed, the next name would have to bring the body.
            self.links.insert(id(&stat), self.name.clone().into_boxed_slice());
        }
        let mut found = self.entry(Kind::File, &stat, xattrs, fault);
        if let Found::Entry(entry) = &mut found {
            let way = self.ways.of(entry.device);
            entry.size = stat.stx_size;
            entry.content = Some(Box::new(Body::new(fd, stat, way)));
        }
        found
    }

    /// A file as it looks from outside.
    pub(super) fn looked_at(&mut self, stat: &Statx, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Found {
        if stat.stx_nlink > 1 {
            if let Some(link) = self.link(stat) {
                return link;
            }
            // Should opening it fail, this is taken back: see `again`.
            self.links.insert(id(stat), self.name.clone().into_boxed_slice());
        }
        let mut found = self.entry(Kind::File, stat, xattrs, None);
        if let Found::Entry(entry) = &mut found {
            entry.size = stat.stx_size;
        }
        found
    }

    /// The present name as another one of a file that came earlier, if it is that.
    fn link(&mut self, stat: &Statx) -> Option<Found> {
        let first = self.links.get(&id(stat)).filter(|first| ***first != *self.name)?;
        let kind = Kind::Hardlink(first.to_vec());
        Some(self.entry(kind, stat, Vec::new(), None))
    }

    /// What was looked at under the present name, opened.
    pub(super) fn again(&mut self, looked_at: &Entry) -> Option<Found> {
        let file = (looked_at.device, looked_at.inode);
        if self.links.get(&file).is_some_and(|first| **first == *self.name) {
            self.links.remove(&file);
        }
        let fault = |error| Fault::new("open source file", error);
        let opened = self
            .again
            .as_mut()
            .ok_or(Errno::NOENT)
            .and_then(|again| again.folder(&self.name))
            .map_err(fault)
            .and_then(|(folder, name)| open(folder.as_fd(), &name, Hint::File));
        match opened {
            Ok(Opened::Folder(..) | Opened::Closed(..)) => {
                let cause = "open source file: it became a folder after it was listed".into();
                Some(Fault { what: Miss::Skipped, cause, starved: false }.of(&self.name))
            }
            Ok(opened) => self.take(opened),
            Err(fault) => Some(fault.of(&self.name)),
        }
    }

    /// An entry of the present name, without a body.
    pub(super) fn entry(
        &mut self,
        kind: Kind,
        stat: &Statx,
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
        fault: Option<Fault>,
    ) -> Found {
        if let Some(fault) = fault {
            self.pending.push_back(fault.of(&self.name));
        }
        let (mtime, ctime) = times(stat);
        Found::Entry(Box::new(Entry {
            name: self.name.clone(),
            kind,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            user: self.accounts.user(stat.stx_uid),
            group: self.accounts.group(stat.stx_gid),
            mtime,
            ctime,
            inode: stat.stx_ino,
            device: device(stat),
            size: 0,
            xattrs,
            content: None,
        }))
    }
}
