//! Names that count from the newest archive on, and a link that leads to it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use common::nights::{Ended, Place, ended, set};
use common::trace::may_inject;
use tarkeep::archive::reader::{self, Opened};

const NAME: (&str, &str) = ("TARKEEP_NAME", "db/volume.{version}");

fn backup(place: &Place, keep: &str, settings: &[(&str, &str)]) -> Ended {
    let mut command = place.tarkeep(&["backup"], keep);
    ended(command.env(NAME.0, NAME.1).envs(settings.iter().copied()).output().unwrap())
}

/// The archives by their number: the instant in the index, and the bytes.
fn archives(place: &Place) -> BTreeMap<u32, (String, blake3::Hash)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(place.backup().join("db")).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let Some(number) = name.strip_prefix("volume.").and_then(|rest| rest.strip_suffix(".tar.gz")) else {
            continue;
        };
        let Opened::Indexed(archive) = reader::open(&entry.path()).unwrap() else {
            panic!("{name} has no index")
        };
        let instant = archive.about().unwrap().instant;
        found.insert(number.parse().unwrap(), (instant, blake3::hash(&fs::read(entry.path()).unwrap())));
    }
    found
}

fn numbers(place: &Place) -> Vec<u32> {
    archives(place).into_keys().collect()
}

/// Lower numbers are newer, and every archive that there was is there, byte for byte.
fn in_order(place: &Place, before: &BTreeMap<u32, (String, blake3::Hash)>, when: &str) {
    let now = archives(place);
    let instants: Vec<&String> = now.values().map(|(instant, _)| instant).collect();
    assert!(instants.is_sorted_by(|newer, older| newer > older), "{when}: {now:?}");
    for (number, archive) in before {
        assert!(now.values().any(|other| other == archive), "{when}: what was number {number} is not there");
    }
}

#[test]
fn the_newest_is_number_one_and_the_others_get_one_older() {
    let place = Place::new();
    for count in 1..=4 {
        let before = archives(&place);
        backup(&place, "all", &[]).with(0);
        assert_eq!(numbers(&place), (1..=count).collect::<Vec<_>>());
        in_order(&place, &before, "a run");
    }
    let newest = archives(&place)[&1].clone();
    let list = ended(place.tarkeep(&["list"], "all").env(NAME.0, NAME.1).output().unwrap()).with(0).stdout;
    let names: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, [1, 2, 3, 4].map(|number| format!("db/volume.{number}.tar.gz")));
    // Three stay, and what was read back is known under its new name.
    ended(place.tarkeep(&["verify", "--all"], "all").env(NAME.0, NAME.1).output().unwrap()).with(0);
    backup(&place, "last=3", &[]).with(0);
    assert_eq!(numbers(&place), [1, 2, 3]);
    assert_eq!(archives(&place)[&2], newest);
    let list = ended(place.tarkeep(&["list"], "last=3").env(NAME.0, NAME.1).output().unwrap()).with(0).stdout;
    let verified: Vec<bool> = list.lines().map(|line| line.contains("; verified ")).collect();
    assert_eq!(verified, [false, true, true], "{list}");
    let health = ended(place.tarkeep(&["health"], "last=3").env(NAME.0, NAME.1).output().unwrap()).stdout;
    assert!(health.contains("the daemon is not running"), "{health}");
}

#[test]
fn a_gap_is_filled_and_what_is_not_ours_keeps_its_number() {
    let place = Place::new();
    for _ in 0..4 {
        backup(&place, "all", &[]).with(0);
    }
    let at = |number: u32| place.backup().join(format!("db/volume.{number}.tar.gz"));
    fs::remove_file(at(2)).unwrap();
    let before = archives(&place);
    backup(&place, "all", &[]).with(0);
    assert_eq!(numbers(&place), [1, 2, 3, 4]);
    assert_eq!(
        (archives(&place)[&3].clone(), archives(&place)[&4].clone()),
        (before[&3].clone(), before[&4].clone())
    );

    fs::write(at(2), "what another tool has made").unwrap();
    let renamed = backup(&place, "all", &[]).with(0);
    assert_eq!(renamed.stderr.matches("is not pruned").count(), 0);
    assert_eq!(fs::read(at(2)).unwrap(), b"what another tool has made");
    fs::remove_file(at(2)).unwrap();
    assert_eq!(numbers(&place), [1, 3, 4, 5]);
    // A folder and a link are passed over as well.
    fs::create_dir(at(2)).unwrap();
    fs::remove_file(at(4)).unwrap();
    symlink("nowhere", at(4)).unwrap();
    backup(&place, "all", &[]).with(0);
    assert!(at(2).is_dir() && at(4).is_symlink());
    fs::remove_dir(at(2)).unwrap();
    fs::remove_file(at(4)).unwrap();
    assert_eq!(numbers(&place), [1, 3, 5, 6]);
}

