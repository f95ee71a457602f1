//! Backup, restore, backup: the second archive has what the first has, whatever the tree.

mod common;

use std::ffi::OsStr;
use std::fs::{self, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::program;
use common::tree::{acl, everything, fingerprint, noise};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

/// One step in making a tree; paths are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Folder(usize, Vec<u8>),
    File(usize, Vec<u8>, Body),
    Symlink(usize, Vec<u8>, Vec<u8>),
    Hardlink(usize, Vec<u8>, usize),
    Pipe(usize, Vec<u8>),
    /// Only root may make one.
    Device(usize, Vec<u8>, bool, u32),
    Mode(usize, u32),
    Time(usize, i64, u32),
    Attribute(usize, Vec<u8>),
    /// Of a file or folder, or what a folder hands on.
    Acl(usize, u16, u32, bool),
    /// Only root may give things away.
    Owner(usize, u32, u32),
}

#[derive(Debug, Clone)]
enum Body {
    Bytes(Vec<u8>),
    Noise(usize, u8),
    Zeros(usize),
    /// Holes around a few bytes.
    Holes(u64, u64),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    // Any byte but zero and the slash; `-x` keeps `.` and `..` out and orders around the slash in.
    let letter = prop_oneof![4 => b'a'..=b'c', 1 => Just(b'-'), 1 => 1_u8..=255];
    let letter = letter.prop_map(|byte| if byte == b'/' { b'_' } else { byte });
    prop_oneof![
        6 => prop::collection::vec(letter.clone(), 1..4),
        1 => prop::collection::vec(letter, 100..250),
    ]
    .prop_filter("a folder has these already", |name| name != b"." && name != b"..")
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..2000).prop_map(Body::Bytes),
        2 => (500_000..700_000_usize, any::<u8>()).prop_map(|(length, seed)| Body::Noise(length, seed)),
        1 => (0..700_000_usize).prop_map(Body::Zeros),
        1 => (0..90_u64 << 20, 0..90_u64 << 20).prop_map(|(at, more)| Body::Holes(at, more)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let place = any::<usize>();
    prop_oneof![
        3 => (place, name()).prop_map(|(at, name)| Step::Folder(at, name)),
        6 => (place, name(), body()).prop_map(|(at, name, body)| Step::File(at, name, body)),
        1 => (place, name(), name()).prop_map(|(at, name, target)| Step::Symlink(at, name, target)),
        2 => (place, name(), place).prop_map(|(at, name, of)| Step::Hardlink(at, name, of)),
        1 => (place, name()).prop_map(|(at, name)| Step::Pipe(at, name)),
        2 => (place, 0..0o10000_u32).prop_map(|(at, mode)| Step::Mode(at, mode)),
        2 => (place, -10_000_000_000..10_000_000_000_i64, 0..1_000_000_000_u32)
            .prop_map(|(at, seconds, nanos)| Step::Time(at, seconds, nanos)),
        1 => (place, prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(at, value)| Step::Attribute(at, value)),
        1 => (place, name(), any::<bool>(), 0..1_u32 << 20)
            .prop_map(|(at, name, block, minor)| Step::Device(at, name, block, minor)),
        1 => (place, 0..8_u16, 0..u32::MAX, any::<bool>())
            .prop_map(|(at, permissions, user, default)| Step::Acl(at, permissions, user, default)),
        1 => (place, 0..u32::MAX, 0..u32::MAX).prop_map(|(at, user, group)| Step::Owner(at, user, group)),
    ]
}

