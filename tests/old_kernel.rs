//! What older kernels do not have, refused as they refuse it: the archive is the same, and so is what stays cached.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::backups::{Archives, backup, run};
use common::trace::may_inject;
use common::{disk, skip};
use rustix::fs::{Advice, fadvise};

const MIB: usize = 1 << 20;

/// Files of which these are cached, and the others not.
struct Source {
    folder: tempfile::TempDir,
    cached: Vec<PathBuf>,
    not_cached: Vec<PathBuf>,
}

impl Source {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [mut cached, mut not_cached] = [Vec::new(), Vec::new()];
        for (number, size) in [10_000, 60_000, 5 * MIB, 40 * MIB].into_iter().enumerate() {
            for (list, word) in [(&mut cached, "cached"), (&mut not_cached, "not")] {
                let path = folder.path().join(format!("{number} {word}"));
                fs::write(&path, vec![b'x'; size]).unwrap();
                File::open(&path).unwrap().sync_all().unwrap();
                list.push(path);
            }
        }
        Self { folder, cached, not_cached }
    }

    /// Cache what shall be cached, drop the rest.
    fn prepare(&self) {
        for path in &self.not_cached {
            fadvise(File::open(path).unwrap(), 0, None, Advice::DontNeed).unwrap();
        }
        for path in &self.cached {
            let file = File::open(path).unwrap();
            file.read_exact_at(&mut vec![0; file.metadata().unwrap().len() as usize], 0).unwrap();
        }
    }

    /// The share of these files that is cached.
    fn share(files: &[PathBuf]) -> f64 {
        let mut command = Command::new("fincore");
        command.args(["--bytes", "--noheadings", "--output", "RES,SIZE"]).args(files);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut cached, mut size) = (0.0, 0.0);
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let mut numbers = line.split_whitespace().map(|number| number.parse::<f64>().unwrap());
            cached += numbers.next().unwrap();
            size += numbers.next().unwrap();
        }
        cached / size
    }
}

/// Back up with this done to `preadv2`: what the trace has of it, in the order of the calls.
fn traced(source: &Path, destination: &Path, inject: &str, seen: &mut Archives) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let inject = format!("inject=preadv2:{inject}");
    let words =
        ["strace", "-f", "-qq", "-o", log.path().to_str().unwrap(), "-e", "trace=preadv2", "-e", &inject];
    let (code, said) = run(&mut backup(&words, source, destination));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(seen.look(destination, &inject), 1, "{said}");
    fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn without_uncached_reads_the_archive_is_whole_and_the_cache_as_it_was() {
    if !may_inject("fsync:error=EIO") {
        return;
    }
    if !disk::run("fincore", &["--version"]) {
        return skip("fincore, of util-linux");
    }
    let source = Source::new();
    source.prepare();
    if Source::share(&source.not_cached) > 0.01 {
        return skip("a file system whose cache can be emptied");
    }
    // The cache is everybody's, and a busy machine may drop pages: one of a few tries must show what is promised.
    let mut shares = Vec::new();
    for _ in 0..5 {
        source.prepare();
        // With a last archive the first call would be one that reads that.
        let destination = tempfile::tempdir().unwrap();
        let mut seen = Archives::default();
        // Before 6.14 the flag is refused. strace cannot tell the flags apart: it refuses the first call of each thread,
        // and one thread reads.
        let calls = traced(source.folder.path(), destination.path(), "error=EOPNOTSUPP:when=1", &mut seen);
        assert!(calls[0].contains("EOPNOTSUPP") && !calls[0].contains("RWF_NOWAIT"), "{}", calls[0]);
        let rest = &calls[1..];
        assert!(!rest.is_empty() && rest.iter().all(|call| call.contains("RWF_NOWAIT")), "{calls:?}");
        shares.push((Source::share(&source.cached), Source::share(&source.not_cached)));
        if shares.last().is_some_and(|(kept, brought)| *kept > 0.98 && *brought < 0.02) {
            break;
        }
    }
    let (kept, brought) = shares.last().unwrap();
    assert!(*kept > 0.98 && *brought < 0.02, "kept of what was cached, cached of what was not: {shares:?}");
    // Where the file system refuses to read without waiting too, and where there is no such call: read all the same.
    let destination = tempfile::tempdir().unwrap();
    let mut seen = Archives::default();
    for error in ["EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let calls = traced(source.folder.path(), destination.path(), &format!("error={error}"), &mut seen);
        assert!(calls.len() >= 2 && calls.iter().all(|call| call.contains(error)), "{calls:?}");
    }
}
