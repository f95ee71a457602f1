//! Runs that are killed: no half archive, no older archive touched, and the next run succeeds and sweeps.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::backups::{Archives, STEPS, backup, litter, run, source};
use common::trace::may_inject;
use tarkeep::archive::name::Pattern;
use tarkeep::destination::Local;
use tarkeep::inventory::{self, Whose};
use tarkeep::state::Folder;
use tarkeep::stop::Stop;
use tempfile::TempDir;

/// A destination, how runs to it are started, and what they have left there.
struct Place<'a> {
    source: &'a Path,
    folder: TempDir,
    command: fn(&[&str], &Path, &Path) -> Command,
    archives: Archives,
}

impl<'a> Place<'a> {
    fn new(source: &'a Path, command: fn(&[&str], &Path, &Path) -> Command) -> Self {
        Self { source, folder: tempfile::tempdir().unwrap(), command, archives: Archives::default() }
    }

    /// With an archive in it.
    fn with_one(source: &'a Path, command: fn(&[&str], &Path, &Path) -> Command) -> Self {
        let mut place = Self::new(source, command);
        assert_eq!(run(&mut place.run(&[])).0, Some(0));
        place.look("the first run");
        place
    }

    fn destination(&self) -> &Path {
        self.folder.path()
    }

    /// A run behind these words.
    fn run(&self, before: &[&str]) -> Command {
        (self.command)(before, self.source, self.destination())
    }

    /// How many archives are new, each whole, and the others as they were.
    fn look(&mut self, when: &str) -> usize {
        self.archives.look(self.folder.path(), when)
    }

    /// The next run succeeds, makes one archive, and leaves nothing besides. What it said.
    fn next_is_good(&mut self, when: &str) -> String {
        let (code, said) = run(&mut self.run(&[]));
        assert_eq!(code, Some(0), "after {when}: {said}");
        assert_eq!(self.look(when), 1, "after {when}");
        assert_eq!(litter(self.destination()), Vec::<PathBuf>::new(), "after {when}");
        said
    }

    /// Kill a run at this step of a debug build. An archive has its name by then or has not.
    fn killed_at(&mut self, step: &str) {
        let (code, said) = run(self.run(&[]).env("TARKEEP_FAILPOINT", step));
        assert_eq!(code, None, "{step} did not come: {said}");
        let published = self.look(step);
        assert_eq!(published, usize::from(matches!(step, "named" | "synced")), "{step}");
    }

    /// The inodes that archives have.
    fn inodes(&self) -> BTreeSet<u64> {
        let local = Local::open(self.destination(), tarkeep::destination::Options::default()).unwrap();
        let found = local.archives(&Pattern::default()).unwrap();
        found.into_iter().map(|stored| stored.path.metadata().unwrap().ino()).collect()
    }
}

#[test]
fn a_kill_at_any_step_is_made_good_by_the_next_run() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    let source = source();
    let mut place = Place::with_one(source.path(), backup);
    for step in STEPS {
        place.killed_at(step);
        place.next_is_good(step);
    }
}

