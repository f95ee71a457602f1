//! Memory is bounded, whatever the tree: to archive it, 32 MiB at most, 8 MiB for each thread, and 150 bytes and the name
//! for each entry; to restore it, 128 MiB.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::disk::Disk;
use common::program::command_in;

const MIB: u64 = 1 << 20;

/// The program's peak of resident memory while it does this in a folder, in bytes.
fn peak(folder: &Path, arguments: &[&str]) -> u64 {
    let mut tarkeep = command_in(arguments, folder);
    tarkeep.env("TARKEEP_CONFIG", "/dev/null").stdout(Stdio::null()).stderr(Stdio::null());
    let (status, kib) = wait(tarkeep.spawn().unwrap());
    assert_eq!(status, 0, "how {arguments:?} ended, as wait(2) says it");
    kib * 1024
}

/// Archive the folder `data` in this folder to `x`.
fn archived(folder: &Path, codec: &str, threads: u64) -> u64 {
    let threads = threads.to_string();
    peak(folder, &["backup", "--source", "data", "--codec", codec, "--threads", &threads, "-o", "x"])
}

/// Wait for a child: its status, and its peak of resident memory in KiB.
#[allow(unsafe_code)]
fn wait(child: Child) -> (i32, u64) {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, and the call only writes to the two places that it is given.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage), usage)
    };
    assert_eq!(pid, child.id().cast_signed(), "{}", std::io::Error::last_os_error());
    (status, usage.ru_maxrss as u64)
}

fn within(folder: &Path, (codec, threads): (&str, u64), entries: u64, names: u64) {
    let limit = (32 + 8 * threads) * MIB + 150 * entries + names;
    let peak = archived(folder, codec, threads);
    fs::remove_file(folder.join("x")).unwrap();
    let (peak_mib, limit_mib) = (peak / MIB, limit / MIB);
    println!("{codec}, {threads} threads, {entries} entries: {peak_mib} MiB of {limit_mib}");
    assert!(
        peak <= limit,
        "{peak_mib} MiB with {threads} threads and {entries} entries, more than {limit_mib}"
    );
}