#[test]
fn an_archive_that_was_found_damaged_is_known_by_its_next_number() {
    let place = Place::new();
    let run =
        |arguments: &[&str]| ended(place.tarkeep(arguments, "last=7").env(NAME.0, NAME.1).output().unwrap());
    for _ in 0..3 {
        backup(&place, "all", &[]).with(0);
    }
    let path = place.backup().join("db/volume.2.tar.gz");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(path, bytes).unwrap();
    run(&["verify", "db/volume.2"]).with(5);
    let is_known = |number: u32| {
        let name = format!("db/volume.{number}.tar.gz");
        let health = run(&["health"]).with(1).stdout;
        assert!(health.contains(&format!("archive {name} is damaged")), "{health}");
        let dry = run(&["prune", "--dry-run"]).with(0).stdout;
        let damaged: Vec<&str> = dry.lines().filter(|line| line.contains("kept: damaged")).collect();
        assert!(damaged.len() == 1 && damaged[0].starts_with(&name), "{dry}");
    };
    is_known(2);
    backup(&place, "all", &[]).with(0);
    is_known(3);
    // Another one is sound, and has the number now.
    run(&["verify", "db/volume.2"]).with(0);
    is_known(3);
    fs::remove_file(place.backup().join("db/volume.3.tar.gz")).unwrap();
    run(&["verify", "db/volume.2"]).with(0);
    assert!(run(&["health"]).stdout.contains("the daemon is not running"));
}

/// The program under `strace`, which hurts it at a call.
fn hurt(place: &Place, call: &str, fault: &str, when: &str) -> Ended {
    let command = place.tarkeep(&["backup"], "all");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:{fault}:when={when}")]);
    strace.arg(command.get_program()).args(command.get_args());
    strace.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env(NAME.0, NAME.1);
    ended(strace.output().unwrap())
}

#[test]
fn interrupted_at_any_step_the_order_holds_and_the_next_run_goes_on() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    for step in ["before-name", "renumbered", "named", "synced"] {
        let place = Place::new();
        for _ in 0..3 {
            backup(&place, "all", &[]).with(0);
        }
        let before = archives(&place);
        let killed = backup(&place, "all", &[("TARKEEP_FAILPOINT", step)]);
        assert_eq!(killed.code, None, "{step} did not come: {}", killed.stderr);
        in_order(&place, &before, step);
        let after = archives(&place);
        backup(&place, "all", &[]).with(0);
        in_order(&place, &after, step);
        assert_eq!(numbers(&place).len(), after.len() + 1, "{step}");
        assert_eq!(numbers(&place)[0], 1, "{step}");
    }
    if !may_inject("fsync:signal=KILL") {
        return;
    }
    for (call, fault) in [("renameat2", "signal=KILL"), ("renameat2", "error=EIO"), ("fsync", "error=EIO")] {
        let place = Place::new();
        for _ in 0..3 {
            backup(&place, "all", &[]).with(0);
        }
        for when in 1.. {
            assert!(when < 60, "{call} is called without end");
            ended(place.tarkeep(&["prune"], "last=3").env(NAME.0, NAME.1).output().unwrap()).with(0);
            let before = archives(&place);
            let hurt = hurt(&place, call, fault, &when.to_string());
            let said = format!("{call} {fault} {when}: {}", hurt.stderr);
            in_order(&place, &before, &said);
            let after = archives(&place);
            backup(&place, "all", &[]).with(0);
            in_order(&place, &after, &said);
            assert_eq!(numbers(&place)[0], 1, "{said}");
            if hurt.code == Some(0) && when > 4 {
                break;
            }
        }
    }
}

#[test]
fn without_a_rename_that_replaces_nothing_the_order_holds_as_well() {
    if !may_inject("fsync:signal=KILL") {
        return;
    }
    let place = Place::new();
    for _ in 0..3 {
        backup(&place, "all", &[]).with(0);
    }
    let before = archives(&place);
    // As NFS and old kernels answer, each time.
    let said = hurt(&place, "renameat2", "error=EINVAL", "1+");
    assert!(said.code == Some(0), "{}", said.stderr);
    in_order(&place, &before, "linked");
    assert_eq!(numbers(&place), [1, 2, 3, 4]);
}

