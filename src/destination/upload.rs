//! An archive on its way: written where nobody looks, then given its name.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Advice, AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fadvise, flock, fstat, fsync, linkat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::folders::{Access, Folders};
use super::place::{self, Identity, Place};
use super::share;
use super::unfinished::Unfinished;
use crate::archive::name::ArchiveName;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::printable_path;
use crate::sys::failpoint;

/// After so many bytes the kernel is told to write them out, and to forget those before: the page cache belongs to the
/// applications of the host, and the last sync has little left to do.
const WINDOW: u64 = 8 << 20;

/// What an upload is to be called.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// This name, or the next number that is free.
    Numbered(ArchiveName),
    /// This name or none.
    Exact(OsString),
}

impl Target {
    fn file_name(&self) -> OsString {
        match self {
            Self::Numbered(name) => file_name(name).into(),
            Self::Exact(name) => name.clone(),
        }
    }
}

/// A file that is written and not yet named. Dropped, it is gone, and the folders that were made for it.
#[derive(Debug)]
pub struct Upload {
    file: File,
    /// Its name, until it has another.
    temporary: Option<String>,
    /// Until then it is litter.
    unfinished: Option<Unfinished>,
    folders: Folders,
    target: Target,
    access: Access,
    /// What gets another name, in the same folder, before this gets its own.
    moves: Vec<(String, String)>,
    written: u64,
    /// Up to where the kernel was told to write out.
    flushed: u64,
}

/// What an upload has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where it is.
    pub path: PathBuf,
    /// Its name below the destination; none for a file that was asked for by path.
    pub name: Option<ArchiveName>,
    /// Its size.
    pub bytes: u64,
}

impl Upload {
    pub(super) fn begin(folders: Folders, target: Target, access: Access) -> Result<Self> {
        let (file, name) = make_temporary(folders.fd(), folders.path())?;
        failpoint("temporary-made");
        Ok(Self {
            file,
            unfinished: Unfinished::note(&folders, &name),
            temporary: Some(name),
            folders,
            target,
            access,
            moves: Vec::new(),
            written: 0,
            flushed: 0,
        })
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Where it will be, if the name stays free.
    pub fn path(&self) -> PathBuf {
        self.folders.path().join(self.target.file_name())
    }

    /// What the system says of it: a source that it stands in leaves it out.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn metadata(&self) -> Result<Metadata> {
        self.file.metadata().map_err(|cause| self.failed(cause))
    }

    /// What to say when writing to it failed.
    pub fn failed(&self, cause: io::Error) -> Error {
        Error::io("write archive", self.path(), cause)
    }

    /// Have archives renamed, one after the other, right before this one gets its name, which is the last argument. Nothing
    /// is replaced by that either.
    pub fn make_room(&mut self, moves: &[(ArchiveName, ArchiveName)], name: ArchiveName) {
        self.moves = moves.iter().map(|(from, to)| (file_name(from), file_name(to))).collect();
        self.target = Target::Numbered(name);
    }

    /// Make the file durable, have it checked, and give it its name.
    ///
    /// `check` gets the file at its beginning, with nothing of it in the page cache (as far as the file system can do
    /// that): what it reads is what the disk has. It reads from this very file, as no other handle may be allowed to
    /// while it is locked (CIFS).
    ///
    /// # Errors
    /// If anything fails, then nothing is published: a sync that failed once is never tried again, as the second time it
    /// may succeed without having written anything (a full loop device answered ENOSPC, EIO, success). Where the file
    /// had its name already and the folder could not be synced, the name is taken back.
    pub fn publish(self, check: impl FnOnce(&File) -> Result<()>) -> Result<Published> {
        self.publish_noted(check, |_, _| {})
    }

    /// [`Upload::publish`], and `note` hears the name that the file will have, just before it has it, and what tells the file from
    /// another. Only where that
    /// name is taken in between does it hear another.
    ///
    /// # Errors
    /// As for [`Upload::publish`].
    pub fn publish_noted(
        mut self,
        check: impl FnOnce(&File) -> Result<()>,
        mut note: impl FnMut(&ArchiveName, Identity),
    ) -> Result<Published> {
        let path = self.path();
        failpoint("written");
        self.access.give(&self.file, self.access.mode, &path)?;
        failpoint("before-sync");
        fsync(&self.file).map_err(|e| Error::io("sync archive", &path, e))?;
        close_a_copy(&self.file).map_err(|e| Error::io("close archive", &path, e))?;
        let size = fstat(&self.file).map_err(|e| Error::io("look at archive", &path, e))?.st_size as u64;
        if size != self.written {
            let why = format!("{size} bytes of {} are there", self.written);
            return Err(Error::failed(format!(
                "archive {}: {why}: something else changed it",
                printable_path(&path)
            )));
        }
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        failpoint("before-check");
        self.file.rewind().map_err(|e| Error::io("read back archive", &path, e))?;
        check(&self.file)?;
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        failpoint("before-name");
        self.rename_others()?;
        let about = fstat(&self.file).map_err(|e| Error::io("look at archive", &path, e))?;
        let path = self.give_name(|name| note(name, place::identity(&about)))?;
        self.settle(path)
    }

