//! One run of a job, from top to bottom.

mod after;
mod base;
mod guard;
mod link;
mod proof;
pub mod recheck;
pub mod share;
mod versions;

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::zone::Tz;
use chrono::{DateTime, SecondsFormat};

use crate::archive::base::Base;
use crate::archive::codec::Codec;
use crate::archive::index::About;
use crate::archive::name::{self, ArchiveName};
use crate::archive::{self, Out, Proof, Written};
use crate::clock::Clock;
use crate::config::{Job, OnMiss};
use crate::destination::{self, Local, Lock, Published, Upload};
use crate::entry::{Entry, Find, Found};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::inventory::{self, Newest, Whose};
use crate::printable::{counted, human_bytes, printable_path};
use crate::progress::Progress;
use crate::prune::Pruned;
use crate::report::{Noted, Report, Warning};
use crate::source::{self, Database, Source, Walk};
use crate::state::{Counts, Folder, Record};
use crate::stop::Stop;
use crate::sys;

pub use after::{forget, policy};
use base::Ground;
use share::Sharing;

/// What a run made.
#[derive(Debug)]
pub struct Made {
    /// Where the archive is; `None` when it went to standard output.
    pub path: Option<PathBuf>,
    /// Its name below the destination, without its ending, if it has one.
    pub name: Option<String>,
    /// The name below the destination of the archive that it is a hard link to, if nothing had changed.
    pub link: Option<String>,
    /// When the run began, which is the time that the archive's name says.
    pub instant: DateTime<Tz>,
    /// What is in it, and what is not.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
    /// What was pruned after it; none if nothing was to be, or might be.
    pub pruned: Option<Pruned>,
    /// Why nothing may be pruned.
    pub held: Option<String>,
    /// What went wrong after it was published.
    pub later: Vec<String>,
}

impl Made {
    /// How a run that made this ends.
    pub fn exit(&self) -> Exit {
        let later = if self.later.is_empty() { Exit::Complete } else { Exit::LaterStep };
        self.report.exit().worse(later)
    }

    /// How much is in it, which this job has made.
    pub fn counts(&self, job: &Job) -> Counts {
        let Report { entries, bytes, .. } = self.report;
        Counts { sources: whose(job).sources, entries, bytes }
    }

    /// What went wrong after it was published, in one line.
    pub fn later(&self) -> Option<String> {
        (!self.later.is_empty()).then(|| self.later.join("; "))
    }
}

/// The size of what was made, and what it is the compressed form of.
pub fn stored(made: &Made) -> String {
    let report = &made.report;
    if let Some(link) = &made.link {
        return format!("{}, a link to {link}: nothing has changed", human_bytes(report.stored));
    }
    let share = if report.raw == 0 { 100.0 } else { 100.0 * report.stored as f64 / report.raw as f64 };
    let mut text = format!(
        "{}, {share:.1}% of the tar stream's {}",
        human_bytes(report.stored),
        human_bytes(report.raw)
    );
    if !report.reused.is_nothing() {
        let share = 100.0 * report.reused.stored as f64 / report.stored as f64;
        let _ = write!(text, ", {share:.1}% of it from the last archive");
        if report.reused.shared > 0 {
            let _ = write!(text, " ({} shared with it)", human_bytes(report.reused.shared));
        }
    }
    text
}

/// How long a run took, and how fast it was.
pub fn took(report: &Report, took: Duration) -> String {
    let rate = report.bytes as f64 / took.as_secs_f64().max(0.001);
    format!("{:.1} s, {}/s", took.as_secs_f64(), human_bytes(rate as u64))
}

