//! Runs of one job, night after night, by a clock that is as far ahead as the test wants: time passes in no time.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use tarkeep::archive::index::{EntryRecord, SegmentKind};
use tarkeep::archive::reader::{Archive, Opened, open};
use tarkeep::archive::verify::{Depth, Options, verify};
use tarkeep::cli::Cli;
use tarkeep::clock::Clock;
use tarkeep::config::{self, Environment, Job, Typed};
use tarkeep::job::{self, Hands, Made};
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

use crate::common;

/// So long ahead of the system's clock, in this start of the machine.
struct Ahead(TimeDelta, &'static str);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.0
    }

    fn boot(&self) -> Option<String> {
        Some(self.1.to_owned())
    }
}

/// A source, a destination, and a job between them.
pub struct Nights {
    folder: tempfile::TempDir,
    /// How far ahead the next run's clock is.
    pub ahead: TimeDelta,
    /// Which start of the machine it is in.
    pub boot: &'static str,
    /// Patterns to leave out.
    pub exclude: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Nights {
    /// `None`, and said, where the temporary folder is on a file system whose times tell nothing.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let kind = rustix::fs::statfs(folder.path()).unwrap().f_type;
        // In memory; an overlay gives files other devices than folders.
        if [0x0102_1994, 0x794c_7630].contains(&kind) {
            common::skip("a temporary folder on a disk (TMPDIR)");
            return None;
        }
        std::fs::create_dir(folder.path().join("source")).unwrap();
        std::fs::create_dir(folder.path().join("destination")).unwrap();
        let ahead = TimeDelta::minutes(10);
        Some(Self { folder, ahead, boot: "first", exclude: Vec::new(), variables: Vec::new() })
    }

    /// With this setting.
    pub fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.variables.retain(|(other, _)| *other != variable);
        self.variables.push((variable, value));
        self
    }

    /// With its archives in this folder instead.
    pub fn keeping_in(self, folder: &Path) -> Self {
        std::fs::remove_dir(self.destination()).unwrap();
        std::os::unix::fs::symlink(folder, self.destination()).unwrap();
        self
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub fn destination(&self) -> PathBuf {
        self.folder.path().join("destination")
    }

    pub fn job(&self) -> Job {
        let (source, destination) = (self.source(), self.destination());
        let line = ["tarkeep", "backup", "--source", text(&source), "--destination", text(&destination)];
        let nothing = self.folder.path().join("tarkeep.toml");
        std::fs::write(&nothing, "").unwrap();
        let typed = Cli::read(line.iter().map(std::ffi::OsString::from)).unwrap().typed();
        let mut variables = [("TARKEEP_NICE", "0"); 4];
        variables.iter_mut().zip(&self.variables).for_each(|(to, from)| *to = *from);
        let config =
            config::load(&Typed { file: Some(nothing), ..typed }, &Environment::of(variables)).unwrap();
        Job { exclude: self.exclude.clone(), ..config.jobs[0].clone() }
    }

    fn made(&self, run: fn(&Job, Hands) -> tarkeep::error::Result<Made>) -> Made {
        let clock = Ahead(self.ahead, self.boot);
        let hands = Hands { clock: &clock, stop: &Stop::default(), progress: &Progress::default() };
        run(&self.job(), hands).unwrap()
    }

    /// Ten minutes later, which is long after whatever the test has done, run the job.
    pub fn next(&mut self) -> Made {
        self.ahead += TimeDelta::minutes(10);
        self.made(job::run)
    }

    /// Run the job at once, so that what the test has done is new.
    pub fn at_once(&mut self) -> Made {
        self.ahead = TimeDelta::zero();
        self.made(job::run)
    }

    /// A second archive of the same state for which everything is read, which must be the same to the last segment.
    pub fn assert_as_in_full(&self, made: &Made) {
        let full = self.made(job::run_in_full);
        assert!(full.report.reused.is_nothing());
        let (one, two) = (data(made), data(&full));
        if one != two {
            let names = |made| archive(made).entries().map(|entry| entry.unwrap().name).collect::<Vec<_>>();
            assert_eq!(names(made), names(&full), "the entries differ");
        }
        assert!(one == two, "an archive that is built on another is not what reading everything makes");
        let entries = |made| archive(made).entries().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(entries(made), entries(&full));
        // Later runs are built on the one that is looked at, and not on this.
        std::fs::remove_file(full.path.unwrap()).unwrap();
    }

    /// The same for an archive that may have padding in it: all but that is the same.
    pub fn assert_holds_what_full_holds(&self, made: &Made) {
        let full = self.made(job::run_in_full);
        assert!(stream(made) == stream(&full), "an archive that shares blocks holds something else");
        let entries = |made| {
            let entries = archive(made).entries().map(Result::unwrap).collect::<Vec<_>>().into_iter();
            entries.map(|entry| EntryRecord { segment: 0, ..entry }).collect::<Vec<_>>()
        };
        assert_eq!(entries(made), entries(&full));
        assert_in_place(made);
        let (whole, other) = (made.report.stored, full.report.stored);
        assert!(whole * 100 < other * 101, "{whole} bytes instead of {other}");
        std::fs::remove_file(full.path.unwrap()).unwrap();
    }
}