/// Make a tree. What does not go (a name that is there already) is left out.
fn grow(root: &Path, steps: &[Step]) {
    fs::create_dir(root).unwrap();
    fs::write(root.join("always"), b"a source is never empty").unwrap();
    let mut folders = vec![root.to_path_buf()];
    let mut files = vec![root.join("always")];
    for step in steps {
        let below = |at: &usize, name: &[u8]| folders[at % folders.len()].join(OsStr::from_bytes(name));
        let file = |at: &usize| files[at % files.len()].clone();
        let anything = |at: &usize| {
            let all = files.len() + folders.len();
            files.iter().chain(&folders).nth(at % all).unwrap().clone()
        };
        match step {
            Step::Folder(at, name) => {
                let path = below(at, name);
                if path.as_os_str().len() < 2000 && fs::create_dir(&path).is_ok() {
                    folders.push(path);
                }
            }
            Step::File(at, name, body) => {
                let path = below(at, name);
                let Ok(file) = fs::File::create_new(&path) else { continue };
                match body {
                    Body::Bytes(bytes) => file.write_all_at(bytes, 0).unwrap(),
                    Body::Noise(length, seed) => file.write_all_at(&noise(*length, *seed), 0).unwrap(),
                    Body::Zeros(length) => file.write_all_at(&vec![0; *length], 0).unwrap(),
                    Body::Holes(at, more) => {
                        file.write_all_at(b"island", *at).unwrap();
                        file.set_len(at + more).unwrap();
                    }
                }
                files.push(path);
            }
            Step::Symlink(at, name, target) => {
                let _ = symlink(OsStr::from_bytes(target), below(at, name));
            }
            Step::Hardlink(at, name, of) => {
                let _ = fs::hard_link(file(of), below(at, name));
            }
            Step::Pipe(at, name) => {
                let _ = mknodat(CWD, below(at, name), FileType::Fifo, Mode::from_raw_mode(0o640), 0);
            }
            Step::Device(at, name, block, minor) => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                let _ = mknodat(CWD, below(at, name), kind, Mode::from_raw_mode(0o600), makedev(7, *minor));
            }
            Step::Mode(at, mode) => {
                // Others than root must be able to read it.
                let least = if anything(at).is_dir() { 0o700 } else { 0o400 };
                fs::set_permissions(anything(at), Permissions::from_mode(mode | least)).unwrap();
            }
            Step::Time(at, seconds, nanos) => {
                let length = Duration::new(seconds.unsigned_abs(), *nanos);
                let epoch = SystemTime::UNIX_EPOCH;
                let time = if *seconds < 0 { epoch - length } else { epoch + length };
                let opened = fs::File::open(anything(at)).unwrap();
                opened.set_times(FileTimes::new().set_modified(time)).unwrap();
            }
            // Not every file system has them.
            Step::Attribute(at, value) => {
                let _ = setxattr(anything(at), "user.note", value, XattrFlags::empty());
            }
            Step::Acl(at, permissions, user, default) => {
                let path = anything(at);
                let kind = if *default && path.is_dir() { "default" } else { "access" };
                let name = format!("system.posix_acl_{kind}");
                let _ = setxattr(path, name, &acl(*permissions, *user), XattrFlags::empty());
            }
            Step::Owner(at, user, group) => {
                let _ = chown(anything(at), Some(*user), Some(*group));
            }
        }
    }
}

fn tarkeep(folder: &Path, arguments: &[&str], code: i32) -> Result<String, TestCaseError> {
    let output = program::tarkeep(arguments, folder);
    let said = program::stderr(&output);
    prop_assert_eq!(output.status.code(), Some(code), "{:?}: {}", arguments, said);
    Ok(program::text(&output.stdout))
}

/// The folder `data` in this folder: backup, restore, backup.
fn round_trip(folder: &Path) -> Result<(), TestCaseError> {
    let at = |name: &str| folder.join(name);
    tarkeep(folder, &["backup", "--source", "data", "-o", "first.tar.gz"], 0)?;
    let was = fingerprint(&at("data"));
    tarkeep(folder, &["diff", "first.tar.gz", "data"], 0)?;

    tarkeep(folder, &["restore", "first.tar.gz", "--to", "out"], 0)?;
    let is = fingerprint(&at("out/data"));
    for (name, line) in &was {
        prop_assert_eq!(is.get(name), Some(line), "{}", String::from_utf8_lossy(name));
    }
    prop_assert_eq!(is.len(), was.len());
    let differs = tarkeep(folder, &["diff", "first.tar.gz", "out/data"], 0)?;
    prop_assert_eq!(differs, "");

    fs::remove_dir_all(at("data")).unwrap();
    fs::rename(at("out/data"), at("data")).unwrap();
    tarkeep(folder, &["backup", "--source", "data", "-o", "second.tar.gz"], 0)?;
    let differs = tarkeep(folder, &["diff", "first.tar.gz", "second.tar.gz"], 0)?;
    prop_assert_eq!(differs, "");
    let list = |archive: &str| tarkeep(folder, &["list", archive], 0);
    prop_assert_eq!(list("first.tar.gz")?, list("second.tar.gz")?);
    Ok(())
}

#[test]
fn everything_there_is_goes_round() {
    let folder = tempfile::tempdir().unwrap();
    everything(&folder.path().join("data"));
    round_trip(folder.path()).unwrap_or_else(|e| panic!("{e}"));
}

/// The same trees each time; as many others as `PROPTEST_CASES` says, for whoever looks for trouble.
fn config() -> ProptestConfig {
    let more = std::env::var_os("PROPTEST_CASES").is_some();
    let base =
        ProptestConfig { max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() };
    if more { base } else { ProptestConfig { cases: 8, rng_seed: RngSeed::Fixed(20_261_120), ..base } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_restored_tree_is_archived_as_the_first_was(steps in prop::collection::vec(step(), 0..80)) {
        let folder = tempfile::tempdir().unwrap();
        grow(&folder.path().join("data"), &steps);
        round_trip(folder.path())?;
    }
}
