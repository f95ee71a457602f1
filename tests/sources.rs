//! Archives of something else in the same folder, and which archive is the newest.

mod common;

use std::fs::{self, File};
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat};
use common::made;
use common::nights::{Ended, Place, ended};
use common::skip;
use serde_json::Value;
use tarkeep::archive::codec::Codec;
use tarkeep::archive::name::Pattern;
use tarkeep::state::{Folder, Linked};

impl Bench {
    /// `data` with a file, and beside it `other`, with another.
    fn new() -> Self {
        let place = Place::new();
        let other = place.0.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "of something else").unwrap();
        Self { place, other }
    }

    /// Run it: it has to end with this.
    #[track_caller]
    fn tarkeep(&self, arguments: &[&str], keep: &str, code: i32) -> Ended {
        ended(self.place.tarkeep(arguments, keep).output().unwrap()).with(code)
    }

    /// The same as a machine that calls its job as this one does, and whose data is `other`.
    #[track_caller]
    fn elsewhere(&self, arguments: &[&str], keep: &str) -> Ended {
        let mut command = self.place.tarkeep(arguments, keep);
        ended(command.env("TARKEEP_SOURCE", &self.other).output().unwrap()).with(0)
    }

    fn name_in_archives(&self, folder: &str) -> String {
        let path = self.place.0.path().join(folder);
        path.join("file").to_str().unwrap().trim_start_matches('/').to_owned()
    }

    fn latest(&self) -> String {
        self.tarkeep(&["cat", "latest", &self.name_in_archives("data")], "all", 0).stdout
    }
}

struct Bench {
    place: Place,
    other: PathBuf,
}

