//! A source, a destination, and the program between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tarkeep::archive::name::Pattern;
use tarkeep::destination::{Local, Options};
use tempfile::TempDir;

pub struct Bench(TempDir);

impl Bench {
    pub fn new(fill: impl Fn(&Path)) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        fs::create_dir(bench.data()).unwrap();
        fs::create_dir(bench.destination()).unwrap();
        fill(&bench.data());
        bench
    }

    /// Two files, seven bytes, and a folder.
    pub fn small() -> Self {
        Self::new(|data| {
            fs::create_dir(data.join("folder")).unwrap();
            fs::write(data.join("a"), "aaa").unwrap();
            fs::write(data.join("folder/b"), "bbbb").unwrap();
        })
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.at("data")
    }

    pub fn destination(&self) -> PathBuf {
        self.at("backup")
    }

    pub fn tarkeep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarkeep"));
        command.env_clear().args(arguments).stdin(Stdio::null());
        command.env("TARKEEP_SOURCE", self.data()).env("TARKEEP_DESTINATION", self.destination());
        command.env("TARKEEP_NICE", "0");
        command
    }

    /// A reset that may ask nobody.
    pub fn reset(&self, arguments: &[&str]) -> Output {
        self.reset_with(arguments, &[])
    }

    pub fn reset_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.tarkeep(&["reset"]);
        command.args(arguments).env("TARKEEP_ALLOW_RESET", "1").envs(environment.iter().copied());
        command.output().unwrap()
    }

    /// What is below the source, sorted.
    pub fn left(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                names.push(entry.path().strip_prefix(self.data()).unwrap().to_str().unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        names.sort();
        names
    }

    pub fn archives(&self) -> Vec<PathBuf> {
        let local = Local::open(&self.destination(), Options::default()).unwrap();
        local.archives(&Pattern::default()).unwrap().into_iter().map(|stored| stored.path).collect()
    }

    /// That the source of [`Bench::small`] is as it was.
    pub fn filled(&self) {
        assert_eq!(self.left(), ["a", "folder", "folder/b"]);
        assert_eq!(fs::read(self.data().join("a")).unwrap(), b"aaa");
        assert_eq!(fs::read(self.data().join("folder/b")).unwrap(), b"bbbb");
    }

    /// That nothing was removed, and no archive made.
    pub fn untouched(&self) {
        self.filled();
        assert!(self.archives().is_empty());
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn ok(output: &Output) {
    assert_eq!(code(output), 0, "{}", said(output));
}
