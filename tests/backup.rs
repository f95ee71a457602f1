//! `backup` as people type it: what a run says of itself, and what it is not silent about.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::program::{self, stderr as text};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["data", "backup"] {
            fs::create_dir(place.at(folder)).unwrap();
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(arguments);
        command.env("TARKEEP_SOURCE", self.at("data")).env("TARKEEP_DESTINATION", self.at("backup"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn fill(&self, files: usize) {
        for number in 0..files {
            fs::write(self.at("data").join(format!("{number}")), format!("{number}\n").repeat(500)).unwrap();
        }
    }

    fn archives(&self) -> usize {
        let mut count = 0;
        for day in fs::read_dir(self.at("backup")).unwrap().map(Result::unwrap) {
            if day.file_name() != ".tarkeep" {
                count += fs::read_dir(day.path()).unwrap().count();
            }
        }
        count
    }
}

#[test]
fn a_run_by_hand_is_known_to_health() {
    let place = Place::new();
    place.fill(3);
    assert_eq!(place.run(&["backup"]).status.code(), Some(0));
    let health = place.run(&["health", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&health.stdout).unwrap();
    assert!(said.to_string().contains("verified"), "{said}");
    let state = fs::read_to_string(place.at("backup/.tarkeep/data.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["last"]["exit"], 0, "{state}");
    assert!(state["verified"].is_string() && state["complete"].is_string(), "{state}");
}

#[test]
fn a_source_that_lost_more_than_half_is_archived_and_said_to_be_suspect() {
    let place = Place::new();
    place.fill(100);
    assert_eq!(place.run(&["backup"]).status.code(), Some(0));
    for number in 40..100 {
        fs::remove_file(place.at("data").join(format!("{number}"))).unwrap();
    }
    let output = place.run(&["backup"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("41 entries instead of 101"), "{}", text(&output));
    assert_eq!(place.archives(), 2);
    let output = place.run(&["backup"]);
    assert_eq!(output.status.code(), Some(0), "measured by the last: {}", text(&output));
}

#[test]
fn a_source_without_one_file_in_it_is_taken_for_an_unmounted_one() {
    let place = Place::new();
    let empty = place.run(&["backup"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(text(&empty).contains("is empty"), "{}", text(&empty));
    fs::create_dir(place.at("data/folder")).unwrap();
    let folders = place.run(&["backup"]);
    assert_eq!(folders.status.code(), Some(1));
    assert!(text(&folders).contains("is it mounted?"), "{}", text(&folders));
    assert_eq!(place.archives(), 0);
}

#[test]
fn one_job_that_fails_does_not_hold_up_the_others() {
    let place = Place::new();
    place.fill(2);
    let file = place.at("tarkeep.toml");
    let toml = format!(
        "destination = {:?}\narchive-name = \"{{job}}/%Y-%m-%d/%H-%M-%S\"\n[[job]]\nname = \"gone\"\nsource = {:?}\n[[job]]\nname = \"here\"\nsource = {:?}\n",
        place.at("backup").to_str().unwrap(),
        place.at("nowhere").to_str().unwrap(),
        place.at("data").to_str().unwrap()
    );
    fs::write(&file, toml).unwrap();
    let mut command = place.command(&["--config", file.to_str().unwrap(), "backup"]);
    let output = command.env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("job gone: "), "{}", text(&output));
    assert!(place.at("backup/here").is_dir(), "the other job ran: {}", text(&output));
    assert!(!place.at("backup/gone").exists());
}

#[test]
fn a_terminal_is_not_sent_an_archive() {
    if Command::new("script").arg("--version").output().is_err() {
        return common::skip("script");
    }
    let place = Place::new();
    place.fill(1);
    let line = format!("{} backup -o -", program::TARKEEP);
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TARKEEP_SOURCE", place.at("data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("docker compose exec -T backup backup > x.tar.gz"), "{said}");
}

#[test]
fn a_terminal_is_told_how_long_one_archive_to_a_file_will_take() {
    if Command::new("script").arg("--version").output().is_err() {
        return common::skip("script");
    }
    let place = Place::new();
    // Some seconds of work, of which a tenth shows it.
    let words: String =
        (0..4_000_000_u64).map(|line| format!("{}\n", line.wrapping_mul(0x9e37_79b9) % 10_007)).collect();
    fs::write(place.at("data/words"), words).unwrap();
    let line = format!(
        "{} backup --codec gzip:12 --threads 1 -o {}",
        program::TARKEEP,
        place.at("x.tar.gz").display()
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TARKEEP_SOURCE", place.at("data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(" of about 18.") && said.contains(" left"), "{said}");
}

#[test]
fn a_plain_tar_is_an_archive_too() {
    let place = Place::new();
    place.fill(5);
    let output = place.run(&["backup", "--codec", "none"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let verified = place.run(&["verify", "latest"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
    let listed = String::from_utf8(place.run(&["list", "latest"]).stdout).unwrap();
    assert_eq!(listed.lines().count(), 6, "{listed}");
}

#[test]
fn the_report_is_json_for_whoever_asks() {
    let place = Place::new();
    place.fill(5);
    let output = place.run(&["backup", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["exit"], &report["report"]["files"]), (&0.into(), &5.into()), "{report}");
    assert!(report["path"].as_str().unwrap().ends_with(".tar.gz"), "{report}");
}