    /// Have the name be for another file that has one already, as one more name of it; what was written is discarded when
    /// this is dropped. `note` hears the name just before, and may refuse it.
    ///
    /// None if `note` refused, or the file system makes no more names, or none that it says are of the same file: what was
    /// written may be published all the same.
    ///
    /// # Errors
    /// If the file is not the one of this identity any more, or anything fails as in [`Upload::publish`].
    pub fn link(
        &mut self,
        to: &Place,
        file: Identity,
        mut note: impl FnMut(&ArchiveName) -> bool,
    ) -> Result<Option<Published>> {
        failpoint("before-link");
        let give = |folder: &OwnedFd, name: &OsString| {
            linkat(to.folder(), to.file(), folder, name, AtFlags::empty())
        };
        let mut refused = false;
        let named = self.take_name(give, |name| {
            refused = !note(name);
            failpoint("link-noted");
            !refused
        })?;
        match named {
            Ok(()) => {}
            // vfat and exfat say EPERM; ext4 counts to 65,000; the folder may be another mount.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK | Errno::XDEV) => {
                return Ok(None);
            }
            Err(_) if refused => return Ok(None),
            Err(e) => return Err(Error::io("link archive", self.path(), e)),
        }
        let path = self.path();
        let named = statat(self.folders.fd(), self.target.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        if !named.is_ok_and(|named| place::identity(&named) == file) {
            let _ = unlinkat(self.folders.fd(), self.target.file_name(), AtFlags::empty());
            // Where a file has a number for each of its names (FUSE, CIFS without the server's numbers), nobody can tell what is
            // a link to what.
            if to.look().is_ok_and(|now| now.is_some_and(|(now, _)| now == file)) {
                return Ok(None);
            }
            return Err(Error::failed(format!(
                "link archive {}: what it was to be linked to has been replaced meanwhile",
                printable_path(&path)
            )));
        }
        self.written = file.bytes;
        self.settle(path).map(Some)
    }

    /// Make the name durable.
    fn settle(&mut self, path: PathBuf) -> Result<Published> {
        failpoint("named");
        if let Err(failure) = self.folders.sync() {
            return Err(match unlinkat(self.folders.fd(), self.target.file_name(), AtFlags::empty()) {
                Ok(()) => failure,
                Err(e) => Error::failed(format!(
                    "{failure}; {} is complete, but may not survive a power failure, and could not be removed: {e}",
                    printable_path(&path)
                )),
            });
        }
        failpoint("synced");
        self.folders.keep();
        let name = match &self.target {
            Target::Numbered(name) => Some(name.clone()),
            Target::Exact(_) => None,
        };
        Ok(Published { path, name, bytes: self.written })
    }

    /// Each is durable before the next begins, so that after a power failure there is a gap, and nothing in a wrong place.
    fn rename_others(&self) -> Result<()> {
        for (from, to) in &self.moves {
            let path = self.folders.path().join(from);
            match name_without_replacing(self.folders.fd(), from, &to.into()) {
                Ok(()) => {}
                // Somebody removed it meanwhile.
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(Error::io("give its next number to archive", path, e)),
            }
            failpoint("renumbered");
            self.folders.sync()?;
        }
        Ok(())
    }

    /// Have blocks of another file in common, instead of writing what is in them: so many bytes from this offset on, both
    /// of them, and [`Upload::written`] too, multiples of a block.
    ///
    /// # Errors
    /// If that cannot be done; what is written then goes where it would have gone before.
    pub fn share(&mut self, from: &File, at: u64, length: u64) -> io::Result<()> {
        share::share(&self.file, self.written, from, at, length)?;
        self.file.seek(SeekFrom::Start(self.written + length))?;
        self.written += length;
        self.write_out();
        Ok(())
    }

    /// Begin to write out what is new since the last time, and drop from the cache what came before, which is clean by now.
    fn write_out(&mut self) {
        if self.written - self.flushed >= WINDOW {
            let start = self.flushed.saturating_sub(WINDOW);
            let length = std::num::NonZero::new(self.written - start);
            let _ = fadvise(&self.file, start, length, Advice::DontNeed);
            self.flushed = self.written;
        }
    }

    /// Take the first free name.
    fn give_name(&mut self, mut note: impl FnMut(&ArchiveName)) -> Result<PathBuf> {
        let gone = || Error::failed("the archive has its name already");
        let temporary = self.temporary.clone().ok_or_else(gone)?;
        let give = |folder: &OwnedFd, name: &OsString| name_without_replacing(folder, &temporary, name);
        let named = self.take_name(give, |name| {
            note(name);
            true
        })?;
        named.map_err(|e| Error::io("give the archive its name,", self.path(), e))?;
        (self.temporary, self.unfinished) = (None, None);
        Ok(self.path())
    }