#[test]
fn a_kill_at_any_system_call_that_changes_something_is_made_good_by_the_next_run() {
    if !may_inject("fsync:signal=KILL") {
        return;
    }
    let source = source();
    let mut place = Place::new(source.path(), backup);
    let calls =
        ["mkdirat", "flock", "write", "fchmod", "fsync", "renameat,renameat2", "unlinkat", "fadvise64"];
    for call in calls {
        for when in 1.. {
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let trace = format!("trace={call}");
            // strace dies of what its child died of.
            let mut command =
                place.run(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
            let (code, said) = run(&mut command);
            place.look(&inject);
            if code == Some(0) {
                assert!(when > 1, "{call} never came");
                break;
            }
            assert_eq!(code, None, "{inject}: {said}");
            assert!(when < 1000, "{call} is called without end");
            place.next_is_good(&inject);
        }
    }
}

/// Where in a run the kill falls is chance. What must be true after it is not.
#[test]
fn five_hundred_kills_at_random_moments_are_each_made_good_by_the_next_run() {
    // Some runs are faster than their kill.
    const KILLS: u32 = 520;
    const THREADS: u32 = 2;
    // So that archives are few enough to be all looked at after every kill.
    const KILLS_PER_DESTINATION: u32 = 10;
    let source = source();
    let once = || {
        let place = Place::new(source.path(), backup);
        let began = Instant::now();
        assert_eq!(run(&mut place.run(&[])).0, Some(0));
        began.elapsed()
    };
    let longest = (0..5).map(|_| once()).max().unwrap().min(Duration::from_secs(1));
    let work = |thread: u32| {
        // xorshift; any number but 0 will do for a start.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(thread);
        for _ in 0..KILLS / THREADS / KILLS_PER_DESTINATION {
            let mut place = Place::new(source.path(), backup);
            for kill in 0..KILLS_PER_DESTINATION {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let moment = longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64);
                let when = format!("kill {kill} after {moment:?}");
                let mut child = place.run(&[]).stderr(std::process::Stdio::null()).spawn().unwrap();
                std::thread::sleep(moment);
                child.kill().unwrap();
                child.wait().unwrap();
                place.look(&when);
                place.next_is_good(&when);
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

/// What is a link to the last archive comes to its name by other steps. Everything is read by content, as what was just
/// written is too young to be known by its times.
fn linking(before: &[&str], source: &Path, destination: &Path) -> Command {
    let mut command = backup(before, source, destination);
    command.env("TARKEEP_UNCHANGED", "link").env("TARKEEP_CHANGE_DETECTION", "content");
    command
}

/// Whether each archive that there is has a record or an index that says when it was made.
fn all_are_known(destination: &Path, when: &str) {
    let local = Local::open(destination, tarkeep::destination::Options::default()).unwrap();
    let state = Folder::new(local.state_dir());
    let whose = Whose { job: "data".into(), sources: Vec::new() };
    for item in inventory::take(&local, &Pattern::default(), &whose, &state, &Stop::default()).unwrap() {
        assert!(item.own.is_ok(), "{when}: {:?}", item.own);
    }
}

#[test]
fn a_kill_at_any_step_of_a_link_is_made_good_by_the_next_run() {
    if !cfg!(debug_assertions) {
        return common::skip("a debug build, which can be told where to fail");
    }
    let source = source();
    let mut place = Place::with_one(source.path(), linking);
    for step in ["folders-made", "temporary-made", "before-link", "link-noted", "named", "synced"] {
        place.killed_at(step);
        all_are_known(place.destination(), step);
        let said = place.next_is_good(step);
        assert!(said.contains("a link to "), "after {step}: {said}");
    }
    assert_eq!(place.inodes().len(), 1, "all are names of one file");
    all_are_known(place.destination(), "at the end");
}

#[test]
fn a_kill_or_an_error_at_any_system_call_of_a_link_is_made_good_by_the_next_run() {
    if !may_inject("fsync:signal=KILL") {
        return;
    }
    let source = source();
    for call in ["linkat", "fsync", "unlinkat", "renameat,renameat2"] {
        for (fault, failed) in [("signal=KILL", None), ("error=EIO", Some(1))] {
            let mut place = Place::with_one(source.path(), linking);
            for when in 1.. {
                let inject = format!("inject={call}:{fault}:when={when}");
                let trace = format!("trace={call}");
                let log = place.destination().join(".tarkeep/trace");
                let strace =
                    ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
                let (code, said) = run(&mut place.run(&strace));
                let hit = fs::read_to_string(&log).unwrap_or_default();
                let hit = hit.contains("(INJECTED)") || hit.contains("killed by SIGKILL");
                let new = place.look(&inject);
                all_are_known(place.destination(), &inject);
                if !hit {
                    assert!(when > 1, "{call} never came");
                    break;
                }
                assert!(when < 100, "{call} is called without end");
                // What is only a note, or litter, fails no run; what fails one leaves no name.
                assert!(code == failed || code == Some(0), "{inject}: {code:?} {said}");
                assert!(code != Some(1) || new == 0, "{inject}: {said}");
                place.next_is_good(&inject);
                all_are_known(place.destination(), &inject);
            }
        }
    }
}

#[test]
fn where_there_are_no_hard_links_it_is_a_copy_and_said() {
    if !may_inject("linkat:error=EPERM") {
        return;
    }
    let source = source();
    for error in ["EPERM", "EOPNOTSUPP", "EMLINK", "EXDEV"] {
        let mut place = Place::with_one(source.path(), linking);
        let inject = format!("inject=linkat:error={error}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat", "-e", &inject];
        let (code, said) = run(&mut place.run(&strace));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("makes no hard link to the last archive: the archive is a copy"), "{said}");
        assert!(!said.contains("a link to "), "{said}");
        assert_eq!(place.look(error), 1);
        assert_eq!(place.inodes().len(), 2);
        assert_eq!(litter(place.destination()), Vec::<PathBuf>::new());
        all_are_known(place.destination(), error);
    }
}

/// FUSE often, and CIFS without the server's numbers: a link has a number of its own.
#[test]
fn where_nobody_can_tell_a_hard_link_it_is_a_copy_and_said() {
    if !may_inject("newfstatat:poke_exit=@arg3=00") {
        return;
    }
    let source = source();
    let place = Place::new(source.path(), linking);
    let run = |before: &[&str]| run(place.run(before).env("TARKEEP_NAME", "%Y-%m-%d"));
    assert_eq!(run(&[]).0, Some(0));
    let device = place.destination().metadata().unwrap().dev().to_ne_bytes();
    let number: String = device.iter().chain(&[0x55; 8]).map(|byte| format!("{byte:02x}")).collect();
    let first = fs::read_dir(place.destination()).unwrap().map(|entry| entry.unwrap().file_name());
    let first = first.map(|name| name.into_string().unwrap()).find(|name| name.ends_with(".tar.gz")).unwrap();
    let second = first.replace(".tar.gz", "-2.tar.gz");
    let inject = format!("inject=newfstatat:poke_exit=@arg3={number}");
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &second, "-e", "trace=newfstatat"];
    let (code, said) = run(&[&strace[..], &["-e", &inject]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("makes no hard link to the last archive: the archive is a copy"), "{said}");
    let inode = |name: &str| place.destination().join(name).metadata().unwrap().ino();
    assert_ne!(inode(&first), inode(&second));
    // And what is tarkeep's own.
    assert_eq!(fs::read_dir(place.destination()).unwrap().count(), 3);
}
