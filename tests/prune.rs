//! Pruning on real folders: what goes, what must never go, and what is left when it is interrupted.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use common::disk::{self, Disk};
use common::nights::{Place, Says, ended, left, night, put, set};
use common::trace::may_inject;
use serde_json::Value;
use tarkeep::archive::name::Pattern;
use tarkeep::archive::verify::{Depth, Options, verify};
use tarkeep::destination::Local;
use tarkeep::progress::Progress;
use tarkeep::prune::{self, Plan, Policy, Pruned};
use tarkeep::retention::{Keep, Rules, Tier};
use tarkeep::state::Folder;
#[cfg(feature = "age")]
use tarkeep::state::Record;
use tarkeep::stop::Stop;

fn last(count: u32) -> Keep {
    let mut rules = Rules::default();
    rules.set(Tier::Last, count);
    Keep::Rules(rules)
}

fn plan(local: &Local, keep: &Keep, now: DateTime<Utc>) -> Plan {
    let pattern = Pattern::default();
    let state = Folder::new(local.state_dir());
    let policy = Policy {
        pattern: &pattern,
        job: "data",
        sources: Vec::new(),
        keep,
        zone: tarkeep::zone::Tz::UTC,
        state,
    };
    prune::plan(local, &policy, false, now, &Stop::default()).unwrap()
}

fn apply(plan: &Plan, local: &Local) -> Pruned {
    let lock = local.lock("test", "now").unwrap();
    prune::apply(plan, local, &Pattern::default(), &lock, &Stop::default())
}

#[test]
fn what_no_rule_keeps_goes_with_its_folder_and_a_dry_run_only_says_so() {
    let place = Place::new();
    let nights = place.nights(5);
    let dry = ended(place.tarkeep(&["prune", "--dry-run"], "last=2").output().unwrap()).with(0);
    assert_eq!(place.left(), set(&nights));
    assert!(!place.backup().join(".tarkeep").exists(), "a dry run writes nothing");
    let lines: Vec<&str> = dry.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}", dry.stdout);
    for (line, (name, verdict)) in lines.iter().zip(nights.iter().zip([
        "kept: last",
        "kept: last",
        "would be deleted",
        "would be deleted",
        "would be deleted",
    ])) {
        assert!(line.starts_with(name.as_str()) && line.ends_with(verdict), "{}", dry.stdout);
    }
    assert!(lines[0].contains(" hours ago ") && lines[4].contains(" days ago "), "{}", dry.stdout);
    assert!(lines[5].starts_with("keep last=2: 3 archives would be deleted, "), "{}", dry.stdout);
    assert!(lines[5].ends_with("; 2 archives stay"), "{}", dry.stdout);

    let done = place.prune("last=2").with(0);
    assert!(
        done.stdout.contains("  deleted\n") && done.stdout.contains("3 archives deleted, "),
        "{}",
        done.stdout
    );
    assert_eq!(place.left(), set(&nights[..2]), "the folders are gone too");
    let again = place.prune("last=2").with(0);
    assert!(again.stdout.contains("0 archives deleted, 0 B freed; 2 archives stay"), "{}", again.stdout);
}

#[test]
fn archives_are_shown_in_the_order_in_which_they_were_made() {
    let place = Place::new();
    // Half past two comes twice.
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap();
    let made = ["2025-10-26T02:20:00+01:00", "2025-10-26T02:40:00+02:00", "2025-10-25T02:00:00+02:00"]
        .map(|instant| put(&place.backup(), at(instant), Says::default()));
    for arguments in [&["prune", "--dry-run"][..], &["list"]] {
        let shown = ended(place.tarkeep(arguments, "last=2").output().unwrap()).with(0).stdout;
        let names: Vec<&str> = shown.lines().take(3).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, made, "{shown}");
    }
}

#[test]
fn json_has_a_decision_and_its_reasons_for_each() {
    let place = Place::new();
    let nights = place.nights(3);
    fs::write(place.backup().join("2001-01-01_"), "").unwrap();
    let said = ended(place.tarkeep(&["prune", "--json"], "last=1 daily=2").output().unwrap()).with(0);
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&json["keep"], &json["held"], &json["dry_run"]),
        (&"last=1 daily=2".into(), &Value::Null, &false.into())
    );
    let decisions: Vec<_> =
        json["archives"].as_array().unwrap().iter().map(|one| one["decision"].clone()).collect();
    assert_eq!(decisions, ["kept", "kept", "deleted"]);
    assert_eq!(json["archives"][0]["reasons"], serde_json::json!(["last", "daily"]));
    assert_eq!(json["archives"][0]["name"], nights[0].as_str());
    assert_eq!(json["pruned"]["deleted"][0]["name"], nights[2].as_str());
}

