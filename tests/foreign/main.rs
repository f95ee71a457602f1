//! Archives that other tools made: listed and verified by reading them through, and restored.

#[path = "../common/mod.rs"]
mod common;

mod docker;
mod listed;
mod restored;
mod stdin;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::program::{tarkeep, text};
use common::tree::fingerprint;

/// Whether there is such a tool.
pub fn has(tool: &str) -> bool {
    // That it starts is enough: busybox does not know the option.
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Run a tool that has to end well.
pub fn run(tool: &str, arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(tool).args(arguments).current_dir(folder).env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder `data` with something of everything that needs no privilege to make.
pub fn tree(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir_all(data.join("sub/folder")).unwrap();
    fs::write(data.join("a"), b"a").unwrap();
    fs::write(data.join("sub/b"), vec![b'b'; 100_000]).unwrap();
    fs::write(data.join("sub").join("n".repeat(150)), b"long name").unwrap();
    fs::write(data.join("sub").join(std::ffi::OsStr::from_bytes(b"odd \n\xff name")), b"odd").unwrap();
    fs::hard_link(data.join("a"), data.join("sub/again")).unwrap();
    std::os::unix::fs::symlink("../a", data.join("sub/link")).unwrap();
    let sparse = fs::File::create(data.join("sub/sparse")).unwrap();
    sparse.set_len(50_000_000).unwrap();
    for at in 0..40 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", at * 1_000_000).unwrap();
    }
    data
}

/// Whether two trees look alike, as far as a format can say: fractions of seconds, and attributes.
pub fn alike(was: &Path, is: &Path, fractions: bool, attributes: bool, when: &str) {
    let seen = |tree: &Path| -> Vec<(Vec<u8>, String)> {
        let told = |line: String| {
            let line = if attributes { &line } else { &line[..line.rfind(" [").unwrap()] };
            let mut words: Vec<_> = line.splitn(4, ' ').collect();
            if !fractions {
                words[2] = words[2].split('.').next().unwrap();
            }
            words.join(" ")
        };
        fingerprint(tree).into_iter().map(|(name, line)| (name, told(line))).collect()
    };
    let (was, is) = (seen(was), seen(is));
    for pair in was.iter().zip(&is) {
        assert_eq!(pair.1, pair.0, "{when}: {}", String::from_utf8_lossy(&pair.0.0));
    }
    assert_eq!(was.len(), is.len(), "{when}");
}

/// Restore an archive into a new folder, and hold that against where it came from.
pub fn restored_alike(folder: &Path, archive: &str, fractions: bool, attributes: bool) {
    let output = tarkeep(&["restore", archive, "--to", "out", "--trust"], folder);
    assert_eq!(output.status.code(), Some(0), "{archive}: {}", text(&output.stderr));
    alike(&folder.join("data"), &folder.join("out/data"), fractions, attributes, archive);
    let sparse = folder.join("out/data/sub/sparse").metadata();
    assert!(sparse.is_ok_and(|about| about.blocks() < 2000), "{archive}: holes are holes");
    fs::remove_dir_all(folder.join("out")).unwrap();
}
