//! Archives that are there already, read back: what is remembered of that, and who says so.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use chrono::{TimeDelta, Timelike as _, Utc};
use common::disk::soon;
use common::nights::{Place, Says, ended, night, put};
use common::program::Daemon;
use serde_json::Value;
use tarkeep::state::{CheckedArchives, Folder};

fn checked(place: &Place) -> CheckedArchives {
    Folder::new(place.backup().join(".tarkeep")).checked("data")
}

fn damage(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 40).unwrap();
    assert_eq!(file.metadata().unwrap().len(), length);
}

fn run(place: &Place, arguments: &[&str]) -> common::nights::Ended {
    ended(place.tarkeep(arguments, "all").output().unwrap())
}

#[test]
fn verify_remembers_when_and_list_says_so() {
    let place = Place::new();
    let nights = place.nights(3);
    assert!(!run(&place, &["list"]).with(0).stdout.contains("verified"));
    run(&place, &["verify", &nights[1]]).with(0);
    let list = run(&place, &["list"]).with(0).stdout;
    let verified: Vec<bool> = list
        .lines()
        .map(|line| line.contains("complete; verified 0 seconds ago") || line.contains("; verified "))
        .collect();
    assert_eq!(verified, [false, true, false], "{list}");
    run(&place, &["verify", "--all"]).with(0);
    let list = run(&place, &["list", "--json"]).with(0).stdout;
    for line in list.lines() {
        let json: Value = serde_json::from_str(line).unwrap();
        assert!(json["verified"].is_string() && json["kept_by"] == serde_json::json!(["all"]), "{json}");
    }
    assert_eq!(checked(&place).archives.len(), 3);

    // Another file under the name was not verified; the one that has another name was; what is gone is forgotten.
    fs::remove_file(place.backup().join(&nights[2])).unwrap();
    put(&place.backup(), night(1), Says { incomplete: true, ..Says::default() });
    run(&place, &["verify", &nights[0]]).with(0);
    let names: Vec<String> = checked(&place).archives.into_iter().map(|known| known.name).collect();
    assert!(!names.contains(&nights[2]) && names.contains(&nights[0]), "{names:?}");
    let list = run(&place, &["list"]).with(0).stdout;
    assert!(!list.lines().nth(1).unwrap().contains("verified"), "{list}");
    // A copy somewhere else is nothing to remember.
    let before = checked(&place);
    fs::copy(place.backup().join(&nights[0]), place.0.path().join("copy.tar.gz")).unwrap();
    run(&place, &["verify", place.0.path().join("copy.tar.gz").to_str().unwrap()]).with(0);
    assert_eq!(checked(&place), before);
}

#[test]
fn list_says_what_keeps_an_archive_where_not_all_are_kept() {
    let place = Place::new();
    place.nights(3);
    place.archive_that(3, Says { job: Some("photos"), ..Says::default() });
    let list = ended(place.tarkeep(&["list"], "last=1 daily=2").output().unwrap()).with(0).stdout;
    let ends =
        ["complete; kept: last, daily", "complete; kept: daily", "complete; no rule keeps it", "  complete"];
    for (line, end) in list.lines().zip(ends) {
        assert!(line.ends_with(end), "{list}");
    }
    assert_eq!(list.lines().count(), ends.len());
}

#[test]
fn what_is_found_damaged_turns_health_bad_with_its_name_until_it_is_gone_or_good() {
    let place = Place::new();
    let nights = place.nights(2);
    let path = place.backup().join(&nights[1]);
    let good = fs::read(&path).unwrap();
    damage(&path);
    run(&place, &["verify", "--all"]).with(5);
    let health = run(&place, &["health"]).with(1).stdout;
    assert!(health.contains(&format!("archive {} is damaged, as was found at ", nights[1])), "{health}");
    assert!(health.contains("segment 0") && health.contains("--salvage"), "{health}");
    let list = run(&place, &["list"]).with(0).stdout;
    assert!(list.contains("damaged: 1 problem: segment 0"), "{list}");
    // Moved away, and mended in its place.
    fs::rename(&path, place.0.path().join("away")).unwrap();
    assert!(run(&place, &["health"]).stdout.contains("the daemon is not running"));
    fs::rename(place.0.path().join("away"), &path).unwrap();
    assert!(run(&place, &["health"]).stdout.contains(" is damaged"));
    fs::write(&path, good).unwrap();
    run(&place, &["verify", "--all"]).with(0);
    assert!(run(&place, &["health"]).stdout.contains("the daemon is not running"));
}

