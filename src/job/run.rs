//! A run, from top to bottom.

use std::fs::{File, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat};

use super::base::{self, Ground};
use super::share::{self, Sharing};
use super::{Hands, Made, after, ending, guard, link, open, options, proof, these, versions};
use crate::archive::base::Base;
use crate::archive::index::About;
use crate::archive::name::ArchiveName;
use crate::archive::{self, Out, Proof, Written};
use crate::config::{Job, OnMiss};
use crate::destination::{self, Local, Lock, Published, Upload};
use crate::entry::{Entry, Find, Found};
use crate::error::{Error, Result};
use crate::inventory::Whose;
use crate::printable::{counted, printable_path};
use crate::report::{Noted, Report, Warning};
use crate::source::{self, Database, Source, Walk};
use crate::state::{Folder, Record};
use crate::sys;
use crate::zone::Tz;

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