#[test]
fn everything_is_kept_unless_somebody_says_otherwise() {
    let place = Place::new();
    let nights = place.nights(3);
    let mut command = place.tarkeep(&["prune"], "");
    let said = ended(command.output().unwrap()).with(0);
    assert!(
        said.stdout.contains("kept: all") && said.stdout.contains("keep all: 0 archives deleted"),
        "{}",
        said.stdout
    );
    assert_eq!(place.left(), set(&nights));
    // Not even with an archive of the future is it the clock that keeps them.
    place.archive_that(-400, Says::default());
    let said = ended(place.tarkeep(&["prune", "--dry-run"], "all").output().unwrap()).with(0);
    assert!(
        said.stdout.contains("nothing is ever pruned") && !said.stdout.contains("clock"),
        "{}",
        said.stdout
    );
    place.prune("all").with(0);
}

/// Whatever else is in the folder stays, and is named.
#[test]
fn strays_stay_whatever_they_are_called() {
    let place = Place::new();
    let nights = place.nights(4);
    let backup = place.backup();
    let old = |name: &str| backup.join(&nights[3]).with_file_name(name);
    let foreign = "2001-01-01/01-00-00.tar.gz";
    fs::create_dir(backup.join("2001-01-01")).unwrap();
    fs::write(backup.join(foreign), "what another tool has made").unwrap();
    fs::create_dir(backup.join("2001-01-02")).unwrap();
    let cut = "2001-01-02/01-00-00.tar.gz";
    fs::write(backup.join(cut), &fs::read(backup.join(&nights[3])).unwrap()[..200]).unwrap();
    let encrypted = "2001-01-03/01-00-00.tar.gz.age";
    fs::create_dir(backup.join("2001-01-03")).unwrap();
    fs::write(backup.join(encrypted), "age-encryption.org/v1\n").unwrap();
    let other_job = put(&backup, night(300), Says { job: Some("photos"), ..Says::default() });
    fs::copy(backup.join(&nights[3]), old("02-00-00.tar.gz")).unwrap();
    fs::write(old("notes.txt"), "mine").unwrap();
    fs::write(old("01-00-00.tar.gz.part"), "mine").unwrap();
    fs::write(backup.join("readme"), "mine").unwrap();
    fs::create_dir(old("05-00-00.tar.gz")).unwrap();
    fs::copy(backup.join(&nights[3]), backup.join("copy.tar.gz")).unwrap();
    let mut wanted = place.left();
    wanted.retain(|name| !nights[1..].contains(name));

    let said = place.prune("last=1").with(0);
    assert_eq!(place.left(), wanted);
    for (name, why) in [
        (foreign, "it has no index"),
        (encrypted, "it is encrypted, and there is no record of it"),
        (cut, "it is damaged: "),
        (other_job.as_str(), "it is of the job photos"),
        ("02-00-00.tar.gz", "somebody renamed it: by its index it is of "),
        ("notes.txt", ""),
    ] {
        let named =
            |text: &str| text.lines().filter(|line| line.contains(name) && line.contains(why)).count();
        assert_eq!(named(&said.stderr), 1, "{name}: {}", said.stderr);
        assert!(name == "notes.txt" || named(&said.stdout) == 1, "{name}: {}", said.stdout);
    }
    // Once a process, not with every run.
    let local = place.local();
    for _ in 0..2 {
        let plan = plan(&local, &last(1), Utc::now());
        assert_eq!(apply(&plan, &local), Pruned::default());
    }
}

#[test]
fn no_link_is_followed_and_none_removed() {
    let place = Place::new();
    let nights = place.nights(2);
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = put(elsewhere.path(), night(50), Says::default());
    let day = theirs.split_once('/').unwrap().0;
    symlink(elsewhere.path().join(day), place.backup().join(day)).unwrap();
    let link = night(60).format("%Y-%m-%d/01-00-00.tar.gz").to_string();
    fs::create_dir(place.backup().join(&link).parent().unwrap()).unwrap();
    symlink(elsewhere.path().join(&theirs), place.backup().join(&link)).unwrap();
    place.prune("last=1").with(0);
    assert_eq!(place.left(), set([nights[0].as_str(), link.as_str(), day]));
    assert_eq!(left(elsewhere.path()), set([&theirs]));
    assert!(place.backup().join(day).is_symlink());
}

#[test]
fn the_file_times_and_the_name_count_for_nothing() {
    let place = Place::new();
    let nights = place.nights(4);
    // As a copy without -p leaves them: the oldest is the newest by its mtime.
    for name in &nights {
        let file = fs::File::options().write(true).open(place.backup().join(name)).unwrap();
        let days = nights.iter().position(|other| other == name).unwrap() as u64;
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24 * days))
            .unwrap();
    }
    place.prune("last=2").with(0);
    assert_eq!(place.left(), set(&nights[..2]));
}