/// Say in the log what came of a run.
pub fn log(job: &Job, made: &Made) {
    let Made { report, .. } = made;
    for (what, noted) in
        [("skipped", &report.skipped), ("changed", &report.changed), ("vanished", &report.vanished)]
    {
        for name in noted.names.iter().take(NAMES_LOGGED) {
            log::warn!("{what}: {name}");
        }
        if noted.count > NAMES_LOGGED as u64 {
            log::warn!("{what}: {} more", noted.count - NAMES_LOGGED as u64);
        }
    }
    for warning in &report.warnings {
        log::warn!("{}", warning.text);
    }
    log::info!(
        "job {}: {}: {}, {}; {} skipped, {} changed, {} vanished; {}; {}",
        job.name,
        made.path.as_deref().map_or("standard output".into(), printable_path),
        counted(report.entries, "entry", "entries"),
        human_bytes(report.bytes),
        report.skipped.count,
        report.changed.count,
        report.vanished.count,
        stored(made),
        took(report, made.took)
    );
    if let Some(pruned) = made.pruned.as_ref().filter(|pruned| !pruned.deleted.is_empty()) {
        log::info!("job {}: {}", job.name, pruned.summary());
    }
    if let Some(held) = &made.held {
        log::warn!("job {}: nothing is pruned: {held}", job.name);
    }
}

/// How many names of each kind of miss a run logs; the archive's index has more.
const NAMES_LOGGED: usize = 100;

/// What a run needs from outside.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Whether to go on.
    pub stop: &'a Stop,
    /// Where to count.
    pub progress: &'a Progress,
}

/// Archive the job's sources into its destination, under the name that its pattern gives.
///
/// # Errors
/// If nothing was published.
pub fn run(job: &Job, hands: Hands) -> Result<Made> {
    kept(job, hands, false)
}

/// [`run`], with everything read and nothing taken over from the last archive.
///
/// # Errors
/// As [`run`].
pub fn run_in_full(job: &Job, hands: Hands) -> Result<Made> {
    kept(job, hands, true)
}

fn kept(job: &Job, hands: Hands, full: bool) -> Result<Made> {
    let run = Run::begin(job, hands);
    let destination = open(job)?;
    let lock = destination.lock(&format!("job {}", job.name), &run.instant.to_rfc3339())?;
    let mut made = run.into(&destination, &lock, full, &mut |_| {})?;
    after::prune(job, hands, &destination, &lock, &mut made);
    after::forget(job, &destination, &lock, made.pruned.as_ref(), hands.clock.now());
    Ok(made)
}

/// [`run_in_full`] of these of the job's sources, for somebody who has the lock of the destination already. `seen` is shown
/// each entry when it was opened.
///
/// # Errors
/// If nothing was published.
pub fn run_locked(
    job: &Job,
    sources: &[PathBuf],
    hands: Hands,
    (destination, lock): (&Local, &Lock),
    seen: &mut dyn FnMut(&Entry),
) -> Result<Made> {
    Run { read: sources, ..Run::begin(job, hands) }.into(destination, lock, true, seen)
}

/// What the names of the job's archives end with.
pub fn ending(job: &Job) -> &'static str {
    let plain = job.codec.ending();
    if job.recipients.is_some() { name::encrypted(plain) } else { plain }
}

/// Archive the job's sources into one file, which must not exist yet, and touch nothing else.
///
/// # Errors
/// If nothing was published.
pub fn to_file(job: &Job, hands: Hands, path: &Path) -> Result<Made> {
    let run = Run::begin(job, hands);
    let mut upload = destination::file::begin(path, Some(job.mode))?;
    let itself = upload.metadata()?;
    let written = run.write(Ground::default(), &itself, Out::Written(&mut upload), path, &mut |_| {})?;
    run.publish(upload, written, |_, _| {})
}

/// Archive the job's sources into standard output. `itself` is what that is, should it be a file in a source.
///
/// # Errors
/// If not all of it could be written.
pub fn to_stream(job: &Job, hands: Hands, out: &mut (dyn Write + Send), itself: &Metadata) -> Result<Made> {
    let run = Run::begin(job, hands);
    let path = Path::new("to standard output");
    let written = run.write(Ground::default(), itself, Out::Written(out), path, &mut |_| {})?;
    Ok(run.made(written, None))
}

/// Whether the job's archives are known as its own later, by an index or a record. What is not is never pruned.
pub fn known_later(job: &Job) -> bool {
    job.recipients.is_some() || !matches!(job.codec, Codec::Bzip2 | Codec::None)
}

/// By which name the daemon knows the verification of a job's archives; no job can have it.
pub fn verification(job: &Job) -> String {
    format!("{} verify", job.name)
}

