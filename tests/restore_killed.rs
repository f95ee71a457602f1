//! A restore that is killed at any system call that changes something is undone or finished by the next one, which says
//! which of the two, and says the truth.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::program::{TARKEEP, stderr};
use common::trace::may_inject;
use common::tree::fingerprint;
use tempfile::TempDir;

/// What the program changes files with; each is counted by itself.
const CALLS: [&str; 14] = [
    "mkdir",
    "mkdirat",
    "linkat",
    "symlinkat",
    "write",
    "ftruncate",
    "fchmod",
    "fchown",
    "utimensat",
    "fsync",
    "syncfs",
    "renameat",
    "renameat2",
    "unlinkat",
];

type Tree = BTreeMap<Vec<u8>, String>;

/// What is archived: the new.
fn new(at: &Path) {
    fs::create_dir_all(at.join("both/deep")).unwrap();
    fs::create_dir(at.join("was a file")).unwrap();
    fs::create_dir(at.join("only new")).unwrap();
    for name in ["changed", "both/file", "both/deep/file", "only new/file", "was a file/file", "was a folder"]
    {
        fs::write(at.join(name), "new").unwrap();
    }
    fs::hard_link(at.join("changed"), at.join("only new/again")).unwrap();
    symlink("changed", at.join("link")).unwrap();
}

/// What is there before the restore: the old.
fn old(at: &Path) {
    fs::create_dir_all(at.join("both/deep")).unwrap();
    fs::create_dir_all(at.join("was a folder/deep")).unwrap();
    fs::create_dir(at.join("only old")).unwrap();
    for name in ["changed", "both/file", "both/mine", "was a file", "was a folder/deep/file", "only old/file"]
    {
        fs::write(at.join(name), "old").unwrap();
    }
    symlink("nowhere", at.join("link")).unwrap();
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// An archive of the new, and a target that has the old.
struct Bench {
    folder: TempDir,
    new: Tree,
    /// What is restored to.
    sources: Vec<PathBuf>,
}

impl Bench {
    /// None where the program cannot be traced.
    fn new() -> Option<Self> {
        if !may_inject("fsync:signal=KILL") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let sources = vec![folder.path().join("data")];
        let bench = Self { folder, new: Tree::new(), sources };
        fs::create_dir(bench.target()).unwrap();
        new(&bench.target());
        let backup = bench.run(&[], &["backup", "-o", bench.archive().to_str().unwrap()]);
        assert_eq!(backup.status.code(), Some(0), "{}", stderr(&backup));
        Some(Self { new: bench.look(), ..bench })
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("x.tar.gz")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The target, without the time of its own folder: what is made and removed in it meanwhile changes that.
    fn look(&self) -> Tree {
        let mut tree = fingerprint(&self.target());
        tree.remove(&Vec::new());
        tree
    }

    /// With the old in the target: how that looks.
    fn again(&self) -> Tree {
        fs::remove_dir_all(self.target()).unwrap();
        fs::create_dir(self.target()).unwrap();
        old(&self.target());
        self.look()
    }

    fn run(&self, before: &[&str], arguments: &[&str]) -> Output {
        let words = [before, &[TARKEEP], arguments].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let sources: Vec<_> = self.sources.iter().map(|source| source.to_str().unwrap()).collect();
        command.env("TARKEEP_SOURCE", sources.join(",")).env("TARKEEP_DESTINATION", self.folder.path());
        command.env("TARKEEP_NICE", "0").env("TARKEEP_THREADS", "1").stdin(std::process::Stdio::null());
        command.output().unwrap()
    }

    /// The whole restore, killed when it makes this call for the so many-th time; whether it got that far.
    fn killed(&self, call: &str, when: usize) -> bool {
        let archive = self.archive();
        self.killed_at(call, when, &["restore", archive.to_str().unwrap(), "--force", "--delete", "--yes"])
    }

    fn killed_at(&self, call: &str, when: usize, arguments: &[&str]) -> bool {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}"));
        let output =
            self.run(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject], arguments);
        // strace dies of the signal that its child died of.
        assert!(matches!(output.status.code(), None | Some(0)), "{call} {when}: {}", stderr(&output));
        output.status.code().is_none()
    }

    /// The next restore, of one file to a new folder in the target.
    fn next(&self, folder: &str) -> Vec<String> {
        let (archive, to) = (self.archive(), self.target().join(folder));
        let name = format!("{}/changed", self.target().strip_prefix("/").unwrap().display());
        vec![
            "restore".into(),
            archive.to_str().unwrap().into(),
            name,
            "--to".into(),
            to.to_str().unwrap().into(),
        ]
    }

    /// Let the next restore clean up, and hold what it says against what is there.
    fn made_good(&self, before: &Tree, when: &str) -> &'static str {
        let output = self.run(&[], &words(&self.next("next")));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{when}: {said}");
        fs::remove_dir_all(self.target().join("next")).unwrap();
        let now = self.look();
        let litter: Vec<_> = now.keys().filter(|name| name.starts_with(b".tarkeep")).collect();
        assert!(litter.is_empty(), "{when}: {litter:?} was left: {said}");
        let (undone, finished) = (said.contains("was undone"), said.contains("was finished"));
        assert!(!(undone && finished), "{when}: {said}");
        let outcome = match (undone, finished) {
            (true, _) => "undone",
            (_, true) => "finished",
            // There was nothing to make good: it had not begun, or was over.
            _ if now == *before => "undone",
            _ => "finished",
        };
        let expected = if outcome == "undone" { before } else { &self.new };
        for name in expected.keys().chain(now.keys()) {
            assert_eq!(
                now.get(name),
                expected.get(name),
                "{when}: {outcome}: {}",
                String::from_utf8_lossy(name)
            );
        }
        outcome
    }
}

