//! A tree with everything in it, and what a tree looks like from outside.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, FileTimes, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, llistxattr, makedev, mknodat, setxattr};

/// What can be seen of each name below a folder, the folder itself as the empty name.
pub fn fingerprint(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    look(root, &[], &mut inodes, &mut found);
    found
}

fn look(
    path: &Path,
    name: &[u8],
    inodes: &mut BTreeMap<u64, Vec<u8>>,
    found: &mut BTreeMap<Vec<u8>, String>,
) {
    let about = path.symlink_metadata().unwrap();
    let kind = about.file_type();
    let body = if kind.is_file() {
        let first = inodes.entry(about.ino()).or_insert_with(|| name.to_vec()).clone();
        format!(
            "{} {} of {}",
            about.len(),
            blake3::hash(&fs::read(path).unwrap()),
            String::from_utf8_lossy(&first)
        )
    } else if kind.is_symlink() {
        fs::read_link(path).unwrap().display().to_string()
    } else {
        format!("{}", about.rdev())
    };
    let mut list = vec![0; 4096];
    let length = llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut names: Vec<_> = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let attributes: Vec<_> = names
        .into_iter()
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
            format!("{}={:?}", String::from_utf8_lossy(name), &value[..length])
        })
        .collect();
    let line = format!(
        "{:o} {}:{} {}.{:09} {body} {attributes:?}",
        about.mode(),
        about.uid(),
        about.gid(),
        about.mtime(),
        about.mtime_nsec()
    );
    found.insert(name.to_vec(), line);
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for last in names {
            let name = if name.is_empty() {
                last.as_bytes().to_vec()
            } else {
                [name, b"/", last.as_bytes()].concat()
            };
            look(&path.join(last), &name, inodes, found);
        }
    }
}

/// Bytes that do not compress.
pub fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut noise);
    noise
}

/// A tree with an entry of every kind that this user may make here.
pub fn everything(root: &Path) {
    let is_root = rustix::process::geteuid().is_root();
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("folder/deep/er")).unwrap();
    fs::create_dir(at("empty folder")).unwrap();
    for (name, body) in [
        ("empty", Vec::new()),
        ("small", b"small".to_vec()),
        ("folder/text", b"words ".repeat(5000)),
        ("folder/deep/er/noise", noise(100_000, 1)),
        ("large noise", noise(900_000, 2)),
        ("large text", b"many words ".repeat(200_000)),
        ("-dash", b"-".to_vec()),
        ("line\nbreak", b"n".to_vec()),
        ("\u{fc}ml\u{e4}ut", b"u".to_vec()),
        ("zeros", vec![0; 600_000]),
    ] {
        fs::write(at(name), body).unwrap();
    }
    fs::write(root.join(OsStr::from_bytes(b"not \xff utf8")), b"x").unwrap();
    fs::write(at(&"n".repeat(255)), b"long").unwrap();
    fs::create_dir_all(at(&format!("{0}/{0}", "d".repeat(120)))).unwrap();
    fs::write(at(&format!("{0}/{0}/{0}", "d".repeat(120))), b"longer").unwrap();
    fs::hard_link(at("small"), at("folder/hard link")).unwrap();
    fs::hard_link(at("large text"), at("z hard link")).unwrap();
    symlink("small", at("link")).unwrap();
    symlink("/nowhere/at all", at("dangling")).unwrap();
    symlink("t".repeat(300), at("long link")).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let holes = fs::File::create(at("holes")).unwrap();
    holes.set_len(200 << 20).unwrap();
    holes.write_all_at(b"island", 100 << 20).unwrap();
    let few = fs::File::create(at("few holes")).unwrap();
    few.set_len(3 << 20).unwrap();
    few.write_all_at(b"island", 1 << 20).unwrap();
    let attribute = setxattr(at("small"), "user.note", b"two\nlines\0zero", XattrFlags::empty());
    attribute.or_else(|e| if e == rustix::io::Errno::NOTSUP { Ok(()) } else { Err(e) }).unwrap();
    fs::set_permissions(at("folder/text"), Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(at("empty folder"), Permissions::from_mode(0o1777)).unwrap();
    if is_root {
        let device =
            |name, kind| mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o600), makedev(7, 300)).unwrap();
        device("char device", FileType::CharacterDevice);
        device("block device", FileType::BlockDevice);
        chown(at("folder/deep"), Some(1234), Some(4_000_000_000)).unwrap();
        chown(at("small"), Some(3_000_000), Some(5)).unwrap();
        lchown(at("link"), Some(77), Some(78)).unwrap();
        // The file's mode and its ACL in one: user 1000 may read and write.
        let acl = acl(6, 1000);
        let _ = setxattr(at("large noise"), "system.posix_acl_access", &acl, XattrFlags::empty());
        let _ = setxattr(at("folder"), "system.posix_acl_default", &acl, XattrFlags::empty());
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let _ = setxattr(at("folder/deep/er/noise"), "security.capability", &capability, XattrFlags::empty());
    }
    for (name, seconds, nanos) in
        [("small", 1_600_000_000, 123_456_789), ("empty", 5_000_000_000, 1), ("folder", 1, 0)]
    {
        set_time(&at(name), SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos));
    }
    set_time(&at("-dash"), SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
}

/// An ACL as the system keeps it: a user with these permissions beside an owner, a group and no others.
pub fn acl(permissions: u16, user: u32) -> Vec<u8> {
    [
        &2_u32.to_le_bytes()[..],
        &entry(0x01, 6, u32::MAX),
        &entry(0x02, permissions, user),
        &entry(0x04, 4, u32::MAX),
        &entry(0x10, 6, u32::MAX),
        &entry(0x20, 0, u32::MAX),
    ]
    .concat()
}

fn entry(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
}

fn set_time(path: &Path, time: SystemTime) {
    let file = OpenOptions::new().read(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}
