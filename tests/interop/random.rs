//! Random trees, archived by the program, and read by Python.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rustix::fs::FileType;

use super::make::{attribute, fifo, mode, noise, time};
use super::tree::{self, Node, Tree};
use super::{archive, command, common, workshop};

/// Something in a tree. What it stands in, and what it is a link to, is a number to choose with from what there is.
#[derive(Debug, Clone)]
struct Thing {
    folder: usize,
    name: Vec<u8>,
    what: What,
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone)]
enum What {
    File { length: usize, seed: u8 },
    Folder,
    Symlink(Vec<u8>),
    HardLink(usize),
    Fifo,
}

/// Bytes that a name may have, with those that are looked for oftener than others.
fn name(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(&b"abc .-=%\n\\\xc3\xa9\xff"[..]),
        1 => (1_u8..=255).prop_filter("no slash", |byte| *byte != b'/'),
    ];
    prop_oneof![
        6 => prop::collection::vec(byte.clone(), 1..30),
        1 => prop::collection::vec(byte, longest - 20..=longest),
    ]
    .prop_filter("no way up", |name| name != b"." && name != b"..")
}

fn thing() -> impl Strategy<Value = Thing> {
    let length = prop_oneof![4 => 0_usize..2000, 1 => 400_000_usize..700_000, 1 => Just(512), 1 => Just(0)];
    let what = prop_oneof![
        5 => (length, any::<u8>()).prop_map(|(length, seed)| What::File { length, seed }),
        4 => Just(What::Folder),
        2 => name(1000).prop_map(What::Symlink),
        2 => any::<usize>().prop_map(What::HardLink),
        1 => Just(What::Fifo),
    ];
    let id = prop_oneof![0..2000_u32, 0..u32::MAX];
    let seconds = prop_oneof![1_500_000_000..1_800_000_000_i64, -(1_i64 << 31)..(1_i64 << 34)];
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000_i64];
    let attribute = (name(100), prop::collection::vec(any::<u8>(), 0..100));
    (
        (any::<usize>(), name(255), what),
        (0..0o10000_u32, (id.clone(), id), (seconds, nanos)),
        prop::collection::vec(attribute, 0..3),
    )
        .prop_map(|((folder, name, what), (mode, owner, time), attributes)| Thing {
            folder,
            name,
            what,
            mode,
            owner,
            time,
            attributes: attributes
                .into_iter()
                .map(|(name, value)| ([b"user.".as_slice(), &name].concat(), value))
                .collect(),
        })
}

/// Make the tree on disk. Of two things with one name the first counts.
fn make(root: &Path, things: &[Thing]) {
    let (mut folders, mut files, mut made) = (vec![root.to_path_buf()], Vec::new(), Vec::new());
    for thing in things {
        let path = folders[thing.folder % folders.len()].join(OsStr::from_bytes(&thing.name));
        if path.as_os_str().len() > 3500 || path.symlink_metadata().is_ok() {
            continue;
        }
        match &thing.what {
            What::File { length, seed } => {
                fs::write(&path, noise(*length, *seed)).unwrap();
                files.push(path.clone());
            }
            What::Folder => {
                fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            What::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            What::HardLink(_) if files.is_empty() => continue,
            What::HardLink(number) => {
                fs::hard_link(&files[number % files.len()], &path).unwrap();
                continue;
            }
            What::Fifo => fifo(&path),
        }
        made.push((path, thing));
    }
    // From the innermost, as making something changes the time of the folder around it.
    for (path, thing) in made.iter().rev() {
        lchown(path, Some(thing.owner.0), Some(thing.owner.1)).unwrap();
        if !matches!(thing.what, What::Symlink(_)) {
            mode(path, thing.mode);
            if !matches!(thing.what, What::Fifo) {
                for (name, value) in &thing.attributes {
                    attribute(path, name, value).unwrap();
                }
            }
        }
        time(path, thing.time.0, thing.time.1).unwrap();
    }
}

/// A line for each member of an archive, as Python's `tarfile` understands it; [`line`] says the same of a tree.
const PYTHON: &str = r"
import sys, tarfile, zlib
from decimal import Decimal
archive = tarfile.open(sys.argv[1], encoding='utf-8', errors='surrogateescape')
for member in archive:
    pax = member.pax_headers
    body = archive.extractfile(member).read() if member.isfile() else b''
    mtime = int(Decimal(pax.get('mtime', int(member.mtime))) * 10**9)
    line = [{b'0': '-', b'1': 'h', b'2': 'l', b'5': 'd', b'6': 'p'}[member.type]]
    raw = lambda text: text.encode('utf-8', 'surrogateescape').hex()
    line += [raw(member.name), raw(member.linkname), member.size, zlib.crc32(body)]
    line += ['%o' % member.mode, member.uid, member.gid, mtime]
    for key, value in sorted(pax.items()):
        if key.startswith('SCHILY.xattr.'):
            key = key[len('SCHILY.xattr.'):].replace('%3D', '=').replace('%25', '%')
            line.append(raw(key) + '=' + raw(value))
    print(*line[:9], *sorted(line[9:]))
";

fn line(name: &[u8], node: &Node) -> String {
    let full = |name: &[u8]| if name.is_empty() { b"t".to_vec() } else { [b"t/", name].concat() };
    let again = node.first != name;
    let kind = match node.kind {
        FileType::RegularFile if again => 'h',
        FileType::RegularFile => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        _ => 'p',
    };
    let target = if again { full(&node.first) } else { node.target.clone() };
    let (length, crc) = node.body.filter(|_| !again).unwrap_or_default();
    let Node { mode, owner: (uid, gid), mtime, .. } = node;
    let mut line =
        format!("{kind} {} {} {length} {crc} {mode:o} {uid} {gid} {mtime}", hex(&full(name)), hex(&target));
    let mut attributes: Vec<_> =
        node.xattrs.iter().map(|(key, value)| format!("{}={}", hex(key), hex(value))).collect();
    attributes.sort();
    for attribute in attributes.iter().filter(|_| !again) {
        write!(line, " {attribute}").unwrap();
    }
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn comes_back(folder: &Path, things: &[Thing]) -> Result<(), TestCaseError> {
    let root = folder.join("t");
    let to = folder.join("t.tar.gz");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
        fs::remove_file(&to).unwrap();
    }
    fs::create_dir(&root).unwrap();
    // A folder that is empty is refused.
    fs::write(root.join("there is always something"), b"").unwrap();
    make(&root, things);
    let tree: Tree = tree::read(&root);
    let mut want: Vec<_> = tree.iter().map(|(name, node)| line(name, node)).collect();
    archive(folder, "t", &to);
    let output = command("python3").args(["-c", PYTHON]).arg(&to).output().unwrap();
    prop_assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let mut got: Vec<_> = said.lines().map(str::to_owned).collect();
    want.sort();
    got.sort();
    prop_assert_eq!(got, want);
    Ok(())
}

/// Always the same trees; with `PROPTEST_CASES=N` in the environment so many others.
#[test]
fn random_trees_come_back() {
    let Some(disk) = workshop() else { return };
    if !common::disk::run("python3", &["--version"]) {
        common::skip("python3");
        return;
    }
    let config = |cases| Config { failure_persistence: None, cases, ..Config::default() };
    let mut runner = match std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
        Some(cases) => TestRunner::new(config(cases)),
        None => TestRunner::new_with_rng(config(24), TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let things = prop::collection::vec(thing(), 0..40);
    runner.run(&things, |things| comes_back(disk.path(), &things)).unwrap();
}
