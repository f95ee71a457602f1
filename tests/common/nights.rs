//! Destinations with archives of past nights, and the program working on them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::name::Pattern;
use tarkeep::destination::Local;
use tarkeep::report::{Noted, Warning};
use tarkeep::state::Folder;

use super::{made, program};

/// A destination, and a source with a file in it.
pub struct Place(pub tempfile::TempDir);

/// What an archive says of itself.
#[derive(Clone, Copy, Default)]
pub struct Says {
    pub incomplete: bool,
    pub suspect: bool,
    pub job: Option<&'static str>,
}

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["data", "backup"] {
            fs::create_dir(place.0.path().join(folder)).unwrap();
        }
        fs::write(place.0.path().join("data/file"), "content").unwrap();
        place
    }

    pub fn backup(&self) -> PathBuf {
        self.0.path().join("backup")
    }

    pub fn local(&self) -> Local {
        Local::open(&self.backup(), tarkeep::destination::Options::default()).unwrap()
    }

    /// An archive of so many days ago, called as a run would call it: its name.
    pub fn archive(&self, days_ago: i64) -> String {
        self.archive_that(days_ago, Says::default())
    }

    pub fn archive_that(&self, days_ago: i64, says: Says) -> String {
        put(&self.backup(), night(days_ago), says)
    }

    /// The newest of so many nights, and all before it.
    pub fn nights(&self, count: i64) -> Vec<String> {
        (0..count).map(|days_ago| self.archive(days_ago)).collect()
    }

    pub fn tarkeep(&self, arguments: &[&str], keep: &str) -> Command {
        let mut command = program::command(arguments);
        command.env("TARKEEP_CONFIG", "/dev/null").env("TARKEEP_KEEP", keep);
        command.env("TARKEEP_SOURCE", self.0.path().join("data")).env("TARKEEP_DESTINATION", self.backup());
        command
    }

    /// The names of these system calls, in the order in which a command makes them. None, and said, where that cannot be
    /// seen.
    pub fn calls(&self, command: &Command, calls: &str) -> Option<Vec<String>> {
        let trace = self.0.path().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"]).arg(&trace);
        strace.arg(command.get_program()).args(command.get_args());
        strace.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        match strace.output() {
            Ok(output) if output.status.success() => {}
            _ => {
                super::skip("strace, and the right to trace");
                return None;
            }
        }
        let trace = fs::read_to_string(trace).unwrap();
        let call = |line: &str| line.split_whitespace().nth(1)?.split('(').next().map(str::to_owned);
        Some(trace.lines().filter_map(call).collect())
    }

    pub fn prune(&self, keep: &str) -> Ended {
        ended(self.tarkeep(&["prune"], keep).output().unwrap())
    }

    /// The names of all files below the destination but our own.
    pub fn left(&self) -> BTreeSet<String> {
        left(&self.backup())
    }

    pub fn state(&self) -> tarkeep::state::State {
        Folder::new(self.backup().join(".tarkeep")).load("data")
    }
}

/// One o'clock so many days ago, at an offset as zones have it.
pub fn night(days_ago: i64) -> DateTime<FixedOffset> {
    let today = (Utc::now() - TimeDelta::days(days_ago + 1)).date_naive();
    FixedOffset::east_opt(3600).unwrap().from_local_datetime(&today.and_hms_opt(1, 0, 0).unwrap()).unwrap()
}

pub fn put(destination: &Path, instant: DateTime<FixedOffset>, says: Says) -> String {
    let entries = vec![made::file(b"data/file", instant.to_rfc3339().as_bytes())];
    let bytes = made::archive_that_says(entries, Codec::Gzip(6), |mut about| {
        about.instant = instant.to_rfc3339_opts(SecondsFormat::Nanos, false);
        if says.incomplete {
            about.report.skipped = Noted { count: 1, names: vec!["data/x: permission denied".into()] };
        }
        if says.suspect {
            about.report.warnings.push(Warning { text: "it has shrunk".into(), suspect: true });
        }
        about.job = says.job.unwrap_or("data").into();
        about
    });
    let name = Pattern::default().name(instant.naive_local(), ".tar.gz", 1).to_string();
    fs::create_dir_all(destination.join(&name).parent().unwrap()).unwrap();
    fs::write(destination.join(&name), bytes).unwrap();
    name
}

pub fn left(destination: &Path) -> BTreeSet<String> {
    pub fn below(folder: &Path, front: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{front}{}", entry.file_name().to_str().unwrap());
            if name == ".tarkeep" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                let before = found.len();
                below(&entry.path(), &format!("{name}/"), found);
                if found.len() == before {
                    found.insert(format!("{name}/"));
                }
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    below(destination, "", &mut found);
    found
}

pub fn set<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ended {
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }
}