#[test]
fn an_archive_of_the_future_or_a_clock_set_back_stops_all_pruning() {
    let place = Place::new();
    let nights = place.nights(4);
    let future = place.archive_that(-400, Says::default());
    let said = place.prune("last=1").with(1);
    assert!(
        said.stderr.contains("nothing is pruned: the clock stands at ") && said.stderr.contains(&future),
        "{}",
        said.stderr
    );
    assert!(!said.stdout.contains(" deleted\n"), "{}", said.stdout);
    assert_eq!(place.left().len(), 5);
    // It cannot be accepted away: which of the two is wrong nobody knows.
    ended(place.tarkeep(&["prune", "--accept"], "last=1").output().unwrap()).with(1);
    assert_eq!(place.left().len(), 5);
    assert!(place.state().accepted.unwrap() <= Utc::now(), "nothing that is made later is accepted");
    assert!(place.state().held.unwrap().contains("the clock stands at"));
    fs::rename(place.backup().join(&future), place.0.path().join("away")).unwrap();
    place.prune("last=1").with(0);
    assert_eq!(place.state().held, None);
    let mut left = place.left();
    left.retain(|name| !name.ends_with('/'));
    assert_eq!(left, set(&nights[..1]));

    // A clock that was set back by an hour.
    let place = Place::new();
    place.nights(3);
    let local = place.local();
    let newest = night(0).to_utc();
    let plan = plan(&local, &last(1), newest - TimeDelta::hours(1));
    assert!(plan.held.as_ref().unwrap().contains("the clock stands at "));
    assert_eq!(apply(&plan, &local), Pruned::default());
    assert_eq!(place.left().len(), 3);
}

/// Change a byte in the first segment, and have it found out.
fn damage(place: &Place, name: &str) {
    let path = place.backup().join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    ended(place.tarkeep(&["verify", "--all"], "all").output().unwrap()).with(5);
}