/// Where the state of a job is kept.
pub fn state_folder(job: &Job) -> Folder {
    Folder::new(job.state.clone().unwrap_or_else(|| job.destination.join(destination::OWN_FOLDER)))
}

/// When an archive was made, of which the index says `says`: of a link, when that was, if one of these jobs knows it.
pub fn instant(jobs: &[Job], path: &Path, bytes: u64, says: String) -> String {
    let link = path.canonicalize().ok().and_then(|path| {
        jobs.iter().find_map(|job| {
            let name = path.strip_prefix(job.destination.canonicalize().ok()?).ok()?.to_str()?;
            state_folder(job).links(&job.name).find(name, bytes, &says).map(|link| link.instant.clone())
        })
    });
    link.unwrap_or(says)
}

/// Whose archives a job's are.
pub fn whose(job: &Job) -> Whose {
    Whose { job: job.name.clone(), sources: source::said(&job.sources) }
}

/// The job's archives, the newest first, until `stop` asks; those are left out that are known to be of another job, or of other sources.
///
/// # Errors
/// If the destination cannot be listed.
pub fn newest<'a>(job: &'a Job, destination: &'a Local, stop: &Stop) -> Result<Newest<'a>> {
    inventory::newest(destination, &job.pattern, whose(job), &state_folder(job), job.zone, stop)
}

/// The folder that the job's archives are kept in.
///
/// # Errors
/// If it is not there, or not as the job requires it.
pub fn open(job: &Job) -> Result<Local> {
    let options = destination::Options {
        mode: Some(job.mode),
        owner: job.owner,
        require_mount: job.require_mount.destination,
        state: job.state.clone(),
    };
    Local::open(&job.destination, options)
}

/// What the job reads.
///
/// # Errors
/// If a source is not mounted that has to be.
pub fn sources(job: &Job) -> Result<Vec<Source>> {
    these(job, &job.sources)
}

fn these(job: &Job, paths: &[PathBuf]) -> Result<Vec<Source>> {
    paths
        .iter()
        .map(|path| {
            let source = Source::new(path)?;
            if job.require_mount.source && !sys::is_mount_point(&source.path)? {
                return Err(Error::failed(format!(
                    "source {} is not a mount point, and is required to be one: is its volume mounted?",
                    printable_path(path)
                )));
            }
            Ok(source)
        })
        .collect()
}

/// What is left out of the job's sources: what it says, and where the archive is written.
pub fn options(job: &Job, written: Option<&Metadata>) -> source::Options {
    source::Options {
        exclude: job.exclude.clone(),
        exclude_from: job.exclude_from.iter().cloned().collect(),
        cachedir_tag: job.exclude_caches,
        exclude_if_present: job.exclude_if_present.iter().map(Into::into).collect(),
        one_file_system: job.one_file_system,
        look: false,
        leave_out: written.map(|written| (written.dev(), written.ino())).into_iter().collect(),
    }
}

/// What is found, shown to somebody on its way.
struct Shown<'a> {
    walk: Walk,
    seen: &'a mut dyn FnMut(&Entry),
}

impl Iterator for Shown<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let found = self.walk.next();
        if let Some(Found::Entry(entry)) = &found {
            (self.seen)(entry);
        }
        found
    }
}

impl Find for Shown<'_> {
    fn open(&mut self, entry: &Entry) -> Option<Found> {
        self.walk.open(entry)
    }
}

/// A run under way.
struct Run<'a> {
    job: &'a Job,
    /// Which of its sources are read.
    read: &'a [PathBuf],
    hands: Hands<'a>,
    instant: DateTime<Tz>,
    began: Instant,
}

impl<'a> Run<'a> {
    fn begin(job: &'a Job, hands: Hands<'a>) -> Self {
        sys::be_nice(job.nice);
        let instant = hands.clock.now().with_timezone(&job.zone);
        Self { job, read: &job.sources, hands, instant, began: Instant::now() }
    }

