//! Runs of the real program on a small source, and what they leave in a destination.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tarkeep::archive::name::Pattern;
use tarkeep::archive::verify::{By, Depth, Options, verify};
use tarkeep::destination::Local;
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

/// The steps of `destination` at which a debug build kills itself when it is told to.
pub const STEPS: [&str; 8] = [
    "folders-made",
    "temporary-made",
    "written",
    "before-sync",
    "before-check",
    "before-name",
    "named",
    "synced",
];

/// A folder with small files and a larger one, about a third of a MiB that compresses to half.
pub fn source() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut noise = vec![0; 150_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    for (number, part) in noise.chunks(5000).enumerate() {
        let mut hex = String::new();
        part.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        fs::write(folder.path().join(format!("small {number}")), hex).unwrap();
    }
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("folder/large"), &noise).unwrap();
    folder
}

/// `tarkeep backup` of this source to this destination, behind these words (`strace …`, or none).
pub fn backup(before: &[&str], source: &Path, destination: &Path) -> Command {
    let mut words: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
    words.push(OsStr::new(env!("CARGO_BIN_EXE_tarkeep")));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("backup").arg("--source").arg(source).arg("--destination").arg(destination);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Run it to its end: its exit code (none if it was killed), and what it said.
pub fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The archives in a destination, each of which was whole when it was first seen, and has not changed since.
#[derive(Default)]
pub struct Archives(BTreeMap<PathBuf, blake3::Hash>);

impl Archives {
    /// Look again: how many are new.
    pub fn look(&mut self, destination: &Path, when: &str) -> usize {
        let local = Local::open(destination, tarkeep::destination::Options::default()).unwrap();
        let found = local.archives(&Pattern::default()).unwrap();
        let hashes: BTreeMap<_, _> = found
            .into_iter()
            .map(|stored| (stored.path.clone(), blake3::hash(&fs::read(stored.path).unwrap())))
            .collect();
        for (path, hash) in &self.0 {
            assert_eq!(hashes.get(path), Some(hash), "{when}: {} was touched", path.display());
        }
        let new: Vec<_> = hashes.keys().filter(|path| !self.0.contains_key(*path)).collect();
        for path in &new {
            let options = Options { depth: Depth::Full, threads: 1 };
            let verified = verify(path, options, &Stop::default(), &Progress::default())
                .unwrap_or_else(|e| panic!("{when}: {e}"));
            assert!(verified.sound() && verified.by == By::Index, "{when}: half an archive: {verified:?}");
        }
        let count = new.len();
        self.0 = hashes;
        count
    }
}

/// What is in a destination beside the archives, their folders and our own: nothing, if all is well.
pub fn litter(destination: &Path) -> Vec<PathBuf> {
    let mut litter = Vec::new();
    for entry in fs::read_dir(destination).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".tarkeep") || path.ends_with("lost+found") {
            continue;
        }
        if !path.is_dir() {
            litter.push(path);
            continue;
        }
        let before = litter.len();
        let mut entries = 0;
        for entry in fs::read_dir(&path).unwrap() {
            entries += 1;
            let path = entry.unwrap().path();
            if path.extension() != Some(OsStr::new("gz")) {
                litter.push(path);
            }
        }
        if entries == 0 && litter.len() == before {
            litter.push(path);
        }
    }
    litter
}