#[test]
fn the_sound_archive_stays_and_not_only_the_one_that_was_found_damaged() {
    let place = Place::new();
    let nights = place.nights(4);
    damage(&place, &nights[0]);
    let dry = ended(place.tarkeep(&["prune", "--dry-run"], "last=1").output().unwrap()).with(0);
    let line = dry.stdout.lines().next().unwrap();
    assert!(line.ends_with("kept: damaged, stays until you delete it"), "{}", dry.stdout);
    let said = place.prune("last=1").with(0);
    assert_eq!(place.left(), set(&nights[..2]));
    let named = said.stderr.lines().find(|line| line.contains(&nights[0])).unwrap();
    assert!(named.contains("is not pruned: it was found damaged"), "{named}");
    // Mended, and found good again: the rules hold for it as for any other.
    let path = place.backup().join(&nights[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    ended(place.tarkeep(&["verify", "--all"], "all").output().unwrap()).with(0);
    place.prune("last=1").with(0);
    assert_eq!(place.left(), set(&nights[..1]));
}

#[test]
fn an_archive_that_shrank_stops_pruning_until_it_is_accepted() {
    let place = Place::new();
    place.archive(0);
    let suspect = place.archive_that(1, Says { suspect: true, ..Says::default() });
    place.archive(2);
    place.archive(3);
    let said = place.prune("last=1").with(1);
    assert!(
        said.stderr.contains(&suspect) && said.stderr.contains("tarkeep prune --accept"),
        "{}",
        said.stderr
    );
    assert_eq!(place.left().len(), 4);
    let dry = ended(place.tarkeep(&["prune", "--dry-run"], "last=1").output().unwrap()).with(0);
    assert!(
        dry.stdout.contains(&format!("but nothing is pruned now: archive {suspect}: it has shrunk; ")),
        "{}",
        dry.stdout
    );
    // A run that is complete in itself is measured by the one that shrank, and does not prune.
    let run = ended(place.tarkeep(&["backup"], "last=1").output().unwrap()).with(0);
    assert!(
        run.stderr.contains(&format!("nothing is pruned: archive {suspect}: it has shrunk; ")),
        "{}",
        run.stderr
    );
    assert_eq!(place.left().len(), 5);
    let health = place.state().held.unwrap();
    assert!(health.contains(&suspect), "{health}");
    // To say what --accept would do accepts nothing.
    ended(place.tarkeep(&["prune", "--accept", "--dry-run"], "last=1").output().unwrap()).with(0);
    assert_eq!((place.left().len(), place.state().accepted), (5, None));

    ended(place.tarkeep(&["prune", "--accept"], "last=1").output().unwrap()).with(0);
    assert_eq!((place.left().len(), place.state().held), (1, None));
    // What is lost with the state is the acceptance, not the caution.
    let shrunk = Place::new();
    shrunk.archive(0);
    shrunk.archive_that(1, Says { suspect: true, ..Says::default() });
    shrunk.archive(2);
    ended(shrunk.tarkeep(&["prune", "--accept"], "last=2").output().unwrap()).with(0);
    fs::remove_dir_all(shrunk.backup().join(".tarkeep")).unwrap();
    shrunk.prune("last=1").with(1);
    assert_eq!(shrunk.left().len(), 2);
}

#[test]
fn nothing_goes_because_of_a_pause_until_it_is_accepted() {
    let place = Place::new();
    let after = [place.archive(0), place.archive(1)];
    let before: Vec<String> = (400..404).map(|days_ago| place.archive(days_ago)).collect();
    let said = place.prune("within=90d").with(1);
    for part in ["nothing is pruned: ", &after[1], &before[0], "399 days", "`tarkeep prune --accept`"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    assert_eq!(place.left().len(), 6);
    // The next night does not make it right.
    let run = ended(place.tarkeep(&["backup"], "within=90d").output().unwrap()).with(0);
    assert!(run.stderr.contains("399 days"), "{}", run.stderr);
    assert_eq!(place.left().len(), 7);
    ended(place.tarkeep(&["prune", "--accept"], "within=90d").output().unwrap()).with(0);
    assert_eq!((place.left().len(), place.state().held), (3, None));
}

#[test]
fn nothing_goes_after_an_incomplete_run_and_the_last_complete_archive_never_does() {
    let place = Place::new();
    let incomplete = Says { incomplete: true, ..Says::default() };
    let newest = place.archive_that(0, incomplete);
    let second = place.archive_that(1, incomplete);
    place.archive_that(2, incomplete);
    let complete = place.archive(3);
    place.archive(4);
    let said = place.prune("last=2").with(1);
    assert!(said.stderr.contains(&format!("the newest archive, {newest}, is incomplete")), "{}", said.stderr);
    assert_eq!(place.left().len(), 5);
    ended(place.tarkeep(&["prune", "--accept"], "last=2").output().unwrap()).with(0);
    assert_eq!(place.left(), set([newest, second, complete]));
}

#[test]
fn backup_prunes_after_a_complete_run_and_not_with_an_output_or_another_source() {
    let place = Place::new();
    place.nights(3);
    let other = place.0.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "").unwrap();
    let out = place.0.path().join("out.tar.gz");
    ended(place.tarkeep(&["backup", "-o", out.to_str().unwrap()], "last=1").output().unwrap()).with(0);
    assert_eq!(place.left().len(), 3);
    ended(place.tarkeep(&["backup", "--source", other.to_str().unwrap()], "last=1").output().unwrap())
        .with(0);
    assert_eq!(place.left().len(), 4);
    let run = ended(place.tarkeep(&["backup", "--json"], "last=2").output().unwrap()).with(0);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["pruned"]["deleted"].as_array().unwrap().len(), 2, "{json}");
    // Two of ours, and the other's, which is not.
    assert_eq!(place.left().len(), 3);
}

#[test]
fn a_run_that_misses_something_does_not_prune() {
    if !disk::run("setpriv", &["true"]) && rustix::process::geteuid().is_root() {
        return common::skip("setpriv, to be somebody who may not read all");
    }
    let place = Place::new();
    place.nights(3);
    fs::write(place.0.path().join("data/secret"), "").unwrap();
    fs::set_permissions(place.0.path().join("data/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = place.tarkeep(&["backup"], "last=1");
    if rustix::process::geteuid().is_root() {
        let program = command.get_program().to_owned();
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(program).arg("backup");
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(environment).stdin(Stdio::null());
    }
    let run = ended(command.output().unwrap()).with(3);
    assert!(run.stderr.contains("nothing is pruned: the newest archive, "), "{}", run.stderr);
    assert_eq!(place.left().len(), 4);
}

#[test]
fn an_archive_that_was_renamed_removed_or_replaced_meanwhile_is_left_alone() {
    let place = Place::new();
    let nights = place.nights(6);
    let local = place.local();
    let at = |name: &str| place.backup().join(name);
    let plan = plan(&local, &last(1), Utc::now());
    // Renamed, removed with its folder, replaced by another file, by a link, by a folder; and one that is as it was.
    fs::rename(at(&nights[1]), at("renamed.tar.gz")).unwrap();
    fs::remove_dir_all(at(&nights[2]).parent().unwrap()).unwrap();
    let bytes = fs::read(at(&nights[3])).unwrap();
    fs::write(at("new"), &bytes).unwrap();
    fs::rename(at("new"), at(&nights[3])).unwrap();
    let link = at(&nights[4]);
    fs::rename(&link, at("kept.tar.gz")).unwrap();
    symlink(at("kept.tar.gz"), &link).unwrap();
    let pruned = apply(&plan, &local);
    assert_eq!(pruned.deleted.iter().map(|gone| gone.name.as_str()).collect::<Vec<_>>(), [&nights[5]]);
    assert_eq!(pruned.failed.len(), 1, "{pruned:?}");
    assert!(
        pruned.failed[0].contains(&nights[3]) && pruned.failed[0].contains("replaced since"),
        "{pruned:?}"
    );
    let mut left = place.left();
    left.retain(|name| !name.ends_with('/'));
    assert_eq!(left, set([nights[0].as_str(), "renamed.tar.gz", &nights[3], &nights[4], "kept.tar.gz"]));
    assert_eq!(fs::read(at(&nights[3])).unwrap(), bytes);
}

#[test]
fn a_second_name_of_a_file_frees_nothing_and_hurts_no_other() {
    let place = Place::new();
    let nights = place.nights(3);
    let copy = place.0.path().join("second name");
    fs::hard_link(place.backup().join(&nights[2]), &copy).unwrap();
    let bytes = fs::metadata(place.backup().join(&nights[1])).unwrap().len();
    let said = ended(place.tarkeep(&["prune", "--json"], "last=1").output().unwrap()).with(0);
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["pruned"]["freed"], bytes);
    assert_eq!(fs::metadata(&copy).unwrap().nlink(), 1);
    assert_eq!(place.left(), set(&nights[..1]));
}

#[test]
fn a_folder_that_cannot_be_written_is_exit_4_with_its_name_and_the_rest_goes() {
    let Some(disk) = Disk::tmpfs("size=4m") else { return };
    let place = Place::new();
    let nights = place.nights(3);
    // One day stands on a disk of its own that became read-only.
    let day = place.backup().join(nights[1].split_once('/').unwrap().0);
    for entry in fs::read_dir(&day).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), disk.path().join(entry.file_name())).unwrap();
    }
    disk.make_read_only();
    assert!(disk::run("mount", &["--bind", disk.path().to_str().unwrap(), day.to_str().unwrap()]));
    let run = ended(place.tarkeep(&["backup"], "last=1").output().unwrap());
    let by_hand = place.prune("last=1");
    let state = place.state();
    assert!(disk::soon(|| disk::run("umount", &[day.to_str().unwrap()])));
    let run = run.with(4);
    assert!(
        run.stderr.contains(&format!(
            "delete archive {}",
            place.backup().canonicalize().unwrap().join(&nights[1]).display()
        )) && run.stderr.contains("read-only file system"),
        "{}",
        run.stderr
    );
    assert_eq!(state.last.unwrap().exit, 4);
    let by_hand = by_hand.with(4);
    assert!(by_hand.stdout.contains("should be deleted, and stays"), "{}", by_hand.stdout);
    assert!(!place.left().contains(&nights[2]), "what can be deleted is");
    assert!(place.left().contains(&nights[1]));
    assert_eq!(place.left().len(), 2);
}