#[test]
fn each_number_is_durable_before_the_next_is_given() {
    let place = Place::new();
    for _ in 0..3 {
        backup(&place, "all", &[]).with(0);
    }
    let mut command = place.tarkeep(&["backup"], "all");
    command.env(NAME.0, NAME.1);
    let Some(calls) = place.calls(&command, "renameat2,fsync") else { return };
    let renames: Vec<usize> =
        calls.iter().enumerate().filter(|(_, call)| *call == "renameat2").map(|(at, _)| at).collect();
    assert!(renames.len() >= 4, "three numbers and a name: {calls:?}");
    let synced = renames[renames.len() - 4..].windows(2).all(|pair| pair[1] > pair[0] + 1);
    assert!(synced, "{calls:?}");
}

fn leads_to(link: &Path) -> String {
    fs::read_link(link).unwrap().into_os_string().into_string().unwrap()
}

#[test]
fn a_link_leads_to_the_newest_archive_at_any_time() {
    let place = Place::new();
    let link = place.backup().join("latest.tar.gz");
    let setting = ("TARKEEP_LATEST_LINK", "latest.tar.gz");
    let run = |settings: &[(&str, &str)]| {
        let mut command = place.tarkeep(&["backup"], "last=2");
        ended(command.env(setting.0, setting.1).envs(settings.iter().copied()).output().unwrap())
    };
    let newest = || place.state().last.unwrap().archive.unwrap() + ".tar.gz";
    for _ in 0..3 {
        run(&[]).with(0);
        assert_eq!(leads_to(&link), newest());
        assert!(matches!(reader::open(&link).unwrap(), Opened::Indexed(_)));
    }
    let list = ended(place.tarkeep(&["list"], "all").output().unwrap()).with(0).stdout;
    assert_eq!(list.lines().count(), 2, "a link is not an archive: {list}");
    // Of another source it says nothing.
    let before = leads_to(&link);
    let other = place.0.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "").unwrap();
    let mut command = place.tarkeep(&["backup", "--source", other.to_str().unwrap()], "all");
    ended(command.env(setting.0, setting.1).output().unwrap()).with(0);
    assert_eq!(leads_to(&link), before);

    if cfg!(debug_assertions) {
        for step in ["link-made", "link-placed"] {
            assert_eq!(run(&[("TARKEEP_FAILPOINT", step)]).code, None, "{step} did not come");
            assert!(link.metadata().unwrap().is_file(), "{step}: it leads somewhere");
            run(&[]).with(0);
            assert_eq!(leads_to(&link), newest());
        }
        assert!(fs::symlink_metadata(place.backup().join(".tarkeep/latest.new")).is_err(), "no litter");
    }
}

#[test]
fn nothing_but_a_link_of_a_run_is_replaced_by_one() {
    let place = Place::new();
    place.nights(2);
    let link = place.backup().join("latest");
    let run = || {
        let mut command = place.tarkeep(&["backup"], "last=1");
        ended(command.env("TARKEEP_LATEST_LINK", "latest").output().unwrap())
    };
    fs::write(&link, "mine").unwrap();
    let said = run().with(4);
    assert!(said.stderr.contains("latest is there, and no run made it: move it away"), "{}", said.stderr);
    assert_eq!(fs::read(&link).unwrap(), b"mine");
    assert_eq!(place.left().len(), 2, "the archive is there, and pruning is done: {:?}", place.left());
    assert_eq!(place.state().last.unwrap().exit, 4);
    for target in ["/etc/passwd", "../data/file", "2026-11-20"] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        run().with(4);
        assert_eq!(leads_to(&link), target);
    }
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    run().with(4);
    fs::remove_dir(&link).unwrap();
    // One that leads to an archive that is gone is a run's all the same.
    symlink("2001-01-01/01-00-00.tar.gz", &link).unwrap();
    run().with(0);
    let archive = place.state().last.unwrap().archive.unwrap() + ".tar.gz";
    assert_eq!((leads_to(&link), place.left()), (archive.clone(), set([archive.as_str(), "latest"])));
}

/// Archives that are encrypted, and all of one size.
#[cfg(feature = "age")]
mod encrypted {
    use super::*;