/// Archive it and restore it, with an index and by reading through, on the cores of a large machine.
fn restored_within(folder: &Path) {
    archived(folder, "gzip:1", 2);
    let plain = File::create(folder.join("plain.tar")).unwrap();
    let archive = File::open(folder.join("x")).unwrap();
    let unpacked = Command::new("gzip").arg("-dc").stdin(archive).stdout(plain).status();
    assert!(unpacked.unwrap().success());
    for archive in ["x", "plain.tar"] {
        let arguments = ["restore", archive, "--to", "out"];
        let mut restore = command_in(&arguments, folder);
        restore.env("TARKEEP_THREADS", "16").stdout(Stdio::null()).stderr(Stdio::piped());
        let (status, kib) = wait(restore.spawn().unwrap());
        assert_eq!(status, 0, "how {arguments:?} ended, as wait(2) says it");
        println!("restore {archive}: {} MiB", kib / 1024);
        assert!(kib <= 128 * 1024, "restore of {archive}: {} MiB", kib / 1024);
        fs::remove_dir_all(folder.join("out")).unwrap();
    }
    for archive in ["x", "plain.tar"] {
        fs::remove_file(folder.join(archive)).unwrap();
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

fn folder() -> Option<Disk> {
    let disk = Disk::tmpfs("size=1g")?;
    fs::create_dir(disk.path().join("data")).unwrap();
    Some(disk)
}

#[test]
fn many_files_in_one_folder_cost_their_names_and_little_more() {
    let Some(disk) = folder() else { return };
    let count = 100_000;
    for number in 0..count {
        File::create(disk.path().join(format!("data/{number:06}"))).unwrap();
    }
    within(disk.path(), ("gzip:6", 1), count, count * "data/000000".len() as u64);
    restored_within(disk.path());
}

#[test]
fn what_is_built_on_the_last_archive_costs_no_more() {
    let folder = tempfile::tempdir().unwrap();
    if rustix::fs::statfs(folder.path()).unwrap().f_type == 0x0102_1994 {
        return common::skip("a temporary folder on a disk (TMPDIR)");
    }
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::create_dir(folder.path().join("kept")).unwrap();
    let count = 50_000;
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for number in 0..count {
        let file = File::create(folder.path().join(format!("data/{number:06}"))).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(long_ago)).unwrap();
    }
    let large = File::create(folder.path().join("data/large")).unwrap();
    large.write_all_at(&noise(32 << 20), 0).unwrap();
    large.set_times(fs::FileTimes::new().set_modified(long_ago)).unwrap();
    let run = || {
        let mut backup =
            command_in(&["backup", "--json", "--source", "data", "--threads", "2"], folder.path());
        backup.env("TARKEEP_CONFIG", "/dev/null").env("TARKEEP_DESTINATION", folder.path().join("kept"));
        // By ctime all of it is too young.
        backup.env("TARKEEP_CHANGE_DETECTION", "mtime");
        let said = File::create(folder.path().join("said")).unwrap();
        let (status, kib) = wait(backup.stdout(said).stderr(Stdio::null()).spawn().unwrap());
        assert_eq!(status, 0);
        let said = fs::read(folder.path().join("said")).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
        (kib, said["report"]["reused"]["segments"].as_u64().unwrap_or(0))
    };
    let (first, nothing) = run();
    let (second, reused) = run();
    println!("first {} MiB, second {} MiB, {reused} segments taken over", first / 1024, second / 1024);
    assert_eq!(nothing, 0);
    assert!(reused > 128 + 10, "{reused}");
    let limit = (32 + 8 * 2) * MIB + 150 * count + count * "data/000000".len() as u64;
    assert!(second * 1024 <= limit, "{} MiB", second / 1024);
}

#[test]
fn many_hard_links_cost_their_names_and_little_more() {
    let Some(disk) = folder() else { return };
    let count = 30_000;
    fs::create_dir(disk.path().join("data/again")).unwrap();
    for number in 0..count {
        let first = disk.path().join(format!("data/{number:06}"));
        File::create(&first).unwrap();
        fs::hard_link(first, disk.path().join(format!("data/again/{number:06}"))).unwrap();
    }
    let names = count * ("data/000000".len() + "data/again/000000".len()) as u64;
    within(disk.path(), ("gzip:6", 1), 2 * count, names);
    restored_within(disk.path());
}

/// Bodies that are worth compressing and hardly become smaller, so many groups of small files with a large one behind each:
/// how many entries there are.
fn hardly_compressible(folder: &Path, groups: u64) -> u64 {
    // Seven bits of eight.
    let mut noise = noise(2 * MIB as usize);
    noise.iter_mut().for_each(|byte| *byte &= 127);
    // Groups of small files end by their names; these are names that never end one, so that groups are of the largest.
    // Between them a large file, so that many pieces of it are under way.
    let length = 100_000;
    let ends_no_group = |name: &String| {
        let hash = blake3::hash(name.as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap();
        u64::from_le_bytes(*first) % (768 * 1024) > 2 * length as u64
    };
    for group in 0..groups {
        let names = (0..).map(|number| format!("data/{group:02}-{number:04}")).filter(ends_no_group);
        for (number, name) in names.take(20).enumerate() {
            fs::write(folder.join(name), &noise[number..number + length]).unwrap();
        }
        let large = File::create(folder.join(format!("data/{group:02}-large"))).unwrap();
        large.write_all_at(&noise, 0).unwrap();
        large.write_all_at(&noise, noise.len() as u64).unwrap();
    }
    21 * groups
}

#[test]
fn bodies_that_hardly_compress_cost_what_a_thread_may() {
    let Some(disk) = folder() else { return };
    let entries = hardly_compressible(disk.path(), 15);
    let mut runs = vec![("gzip:6", 2), ("gzip:6", 16), ("gzip:12", 4)];
    if cfg!(feature = "zstd") {
        runs.extend([("zstd:3", 2), ("zstd:3", 16)]);
    }
    for run in runs {
        within(disk.path(), run, entries, entries * "data/00-0000".len() as u64);
    }
}

#[test]
fn slow_codecs_cost_no_more() {
    let Some(disk) = folder() else { return };
    let entries = hardly_compressible(disk.path(), 5);
    let mut runs = Vec::new();
    if cfg!(feature = "zstd") {
        runs.extend([("zstd:8", 4), ("zstd:12", 4), ("zstd:19", 4)]);
    }
    if cfg!(feature = "bzip2") {
        runs.extend([("bzip2", 1), ("bzip2", 2), ("bzip2", 4)]);
    }
    for run in runs {
        within(disk.path(), run, entries, entries * "data/00-0000".len() as u64);
    }
    restored_within(disk.path());
}

#[test]
fn the_size_of_a_file_and_the_number_of_its_holes_cost_nothing() {
    let Some(disk) = folder() else { return };
    let file = File::create(disk.path().join("data/20 GiB")).unwrap();
    file.set_len(20 << 30).unwrap();
    file.write_all_at(b"data", 12 << 30).unwrap();
    // Every second page, 50,000 times.
    let file = File::create(disk.path().join("data/pieces")).unwrap();
    for piece in 0..50_000 {
        file.write_all_at(b"data", piece * 8192).unwrap();
    }
    within(disk.path(), ("gzip:6", 1), 3, 64);
    restored_within(disk.path());
}

/// What encryption may cost beside: with keys next to nothing; for a passphrase scrypt takes 256 MiB, before anything is
/// read (docs/encryption.md).
#[cfg(feature = "age")]
#[test]
fn encryption_costs_what_is_said_of_it() {
    let Some(disk) = folder() else { return };
    let folder = disk.path();
    let noise = noise(MIB as usize);
    for number in 0..60 {
        fs::write(folder.join(format!("data/{number}")), &noise).unwrap();
    }
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    fs::write(folder.join("key"), age::secrecy::ExposeSecret::expose_secret(&identity.to_string())).unwrap();
    fs::write(folder.join("passphrase"), "open sesame").unwrap();
    let scrypt = 256 * MIB;
    for (variables, more) in [
        ([("TARKEEP_AGE_RECIPIENTS", &recipient[..]), ("TARKEEP_AGE_IDENTITY_FILE", "key")], 0),
        ([("TARKEEP_AGE_PASSPHRASE_FILE", "passphrase"), ("TARKEEP_THREADS", "2")], scrypt),
    ] {
        let run = |arguments: &[&str], limit: u64| {
            let mut tarkeep = command_in(arguments, folder);
            tarkeep
                .env("TARKEEP_CONFIG", "/dev/null")
                .envs(variables)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let (status, kib) = wait(tarkeep.spawn().unwrap());
            assert_eq!(status, 0, "how {arguments:?} ended, as wait(2) says it");
            let peak = kib * 1024;
            println!("{arguments:?}, {}: {} MiB of {}", variables[0].0, peak / MIB, (limit + more) / MIB);
            assert!(peak <= limit + more, "{arguments:?}: {} MiB", peak / MIB);
            assert!(peak > more, "guessing has its price: {} MiB", peak / MIB);
        };
        run(&["backup", "--source", "data", "--threads", "2", "-o", "x.tar.gz.age"], (32 + 8 * 2) * MIB);
        run(&["restore", "x.tar.gz.age", "--to", "out", "--threads", "16"], 128 * MIB);
        fs::remove_file(folder.join("x.tar.gz.age")).unwrap();
        fs::remove_dir_all(folder.join("out")).unwrap();
    }
}

#[test]
fn what_a_restore_removes_costs_its_names() {
    let Some(disk) = folder() else { return };
    let folder = disk.path();
    let data = folder.join("data");
    fs::write(data.join("a"), "a").unwrap();
    archived(folder, "gzip:1", 2);
    let long = "x".repeat(200);
    for group in 0..200 {
        let group = data.join(format!("{group}"));
        fs::create_dir(&group).unwrap();
        for number in 0..1000 {
            File::create(group.join(format!("{long}{number}"))).unwrap();
        }
    }
    let arguments = ["restore", "x", "--to", "data", "--force", "--delete", "--yes"];
    let peak = peak(folder, &arguments) / MIB;
    println!("restore that removes 200,200 entries: {peak} MiB");
    assert!(peak <= 128, "{peak} MiB");
    assert_eq!(data.read_dir().unwrap().count(), 1);
}

#[test]
fn what_stands_beside_a_target_costs_a_restore_nothing() {
    let Some(disk) = folder() else { return };
    let folder = disk.path();
    fs::write(folder.join("data/a"), "a").unwrap();
    archived(folder, "gzip:1", 2);
    let long = "x".repeat(200);
    fs::create_dir(folder.join("beside")).unwrap();
    for number in 0..150_000 {
        File::create(folder.join(format!("beside/{long}{number}"))).unwrap();
    }
    let peak = peak(folder, &["restore", "x", "--to", "beside/new"]) / MIB;
    println!("restore beside 150,000 files: {peak} MiB");
    assert!(peak <= 32, "{peak} MiB");
}