#[test]
fn a_read_only_destination_is_said_and_a_dry_run_works_there() {
    let Some(disk) = Disk::tmpfs("size=4m") else { return };
    let place = Place::new();
    for days_ago in 0..3 {
        put(disk.path(), night(days_ago), Says::default());
    }
    disk.make_read_only();
    let mut command = place.tarkeep(&["prune"], "last=1");
    let said = ended(command.env("TARKEEP_DESTINATION", disk.path()).output().unwrap()).with(4);
    assert!(
        said.stderr.contains("read-only file system") && said.stderr.contains(disk.path().to_str().unwrap()),
        "{}",
        said.stderr
    );
    let mut command = place.tarkeep(&["prune", "--dry-run"], "last=1");
    let said = ended(command.env("TARKEEP_DESTINATION", disk.path()).output().unwrap()).with(0);
    assert!(said.stdout.contains("2 archives would be deleted"), "{}", said.stdout);
}

#[test]
fn another_run_on_the_destination_is_exit_11() {
    let place = Place::new();
    let nights = place.nights(2);
    let local = place.local();
    let lock = local.lock("a run", "now").unwrap();
    let said = place.prune("last=1").with(11);
    assert!(said.stderr.contains("is locked by process "), "{}", said.stderr);
    assert_eq!(place.left(), set(&nights));
    drop(lock);
    place.prune("last=1").with(0);
}

