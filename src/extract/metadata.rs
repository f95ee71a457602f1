//! Owner, mode, attributes and times of what was extracted, in the order in which none undoes another.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, futimens, lsetxattr, openat, setxattr, utimensat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::root::Place;
use crate::archive::acl;
use crate::archive::stream::Member;
use crate::entry::Timestamp;
use crate::error::{Error, Result};

/// What of an archive is put on files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fidelity {
    /// Owners, set-id bits, devices and attributes beyond `user.*`: as root, from an archive that is trusted.
    pub full: bool,
}

/// What could not be put on files, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Unapplied {
    /// Owners, where they are others than who restores.
    pub owners: u64,
    /// Extended attributes and ACLs.
    pub attributes: u64,
    /// Devices, which only root may make.
    pub devices: u64,
    /// Set-id and sticky bits.
    pub bits: u64,
    /// Modes that let others write, or keep the owner out: left out for archives that are not trusted.
    pub modes: u64,
}

impl Unapplied {
    /// Add what another thread counted.
    pub fn add(&mut self, other: Self) {
        self.owners += other.owners;
        self.attributes += other.attributes;
        self.devices += other.devices;
        self.bits += other.bits;
        self.modes += other.modes;
    }

    /// One sentence, if there is anything to say. `remedy` is what to do to have it all.
    pub fn sentence(&self, remedy: &str) -> Option<String> {
        let parts: Vec<String> = [
            (self.owners, "owners"),
            (self.attributes, "extended attributes or ACLs"),
            (self.devices, "devices"),
            (self.bits, "set-id bits"),
            (self.modes, "modes"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        (!parts.is_empty()).then(|| format!("not applied: {}; {remedy}", parts.join(", ")))
    }
}

/// Puts metadata on files and counts what it may not.
#[derive(Debug)]
pub struct Metadata {
    fidelity: Fidelity,
    /// Who made the files, and owns them where nobody says otherwise.
    maker: (Uid, Gid),
    /// So far.
    pub unapplied: Unapplied,
}

impl Metadata {
    /// With this fidelity.
    pub fn new(fidelity: Fidelity) -> Self {
        Self { fidelity, maker: (geteuid(), getegid()), unapplied: Unapplied::default() }
    }

    /// On an open file or folder.
    ///
    /// # Errors
    /// If the mode or the times cannot be set, which every owner of a file may.
    pub fn on_open(&mut self, fd: BorrowedFd<'_>, member: &Member, shown: &Path) -> Result<()> {
        let failed = |doing: &str, e: Errno| Error::io(doing, shown, e);
        self.owner(member, |user, group| fchown(fd, user, group))
            .map_err(|e| failed("set the owner of", e))?;
        // After the owner, whose change clears set-id bits and capabilities; before the ACL, whose mask is in the mode.
        fchmod(fd, self.mode(member)).map_err(|e| failed("set the mode of", e))?;
        for (name, value) in self.attributes(member) {
            match fsetxattr(fd, name.as_c_str(), &value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(
                    Errno::NOTSUP
                    | Errno::PERM
                    | Errno::ACCESS
                    | Errno::INVAL
                    | Errno::NOSPC
                    | Errno::RANGE
                    | Errno::TOOBIG,
                ) => {
                    self.unapplied.attributes += 1;
                }
                Err(e) => return Err(failed("set an attribute of", e)),
            }
        }
        futimens(fd, &times(member.mtime)).map_err(|e| failed("set the time of", e))
    }

    /// On what is never opened: links, devices, pipes.
    ///
    /// # Errors
    /// As for [`Metadata::on_open`].
    pub fn on_place(&mut self, place: &Place, member: &Member, link: bool) -> Result<()> {
        let (folder, name) = place.at();
        self.owner(member, |user, group| chownat(folder, name, user, group, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|e| place.failed("set the owner of", e))?;
        // A handle on the thing itself, so that nothing put in its place meanwhile is touched.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(folder, name, flags, Mode::empty()).map_err(|e| place.failed("look at", e))?;
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        if !link {
            rustix::fs::chmod(path.as_str(), self.mode(member))
                .map_err(|e| place.failed("set the mode of", e))?;
        }
        for (name, value) in self.attributes(member) {
            // The link in /proc leads to the thing; for a symbolic link the thing is named in its folder.
            let set = if link {
                let folder = format!("/proc/self/fd/{}", folder.as_raw_fd());
                let link = Path::new(&folder).join(OsStr::from_bytes(place.at().1.as_bytes()));
                lsetxattr(&link, name.as_c_str(), &value, XattrFlags::empty())
            } else {
                setxattr(path.as_str(), name.as_c_str(), &value, XattrFlags::empty())
            };
            if set.is_err() {
                self.unapplied.attributes += 1;
            }
        }
        utimensat(folder, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| place.failed("set the time of", e))
    }

    fn owner(
        &mut self,
        member: &Member,
        set: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (user, group) = owner(member);
        let applied = if self.fidelity.full {
            match set(user, group) {
                Ok(()) => true,
                Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP) => false,
                Err(e) => return Err(e),
            }
        } else {
            (user.unwrap_or(self.maker.0), group.unwrap_or(self.maker.1)) == self.maker
        };
        self.unapplied.owners += u64::from(!applied);
        Ok(())
    }

    fn mode(&mut self, member: &Member) -> Mode {
        let special = member.mode & 0o7000;
        if !self.fidelity.full && special != 0 {
            self.unapplied.bits += 1;
        }
        Mode::from_raw_mode(if self.fidelity.full { member.mode } else { member.mode & 0o777 })
    }

    fn attributes(&mut self, member: &Member) -> Vec<(CString, Vec<u8>)> {
        let attributes = &member.attributes;
        let acls = [(&attributes.acl, "access"), (&attributes.default_acl, "default")];
        let acls = acls.into_iter().filter_map(|(words, which)| {
            let value = acl::value(words.as_deref()?);
            Some((format!("system.posix_acl_{which}").into_bytes(), value))
        });
        let plain = attributes.xattrs.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let mut found = Vec::new();
        for (name, value) in plain.chain(acls) {
            let allowed = self.fidelity.full || name.starts_with(b"user.");
            match (CString::new(name), value) {
                (Ok(name), Some(value)) if allowed => found.push((name, value)),
                _ => self.unapplied.attributes += 1,
            }
        }
        found
    }
}

fn owner(member: &Member) -> (Option<Uid>, Option<Gid>) {
    // The greatest number means "leave it" to the kernel, and is nobody's.
    let id = |number: u64| u32::try_from(number).ok().filter(|number| *number != u32::MAX);
    (id(member.uid).map(Uid::from_raw), id(member.gid).map(Gid::from_raw))
}

fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanos) },
    }
}