    const TO: (&str, &str) =
        ("TARKEEP_AGE_RECIPIENTS", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p");

    fn run(place: &Place, arguments: &[&str], keep: &str) -> Ended {
        let mut command = place.tarkeep(arguments, keep);
        ended(command.env(NAME.0, NAME.1).env(TO.0, TO.1).output().unwrap())
    }

    /// One more, of the size of all others. What age writes is longer or shorter by chance, so it is made longer, and its
    /// record is of that.
    fn backup(place: &Place, keep: &str) {
        run(place, &["backup"], keep).with(0);
        let path = at(place, 1);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let (size, hash) = (bytes.len(), blake3::hash(&bytes).to_hex());
        bytes.resize(9999, 0);
        fs::write(&path, &bytes).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let longer = blake3::hash(&bytes).to_hex();
        let line = |line: &str| {
            if !line.contains(hash.as_str()) {
                return format!("{line}\n");
            }
            let longer = line.replace(hash.as_str(), longer.as_str());
            longer.replace(&format!("\"bytes\":{size},"), "\"bytes\":9999,") + "\n"
        };
        let lines: String = records(place).lines().map(line).collect();
        fs::write(place.backup().join(".tarkeep/data.encrypted"), lines).unwrap();
    }

    /// When each was made and whether it is known as ours, the newest name first.
    fn listed(place: &Place) -> Vec<(String, String)> {
        let said = run(place, &["prune", "--dry-run", "--json"], "last=99").with(0).stdout;
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let archives = json["archives"].as_array().unwrap().iter();
        archives.map(|one| (text(&one["decision"]), text(&one["instant"]))).collect()
    }

    fn known_in_order(place: &Place, count: usize) {
        let listed = listed(place);
        assert_eq!(listed.len(), count, "{listed:?}");
        assert!(listed.iter().all(|(decision, _)| decision == "kept"), "{listed:?}");
        assert!(listed.is_sorted_by(|(_, newer), (_, older)| newer > older), "{listed:?}");
    }

    fn at(place: &Place, number: u32) -> std::path::PathBuf {
        place.backup().join(format!("db/volume.{number}.tar.gz.age"))
    }

    fn records(place: &Place) -> String {
        fs::read_to_string(place.backup().join(".tarkeep/data.encrypted")).unwrap()
    }

    #[test]
    fn those_of_one_size_are_known_renumbered_and_pruned() {
        let place = Place::new();
        for _ in 0..3 {
            backup(&place, "all");
        }
        known_in_order(&place, 3);
        for _ in 0..3 {
            backup(&place, "last=4");
        }
        known_in_order(&place, 4);
        assert_eq!(records(&place).lines().count(), 4, "{}", records(&place));
        let sound = run(&place, &["verify", "--all"], "all").with(0).stdout;
        assert_eq!(sound.matches("sound").count(), 4, "{sound}");
        let damaged = fs::metadata(at(&place, 3)).unwrap().modified().unwrap();
        let mut bytes = fs::read(at(&place, 3)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(at(&place, 3), bytes).unwrap();
        fs::File::options().write(true).open(at(&place, 3)).unwrap().set_modified(damaged).unwrap();
        let said = run(&place, &["verify", "--all"], "all").with(5).stdout;
        assert_eq!(said.matches("sound").count(), 3, "{said}");
    }

    #[test]
    fn a_copy_without_its_times_and_a_kill_between_two_names_cost_no_knowledge() {
        let place = Place::new();
        for _ in 0..3 {
            backup(&place, "all");
        }
        // As `cp` leaves them.
        for number in 1..=3 {
            let bytes = fs::read(at(&place, number)).unwrap();
            fs::write(at(&place, number), bytes).unwrap();
        }
        known_in_order(&place, 3);
        if cfg!(debug_assertions) {
            // With times and without: renamed, and not noted.
            for name in ["volume.4", "volume.5"] {
                let mut command = place.tarkeep(&["backup"], "all");
                command.env(NAME.0, NAME.1).env(TO.0, TO.1);
                ended(command.env("TARKEEP_FAILPOINT", "before-name").output().unwrap());
                assert!(!place.left().iter().any(|left| left.contains(name)));
                let mut command = place.tarkeep(&["backup"], "all");
                command.env(NAME.0, NAME.1).env(TO.0, TO.1);
                let killed = ended(command.env("TARKEEP_FAILPOINT", "renumbered").output().unwrap());
                assert_eq!(killed.code, None, "{}", killed.stderr);
                let count = listed(&place).len();
                known_in_order(&place, count);
                backup(&place, "all");
                known_in_order(&place, count + 1);
            }
        }
        run(&place, &["prune"], "last=2").with(0);
        known_in_order(&place, 2);
    }
}
