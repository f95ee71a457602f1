//! Archives that are hard links of one another: counted once, read back once, and each with an instant of its own.

mod common;

use std::fs;

use chrono::SecondsFormat;
use common::nights::{Ended, Place, ended, night, set};
use serde_json::Value;
use tarkeep::archive::name::Pattern;
use tarkeep::state::{Folder, Linked};

fn state(place: &Place) -> Folder {
    Folder::new(place.backup().join(".tarkeep"))
}

/// A link, of so many nights ago, to the archive of an earlier night: its name.
fn link(place: &Place, days_ago: i64, to: i64) -> String {
    let text = |days_ago| night(days_ago).to_rfc3339_opts(SecondsFormat::Nanos, false);
    let name = |days_ago| Pattern::default().name(night(days_ago).naive_local(), ".tar.gz", 1).to_string();
    let (from, name) = (name(to), name(days_ago));
    fs::create_dir(place.backup().join(&name).parent().unwrap()).unwrap();
    fs::hard_link(place.backup().join(&from), place.backup().join(&name)).unwrap();
    let bytes = size(place, &name);
    let link = Linked { name: name.clone(), instant: text(days_ago), to: from, says: text(to), bytes };
    state(place).remember_link("data", &link).unwrap();
    name
}

fn size(place: &Place, name: &str) -> u64 {
    fs::metadata(place.backup().join(name)).unwrap().len()
}

fn run(place: &Place, arguments: &[&str], keep: &str) -> Ended {
    ended(place.tarkeep(arguments, keep).output().unwrap())
}

fn lines(said: &Ended) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two files: one with the names of nights 5, 4 and 3, one with those of 2, 1 and 0. The newest name first.
fn two_files() -> (Place, Vec<String>) {
    let place = Place::new();
    let mut names = vec![place.archive(5)];
    names.extend([4, 3].map(|days_ago| link(&place, days_ago, 5)));
    names.push(place.archive(2));
    names.extend([1, 0].map(|days_ago| link(&place, days_ago, 2)));
    names.reverse();
    (place, names)
}

#[test]
fn list_has_the_instant_of_each_and_no_new_bytes_for_links() {
    let (place, names) = two_files();
    let listed = lines(&run(&place, &["list", "--json"], "all").with(0));
    assert_eq!(listed.len(), 6);
    for (days_ago, one) in (0..).zip(&listed) {
        assert_eq!(one["name"], names[days_ago].as_str());
        let instant = night(days_ago as i64).to_rfc3339_opts(SecondsFormat::Nanos, false);
        assert_eq!(one["instant"], instant.as_str());
        let original = [2, 2, 2, 5, 5, 5][days_ago];
        let is_link = original != days_ago;
        let bytes = size(&place, &names[days_ago]);
        assert_eq!(one["bytes"], bytes);
        assert_eq!(one["new_bytes"], if is_link { 0 } else { bytes });
        assert_eq!(one["new_share"], if is_link { 0.0 } else { 1.0 });
        let to = if is_link { Value::from(names[original].as_str()) } else { Value::Null };
        assert_eq!(one["link_to"], to);
    }
    let table = run(&place, &["list"], "all").with(0).stdout;
    let table: Vec<&str> = table.lines().collect();
    assert!(table[0].contains("  0.0% new  ") && table[2].contains("  100.0% new  "), "{table:?}");
    assert!(table[0].ends_with(&format!("complete, a link to {}", names[2])), "{}", table[0]);
    assert!(table[0].contains(" hours ago ") && table[3].contains(" 4 days ago"), "{table:?}");
}

