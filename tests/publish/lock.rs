//! One run at a time.

use tarkeep::destination::Local;
use tarkeep::exit::Exit;

use crate::child::{BYTES, PUBLISHED, Stopped, can_stop, left, options, run, writer};

#[test]
fn a_second_run_is_refused_with_who_runs_and_a_killed_one_holds_nothing() {
    if !can_stop() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let first = Stopped::at("temporary-made", root);

    let second = writer(&[], root, BYTES).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(11), "{said}");
    assert!(said.contains(&format!("locked by process {} on ", first.pid())), "{said}");
    assert!(said.contains("(test, since 2026-11-20T01:00:00Z)"), "{said}");

    let local = Local::open(root, options()).unwrap();
    let error = local.lock("test", "now").unwrap_err();
    assert_eq!(error.exit(), Exit::Locked);
    assert_eq!(local.holder().unwrap().pid, first.pid());

    first.kill();
    run(root, BYTES).unwrap();
    assert_eq!(left(root), PUBLISHED);
    assert_eq!(local.holder(), None, "whoever is done holds nothing");
}

#[test]
fn a_lock_file_that_was_deleted_and_made_anew_still_lets_one_in() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let local = Local::open(root, options()).unwrap();
    drop(local.lock("test", "now").unwrap());
    std::fs::remove_dir_all(root.join(".tarkeep")).unwrap();
    let held = local.lock("test", "now").unwrap();
    assert_eq!(local.lock("test", "now").unwrap_err().exit(), Exit::Locked);
    drop(held);
    drop(local.lock("test", "now").unwrap());
}

#[test]
fn what_stands_where_the_lock_belongs_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(".tarkeep")).unwrap();
    let error = run(folder.path(), BYTES).unwrap_err().to_string();
    assert!(error.contains(".tarkeep is not a folder"), "{error}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
