//! Runs that are killed: no half archive, no older archive touched, and the next run succeeds and sweeps.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::backups::{Archives, STEPS, backup, litter, run, source};
use common::disk;
use tarkeep::archive::name::Pattern;
use tarkeep::destination::Local;
use tarkeep::inventory::{self, Whose};
use tarkeep::state::Folder;
use tarkeep::stop::Stop;

#[test]
fn a_kill_at_any_step_is_made_good_by_the_next_run() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path();
    let mut archives = Archives::default();
    assert_eq!(run(&mut backup(&[], source.path(), destination)).0, Some(0));
    archives.look(destination, "the first run");
    for step in STEPS {
        let (code, said) = run(backup(&[], source.path(), destination).env("TARKEEP_FAILPOINT", step));
        assert_eq!(code, None, "{step} did not come: {said}");
        let published = archives.look(destination, step);
        assert_eq!(published, usize::from(matches!(step, "named" | "synced")), "{step}");
        let (code, said) = run(&mut backup(&[], source.path(), destination));
        assert_eq!(code, Some(0), "after {step}: {said}");
        assert_eq!(archives.look(destination, step), 1);
        assert_eq!(litter(destination), Vec::<std::path::PathBuf>::new(), "after {step}");
    }
}

#[test]
fn a_kill_at_any_system_call_that_changes_something_is_made_good_by_the_next_run() {
    if !disk::run("strace", &["-f", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL", "true"]) {
        return common::skip("strace, and the right to trace");
    }
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path();
    let mut archives = Archives::default();
    let calls =
        ["mkdirat", "flock", "write", "fchmod", "fsync", "renameat,renameat2", "unlinkat", "fadvise64"];
    for call in calls {
        for when in 1.. {
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let trace = format!("trace={call}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            // strace dies of what its child died of.
            let (code, said) = run(&mut backup(&strace, source.path(), destination));
            archives.look(destination, &inject);
            if code == Some(0) {
                assert!(when > 1, "{call} never came");
                break;
            }
            assert_eq!(code, None, "{inject}: {said}");
            assert!(when < 1000, "{call} is called without end");
            let (code, said) = run(&mut backup(&[], source.path(), destination));
            assert_eq!(code, Some(0), "after {inject}: {said}");
            assert_eq!(archives.look(destination, &inject), 1);
            assert_eq!(litter(destination), Vec::<std::path::PathBuf>::new(), "after {inject}");
        }
    }
}

/// Where in a run the kill falls is chance. What must be true after it is not.
#[test]
fn five_hundred_kills_at_random_moments_are_each_made_good_by_the_next_run() {
    // Some runs are faster than their kill.
    const KILLS: u32 = 520;
    const THREADS: u32 = 2;
    // So that archives are few enough to be all looked at after every kill.
    const KILLS_PER_DESTINATION: u32 = 10;
    let source = source();
    let once = || {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        assert_eq!(run(&mut backup(&[], source.path(), folder.path())).0, Some(0));
        began.elapsed()
    };
    let longest = (0..5).map(|_| once()).max().unwrap().min(Duration::from_secs(1));
    let work = |thread: u32| {
        // xorshift; any number but 0 will do for a start.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(thread);
        for _ in 0..KILLS / THREADS / KILLS_PER_DESTINATION {
            let folder = tempfile::tempdir().unwrap();
            let destination = folder.path();
            let mut archives = Archives::default();
            for kill in 0..KILLS_PER_DESTINATION {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let moment = longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64);
                let when = format!("kill {kill} after {moment:?}");
                let mut command = backup(&[], source.path(), destination);
                let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
                std::thread::sleep(moment);
                child.kill().unwrap();
                child.wait().unwrap();
                archives.look(destination, &when);
                let (code, said) = run(&mut backup(&[], source.path(), destination));
                assert_eq!(code, Some(0), "after {when}: {said}");
                assert_eq!(archives.look(destination, &when), 1, "{when}");
                assert_eq!(litter(destination), Vec::<std::path::PathBuf>::new(), "after {when}");
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

/// What is a link to the last archive comes to its name by other steps. Everything is read by content, as what was just
/// written is too young to be known by its times.
fn linking(before: &[&str], source: &Path, destination: &Path) -> Command {
    let mut command = backup(before, source, destination);
    command.env("TARKEEP_UNCHANGED", "link").env("TARKEEP_CHANGE_DETECTION", "content");
    command
}

/// Every name in a destination that an archive has, and its inode.
fn inodes(destination: &Path) -> BTreeSet<(PathBuf, u64)> {
    let local = Local::open(destination, tarkeep::destination::Options::default()).unwrap();
    let found = local.archives(&Pattern::default()).unwrap();
    found.into_iter().map(|stored| (stored.path.clone(), stored.path.metadata().unwrap().ino())).collect()
}

/// Whether each archive that there is has a record or an index that says when it was made.
fn all_are_known(destination: &Path, when: &str) {
    let local = Local::open(destination, tarkeep::destination::Options::default()).unwrap();
    let state = Folder::new(local.state_dir());
    let whose = Whose { job: "data".into(), sources: Vec::new() };
    for item in inventory::take(&local, &Pattern::default(), &whose, &state, &Stop::default()).unwrap() {
        assert!(item.own.is_ok(), "{when}: {:?}", item.own);
    }
}

#[test]
fn a_kill_at_any_step_of_a_link_is_made_good_by_the_next_run() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path();
    let mut archives = Archives::default();
    assert_eq!(run(&mut linking(&[], source.path(), destination)).0, Some(0));
    archives.look(destination, "the first run");
    for step in ["folders-made", "temporary-made", "before-link", "link-noted", "named", "synced"] {
        let (code, said) = run(linking(&[], source.path(), destination).env("TARKEEP_FAILPOINT", step));
        assert_eq!(code, None, "{step} did not come: {said}");
        let published = archives.look(destination, step);
        assert_eq!(published, usize::from(matches!(step, "named" | "synced")), "{step}");
        all_are_known(destination, step);
        let (code, said) = run(&mut linking(&[], source.path(), destination));
        assert_eq!(code, Some(0), "after {step}: {said}");
        assert!(said.contains("a link to "), "after {step}: {said}");
        assert_eq!(archives.look(destination, step), 1);
        assert_eq!(litter(destination), Vec::<PathBuf>::new(), "after {step}");
    }
    let inodes: BTreeSet<u64> = inodes(destination).into_iter().map(|(_, inode)| inode).collect();
    assert_eq!(inodes.len(), 1, "all are names of one file");
    all_are_known(destination, "at the end");
}

#[test]
fn a_kill_or_an_error_at_any_system_call_of_a_link_is_made_good_by_the_next_run() {
    if !disk::run("strace", &["-f", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL", "true"]) {
        return common::skip("strace, and the right to trace");
    }
    let source = source();
    for call in ["linkat", "fsync", "unlinkat", "renameat,renameat2"] {
        for (fault, failed) in [("signal=KILL", None), ("error=EIO", Some(1))] {
            let folder = tempfile::tempdir().unwrap();
            let destination = folder.path();
            let mut archives = Archives::default();
            assert_eq!(run(&mut linking(&[], source.path(), destination)).0, Some(0));
            archives.look(destination, "the first run");
            for when in 1.. {
                let inject = format!("inject={call}:{fault}:when={when}");
                let trace = format!("trace={call}");
                let log = folder.path().join(".tarkeep/trace");
                let strace =
                    ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
                let (code, said) = run(&mut linking(&strace, source.path(), destination));
                let hit = fs::read_to_string(&log).unwrap_or_default();
                let hit = hit.contains("(INJECTED)") || hit.contains("killed by SIGKILL");
                let new = archives.look(destination, &inject);
                all_are_known(destination, &inject);
                if !hit {
                    assert!(when > 1, "{call} never came");
                    break;
                }
                assert!(when < 100, "{call} is called without end");
                // What is only a note, or litter, fails no run; what fails one leaves no name.
                assert!(code == failed || code == Some(0), "{inject}: {code:?} {said}");
                assert!(code != Some(1) || new == 0, "{inject}: {said}");
                let (code, said) = run(&mut linking(&[], source.path(), destination));
                assert_eq!(code, Some(0), "after {inject}: {said}");
                assert_eq!(archives.look(destination, &inject), 1);
                assert_eq!(litter(destination), Vec::<PathBuf>::new(), "after {inject}");
                all_are_known(destination, &inject);
            }
        }
    }
}

#[test]
fn where_there_are_no_hard_links_it_is_a_copy_and_said() {
    if !disk::run("strace", &["-f", "-o", "/dev/null", "-e", "inject=linkat:error=EPERM", "true"]) {
        return common::skip("strace, and the right to trace");
    }
    let source = source();
    for error in ["EPERM", "EOPNOTSUPP", "EMLINK", "EXDEV"] {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path();
        let mut archives = Archives::default();
        assert_eq!(run(&mut linking(&[], source.path(), destination)).0, Some(0));
        archives.look(destination, "the first run");
        let inject = format!("inject=linkat:error={error}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat", "-e", &inject];
        let (code, said) = run(&mut linking(&strace, source.path(), destination));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("makes no hard link to the last archive: the archive is a copy"), "{said}");
        assert!(!said.contains("a link to "), "{said}");
        assert_eq!(archives.look(destination, error), 1);
        let inodes: BTreeSet<u64> = inodes(destination).into_iter().map(|(_, inode)| inode).collect();
        assert_eq!(inodes.len(), 2);
        assert_eq!(litter(destination), Vec::<PathBuf>::new());
        all_are_known(destination, error);
    }
}