fn archive(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_archive_of_something_else_takes_no_place_of_the_jobs_own() {
    let bench = Bench::new();
    let other = bench.other.to_str().unwrap();
    bench.tarkeep(&["backup"], "all", 0);
    bench.tarkeep(&["backup", "--source", other], "all", 0);
    assert_eq!(bench.latest(), "content");
    let listed = archive(&bench.tarkeep(&["list", "--json"], "last=1", 0).stdout);
    assert_eq!(listed.len(), 2, "it is listed all the same");
    assert!(listed[0].get("kept_by").is_none(), "{listed:?}");
    let dry = bench.tarkeep(&["prune", "--dry-run"], "last=1", 0).stdout;
    let lines: Vec<&str> = dry.lines().collect();
    assert!(lines[0].contains(&format!("not ours, stays: it is of {other}, and the job of ")), "{dry}");
    assert!(lines[1].contains("kept: last"), "{dry}");
    let said = bench.tarkeep(&["prune"], "last=1", 0).stderr;
    assert!(said.contains("is not pruned: it is of"), "{said}");
    assert_eq!(bench.place.left().len(), 2);
    // The other way round neither.
    bench.elsewhere(&["backup"], "last=1");
    assert_eq!(bench.place.left().len(), 2, "the other's own has gone, and none of ours");
    assert_eq!(bench.latest(), "content");
}

#[test]
fn an_archive_of_something_else_is_no_measure_of_the_source() {
    let bench = Bench::new();
    fs::write(bench.place.0.path().join("data/large"), vec![7; 5 << 20]).unwrap();
    bench.tarkeep(&["backup"], "last=3", 0);
    for _ in 0..11 {
        bench.elsewhere(&["backup"], "last=30");
    }
    fs::remove_file(bench.place.0.path().join("data/large")).unwrap();
    let said = bench.tarkeep(&["backup"], "last=3", 3).stderr;
    assert!(said.contains("has shrunk to under half"), "{said}");
}

#[test]
fn nothing_is_taken_over_from_an_archive_of_something_else() {
    let bench = Bench::new();
    let content = |command: &mut std::process::Command| {
        ended(command.env("TARKEEP_CHANGE_DETECTION", "content").output().unwrap()).with(0).stdout
    };
    let mut first = bench.place.tarkeep(&["backup"], "all");
    content(first.env("TARKEEP_SOURCE", bench.place.0.path()));
    let said = content(&mut bench.place.tarkeep(&["backup", "--json"], "all"));
    let report: Value = serde_json::from_str(said.trim()).unwrap();
    assert!(report["report"].get("reused").is_none(), "{report}");
    let said = content(&mut bench.place.tarkeep(&["backup", "--json"], "all"));
    let report: Value = serde_json::from_str(said.trim()).unwrap();
    assert!(report["report"].get("reused").is_some(), "{report}");
}

#[test]
fn the_same_source_written_in_another_way_is_the_same() {
    let bench = Bench::new();
    bench.tarkeep(&["backup"], "all", 0);
    let data = bench.place.0.path().join("data");
    for typed in [format!("{}/", data.display()), data.display().to_string().replacen('/', "//", 1)] {
        let mut command = bench.place.tarkeep(&["prune"], "last=1");
        let said = ended(command.env("TARKEEP_SOURCE", &typed).output().unwrap()).with(0).stderr;
        assert!(!said.contains("is not pruned"), "{typed}: {said}");
    }
}

#[test]
fn where_all_archives_are_of_something_else_latest_says_of_what() {
    let bench = Bench::new();
    bench.elsewhere(&["backup"], "all");
    let said = bench.tarkeep(&["list", "latest"], "all", 1).stderr;
    let data = bench.place.0.path().join("data");
    assert!(said.contains(&format!("is of the job data and of {}", data.display())), "{said}");
    let name = bench.place.left().into_iter().next().unwrap();
    let short = name.strip_suffix(".tar.gz").unwrap();
    assert!(said.contains(&format!("type its name: {short}")), "{said}");
    bench.tarkeep(&["list", short], "all", 0);
    // Nobody has said what the sources are.
    let mut command = bench.place.tarkeep(&["list", "latest"], "all");
    ended(command.env_remove("TARKEEP_SOURCE").output().unwrap()).with(0);
}

#[test]
fn the_last_archive_of_a_reset_is_the_latest_though_one_source_was_empty() {
    let bench = Bench::new();
    fs::remove_file(bench.other.join("file")).unwrap();
    let sources = format!("{}\n{}", bench.place.0.path().join("data").display(), bench.other.display());
    let run = |arguments: &[&str]| {
        let mut command = bench.place.tarkeep(arguments, "all");
        command.env("TARKEEP_SOURCE", &sources).env("TARKEEP_ALLOW_RESET", "1");
        ended(command.output().unwrap()).with(0)
    };
    run(&["reset", "--yes"]);
    assert_eq!(run(&["cat", "latest", &bench.name_in_archives("data")]).stdout, "content");
}

#[cfg(feature = "age")]
#[test]
fn an_encrypted_archive_of_something_else_is_known_by_its_record() {
    use age::secrecy::ExposeSecret as _;
    let bench = Bench::new();
    let identity = age::x25519::Identity::generate();
    let key = bench.place.0.path().join("key");
    fs::write(&key, identity.to_string().expose_secret()).unwrap();
    let run = |arguments: &[&str], keep: &str| {
        let mut command = bench.place.tarkeep(arguments, keep);
        command.env("TARKEEP_AGE_RECIPIENTS", identity.to_public().to_string());
        ended(command.output().unwrap()).with(0)
    };
    run(&["backup"], "all");
    run(&["backup", "--source", bench.other.to_str().unwrap()], "all");
    let dry = run(&["prune", "--dry-run"], "last=1").stdout;
    assert!(dry.contains("not ours, stays: it is of something else than"), "{dry}");
    let file = bench.name_in_archives("data");
    let found = run(&["cat", "latest", &file, "-i", key.to_str().unwrap()], "all");
    assert_eq!(found.stdout, "content");
    let record = fs::read_to_string(bench.place.backup().join(".tarkeep/data.encrypted")).unwrap();
    assert!(!record.contains("other"), "no path is in the clear: {record}");
}

/// An archive of this instant, which has it as its content, called as a run in that zone calls it.
fn put(place: &Place, pattern: &Pattern, instant: &str) -> PathBuf {
    let time = DateTime::parse_from_rfc3339(instant).unwrap();
    let entries = vec![made::file(b"data/file", instant.as_bytes())];
    let bytes = made::archive_that_says(entries, Codec::Gzip(1), |mut about| {
        about.instant = time.to_rfc3339_opts(SecondsFormat::Nanos, false);
        about
    });
    let mut name = pattern.name(time.naive_local(), ".tar.gz", 1);
    while place.backup().join(name.to_string()).exists() {
        name = name.next();
    }
    let path = place.backup().join(name.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time.into()).unwrap();
    path
}

/// The instants in the order of `list`, and that of `latest`.
fn order(place: &Place, pattern: &str) -> (Vec<String>, String) {
    let run = |arguments: &[&str]| {
        let mut command = place.tarkeep(arguments, "all");
        ended(command.env("TARKEEP_NAME", pattern).env("TZ", "Europe/Berlin").output().unwrap())
            .with(0)
            .stdout
    };
    let listed = archive(&run(&["list", "--json"]));
    let short = |instant: &str| instant.replace(".000000000", "");
    let instants = listed.iter().map(|one| short(one["instant"].as_str().unwrap())).collect();
    (instants, run(&["cat", "latest", "data/file"]))
}

#[test]
fn the_newest_is_the_one_made_last_whatever_the_clocks_on_walls_said() {
    for (pattern, instants) in [
        // The night in which clocks are set back.
        (
            "%Y-%m-%d/%H-%M-%S",
            &["2026-10-25T02:15:00+01:00", "2026-10-25T02:45:00+02:00", "2026-10-24T02:45:00+02:00"][..],
        ),
        // A machine that moved from Tokyo to New York; and one across the date line.
        (
            "%Y-%m-%d/%H-%M-%S",
            &["2026-03-02T20:00:00-05:00", "2026-03-03T09:00:00+09:00", "2026-03-02T09:00:00+09:00"],
        ),
        (
            "%Y-%m-%d/%H-%M-%S",
            &["2026-03-01T22:30:00-12:00", "2026-03-03T00:15:00+14:00", "2026-03-02T00:15:00+14:00"],
        ),
        // Names that say no more than the day.
        (
            "%Y-%m-%d",
            &["2026-03-01T20:00:00-12:00", "2026-03-02T01:00:00+09:00", "2026-02-20T01:00:00+09:00"],
        ),
    ] {
        let place = Place::new();
        let made = Pattern::new(pattern, "data").unwrap();
        for instant in instants.iter().rev() {
            put(&place, &made, instant);
        }
        let (listed, latest) = order(&place, pattern);
        assert_eq!(listed, instants, "{pattern}");
        assert_eq!(latest, instants[0], "{pattern}");
    }
}

/// In the hour that comes twice, a run each minute: those of the first pass have names of a later time.
#[test]
fn the_newest_of_many_in_the_hour_that_comes_twice_is_the_one_made_last() {
    let place = Place::new();
    let pattern = Pattern::default();
    let add = |instant: &str| put(&place, &pattern, instant);
    for minute in 0..60 {
        add(&format!("2025-10-26T02:{minute:02}:00+02:00"));
    }
    let latest = || ended(place.tarkeep(&["verify", "latest"], "all").output().unwrap()).with(0).stdout;
    let mut made = Vec::new();
    for minute in 0..3 {
        let path = add(&format!("2025-10-26T02:{minute:02}:00+01:00"));
        assert!(latest().contains(path.to_str().unwrap()), "{}: {}", path.display(), latest());
        made.push(path);
    }
    // One more, and then a link to it, of which the file has its time.
    let link = place.backup().join("2025-10-26/02-04-00-2.tar.gz");
    fs::hard_link(&made[2], &link).unwrap();
    let record = Linked {
        name: "2025-10-26/02-04-00-2.tar.gz".into(),
        instant: "2025-10-26T02:04:00+01:00".into(),
        to: String::new(),
        says: "2025-10-26T02:02:00.000000000+01:00".into(),
        bytes: fs::metadata(&link).unwrap().len(),
    };
    Folder::new(place.backup().join(".tarkeep")).remember_link("data", &record).unwrap();
    assert!(latest().contains(link.to_str().unwrap()), "{}", latest());
    // What seems to be new, and is not.
    fs::copy(&made[0], made[0].with_extension("copy")).unwrap();
    fs::rename(made[0].with_extension("copy"), &made[0]).unwrap();
    assert!(latest().contains(link.to_str().unwrap()), "{}", latest());
}

#[test]
fn the_newest_of_many_of_one_day_is_found_without_opening_them_all() {
    let place = Place::new();
    let command = place.tarkeep(&["cat", "latest", "data/file"], "all");
    let mut counts = Vec::new();
    for hour in [10, 11] {
        for minute in 0..30 {
            put(&place, &Pattern::default(), &format!("2026-03-02T{hour}:{minute:02}:00+00:00"));
        }
        let Some(calls) = place.calls(&command, "pread64") else { return };
        counts.push(calls.iter().filter(|call| call.starts_with("pread64")).count());
    }
    assert!(counts[0] > 0 && counts[0] == counts[1], "{counts:?}");
}

#[test]
fn the_newest_of_many_is_found_without_opening_them_all() {
    let place = Place::new();
    let nights = place.nights(150);
    let command = place.tarkeep(&["cat", "latest", "data/file"], "all");
    let Some(calls) = place.calls(&command, "pread64") else { return };
    let count = |calls: &[String]| calls.iter().filter(|call| call.starts_with("pread64")).count();
    let many = count(&calls);
    for name in &nights[3..] {
        fs::remove_file(place.backup().join(name)).unwrap();
    }
    let Some(calls) = place.calls(&command, "pread64") else { return skip("strace") };
    assert!(many > 0 && many == count(&calls), "{many}, and {} of three", count(&calls));
}