    fn into(
        self,
        destination: &Local,
        lock: &Lock,
        full: bool,
        seen: &mut dyn FnMut(&Entry),
    ) -> Result<Made> {
        let Self { job, hands, .. } = self;
        for litter in destination.sweep(lock, &job.pattern)? {
            log::info!("removed what a dead run left behind: {}", printable_path(&litter));
        }
        let mut last = base::last(job, destination, hands.stop);
        hands.stop.check()?;
        if full {
            last.forget();
        }
        let root = destination.root();
        let root = root.metadata().map_err(|e| Error::io("look at destination", root, e))?;
        let ground = last.ground(job, self.instant, hands.clock.boot());
        let block = share::block(job, destination, &ground);
        match &ground.report {
            Some(last) => destination.require_space(share::needed(last.stored, block))?,
            None => self.look_before_the_first(destination, &root)?,
        }
        let mut upload =
            destination.begin(lock, &job.pattern.name(self.instant.naive_local(), ending(job), 1))?;
        let path = upload.path();
        let mut sharing = block.map(|block| Sharing { upload: &mut upload, block });
        let out = match &mut sharing {
            Some(sharing) => Out::Shared(sharing),
            None => Out::Written(&mut upload),
        };
        let known = ground.known.clone();
        let written = self.write(ground, &root, out, &path, seen)?;
        if let (true, Some(known)) = (written.unchanged, known) {
            let link = link::Link { job, instant: self.instant, stop: hands.stop };
            if let Some((published, to)) = link.publish(destination, &mut upload, &known)? {
                drop(upload);
                let mut made = self.made(written, Some(published));
                made.link = Some(to);
                after::link(job, destination, lock, &mut made);
                return Ok(made);
            }
        }
        let mut renamed = Vec::new();
        if job.pattern.is_versioned() {
            let room = versions::room(job, destination, hands.stop)?;
            renamed = room.noted;
            let name = job.pattern.name(self.instant.naive_local(), ending(job), room.free);
            upload.make_room(&room.moves, name);
        }
        let state = Folder::new(destination.state_dir());
        let mut unknown = None;
        let mut made = self.publish(upload, written, |name, record| {
            // Where it is not noted, their times tell them apart, or their bytes.
            state.rename(&job.name, &renamed).unwrap_or_else(|e| log::warn!("{e}"));
            // Without it the archive is as good, and nobody will know it again.
            let kept = state.remember(&job.name, &Record { name: name.to_string(), ..record });
            unknown = kept.err();
        })?;
        made.later.extend(unknown.map(|e| {
            format!(
                "{e}; there is no record of the archive: it is never pruned, and verified with its key alone"
            )
        }));
        after::link(job, destination, lock, &mut made);
        Ok(made)
    }

    /// Without an archive to go by, the source is looked through from outside: for the space, and for the progress.
    fn look_before_the_first(&self, destination: &Local, root: &Metadata) -> Result<()> {
        let Run { job, hands, .. } = self;
        let amount = source::count(&these(job, self.read)?, &options(job, Some(root)), hands.stop)?;
        destination.require_space(guard::least(amount, job.codec))?;
        if let Some(warning) = guard::tight(amount, destination.space()?.bytes, destination.root()) {
            log::warn!("{warning}");
        }
        hands.progress.expect(amount.bytes);
        Ok(())
    }

    fn write(
        &self,
        ground: Ground,
        written: &Metadata,
        mut out: Out,
        path: &Path,
        seen: &mut dyn FnMut(&Entry),
    ) -> Result<Written> {
        let sources = these(self.job, self.read)?;
        let Ground { report: before, measure, base, read, .. } = ground;
        let look = base.as_ref().is_some_and(Base::looks);
        let options = source::Options { look, ..options(self.job, Some(written)) };
        if let Some(before) = &before {
            self.hands.progress.expect(before.bytes);
        }
        let began = self.now();
        let mut found = Shown { walk: source::walk(&sources, &options)?, seen };
        let about = |found: &Shown, report: &mut Report| {
            guard::empty(report, &names(&sources))?;
            let running = |database: &Database| Warning { text: database.to_string(), suspect: false };
            report.warnings.extend(found.walk.databases().iter().map(running));
            report.warnings.extend(measure.and_then(|last| guard::shrunk(report, &last)));
            self.refuse(report)?;
            Ok(About { read, ..self.about(report, began) })
        };
        let options = archive::Options { codec: self.job.codec, threads: self.job.threads.get() };
        // What is written to may itself say that it was told to stop.
        let failed = |error: std::io::Error| {
            error.downcast().unwrap_or_else(|error| Error::io("write archive", path, error))
        };
        let hands = (self.hands.stop, self.hands.progress);
        let Some(recipients) = &self.job.recipients else {
            return archive::write_on(base.as_ref(), &mut found, options, about, &mut out, hands, failed);
        };
        let mut sealed = recipients.seal(&mut out).map_err(failed)?;
        let mut whole = Out::Written(&mut sealed);
        let mut written = archive::write_on(None, &mut found, options, about, &mut whole, hands, failed)?;
        let (stored, hash) = sealed.finish().map_err(failed)?;
        // Nothing here can read it again, and nothing has to: its bytes are what was written, or they are not.
        written.report.stored = stored;
        written.proof = Proof::Hash(hash);
        Ok(written)
    }