/// A daemon to which the verification is due at once, and nothing else.
fn reading_back(place: &Place) -> Daemon {
    let days_ago = (Utc::now() - TimeDelta::days(3)).to_rfc3339();
    let state = format!(r#"{{"since": "{days_ago}", "seen": "{days_ago}"}}"#);
    fs::create_dir_all(place.backup().join(".tarkeep")).unwrap();
    fs::write(place.backup().join(".tarkeep/data%20verify.json"), state).unwrap();
    let hour_ago = Utc::now() - TimeDelta::hours(1);
    let mut command = place.tarkeep(&["run"], "all");
    command.env("TARKEEP_VERIFY", format!("{:02}:{:02}", hour_ago.hour(), hour_ago.minute()));
    command.env("TARKEEP_ON_START", "never").env("TARKEEP_SCHEDULE", "0 0 1 1 *");
    Daemon::start(&mut command, &place.0.path().join("log"))
}

#[test]
fn the_daemon_reads_back_first_what_was_not_read_for_longest() {
    let place = Place::new();
    let nights = place.nights(4);
    let foreign = place.backup().join("2001-01-01/01-00-00.tar.gz");
    fs::create_dir(foreign.parent().unwrap()).unwrap();
    fs::write(&foreign, "what another tool has made").unwrap();
    // The oldest was read a moment ago, so it is the last.
    run(&place, &["verify", &nights[3]]).with(0);
    damage(&place.backup().join(&nights[1]));
    let mut daemon = reading_back(&place);
    daemon.says("4 of 4 archives read back, 1 damaged");
    daemon.says(&format!("1 archive is damaged: {}", nights[1]));
    let names: Vec<String> = checked(&place).archives.into_iter().map(|known| known.name).collect();
    assert_eq!(names, [2, 1, 0, 3].map(|at| nights[at].clone()));
    let health = run(&place, &["health"]).with(1).stdout;
    assert!(health.contains(&nights[1]), "{health}");
    daemon.says("job data verify: next run at ");
    daemon.stop();
}

#[test]
fn what_was_read_at_a_time_to_come_is_read_first() {
    let place = Place::new();
    let nights = place.nights(3);
    run(&place, &["verify", "--all"]).with(0);
    let notes = place.backup().join(".tarkeep/data.verified.json");
    let mut all: Value = serde_json::from_slice(&fs::read(&notes).unwrap()).unwrap();
    // By a clock that was ahead.
    all["archives"][0]["verified"] = "2099-01-01T00:00:00Z".into();
    let ahead = all["archives"][0]["name"].as_str().unwrap().to_owned();
    fs::write(&notes, all.to_string()).unwrap();
    let mut daemon = reading_back(&place);
    daemon.says("3 of 3 archives read back, 0 damaged");
    daemon.stop();
    let names: Vec<String> = checked(&place).archives.into_iter().map(|known| known.name).collect();
    assert_eq!((names[0].clone(), names.len()), (ahead, nights.len()));
}

#[test]
fn damage_that_cannot_be_noted_is_said_all_the_same() {
    let place = Place::new();
    let nights = place.nights(2);
    damage(&place.backup().join(&nights[1]));
    // As on a full disk.
    fs::create_dir_all(place.backup().join(".tarkeep/data.verified.json.new")).unwrap();
    let mut daemon = reading_back(&place);
    daemon.says("2 of 2 archives read back, 1 damaged");
    daemon.says(&format!("1 archive is damaged: {}", nights[1]));
    daemon.says("data.verified.json.new");
    daemon.stop();
}

#[test]
fn the_daemon_prunes_after_a_complete_run_and_says_what_it_keeps() {
    let place = Place::new();
    place.nights(4);
    let mut command = place.tarkeep(&["run"], "last=2");
    command.env("TARKEEP_ON_START", "always").env("TARKEEP_SCHEDULE", "0 0 1 1 *");
    let mut daemon = Daemon::start(&mut command, &place.0.path().join("log"));
    assert!(soon(|| place.state().last.is_some()), "{}", daemon.said());
    assert_eq!(place.state().last.unwrap().exit, 0, "{}", daemon.said());
    assert_eq!(place.left().len(), 2, "{}", daemon.said());
    assert!(daemon.said().contains(", keeps last=2\n") && daemon.said().contains("3 archives deleted, "));
    daemon.stop();
}

#[test]
fn check_says_how_long_the_disk_lasts_and_what_holds_pruning() {
    let place = Place::new();
    let line = |said: &str| said.lines().find(|line| line.contains(": keep ")).unwrap().to_owned();
    let none = line(&run(&place, &["check"]).stdout);
    assert!(none.starts_with("ok ") && none.contains("nothing is ever deleted; after two nights"), "{none}");
    place.nights(1);
    assert!(line(&run(&place, &["check"]).stdout).contains("after two nights"));
    place.nights(3);
    let said = line(&run(&place, &["check"]).stdout);
    assert!(
        said.contains("keep all: the disk is full in ") && said.contains(" a day; TARKEEP_KEEP says"),
        "{said}"
    );
    let ruled = |keep: &str| line(&ended(place.tarkeep(&["check"], keep).output().unwrap()).stdout);
    assert!(ruled("last=1").contains("keep last=1: 2 archives that no rule keeps"), "{}", ruled("last=1"));
    place.archive_that(-3, Says::default());
    assert!(
        ruled("last=1").starts_with("problem  data: keep last=1: nothing is pruned: the clock"),
        "{}",
        ruled("last=1")
    );
}
