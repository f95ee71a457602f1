//! What a source finds and an archive holds: the words that the two share.

use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One thing found in a source, in the order in which names stand in the archive.
#[derive(Debug)]
pub enum Found {
    /// To be archived.
    Entry(Box<Entry>),
    /// Wanted, and not to be had.
    Missed(Missed),
}

/// A file, folder, link or device, and where its body comes from.
#[derive(Debug)]
pub struct Entry {
    /// The name in the archive, `data/dir/file`: relative, no `..`, no slash at either end, any other bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The permission bits, set-id and sticky bits included: `0o7777` at most.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, empty where the system has none.
    pub user: Vec<u8>,
    /// The group's name, empty where the system has none.
    pub group: Vec<u8>,
    /// When the body last changed.
    pub mtime: Timestamp,
    /// When body or metadata last changed, by the system's clock; nobody can forge it.
    pub ctime: Timestamp,
    /// The number of the file in its file system.
    pub inode: u64,
    /// The file system's number.
    pub device: u64,
    /// Bytes of the body; 0 for everything but regular files.
    pub size: u64,
    /// Extended attributes by full name (`user.x`, `security.capability`, `system.posix_acl_access`), sorted.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, for regular files. One without has only been looked at: [`Find::open`] opens it.
    pub content: Option<Box<dyn Content>>,
}

/// Finds entries, in the order of their names, and opens those that it only looked at.
pub trait Find: Iterator<Item = Found> {
    /// Open what was found under this name a moment ago and only looked at: as it is now, or that it is not to be had.
    /// `None` if it is something by now that has no place in an archive.
    ///
    /// A further name of a file may be given too: it brings the body if the first name no longer does.
    fn open(&mut self, entry: &Entry) -> Option<Found>;
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link and its target, as it stands in the link.
    Symlink(Vec<u8>),
    /// Another name of a file that came earlier, by that file's name in the archive.
    Hardlink(Vec<u8>),
    /// A character device with major and minor number.
    CharDevice(u32, u32),
    /// A block device with major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// The letter that `ls -l` begins its lines with; `h` for a hard link, as `tar -tv` has it.
    pub fn letter(&self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink(_) => 'l',
            Self::Hardlink(_) => 'h',
            Self::CharDevice(..) => 'c',
            Self::BlockDevice(..) => 'b',
            Self::Fifo => 'p',
        }
    }
}

/// Seconds since 1970, before it too, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999, counted forward from `seconds`.
    pub nanos: u32,
}

/// The body of a regular file, read once from its beginning to its end.
pub trait Content: fmt::Debug + Send {
    /// The next bytes, at most `buffer.len()`; 0 at the end. Holes read as zeros.
    ///
    /// # Errors
    /// What the file system said. The body cannot be read on after that.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Where there is data, ascending, not touching: the rest up to the entry's size is holes. `None` when there are
    /// no holes, or too many pieces to be worth a list.
    fn data(&self) -> Option<&[Range<u64>]>;

    /// Skip to this offset, further on: what lies between is a hole and is not read.
    ///
    /// # Errors
    /// What the file system said.
    fn skip_to(&mut self, offset: u64) -> io::Result<()>;

    /// Whether the file is no longer what it was when it was opened: size, time of change. Asked after the last read.
    ///
    /// # Errors
    /// What the file system said.
    fn changed(&mut self) -> io::Result<bool>;
}

/// The order of names in an archive: by bytes, `/` before all others, so that a folder stands directly before what is
/// in it.
pub fn name_order(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a[same..].first().map(key).cmp(&b[same..].first().map(key))
}

/// Whether a name is this entry's or below it. Everything is below the empty name.
pub fn is_below(name: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// What the names of the folders begin with that restores work in.
pub const RESTORE_FOLDER: &str = ".tarkeep-restore-";

/// Whether the last part of a name is one that restores give their folders: those are never archived and never restored,
/// as a journal that came out of an archive would be taken for that of an interrupted restore.
pub fn is_restore_folder(part: &[u8]) -> bool {
    part.strip_prefix(RESTORE_FOLDER.as_bytes()).is_some_and(|random| {
        random.len() == 16 && random.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Something that was wanted and is not in the archive, or not as it should be. Data, not a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The name in the archive that it has or would have had.
    pub name: Vec<u8>,
    /// In which way.
    pub what: Miss,
    /// Why, in words: `open source file: permission denied (os error 13)`.
    pub cause: String,
}

/// In which way something was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Miss {
    /// Gone between listing and opening: the run is complete all the same.
    Vanished,
    /// Changed while it was read: in the archive, perhaps torn.
    Changed,
    /// Could not be read: the run is incomplete.
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slash_is_the_smallest_byte() {
        let mut names: Vec<&[u8]> =
            vec![b"a-b", b"a/x", b"a", b"a\x01", b"a/x/y", b"a/x!", b"a.txt", b"\xff"];
        names.sort_by(|a, b| name_order(a, b));
        let sorted: Vec<&[u8]> = vec![b"a", b"a/x", b"a/x/y", b"a/x!", b"a\x01", b"a-b", b"a.txt", b"\xff"];
        assert_eq!(names, sorted);
    }
}