/// Its tar stream.
fn stream(made: &Made) -> Vec<u8> {
    let archive = archive(made);
    (0..archive.segment_count()).flat_map(|number| archive.read_segment(number).unwrap()).collect()
}

/// It is sound in every byte, which also holds each entry against the headers where the index says that they are.
pub fn assert_in_place(made: &Made) {
    let options = Options { depth: Depth::Full, threads: 1 };
    let path = made.path.as_ref().unwrap();
    let verified = verify(path, options, &Stop::default(), &Progress::default()).unwrap();
    assert!(verified.sound(), "{:?}", verified.problems);
}

/// Bytes of its padding, piece by piece.
pub fn paddings(made: &Made) -> Vec<u64> {
    let segments = archive(made).segments().map(Result::unwrap).collect::<Vec<_>>().into_iter();
    let padding = segments.filter(|segment| segment.record.kind == SegmentKind::Padding);
    padding.map(|segment| segment.record.stored).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An archive that was made.
pub fn archive(made: &Made) -> Archive {
    match open(made.path.as_ref().unwrap()).unwrap() {
        Opened::Indexed(archive) => *archive,
        Opened::Unindexed(_) => panic!("no index"),
    }
}

/// Its first member, which has everything.
fn data(made: &Made) -> Vec<u8> {
    let mut bytes = std::fs::read(made.path.as_ref().unwrap()).unwrap();
    bytes.truncate(archive(made).footer().start as usize);
    bytes
}

/// The body of a file in an archive.
pub fn body(made: &Made, name: &str) -> Vec<u8> {
    use std::io::Read as _;
    let archive = archive(made);
    let entry =
        archive.entries().map(Result::unwrap).find(|entry| entry.name.ends_with(name.as_bytes())).unwrap();
    let mut bytes = Vec::new();
    archive.body(&entry).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

/// Everything but the end of the tar stream, and where asked the headers of large files, is taken over.
pub fn compressed(made: &Made) -> u64 {
    archive(made).segment_count() - made.report.reused.segments
}

/// Which files in a folder are opened from now on.
pub struct Opens(OwnedFd);

impl Opens {
    pub fn of(folder: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&inotify, folder, WatchFlags::OPEN).unwrap();
        Self(inotify)
    }

    /// The names so far, each once.
    pub fn names(&self) -> BTreeSet<String> {
        let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
        let mut events = Reader::new(&self.0, &mut buffer);
        let mut names = BTreeSet::new();
        while let Ok(event) = events.next() {
            names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned()));
        }
        names
    }
}
