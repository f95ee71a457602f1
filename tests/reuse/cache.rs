//! Archives that are read, because a run builds on them or to see whether they are whole, are not in the page cache
//! afterwards, unless they were before.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Advice, fadvise};
use tarkeep::clock::SystemClock;
use tarkeep::job::recheck;
use tarkeep::stop::Stop;

use crate::common::{disk, skip};
use crate::nights::{Nights, noise};

/// What may stay of 8 MiB: threads that read here and there leave what the kernel has read ahead of the place that one of them
/// did not go on from, which is half a MiB, however large the file. All of it stays where nobody takes care.
const LEFT: f64 = 0.15;

/// The share of a file that is cached.
fn cached(path: &Path) -> f64 {
    let mut command = Command::new("fincore");
    let output =
        command.args(["--bytes", "--noheadings", "--output", "RES,SIZE"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers[0] / numbers[1]
}

fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
}

/// The cache is everybody's, and a busy machine may drop pages: one of a few tries must show what is promised.
fn shows(mut share: impl FnMut() -> f64, promised: impl Fn(f64) -> bool) {
    let mut shares = Vec::new();
    while shares.len() < 5 {
        shares.push(share());
        if promised(shares[shares.len() - 1]) {
            return;
        }
    }
    panic!("cached: {shares:?}");
}

#[test]
fn an_archive_that_is_read_leaves_the_cache_as_it_was() {
    if !disk::run("fincore", &["--version"]) {
        return skip("fincore, of util-linux");
    }
    let Some(nights) = Nights::new() else { return };
    let mut nights = nights.with("TARKEEP_UNCHANGED", "link");
    let source = nights.source();
    fs::write(source.join("large"), noise(8 << 20, 1)).unwrap();
    let mut base = nights.next().path.unwrap();
    forget(&base);
    if cached(&base) > 0.01 {
        return skip("a file system whose cache can be emptied");
    }
    let mut seed = 0;
    let mut built_on = |cache: bool| {
        seed += 1;
        fs::write(source.join("small"), noise(1000, seed)).unwrap();
        forget(&base);
        if cache {
            let file = File::open(&base).unwrap();
            file.read_exact_at(&mut vec![0; file.metadata().unwrap().len() as usize], 0).unwrap();
        }
        let made = nights.next();
        assert!(made.link.is_none() && !made.report.reused.is_nothing());
        let share = cached(&base);
        base = made.path.unwrap();
        share
    };
    shows(|| built_on(false), |share| share < LEFT);
    shows(|| built_on(true), |share| share > 0.98);
    let linked = || {
        forget(&base);
        assert!(nights.next().link.is_some());
        cached(&base)
    };
    shows(linked, |share| share < LEFT);
    let read_back = || {
        forget(&base);
        recheck::run(&nights.job(), &SystemClock, &Stop::default()).unwrap();
        cached(&base)
    };
    shows(read_back, |share| share < LEFT);
}