    fn publish(
        &self,
        upload: Upload,
        written: Written,
        mut note: impl FnMut(&ArchiveName, Record),
    ) -> Result<Made> {
        let Run { job, hands, .. } = self;
        let path = upload.path();
        let check = |file: &File| proof::check(&written.proof, file, &path, job.threads.get(), hands.stop);
        let published = upload.publish_noted(check, |name, file| {
            if let (Some(_), Proof::Hash(hash)) = (&job.recipients, &written.proof) {
                let record = self.record(&written.report, *hash);
                note(name, Record { modified: Some(file.modified), ..record });
            }
        })?;
        Ok(self.made(written, Some(published)))
    }

    fn made(&self, mut written: Written, published: Option<Published>) -> Made {
        if let Some(published) = &published {
            written.report.stored = published.bytes;
        }
        let (path, name) = published.map_or((None, None), |published| {
            (Some(published.path), published.name.map(|name| name.short()))
        });
        Made {
            path,
            name,
            link: None,
            instant: self.instant,
            report: written.report,
            took: self.began.elapsed(),
            pruned: None,
            held: None,
            later: Vec::new(),
        }
    }

    fn record(&self, report: &Report, hash: blake3::Hash) -> Record {
        Record {
            name: String::new(),
            bytes: report.stored,
            modified: None,
            blake3: hash.to_hex().to_string(),
            instant: self.instant.to_rfc3339_opts(SecondsFormat::Nanos, false),
            complete: report.complete(),
            suspect: report.suspect(),
            entries: report.entries,
            files: report.files,
            folders: report.folders,
            content: report.bytes,
            raw: report.raw,
            skipped: report.skipped.count,
            changed: report.changed.count,
            sources: Some(Whose::hash(&source::said(&self.job.sources))),
        }
    }

    fn now(&self) -> String {
        let now = self.hands.clock.now().with_timezone(&self.job.zone);
        now.to_rfc3339_opts(SecondsFormat::Nanos, false)
    }

    fn about(&self, report: &Report, began: String) -> About {
        About {
            tool: concat!("tarkeep ", env!("CARGO_PKG_VERSION")).into(),
            job: self.job.name.clone(),
            sources: source::said(&self.job.sources),
            instant: self.instant.to_rfc3339_opts(SecondsFormat::Nanos, false),
            zone: self.job.zone.name().into(),
            began,
            ended: self.now(),
            codec: self.job.codec.to_string(),
            read: None,
            boot: self.hands.clock.boot(),
            report: report.clone(),
        }
    }

    /// Some users want nothing rather than less than all.
    fn refuse(&self, report: &Report) -> Result<()> {
        let refused = |noted: &Noted, what: &str| {
            let first = noted.names.first().map_or("", String::as_str);
            Err(Error::failed(format!(
                "{} {what}; the first: {first}",
                counted(noted.count, "entry", "entries")
            )))
        };
        if self.job.on_skipped == OnMiss::Fail && report.skipped.count > 0 {
            return refused(&report.skipped, "could not be read");
        }
        if self.job.on_changed == OnMiss::Fail && report.changed.count > 0 {
            return refused(&report.changed, "changed while being read");
        }
        Ok(())
    }
}

fn names(sources: &[Source]) -> String {
    let names: Vec<_> = sources.iter().map(|source| printable_path(&source.path)).collect();
    names.join(" and ")
}
