//! Others at work, and ends that come too early.

use std::fs;
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tarkeep::destination::{Local, Options};

use super::bench::{Bench, code, ok, said};
use super::common::tree::fingerprint;

#[test]
fn nothing_is_emptied_while_a_run_is_on() {
    let bench = Bench::small();
    let local = Local::open(&bench.destination(), Options::default()).unwrap();
    let lock = local.lock("job data", "2026-11-20T01:00:00Z").unwrap();
    let output = bench.reset(&["--yes", "--force", "--no-backup"]);
    assert_eq!(code(&output), 11, "{}", said(&output));
    assert!(said(&output).contains("is locked by process"), "{}", said(&output));
    bench.untouched();
    drop(lock);
    ok(&bench.reset(&["--yes"]));
}

#[test]
fn no_run_begins_during_a_reset() {
    let bench = Bench::small();
    let child = stopped(&bench, "reset-archived");
    let output = bench.tarkeep(&["backup"]).output().unwrap();
    assert_eq!(code(&output), 11, "{}", said(&output));
    assert!(said(&output).contains("reset of job data"), "{}", said(&output));
    ok(&go_on(child));
}

#[test]
fn a_killed_reset_is_done_again_and_nothing_is_lost() {
    let bench = Bench::new(|data| {
        for number in 0..50 {
            fs::write(data.join(format!("file {number}")), vec![b'x'; 100_000]).unwrap();
        }
    });
    let was = fingerprint(&bench.data());
    let output = bench.reset_with(&["--yes"], &[("TARKEEP_FAILPOINT", "reset-removed")]);
    assert_eq!(code(&output), -1, "killed: {}", said(&output));
    assert_eq!((bench.left().len(), bench.archives().len()), (49, 1));
    // So much that the next archive is of less than half.
    for number in 0..40 {
        let _ = fs::remove_file(bench.data().join(format!("file {number}")));
    }
    let output = bench.reset(&["--yes"]);
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert!(said(&output).contains("has shrunk to under half"), "{}", said(&output));
    assert_eq!((bench.left().len(), bench.archives().len()), (0, 2));
    let first = bench.archives().pop().unwrap();
    ok(&bench.tarkeep(&["restore", first.to_str().unwrap()]).output().unwrap());
    let is = fingerprint(&bench.data());
    assert_eq!(is, was);
}

#[test]
fn what_changes_after_it_was_archived_stays() {
    let bench = Bench::small();
    for name in ["changed", "replaced", "linked", "same size"] {
        fs::write(bench.data().join(name), "as archived").unwrap();
    }
    fs::hard_link(bench.data().join("linked"), bench.data().join("linked too")).unwrap();
    let child = stopped(&bench, "reset-archived");
    fs::write(bench.data().join("changed"), "changed since").unwrap();
    fs::write(bench.data().join("same size"), "as changed!").unwrap();
    fs::remove_file(bench.data().join("replaced")).unwrap();
    fs::write(bench.data().join("replaced"), "as archived").unwrap();
    fs::write(bench.data().join("linked too"), "changed since").unwrap();
    fs::create_dir(bench.data().join("folder/new")).unwrap();
    fs::write(bench.data().join("folder/new/file"), "new").unwrap();
    let output = go_on(child);
    assert_eq!(code(&output), 1, "{}", said(&output));
    let left = [
        "changed",
        "folder",
        "folder/new",
        "folder/new/file",
        "linked",
        "linked too",
        "replaced",
        "same size",
    ];
    assert_eq!(bench.left(), left);
    for part in
        ["6 entries were left", "data/folder/new/file: it is new or has changed since it was archived"]
    {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    ok(&bench.reset(&["--yes"]));
    assert_eq!(bench.left(), [""; 0]);
}

#[test]
fn a_source_that_became_another_folder_is_left_alone() {
    let bench = Bench::small();
    let child = stopped(&bench, "reset-archived");
    fs::rename(bench.data(), bench.at("moved")).unwrap();
    fs::create_dir(bench.data()).unwrap();
    fs::write(bench.data().join("precious"), "x").unwrap();
    let output = go_on(child);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert!(said(&output).contains("is not the folder any more that it was"), "{}", said(&output));
    assert_eq!(bench.left(), ["precious"]);
    assert_eq!(fs::read_dir(bench.at("moved")).unwrap().count(), 2);
}

#[test]
fn a_signal_ends_it_between_two_entries_and_it_says_how_far_it_came() {
    let bench = Bench::small();
    let child = stopped(&bench, "reset-removed");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = go_on(child);
    assert_eq!(code(&output), -1, "of the signal: {}", said(&output));
    assert!(said(&output).contains("removed 1 entry"), "{}", said(&output));
    assert!(!bench.left().is_empty());
    ok(&bench.reset(&["--yes"]));
}

#[test]
fn a_restore_that_was_interrupted_is_finished_first_and_one_at_work_refuses() {
    let bench = Bench::small();
    ok(&bench.tarkeep(&["backup"]).output().unwrap());
    fs::remove_dir_all(bench.data().join("folder")).unwrap();
    let mut restore = bench.tarkeep(&["restore", "latest", "--force", "--yes"]);
    restore.env("TARKEEP_FAILPOINT", "restore-noted:stop").stderr(Stdio::piped());
    let child = restore.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped());

    let output = bench.reset(&["--yes"]);
    assert_eq!(code(&output), 11, "{}", said(&output));
    assert!(said(&output).contains("another restore works in"), "{}", said(&output));

    kill_process(pid, Signal::KILL).unwrap();
    child.wait_with_output().unwrap();
    let output = bench.reset(&["--yes", "--json"]);
    ok(&output);
    assert!(said(&output).contains("had been interrupted, and was finished"), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["removed"]["entries"], 3, "what it finished is in the last archive: {json}");
    assert_eq!(bench.left(), [""; 0]);
}

/// A reset that stopped at this step.
fn stopped(bench: &Bench, step: &str) -> Child {
    let mut command = bench.tarkeep(&["reset", "--yes"]);
    command.env("TARKEEP_ALLOW_RESET", "1").env("TARKEEP_FAILPOINT", format!("{step}:stop"));
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let (_, status) = waitpid(Some(Pid::from_child(&child)), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "{status:?}");
    child
}

/// Let it go on, as often as it stops again, to its end.
fn go_on(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let output = std::thread::spawn(move || child.wait_with_output().unwrap());
    while !output.is_finished() {
        let _ = kill_process(pid, Signal::CONT);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    output.join().unwrap()
}