#[test]
fn archives_that_cannot_be_read_are_never_deleted() {
    if !rustix::process::geteuid().is_root() || !disk::run("setpriv", &["true"]) {
        return common::skip("root and setpriv, to be somebody who may write and not read");
    }
    let place = Place::new();
    let nights = place.nights(3);
    let unreadable = place.backup().join(&nights[2]);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let command = place.tarkeep(&["prune"], "last=1");
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(command.get_program()).arg("prune");
    setpriv.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    setpriv.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = ended(setpriv.output().unwrap()).with(0);
    assert!(
        said.stderr.contains("it cannot be read: ") && said.stderr.contains("permission denied"),
        "{}",
        said.stderr
    );
    assert_eq!(place.left(), set([&nights[0], &nights[2]]));
}

#[test]
fn what_was_deleted_is_durable_before_the_next_goes() {
    let place = Place::new();
    place.nights(4);
    let command = place.tarkeep(&["prune"], "last=1");
    let Some(calls) = place.calls(&command, "unlinkat,fsync") else { return };
    // The archive, its folder synced, that folder, the destination synced: three times.
    let night = ["unlinkat", "fsync", "unlinkat", "fsync"];
    assert_eq!(calls[..12], night.repeat(3), "{calls:?}");
}

/// Nothing in them can be read here: they are known by what was noted when they were written, and by nothing else.
#[cfg(feature = "age")]
#[test]
fn encrypted_archives_go_if_they_are_byte_for_byte_what_was_noted() {
    let place = Place::new();
    let recipient =
        ("TARKEEP_AGE_RECIPIENTS", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p");
    let run = |arguments: &[&str], keep: &str| {
        let mut command = place.tarkeep(arguments, keep);
        ended(command.env(recipient.0, recipient.1).output().unwrap())
    };
    for _ in 0..5 {
        run(&["backup"], "all").with(0);
    }
    let listed = run(&["prune", "--dry-run", "--json"], "last=1").with(0);
    let json: Value = serde_json::from_str(&listed.stdout).unwrap();
    let names: Vec<String> = json["archives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| name.ends_with(".tar.gz.age")), "{names:?}");
    // The same size, another content; what age does not begin with; renamed.
    let at = |name: &str| place.backup().join(name);
    let mut other = fs::read(at(&names[1])).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(at(&names[1]), &other).unwrap();
    let size = fs::metadata(at(&names[2])).unwrap().len();
    fs::write(at(&names[2]), vec![0; size as usize]).unwrap();
    fs::rename(at(&names[3]), at("2001-01-01.tar.gz.age")).unwrap();
    let said = run(&["prune"], "last=1").with(0);
    assert!(said.stderr.contains("it is not what was written under this name"), "{}", said.stderr);
    assert!(said.stderr.contains("it does not begin as what age encrypts"), "{}", said.stderr);
    let mut wanted = set(&names[..3]);
    wanted.insert("2001-01-01.tar.gz.age".into());
    assert_eq!(place.left(), wanted);
    // With the record everything that is known of them is gone.
    run(&["backup"], "last=1").with(0);
    let before = place.left();
    fs::remove_dir_all(place.backup().join(".tarkeep")).unwrap();
    run(&["prune"], "last=1").with(0);
    assert_eq!(place.left(), before);
}

/// Stands for a file that cannot be read, as root can read all that are files.
#[cfg(feature = "age")]
struct Unreadable(std::path::PathBuf);

#[cfg(feature = "age")]
impl Unreadable {
    fn new(path: std::path::PathBuf) -> Option<Self> {
        fs::write(&path, "").unwrap();
        let made = disk::run("mount", &["--bind", "/proc/1/mem", path.to_str().unwrap()]);
        if !made {
            common::skip("root, to mount what cannot be read");
        }
        made.then_some(Self(path))
    }
}

#[cfg(feature = "age")]
impl Drop for Unreadable {
    fn drop(&mut self) {
        assert!(disk::soon(|| disk::run("umount", &[self.0.to_str().unwrap()])));
    }
}

#[cfg(feature = "age")]
#[test]
fn an_encrypted_archive_that_shrank_holds_pruning_even_if_something_was_skipped_too() {
    let place = Place::new();
    let data = place.0.path().join("data");
    let run = |arguments: &[&str]| {
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let mut command = place.tarkeep(arguments, "last=2");
        ended(command.env("TARKEEP_AGE_RECIPIENTS", recipient).output().unwrap())
    };
    let path = |number| data.join(format!("{number}"));
    (0..100).for_each(|number| fs::write(path(number), "x").unwrap());
    run(&["backup"]).with(0);
    (5..100).for_each(|number| fs::remove_file(path(number)).unwrap());
    let Some(unreadable) = Unreadable::new(path(1)) else { return };
    let shrunk = run(&["backup"]).with(3);
    assert!(shrunk.stderr.contains("skipped   1") && shrunk.stderr.contains("shrunk"), "{}", shrunk.stderr);
    drop(unreadable);
    run(&["backup"]).with(0);
    let said = run(&["prune"]).with(1);
    assert!(said.stderr.contains("shrunk to under half"), "{}", said.stderr);
    assert_eq!(place.left().len(), 3);
}

#[cfg(feature = "age")]
#[test]
fn what_took_the_name_while_an_encrypted_archive_was_read_is_not_deleted() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to stop");
    }
    let place = Place::new();
    let to = ("TARKEEP_AGE_RECIPIENTS", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p");
    for _ in 0..2 {
        ended(place.tarkeep(&["backup"], "all").env(to.0, to.1).output().unwrap()).with(0);
    }
    let archives: Vec<String> = place.left().into_iter().collect();
    let oldest = |one: &&String, other: &&String| {
        let modified = |name: &String| fs::metadata(place.backup().join(name)).unwrap().modified().unwrap();
        modified(one).cmp(&modified(other))
    };
    let old = place.backup().join(archives.iter().min_by(oldest).unwrap());
    let mut command = place.tarkeep(&["prune"], "last=1");
    command.env(to.0, to.1).env("TARKEEP_FAILPOINT", "hashed:stop");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    assert!(disk::soon(|| fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))), "it stops");
    fs::write(place.backup().join("precious"), "precious").unwrap();
    fs::rename(place.backup().join("precious"), &old).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::CONT)
        .unwrap();
    let said = ended(child.wait_with_output().unwrap()).with(4);
    assert!(said.stderr.contains("was changed or replaced since it was looked at"), "{}", said.stderr);
    assert_eq!(fs::read(old).unwrap(), b"precious");
}

