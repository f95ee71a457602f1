//! Archives that have blocks in common: how much less they take, and that nobody notices.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tarkeep::job::Made;

use crate::common::disk::{Disk, run};
use crate::common::{program, skip};
use crate::nights::{Nights, archive, assert_in_place, noise, paddings};
use crate::random::{codec, nights_of};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 8192;

/// Bytes of the database in these tests: what they are compressed to is a little more than a half.
const DATABASE: u64 = 16 * MIB;

/// Of each another part is noise, so that what is rewritten has another length than what stood there.
fn page(seed: u64) -> Vec<u8> {
    let mut page = noise(PAGE as usize, seed);
    page[PAGE as usize / 2 + seed as usize * 37 % 512..].fill(seed as u8);
    page
}

/// A source with a database in one file, some small files, and another large one behind them.
fn fill(source: &Path) {
    let database = File::create(source.join("database")).unwrap();
    for number in 0..DATABASE / PAGE {
        database.write_all_at(&page(number), number * PAGE).unwrap();
    }
    for number in 0..40 {
        fs::write(source.join(format!("small-{number:02}")), noise(60_000, number)).unwrap();
    }
    fs::write(source.join("z-last"), noise(2 << 20, 99)).unwrap();
}

/// Write so many pages of the database anew, from this one on.
fn rewrite(source: &Path, first: u64, count: u64, seed: u64) {
    let database = File::options().write(true).open(source.join("database")).unwrap();
    for number in first..first + count {
        database.write_all_at(&page(seed + number), number * PAGE).unwrap();
    }
}

/// A hundredth of the pages, here and there.
fn rewrite_some(source: &Path, seed: u64) {
    let pages = DATABASE / PAGE;
    for number in 0..pages / 100 {
        let chosen = u64::from_le_bytes(noise(8, seed + number).try_into().unwrap()) % pages;
        rewrite(source, chosen, 1, seed + number);
    }
}

