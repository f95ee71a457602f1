//! What comes through a pipe, put where it can be read more than once: a file without a name.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, unlink};
use rustix::io::Errno;

use crate::archive::stream::Pipe;
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::stop::Stop;

/// All of standard input, in the first of these folders that takes it. Nobody else sees it, and it is gone with the process.
///
/// # Errors
/// If there is no such folder, it becomes full, or standard input cannot be read.
pub fn spool(input: File, folders: &[PathBuf], stop: &Stop) -> Result<File> {
    let mut failure = None;
    let made = folders.iter().find_map(|folder| match unnamed(folder) {
        Ok(file) => Some((folder, file)),
        Err(e) => {
            failure = failure.take().or(Some(Error::io("keep standard input in", folder, e)));
            None
        }
    });
    let Some((folder, mut file)) = made else {
        return Err(failure.unwrap_or_else(|| Error::failed("there is no folder to keep standard input in")));
    };
    log::debug!("standard input is kept in {}", printable_path(folder));
    let mut input = Pipe::new(input, stop);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(count) => {
                file.write_all(&buffer[..count])
                    .map_err(|e| Error::io("keep standard input in", folder, e))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(stop.check().err().unwrap_or_else(|| Error::io("read", "standard input", e)));
            }
        }
    }
}

fn unnamed(folder: &Path) -> Result<File, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match openat(CWD, folder, flags | OFlags::TMPFILE, mode) {
        Ok(fd) => return Ok(fd.into()),
        // File systems that do not know it: NFS, CIFS, FUSE.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {}
        Err(e) => return Err(e),
    }
    let path = folder.join(format!(".tarkeep-spool-{:016x}", RandomState::new().hash_one(0)));
    let file = openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)?;
    unlink(&path)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_no_name_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().to_path_buf()];
        let pipe = |text: &[u8]| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(text).unwrap();
            File::from(std::os::fd::OwnedFd::from(reader))
        };
        let file = spool(pipe(b"all of it"), &folders, &Stop::default()).unwrap();
        let mut kept = [0; 9];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut kept, 0).unwrap();
        assert_eq!(&kept, b"all of it");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(spool(pipe(b""), &folders[..1], &Stop::default()).is_err());
        // Nothing comes, and somebody asks to stop.
        let (reader, writer) = std::io::pipe().unwrap();
        let stop = Stop::default();
        stop.ask(15);
        assert!(spool(File::from(std::os::fd::OwnedFd::from(reader)), &folders, &stop).is_err());
        drop(writer);
    }
}