/// A command while it reads a file of holes under the second of these names, which under the first a record says is an
/// archive of long ago. It is asked to stop by a signal.
#[cfg(feature = "age")]
fn stopped_while_it_reads([recorded, name]: [&str; 2], arguments: &[&str], pattern: &str) {
    let place = Place::new();
    let settings = [
        ("TARKEEP_AGE_RECIPIENTS", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"),
        ("TARKEEP_NAME", pattern),
    ];
    ended(place.tarkeep(&["backup"], "all").envs(settings).output().unwrap()).with(0);
    let path = place.backup().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "age-encryption.org/v1\n").unwrap();
    let bytes = 64 << 30;
    fs::File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
    let record = Record {
        name: recorded.into(),
        bytes,
        blake3: "ab".repeat(32),
        instant: "2001-01-01T01:00:00Z".into(),
        complete: true,
        ..Record::default()
    };
    Folder::new(place.backup().join(".tarkeep")).remember("data", &record).unwrap();
    let mut command = place.tarkeep(arguments, "last=1");
    let child = command.envs(settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let io = format!("/proc/{}/io", child.id());
    let has_read = || {
        let text = fs::read_to_string(&io).unwrap_or_default();
        let read = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap_or("0");
        read.parse::<u64>().unwrap() > 32 << 20
    };
    let reads = disk::soon(has_read);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let said = ended(child.wait_with_output().unwrap());
    assert!(reads, "it reads the archive: {}{}", said.stdout, said.stderr);
    assert_eq!(said.code, None, "by the signal itself: {}{}", said.stdout, said.stderr);
    assert!(path.is_file() && !said.stdout.contains("  deleted"), "{}", said.stdout);
    fs::remove_file(path).unwrap();
    ended(place.tarkeep(&["prune"], "last=1").envs(settings).output().unwrap()).with(0);
}

#[cfg(feature = "age")]
#[test]
fn a_signal_ends_pruning_while_an_encrypted_archive_is_read() {
    let name = "2001-01-01/01-00-00.tar.gz.age";
    stopped_while_it_reads([name, name], &["prune"], "%Y-%m-%d/%H-%M-%S");
}

#[cfg(feature = "age")]
#[test]
fn a_signal_ends_what_looks_which_of_the_numbered_archives_one_is() {
    let names = ["db/volume.9.tar.gz.age", "db/volume.5.tar.gz.age"];
    for arguments in [&["prune"][..], &["prune", "--dry-run"], &["backup"]] {
        stopped_while_it_reads(names, arguments, "db/volume.{version}");
    }
}

#[cfg(feature = "age")]
#[test]
fn an_encrypted_archive_without_a_record_is_exit_4() {
    let Some(disk) = Disk::tmpfs("size=4m") else { return };
    let place = Place::new();
    let run = || {
        let to = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let mut command = place.tarkeep(&["backup"], "all");
        command.env("TARKEEP_AGE_RECIPIENTS", to).env("TARKEEP_STATE", disk.path());
        ended(command.output().unwrap())
    };
    run().with(0);
    disk.make_read_only();
    let said = run().with(4);
    assert!(said.stderr.contains("there is no record of the archive"), "{}", said.stderr);
    assert!(said.stderr.contains("read-only file system"), "{}", said.stderr);
    let archives = place.left();
    assert_eq!(archives.len(), 2, "{archives:?}");
}

/// An archive without an index cannot be asked how much the last one had.
#[test]
fn a_source_that_has_shrunk_is_noticed_where_no_archive_can_be_asked() {
    let built = |codec: &&str| cfg!(feature = "bzip2") || *codec != "bzip2";
    for codec in ["none", "bzip2", "gzip"].into_iter().filter(built) {
        let place = Place::new();
        let path = |number| place.0.path().join(format!("data/{number}"));
        (0..100).for_each(|number| fs::write(path(number), "x").unwrap());
        let run = || ended(place.tarkeep(&["backup"], "all").env("TARKEEP_CODEC", codec).output().unwrap());
        run().with(0);
        if codec == "gzip" {
            // As it is where ten newer names cannot be read.
            let name = place.left().into_iter().next().unwrap();
            fs::write(place.backup().join(name), "junk").unwrap();
        }
        // What another source has is no measure.
        let other = place.0.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        if codec != "gzip" {
            let mut command = place.tarkeep(&["backup", "--source", other.to_str().unwrap()], "all");
            ended(command.env("TARKEEP_CODEC", codec).output().unwrap()).with(0);
        }
        (10..100).for_each(|number| fs::remove_file(path(number)).unwrap());
        let said = run().with(3);
        assert!(said.stderr.contains("shrunk to under half"), "{codec}: {}", said.stderr);
        run().with(0);
    }
}

/// The steps of `prune` at which a debug build kills itself when it is told to.
const STEPS: [&str; 4] = ["before-look", "before-unlink", "unlinked", "folder-removed"];

/// Every archive that stays is whole, and pruning again ends where it would have ended.
fn nothing_is_lost(place: &Place, kept: &[String], when: &str) {
    for name in kept {
        let options = Options { depth: Depth::Full, threads: 1 };
        let path = place.backup().join(name);
        let verified = verify(&path, options, &Stop::default(), &Progress::default()).unwrap();
        assert!(verified.sound(), "{when}: {verified:?}");
    }
    place.prune("last=2").with(0);
    ended(place.tarkeep(&["backup"], "all").output().unwrap()).with(0);
    let mut left = place.left();
    assert!(kept.iter().all(|name| left.remove(name)), "{when}");
    assert_eq!(left.len(), 1, "{when}: only the new archive besides: {left:?}");
}

#[test]
fn a_kill_at_any_step_leaves_what_was_to_stay_and_the_next_one_ends_it() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    for step in STEPS {
        let place = Place::new();
        let nights = place.nights(5);
        let killed =
            ended(place.tarkeep(&["prune"], "last=2").env("TARKEEP_FAILPOINT", step).output().unwrap());
        assert_eq!(killed.code, None, "{step} did not come: {}", killed.stderr);
        let gone = usize::from(matches!(step, "unlinked" | "folder-removed"));
        let archives = place.left().iter().filter(|name| name.ends_with(".tar.gz")).count();
        assert_eq!(archives, 5 - gone, "{step}");
        nothing_is_lost(&place, &nights[..2], step);
    }
}

#[test]
fn a_kill_or_an_error_at_any_call_that_deletes_leaves_what_was_to_stay() {
    if !may_inject("fsync:signal=KILL") {
        return;
    }
    for call in ["unlinkat", "fsync"] {
        for (fault, code) in [("signal=KILL", None), ("error=EIO", Some(4))] {
            for when in 1.. {
                assert!(when < 50, "{call} is called without end");
                let place = Place::new();
                let nights = place.nights(4);
                let inject = format!("inject={call}:{fault}:when={when}");
                let command = place.tarkeep(&["prune"], "last=2");
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
                strace.arg(command.get_program()).args(command.get_args());
                strace.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
                strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                let hurt = ended(strace.output().unwrap());
                let all: BTreeSet<String> = place.left();
                assert!(nights[..2].iter().all(|name| all.contains(name)), "{inject}");
                if hurt.code == Some(0) && all.len() == 2 && when > 1 {
                    break;
                }
                // A folder or a note of who holds the lock that cannot be removed is not worth an exit code.
                assert!(
                    hurt.code == code || hurt.code == Some(0),
                    "{inject}: {:?} {}",
                    hurt.code,
                    hurt.stderr
                );
                nothing_is_lost(&place, &nights[..2], &inject);
            }
        }
    }
}
