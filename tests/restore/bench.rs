//! A source, an archive of it, and the program between them and what is restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid};
use tempfile::TempDir;

use super::common::program::{self, stderr as text};
use super::common::tree::fingerprint;

/// A source, an archive of it, and the place for what is restored.
pub struct Bench {
    pub folder: TempDir,
    pub archive: PathBuf,
}

impl Bench {
    pub fn new(fill: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("data");
        fs::create_dir(&source).unwrap();
        fill(&source);
        let archive = folder.path().join("archive.tar.gz");
        let mut bench = Self { folder, archive };
        let archive = bench.archive.clone();
        ok(&bench.tarkeep(&["backup", "-o", archive.to_str().unwrap()], &[]));
        bench.archive = archive;
        bench
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn tarkeep(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = program::command(arguments);
        command.env("TARKEEP_SOURCE", self.at("data")).env("TARKEEP_DESTINATION", self.folder.path());
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// A restore that has stopped at this step.
    pub fn stopped(&self, arguments: &[&str], step: &str) -> Stopped {
        let mut command =
            program::command(&[&["restore", self.archive.to_str().unwrap()], arguments].concat());
        command.env("TARKEEP_SOURCE", self.at("data")).env("TARKEEP_DESTINATION", self.folder.path());
        command.env("TARKEEP_FAILPOINT", format!("{step}:stop"));
        Stopped::new(command)
    }

    pub fn restore(&self, arguments: &[&str]) -> Output {
        self.tarkeep(&[&["restore", self.archive.to_str().unwrap()], arguments].concat(), &[])
    }

    /// The tree that the source's name in the archive leads to below this folder.
    pub fn below(&self, folder: &str) -> PathBuf {
        let source = self.at("data");
        self.at(folder).join(source.strip_prefix("/").unwrap())
    }

    pub fn name(&self, below: &str) -> String {
        let name = self.at("data").join(below);
        name.strip_prefix("/").unwrap().to_str().unwrap().to_owned()
    }

    pub fn no_litter(&self) {
        let places = [self.folder.path().to_path_buf(), self.at("data")];
        for place in places.iter().filter_map(|place| place.read_dir().ok()).flatten() {
            let name = place.unwrap().file_name();
            assert!(
                !name.to_str().is_some_and(|name| name.starts_with(".tarkeep-restore")),
                "{} was left",
                name.display()
            );
        }
    }
}

/// Whether a tree looks as it did; the first name that does not is said.
pub fn same(tree: &Path, was: &BTreeMap<Vec<u8>, String>, when: &str) {
    let is = fingerprint(tree);
    for name in was.keys().chain(is.keys()) {
        assert_eq!(is.get(name), was.get(name), "{when}: {}", String::from_utf8_lossy(name));
    }
}

pub fn ok(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", text(output));
}

/// Something that has stopped, and is killed when dropped.
pub struct Stopped(Option<Child>);

impl Stopped {
    /// Run it until it stops.
    pub fn new(mut command: Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
        Self(Some(child))
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Let it go on to its end, as often as it stops again.
    pub fn go_on(mut self) -> Output {
        let child = self.0.take().unwrap();
        let pid = Pid::from_child(&child);
        // Does not take the child's end away from the one who waits for it below.
        let ends = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let stops_again = || {
            kill_process(pid, Signal::CONT).unwrap();
            waitid(WaitId::Pid(pid), ends).unwrap().unwrap().stopped()
        };
        while stops_again() {}
        child.wait_with_output().unwrap()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