/// Both kinds of file system that share blocks, and a codec each.
fn disks(mib: u64) -> Option<[(Disk, &'static str); 2]> {
    let other = if cfg!(feature = "zstd") { "zstd:3" } else { "gzip:1" };
    Some([(Disk::xfs(mib)?, "gzip:6"), (Disk::btrfs(mib)?, other)])
}

fn nights_on(disk: &Disk) -> Option<Nights> {
    Some(Nights::new()?.keeping_in(disk.path()).with("TARKEEP_SHARE", "on"))
}

fn path(made: &Made) -> &PathBuf {
    made.path.as_ref().unwrap()
}

/// What other programs make of it.
fn assert_plain(made: &Made) {
    let archive = path(made).to_str().unwrap();
    let gzip = path(made).extension().is_some_and(|ending| ending == "gz");
    let (tester, tar) = if gzip { ("gzip", "-tzf") } else { ("zstd", "--zstd") };
    if !run(tester, &["--version"]) {
        return skip(tester);
    }
    assert!(run(tester, &["-t", "-q", archive]), "{archive}");
    let list: &[&str] = if gzip { &[tar, archive] } else { &[tar, "-tf", archive] };
    let listed = Command::new("tar").args(list).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{}", program::text(&listed.stderr));
    assert_eq!(program::text(&listed.stdout).lines().count() as u64, made.report.entries);
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/index_reader.py");
    assert!(run("python3", &[reader.to_str().unwrap(), archive]), "{archive}");
}

#[test]
fn seven_nights_of_a_changing_database_take_little_more_than_one() {
    let Some(disks) = disks(400) else { return };
    for (disk, codec) in disks {
        let Some(nights) = nights_on(&disk) else { return };
        let mut nights = nights.with("TARKEEP_CODEC", codec);
        let source = nights.source();
        fill(&source);
        let empty = disk.used();
        let first = nights.next();
        let one = disk.used() - empty;
        assert!(paddings(&first).is_empty() && first.report.reused.shared == 0);
        let mut made = vec![first];
        for night in 1..7_u64 {
            // One place, and every third night also a file that moves all that comes behind it.
            rewrite(&source, night * 300, DATABASE / PAGE / 100, 1000 * night);
            if night.is_multiple_of(3) {
                fs::write(source.join(format!("small-00-{night}")), noise(12_345, night)).unwrap();
            }
            let before = disk.used();
            let now = nights.next();
            let (new, reused) = (disk.used() - before, now.report.reused);
            println!("{codec}, night {night}: {new} bytes new of {}, {reused:?}", now.report.stored);
            assert!(reused.shared > reused.stored / 10 * 9, "{reused:?} of {}", now.report.stored);
            // Beside what is not shared the file system keeps books of its own.
            assert!(new < now.report.stored - reused.shared + MIB, "{new} bytes are new");
            nights.assert_holds_what_full_holds(&now);
            assert_plain(&now);
            made.push(now);
        }
        assert!(made.iter().any(|made| !paddings(made).is_empty()));
        let all = disk.used() - empty;
        assert!(all < one * 2, "{all} bytes for seven nights, {one} for one");

        // Each stands for itself, whichever goes first, and on the disk too.
        let mut order: Vec<_> = made.iter().collect();
        order.rotate_left(3);
        while let Some(gone) = order.pop() {
            fs::remove_file(path(gone)).unwrap();
            disk.mount_again();
            order.iter().for_each(|left| assert_in_place(left));
        }
    }
}

#[test]
fn pages_that_change_here_and_there_cost_less_than_a_hundredth_in_padding() {
    let Some(disk) = Disk::xfs(400) else { return };
    let Some(mut nights) = nights_on(&disk) else { return };
    fill(&nights.source());
    nights.next();
    for night in 1..8 {
        rewrite_some(&nights.source(), 10_000 * night);
        let made = nights.next();
        let padding: u64 = paddings(&made).iter().sum();
        println!(
            "night {night}: {padding} bytes of padding in {}, {:?}",
            made.report.stored, made.report.reused
        );
        assert!(padding > 0 && padding * 128 < made.report.stored, "{padding}");
        assert!(made.report.reused.shared > made.report.reused.stored / 2, "{:?}", made.report.reused);
        nights.assert_holds_what_full_holds(&made);
    }
}

#[test]
fn when_nothing_changes_all_is_shared_and_padding_is_what_it_was() {
    let Some(disks) = disks(400) else { return };
    for (disk, codec) in disks {
        let Some(nights) = nights_on(&disk) else { return };
        let mut nights = nights.with("TARKEEP_CODEC", codec);
        fill(&nights.source());
        nights.next();
        let unchanged = |made: &Made| {
            // All but the block at either end of the tar stream.
            let data = archive(made).footer().start;
            assert!(made.report.reused.shared + 2 * 4096 >= data, "{data}: {:?}", made.report.reused);
        };
        let second = nights.next();
        assert!(paddings(&second).is_empty());
        unchanged(&second);
        rewrite(&nights.source(), 500, 5, 7777);
        rewrite(&nights.source(), 2000, 5, 8888);
        let padded = nights.next();
        // Behind each place, and behind the headers of the database, whose length may differ.
        assert!((2..=3).contains(&paddings(&padded).len()), "{:?}", paddings(&padded));
        for _ in 0..2 {
            let again = nights.next();
            assert_eq!(paddings(&again), paddings(&padded));
            unchanged(&again);
            nights.assert_holds_what_full_holds(&again);
        }
        // Nothing of it is left in what does not share.
        let mut plain = nights.with("TARKEEP_SHARE", "off");
        let made = plain.next();
        assert!(made.report.reused.segments > 0 && made.report.reused.shared == 0);
        plain.assert_as_in_full(&made);
    }
}

#[test]
fn whatever_changes_an_archive_that_shares_holds_what_full_holds() {
    let Some(disk) = Disk::xfs(400) else { return };
    let (mut shared, mut padded) = (0, 0);
    for seed in 1..=12_u64 {
        let Some(nights) = nights_on(&disk) else { return };
        nights_of(nights.with("TARKEEP_CODEC", codec(seed)), seed, |nights, made| {
            nights.assert_holds_what_full_holds(made);
            shared += made.report.reused.shared;
            padded += paddings(made).len();
        });
        for entry in fs::read_dir(disk.path()).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
    assert!(shared > MIB && padded > 10, "{shared} bytes shared, {padded} times padded");
}

#[test]
fn where_nothing_can_be_shared_the_archive_is_as_in_full() {
    let Some(disk) = Disk::ext4(200, None) else { return };
    let Some(mut nights) = nights_on(&disk) else { return };
    fill(&nights.source());
    nights.next();
    rewrite(&nights.source(), 500, 5, 7777);
    let made = nights.next();
    assert!(made.report.reused.segments > 0 && made.report.reused.shared == 0);
    nights.assert_as_in_full(&made);
}

fn backup(source: &Path, destination: &Path) -> Command {
    let line = ["backup", "--share", "--json", "--source", source.to_str().unwrap(), "--destination"];
    let mut command = program::command(&line);
    command.arg(destination);
    command
}

fn report(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", program::stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_cannot_be_shared_midway_is_written_and_said_once() {
    let Some(disk) = Disk::xfs(400) else { return };
    let source = tempfile::tempdir().unwrap();
    fill(source.path());
    report(&backup(source.path(), disk.path()).output().unwrap());
    for (error, goes_on) in [("EOPNOTSUPP", false), ("EXDEV", false), ("ENOSPC", true)] {
        // Each thread's calls are counted by themselves: the probe is one of the first of the main thread.
        let inject = format!("inject=ioctl:error={error}:when=5+");
        let log = tempfile::NamedTempFile::new().unwrap();
        let plain = backup(source.path(), disk.path());
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o"]).arg(log.path()).args(["-e", "trace=ioctl", "-e", &inject]);
        traced.arg(plain.get_program()).args(plain.get_args()).env_clear().env("PATH", env!("PATH"));
        let output = traced.env("TARKEEP_NICE", "0").env("TARKEEP_LOG", "info").output().unwrap();
        if program::stderr(&output).contains("Operation not permitted") {
            return skip("strace, and the right to trace");
        }
        let calls = fs::read_to_string(log.path()).unwrap();
        let failed = calls.matches("(INJECTED)").count();
        assert!(if goes_on { failed > 1 } else { failed == 1 }, "{error}: {calls}");
        let said = program::stderr(&output);
        assert_eq!(said.matches("could not be shared, and are written instead").count(), 1, "{said}");
        let made = report(&output);
        let shared = made["report"]["reused"]["shared"].as_u64().unwrap();
        assert!(shared >= MIB && shared < made["report"]["stored"].as_u64().unwrap() / 2, "{shared}");
        let archive = made["path"].as_str().unwrap();
        let verified = program::command(&["verify", archive]).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{}", program::stderr(&verified));
        fs::remove_file(archive).unwrap();
    }
}

#[test]
fn a_disk_that_is_full_but_for_a_little_takes_one_more_archive_only_if_it_is_shared() {
    let Some(disks) = disks(400) else { return };
    for (disk, _) in disks {
        let source = tempfile::tempdir().unwrap();
        fill(source.path());
        let first = report(&backup(source.path(), disk.path()).output().unwrap());
        let size = first["report"]["stored"].as_u64().unwrap();
        // Leave room for a third of an archive.
        let filler = File::create(disk.path().join("filler")).unwrap();
        let mut at = 0;
        let block = noise(64 * 1024, 1);
        let free = || {
            assert!(run("sync", &["-f", disk.path().to_str().unwrap()]));
            let space = rustix::fs::statvfs(disk.path()).unwrap();
            space.f_bavail * space.f_frsize
        };
        while free() > size / 3 {
            for _ in 0..((free() - size / 3) / (64 * 1024)).clamp(1, 1024) {
                filler.write_all_at(&block, at).unwrap();
                at += 64 * 1024;
            }
        }
        let second = report(&backup(source.path(), disk.path()).output().unwrap());
        assert!(second["report"]["reused"]["shared"].as_u64().unwrap() > size / 10 * 9, "{second}");
        // Without sharing there is no room, and that is seen beforehand.
        let words = ["backup", "--source", source.path().to_str().unwrap(), "--destination"];
        let refused = program::command(&words).arg(disk.path()).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(program::stderr(&refused).contains("are needed"), "{}", program::stderr(&refused));

        // With much that is new it is seen when it is full.
        rewrite(source.path(), 0, DATABASE / PAGE, 5555);
        let full = backup(source.path(), disk.path()).output().unwrap();
        let said = program::stderr(&full);
        assert_eq!(full.status.code(), Some(1), "{said}");
        assert!(said.contains("No space left on device") || said.contains("no space left"), "{said}");
        for made in [&first, &second] {
            let verified = program::command(&["verify", made["path"].as_str().unwrap()]).output().unwrap();
            assert_eq!(verified.status.code(), Some(0), "{}", program::stderr(&verified));
        }
        assert!(crate::common::backups::litter(disk.path()).iter().all(|path| path.ends_with("filler")));
    }
}

#[test]
fn check_says_where_blocks_could_be_shared() {
    let Some(xfs) = Disk::xfs(320) else { return };
    let Some(ext4) = Disk::ext4(32, None) else { return };
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "content").unwrap();
    let says = |disk: &Disk, share: &str| {
        let mut command = program::command(&["check"]);
        command.env("TARKEEP_SOURCE", source.path()).env("TARKEEP_DESTINATION", disk.path());
        let output = command.env("TARKEEP_SHARE", share).output().unwrap();
        let lines = program::text(&output.stdout);
        let line = lines.lines().find(|line| line.contains("share")).unwrap_or_default().to_owned();
        assert!(crate::common::backups::litter(disk.path()).is_empty());
        (output.status.code(), line)
    };
    let (code, line) = says(&xfs, "off");
    assert!(code == Some(0) && line.contains("TARKEEP_SHARE=on"), "{line}");
    let (code, line) = says(&xfs, "on");
    assert!(code == Some(0) && line.contains("4096"), "{line}");
    assert_eq!(says(&ext4, "off"), (Some(0), String::new()));
    let (code, line) = says(&ext4, "on");
    assert!(code == Some(1) && line.starts_with("problem") && line.contains("XFS or btrfs"), "{line}");
}