    /// [`Upload::give_name`], in this way, which never replaces anything. The inner result is why it is not to be had.
    fn take_name(
        &mut self,
        give: impl Fn(&OwnedFd, &OsString) -> rustix::io::Result<()>,
        mut note: impl FnMut(&ArchiveName) -> bool,
    ) -> Result<rustix::io::Result<()>> {
        loop {
            if let Target::Numbered(name) = &mut self.target {
                while !name.is_versioned()
                    && statat(self.folders.fd(), file_name(name), AtFlags::SYMLINK_NOFOLLOW).is_ok()
                {
                    *name = name.next();
                }
                if !note(name) {
                    return Ok(Err(Errno::CANCELED));
                }
            }
            match give(self.folders.fd(), &self.target.file_name()) {
                Err(Errno::EXIST) => match &mut self.target {
                    Target::Numbered(name) if !name.is_versioned() => *name = name.next(),
                    Target::Numbered(_) => return Err(taken(&self.path()).with_exit(Exit::Failed)),
                    Target::Exact(_) => return Err(taken(&self.path())),
                },
                done => return Ok(done),
            }
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        self.write_out();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(name) = self.temporary.take()
            && let Err(e) = unlinkat(self.folders.fd(), &name, AtFlags::empty())
            && e != Errno::NOENT
        {
            log::warn!("{}", Error::io("remove temporary file", self.folders.path().join(name), e));
        }
    }
}

/// The last part of an archive's name.
fn file_name(name: &ArchiveName) -> String {
    let path = name.to_string();
    path.rsplit('/').next().unwrap_or_default().into()
}

/// What to say when a file that was asked for by name is there already.
pub(super) fn taken(path: &Path) -> Error {
    Error::usage(format!(
        "{} is there already, and nothing is ever replaced: remove it, or choose another name",
        printable_path(path)
    ))
}

/// A new file in this folder, locked: whoever can lock it too knows that its writer is dead.
pub(super) fn make_temporary(folder: &OwnedFd, path: &Path) -> Result<(File, String)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let name = format!(".tarkeep-{:016x}.tmp", RandomState::new().hash_one(0));
        let failed = |doing, e| Error::io(doing, path.join(&name), e);
        let fd = match openat(folder, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd,
            Err(Errno::EXIST) => continue,
            Err(e) => return Err(failed("make temporary file", e)),
        };
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Somebody who sweeps was faster, and removes it.
            Err(Errno::WOULDBLOCK) => continue,
            Err(e) => {
                let _ = unlinkat(folder, &name, AtFlags::empty());
                return Err(failed("lock temporary file", e));
            }
        }
        match fstat(&fd) {
            Ok(about) if about.st_nlink == 0 => {}
            Ok(_) => return Ok((fd.into(), name)),
            Err(e) => {
                let _ = unlinkat(folder, &name, AtFlags::empty());
                return Err(failed("look at temporary file", e));
            }
        }
    }
}

/// Whether [`make_temporary`] could have made this name.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(".tarkeep-").and_then(|rest| rest.strip_suffix(".tmp")).is_some_and(|random| {
        random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Give a file its final name, unless the name is taken: by a file, a folder, or a link that leads nowhere.
fn name_without_replacing(folder: &OwnedFd, from: &str, to: &OsString) -> rustix::io::Result<()> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // NFS and older file systems do not know the flag; EPERM is what some system call filters say.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => {}
        done => return done,
    }
    match linkat(folder, from, folder, to, AtFlags::empty()) {
        Ok(()) => {
            failpoint("linked");
            return unlinkat(folder, from, AtFlags::empty()).inspect_err(|_| {
                let _ = unlinkat(folder, to, AtFlags::empty());
            });
        }
        // An answer of NFS that was lost and asked for again: the link is ours.
        Err(Errno::EXIST) if same_file(folder, from, to) => return unlinkat(folder, from, AtFlags::empty()),
        // File systems without hard links: vfat and exfat say EPERM.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK) => {}
        Err(e) => return Err(e),
    }
    // Neither: the lock of the destination keeps other runs away between the look and the rename.
    match statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(folder, from, folder, to),
        Err(e) => Err(e),
    }
}

fn same_file(folder: &OwnedFd, one: &str, other: &OsString) -> bool {
    let look = |name: &OsString| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    match (look(&one.into()), look(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// Ask for what closing the file would say, while there is still somebody to listen: network file systems report there
/// what they could not write.
fn close_a_copy(file: &File) -> io::Result<()> {
    let copy = file.try_clone()?.into_raw_fd();
    #[allow(
        unsafe_code,
        reason = "nothing safe reports the error of close; the number was just made, and is ours"
    )]
    unsafe { rustix::io::try_close(copy) }.map_err(Into::into)
}