#[test]
fn a_dry_run_counts_the_bytes_that_the_disk_has_back() {
    let (place, names) = two_files();
    let (old, new) = (size(&place, &names[5]), size(&place, &names[0]));
    for (keep, frees) in [("last=5", 0), ("last=4", 0), ("last=3", old), ("last=1", old), ("daily=6", 0)] {
        let said = lines(&run(&place, &["prune", "--dry-run", "--json"], keep).with(0));
        assert_eq!(said[0]["frees"], frees, "{keep}");
    }
    let dry = run(&place, &["prune", "--dry-run"], "last=2").with(0).stdout;
    assert!(dry.contains(&format!("4 archives would be deleted, {old} B; 2 archives stay")), "{dry}");
    let done = run(&place, &["prune"], "last=2").with(0).stdout;
    assert!(done.contains(&format!("4 archives deleted, {old} B freed; 2 archives stay")), "{done}");
    assert_eq!(place.left(), set(&names[..2]));
    // The one that they were linked to is gone, and they are what they were.
    run(&place, &["verify", "--all"], "all").with(0);
    let listed = lines(&run(&place, &["list", "--json"], "all").with(0));
    assert_eq!((&listed[1]["new_bytes"], &listed[1]["link_to"]), (&0.into(), &Value::Null));
    assert_eq!(listed[0]["link_to"], names[1].as_str());
    assert!(new > 0);
    // What was known of those that went is forgotten, and of those that stay it is not.
    let text = fs::read_to_string(place.backup().join(".tarkeep/data.links")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_name_outside_of_the_destination_keeps_the_bytes() {
    let (place, names) = two_files();
    fs::hard_link(place.backup().join(&names[5]), place.0.path().join("mine.tar.gz")).unwrap();
    let said = lines(&run(&place, &["prune", "--dry-run", "--json"], "last=3").with(0));
    assert_eq!(said[0]["frees"], 0);
}

#[test]
fn without_their_records_links_stay_whatever_is_to_be_kept() {
    let (place, names) = two_files();
    fs::remove_file(place.backup().join(".tarkeep/data.links")).unwrap();
    let said = run(&place, &["prune"], "last=1").with(0);
    let why = "somebody renamed it: by its index it is of ";
    assert_eq!(said.stdout.matches(why).count(), 4, "{}", said.stdout);
    assert_eq!(
        said.stdout.matches("or it is a link of which there is no record").count(),
        4,
        "{}",
        said.stdout
    );
    // The older of the two that are known went, and freed nothing.
    assert!(said.stdout.contains("1 archive deleted, 0 B freed"), "{}", said.stdout);
    let mut wanted = set(&names);
    wanted.remove(&names[5]);
    assert_eq!(place.left(), wanted);
    run(&place, &["verify", "--all"], "all").with(0);
    assert_eq!(run(&place, &["list", "latest"], "all").with(0).stdout.lines().count(), 1);
}

#[test]
fn a_file_is_read_back_once_and_remembered_for_all_its_names() {
    let (place, names) = two_files();
    let command = place.tarkeep(&["verify", "--all", "--json"], "all");
    let Some(calls) = place.calls(&command, "preadv2,pread64,read") else { return };
    let of_one = {
        let alone = Place::new();
        alone.archive(5);
        alone.archive(2);
        let command = alone.tarkeep(&["verify", "--all", "--json"], "all");
        alone.calls(&command, "preadv2,pread64,read").unwrap()
    };
    let count = |calls: &[String]| calls.iter().filter(|call| *call == "pread64").count();
    assert_eq!(count(&calls), count(&of_one));
    let listed = lines(&run(&place, &["list", "--json"], "all").with(0));
    assert!(listed.iter().all(|one| one["verified"].is_string()), "{listed:?}");
    let known = state(&place).checked("data").archives;
    assert_eq!(set(known.iter().map(|known| &known.name)), set(&names));
    // Some network file systems give other numbers with each mount, and names that go take nothing with them.
    run(&place, &["prune"], "last=1").with(0);
    let other = place.archive(-1);
    run(&place, &["verify", &other], "all").with(0);
    let known = state(&place).checked("data").archives;
    assert_eq!(set(known.iter().map(|known| &known.name)), set([&names[0], &other]));
}

#[test]
fn check_counts_the_bytes_once_for_how_long_the_disk_lasts() {
    let said = |place: &Place| {
        let said = run(place, &["check"], "all").stdout;
        said.lines().find(|line| line.contains(": keep all: ")).unwrap().to_owned()
    };
    let place = Place::new();
    place.archive(3);
    for days_ago in [2, 1, 0] {
        link(&place, days_ago, 3);
    }
    assert!(
        said(&place).contains("the latest archives, links to one before, take no room"),
        "{}",
        said(&place)
    );
    let (place, names) = two_files();
    // One archive in five days: what the oldest added was added before.
    let rate = size(&place, &names[2]) / 5;
    assert!(said(&place).contains(&format!(" at {rate} B a day")), "{rate}: {}", said(&place));
}

#[test]
fn restore_says_of_when_a_link_is() {
    let (place, names) = two_files();
    let to = place.0.path().join("out");
    let restored = run(&place, &["restore", &names[0], "--to", to.to_str().unwrap()], "all").with(0);
    assert!(to.join("file").exists() || to.join("data/file").exists(), "{}", restored.stderr);
    let instant = night(0).format("%Y-%m-%d %H:%M:%S %:z").to_string();
    assert!(restored.stderr.contains(&instant), "{}", restored.stderr);
}
