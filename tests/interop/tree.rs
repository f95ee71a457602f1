//! What a tree on disk looks like: everything that can be told about it, by the names in it.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags, getxattr, listxattr, open, openat, readlinkat, statx,
};
use rustix::io::Errno;

/// What is there under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: FileType,
    /// Length and CRC-32 of the body.
    pub body: Option<(u64, u32)>,
    pub target: Vec<u8>,
    pub mode: u32,
    pub owner: (u32, u32),
    /// Nanoseconds since 1970.
    pub mtime: i128,
    pub device: (u32, u32),
    /// The first of all names of this file.
    pub first: Vec<u8>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes on disk, of a file.
    pub allocated: u64,
}

pub type Tree = BTreeMap<Vec<u8>, Node>;

/// Everything below this folder, itself as the empty name.
pub fn read(folder: &Path) -> Tree {
    let mut reader = Reader { tree: Tree::new(), inodes: HashMap::new() };
    let opened = open(folder, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Ok(folder) => reader.node(Vec::new(), folder.as_fd(), folder.as_fd(), ".", &folder),
        Err(Errno::NOENT) => {}
        Err(error) => panic!("open {}: {error}", folder.display()),
    }
    reader.tree
}

struct Reader {
    tree: Tree,
    inodes: HashMap<(u32, u32, u64), Vec<u8>>,
}

impl Reader {
    /// By descriptors all the way: a path may be longer than the system takes.
    fn node(
        &mut self,
        name: Vec<u8>,
        parent: BorrowedFd<'_>,
        this: BorrowedFd<'_>,
        last: impl rustix::path::Arg + Copy,
        fd: &OwnedFd,
    ) {
        let stat = statx(this, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).unwrap();
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let first = self.inodes.entry(inode).or_insert_with(|| name.clone()).clone();
        let mut node = Node {
            kind,
            body: None,
            target: Vec::new(),
            mode: u32::from(stat.stx_mode) & 0o7777,
            owner: (stat.stx_uid, stat.stx_gid),
            mtime: i128::from(stat.stx_mtime.tv_sec) * 1_000_000_000 + i128::from(stat.stx_mtime.tv_nsec),
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            first,
            xattrs: attributes(fd),
            allocated: 0,
        };
        match kind {
            FileType::RegularFile => {
                let file = openat(parent, last, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()).unwrap();
                node.body = Some(sum(&mut std::fs::File::from(file)));
                node.allocated = stat.stx_blocks * 512;
            }
            FileType::Symlink => node.target = readlinkat(this, c"", Vec::new()).unwrap().into_bytes(),
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let folder = openat(parent, last, flags, Mode::empty()).unwrap();
                for below in names(&folder) {
                    let flags = OFlags::PATH | OFlags::NOFOLLOW;
                    let fd = openat(&folder, below.as_slice(), flags, Mode::empty()).unwrap();
                    let mut name = name.clone();
                    if !name.is_empty() {
                        name.push(b'/');
                    }
                    name.extend_from_slice(&below);
                    self.node(name, folder.as_fd(), fd.as_fd(), below.as_slice(), &fd);
                }
            }
            _ => {}
        }
        self.tree.insert(name, node);
    }
}

fn sum(file: &mut impl Read) -> (u64, u32) {
    let mut crc = crc32fast::Hasher::new();
    let mut length = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return (length, crc.finalize()),
            read => {
                crc.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

fn names(folder: &OwnedFd) -> Vec<Vec<u8>> {
    let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry.unwrap().file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    names
}

fn attributes(fd: &OwnedFd) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut list = vec![0; 64 * 1024];
    let length = match listxattr(&path, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => panic!("list attributes: {error}"),
    };
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 64 * 1024];
            let length = getxattr(&path, name, &mut value[..]).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect()
}
