//! Runs that are killed: no half archive, no older archive touched, and the next run succeeds and sweeps.

mod common;

use std::time::{Duration, Instant};

use common::backups::{Archives, STEPS, backup, litter, run, source};
use common::disk;

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