#[test]
fn a_kill_at_any_change_is_undone_or_finished_and_it_is_said_which() {
    let Some(bench) = Bench::new() else { return };
    let mut outcomes = BTreeMap::new();
    for call in CALLS {
        for when in 1.. {
            let before = bench.again();
            let killed = bench.killed(call, when);
            let outcome = bench.made_good(&before, &format!("{call} {when}"));
            if !killed {
                assert_eq!(outcome, "finished", "{call} {when}");
                break;
            }
            *outcomes.entry((call, outcome)).or_insert(0) += 1;
        }
    }
    // Both happened, and at the moves themselves only the second.
    assert!(outcomes.contains_key(&("mkdirat", "undone")), "{outcomes:?}");
    assert!(outcomes.get(&("renameat", "finished")).is_some_and(|count| *count > 3), "{outcomes:?}");
}

#[test]
fn a_kill_while_it_is_made_good_is_made_good_by_the_one_after_that() {
    let Some(bench) = Bench::new() else { return };
    // When nothing of the new is in its place yet, and when some of it is.
    for started in [1, 5] {
        for call in ["renameat", "renameat2", "unlinkat", "utimensat", "syncfs"] {
            for when in 1.. {
                bench.again();
                // The journal is written twice by renaming; then come the moves.
                assert!(bench.killed("renameat", 2 + started));
                let next = bench.next("next");
                let killed = bench.killed_at(call, when, &words(&next));
                // What it says may be about this one, which had begun to work itself; the first is finished in any case.
                let third = bench.next("third");
                let output = bench.run(&[], &words(&third));
                let _ = fs::remove_dir_all(bench.target().join("next"));
                fs::remove_dir_all(bench.target().join("third")).unwrap();
                let when = format!("{started}, then {call} {when}");
                assert_eq!(output.status.code(), Some(0), "{when}: {}", stderr(&output));
                assert_eq!(bench.look(), bench.new, "{when}: {}", stderr(&output));
                if !killed {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_folder_that_was_not_there_is_there_whole_or_not_at_all() {
    let Some(bench) = Bench::new() else { return };
    let at = |name: &str| bench.folder.path().join(name);
    let archive = bench.archive();
    let restore = |to: &str| {
        ["restore".into(), archive.display().to_string(), "--to".into(), at(to).display().to_string()]
    };
    let below = |to: &str| at(to).join(bench.target().strip_prefix("/").unwrap());
    for call in ["mkdir", "mkdirat", "write", "syncfs", "renameat", "renameat2", "unlinkat"] {
        for when in 1.. {
            let arguments = restore("out");
            let killed = bench.killed_at(call, when, &words(&arguments));
            let arguments = restore("beside");
            let output = bench.run(&[], &words(&arguments));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(0), "{call} {when}: {said}");
            fs::remove_dir_all(at("beside")).unwrap();
            if at("out").exists() {
                assert!(!said.contains("was undone"), "{call} {when}: {said}");
                let mut tree = fingerprint(&below("out"));
                tree.remove(&Vec::new());
                assert_eq!(tree, bench.new, "{call} {when}");
                fs::remove_dir_all(at("out")).unwrap();
            } else {
                assert!(killed && !said.contains("was finished"), "{call} {when}: {said}");
            }
            let names = fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let litter: Vec<_> =
                names.filter(|name| name.to_string_lossy().starts_with(".tarkeep-restore")).collect();
            assert!(litter.is_empty(), "{call} {when}: {litter:?}: {said}");
            if !killed {
                break;
            }
        }
    }
}

/// One of them is gone and is made anew; and whichever of them it is that somebody comes to next.
#[test]
fn several_sources_are_all_undone_or_all_finished_after_a_kill_at_any_change() {
    let Some(mut bench) = Bench::new() else { return };
    bench.sources = ["one", "two", "three"].map(|name| bench.folder.path().join(name)).to_vec();
    let fill = |name: &str, what: &str| {
        let folder = bench.folder.path().join(name);
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join(what), what).unwrap();
        fs::write(folder.join("below/file"), what).unwrap();
    };
    ["one", "two", "three"].iter().for_each(|name| fill(name, "archived"));
    let archive = bench.folder.path().join("all.tar.gz");
    let archive = archive.to_str().unwrap();
    let look = || -> Vec<Tree> {
        let tree = |source: &PathBuf| if source.exists() { fingerprint(source) } else { Tree::new() };
        let mut trees: Vec<Tree> = bench.sources.iter().map(tree).collect();
        // What is made in them and removed meanwhile changes their own times.
        for tree in &mut trees {
            tree.remove(&Vec::new());
        }
        trees
    };
    assert_eq!(bench.run(&[], &["backup", "-o", archive]).status.code(), Some(0));
    let new = look();
    let mut outcomes = BTreeMap::new();
    for call in ["renameat", "renameat2", "unlinkat", "fsync", "syncfs"] {
        for when in 1.. {
            bench.sources.iter().for_each(|source| fs::remove_dir_all(source).unwrap_or_default());
            ["one", "two"].iter().for_each(|name| fill(name, "old"));
            let old = look();
            let killed = bench.killed_at(call, when, &["restore", archive, "--force", "--delete", "--yes"]);
            let (first, others) = (when % 3, [when + 1, when + 2]);
            for next in std::iter::once(first).chain(others.map(|number| number % 3)) {
                let source = &bench.sources[next];
                let next = if source.exists() { source.join("next") } else { source.with_extension("next") };
                let output = bench.run(&[], &["restore", archive, "--to", next.to_str().unwrap()]);
                assert_eq!(output.status.code(), Some(0), "{call} {when}: {}", stderr(&output));
                fs::remove_dir_all(next).unwrap();
            }
            let now = look();
            let outcome = if now == new { "finished" } else { "undone" };
            assert!(now == new || killed && now == old, "{call} {when}: {now:?}");
            if !killed {
                break;
            }
            *outcomes.entry((call, outcome)).or_insert(0) += 1;
        }
    }
    for outcome in [("renameat", "undone"), ("renameat", "finished"), ("unlinkat", "finished")] {
        assert!(outcomes.get(&outcome).is_some_and(|count| *count > 3), "{outcomes:?}");
    }
}
