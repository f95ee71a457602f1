//! Why an entry of a stream is not there: what the archive is to blame for is refused, and the rest goes on.

use std::io;

use rustix::io::Errno;

use crate::archive::stream::{Bad, Input};
use crate::error::{Error, cause_text};

/// Why an entry is not there.
pub enum No {
    /// It is refused, and the next one is looked at.
    Refused(String),
    /// The stream cannot be read on.
    Cut(String),
    /// Nothing can go on.
    Failed(Error),
}

impl From<&str> for No {
    fn from(why: &str) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Bad> for No {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Read(e) if Input::is_too_much(&e) => Self::Failed(Error::failed(e.to_string())),
            bad => Self::Cut(bad.to_string()),
        }
    }
}

/// A system call's refusal: where the archive is to blame, the entry is refused; a full disk is no fault of an entry.
impl From<Error> for No {
    fn from(error: Error) -> Self {
        const OF_THE_ENTRY: [Errno; 16] = [
            Errno::NAMETOOLONG,
            Errno::LOOP,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::NOTEMPTY,
            Errno::EXIST,
            Errno::NOENT,
            Errno::XDEV,
            Errno::INVAL,
            Errno::ILSEQ,
            Errno::FBIG,
            Errno::OVERFLOW,
            Errno::MLINK,
            Errno::PERM,
            Errno::NOTSUP,
            Errno::TOOBIG,
        ];
        match error.cause().and_then(|cause| Some((cause, cause.raw_os_error()?))) {
            Some((cause, number)) if OF_THE_ENTRY.iter().any(|errno| errno.raw_os_error() == number) => {
                Self::Refused(cause_text(cause))
            }
            _ => Self::Failed(error),
        }
    }
}

/// Why the folder that an entry would stand in cannot be opened.
pub fn no_folder(errno: Errno) -> No {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => {
            "a link or a file stands where its folder would be".into()
        }
        Errno::NAMETOOLONG => "its name is too long".into(),
        e => No::Failed(Error::failed(format!("open a folder: {}", cause_text(&io::Error::from(e))))),
    }
}
