//! Random trees and random changes: whatever is taken over, the archive is the one that reading everything makes.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use tarkeep::job::Made;

use crate::nights::{Nights, noise};

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn size(&mut self) -> usize {
        let sizes = [0, 1, 511, 512, 3000, 40_000, 120_000, 500_000, 524_288, 800_000];
        sizes[self.below(sizes.len() as u64) as usize]
    }
}

/// All files, folders and links below.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found
}

fn add(random: &mut Random, source: &Path) {
    let folders: Vec<PathBuf> =
        all(source).into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect();
    let folder = match random.below(folders.len() as u64 + 1) as usize {
        at if at < folders.len() => folders[at].clone(),
        _ => source.to_owned(),
    };
    let path = folder.join(format!("{:x}", random.below(1 << 20)));
    match random.below(8) {
        0 => drop(fs::create_dir(path)),
        1 => drop(symlink("anywhere", path)),
        _ => fs::write(path, noise(random.size(), random.below(1000))).unwrap_or_default(),
    }
}

fn change(random: &mut Random, source: &Path) {
    let all = all(source);
    if all.len() < 5 {
        return add(random, source);
    }
    let path = &all[random.below(all.len() as u64) as usize];
    let other = path.with_file_name(format!("{:x}", random.below(1 << 20)));
    let is_file = path.is_file() && !path.is_symlink();
    match random.below(13) {
        0..3 => add(random, source),
        3 if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(path).unwrap(),
        3 => fs::remove_file(path).unwrap(),
        4 => fs::rename(path, other).unwrap(),
        5 if is_file => {
            let mtime = fs::metadata(path).unwrap().modified().unwrap();
            let length = fs::metadata(path).unwrap().len() as usize;
            fs::write(path, noise(length, random.below(1000))).unwrap();
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_times(FileTimes::new().set_modified(mtime))
                .unwrap();
        }
        6 if is_file => fs::write(path, noise(random.size(), random.below(1000))).unwrap(),
        7 if is_file => {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(b"page", random.below(900_000)).unwrap();
        }
        8 if !path.is_symlink() => {
            let mode = if path.is_dir() { 0o750 } else { 0o640 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        9 | 10 if is_file => drop(fs::hard_link(path, other)),
        11 | 12 if !path.is_symlink() => {
            let value = noise(random.below(40) as usize, random.below(1000));
            rustix::fs::setxattr(path, c"user.tarkeep", &value, XattrFlags::empty()).unwrap();
        }
        _ => {}
    }
}

/// Some nights of a random tree; each archive is shown to somebody.
pub fn nights_of(mut nights: Nights, seed: u64, mut each: impl FnMut(&Nights, &Made)) {
    let source = nights.source();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for _ in 0..25 {
        add(&mut random, &source);
    }
    fs::write(source.join("kept"), b"so that it is never empty").unwrap();
    // Of some trees the first archive is so close to the last change that all is read once more.
    if seed.is_multiple_of(3) {
        nights.at_once()
    } else {
        nights.next()
    };
    for night in 0..4 {
        for _ in 0..random.below(6) {
            change(&mut random, &source);
        }
        nights.exclude = match random.below(4) {
            0 => vec!["*a*".into()],
            1 => vec!["/*7*".into()],
            _ => Vec::new(),
        };
        println!("seed {seed}, night {night}");
        let made = nights.next();
        each(&nights, &made);
    }
}

/// One of the codecs that have an index.
pub fn codec(seed: u64) -> &'static str {
    let other = if cfg!(feature = "zstd") { "zstd:3" } else { "gzip:9" };
    ["gzip:6", "gzip:1", other][seed as usize % 3]
}

#[test]
fn whatever_changes_the_archive_is_as_in_full() {
    let mut reused = 0;
    for seed in 1..=12_u64 {
        let Some(nights) = Nights::new() else { return };
        nights_of(nights.with("TARKEEP_CODEC", codec(seed)), seed, |nights, made| {
            nights.assert_as_in_full(made);
            reused += made.report.reused.segments;
        });
    }
    assert!(reused > 100, "hardly anything was taken over: {reused}");
}
