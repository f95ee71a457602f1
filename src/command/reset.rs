//! `reset`: a job's sources emptied, after a last archive of them.

mod tell;

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cli::ResetArgs;
use crate::clock::Clock;
use crate::command::backup::{self, bar};
use crate::command::restore::recovered;
use crate::command::services;
use crate::command::verify::verify;
use crate::command::which::Which;
use crate::config::{Config, Job};
use crate::destination::{Local, Lock};
use crate::entry::is_restore_folder;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job::{self, Hands, Made};
use crate::printable::{counted, printable_path};
use crate::progress::Progress;
use crate::reset::{Bounds, Emptied, May, Seen, There, empty, is_empty, there};
use crate::restore::{recover, require_none};
use crate::source::{self, Source};
use crate::stop::Stop;
use crate::sys;

/// What is to be emptied.
struct Plan {
    /// The sources that have something in them, each with its device and inode.
    sources: Vec<(Source, (u64, u64))>,
    /// What is in each of them.
    there: Vec<There>,
    /// The walk that finds what goes.
    options: source::Options,
}

impl Plan {
    fn sum(&self, of: impl Fn(&There) -> u64) -> u64 {
        self.there.iter().map(of).sum()
    }

    /// Whether there is anything that an archive could keep.
    fn has_data(&self) -> bool {
        self.sum(|there| there.goes.entries) > self.sum(|there| there.goes.folders)
    }

    fn plain(&self) -> Vec<Source> {
        self.sources.iter().map(|(source, _)| source.clone()).collect()
    }
}

/// Empty the sources of a job.
///
/// # Errors
/// If anything stands against it. Nothing is removed then, unless the message says so.
pub fn run(args: &ResetArgs, config: &Config, clock: &dyn Clock, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    let job = job_of(args, config)?;
    if !args.dry_run {
        permitted(args, job)?;
    }
    let mut bounds = Bounds::of(config);
    let sources = checked(args, job, &bounds)?;
    let down = |folders: &[PathBuf]| {
        let folders: Vec<_> = folders.iter().map(PathBuf::as_path).collect();
        services::require_down(&folders, config, args.force)
    };
    down(&sources.iter().map(|(source, _)| source.path.clone()).collect::<Vec<_>>())?;
    if args.dry_run {
        let plan = plan(args, job, sources, &bounds, stop)?;
        return tell::summary(args, job, &plan, stop).map(|()| Exit::Complete);
    }
    let destination = job::open(job)?;
    let now = clock.now().with_timezone(&job.zone);
    let lock = destination.lock(&format!("reset of job {}", job.name), &now.to_rfc3339())?;
    // An archive may have been published while the lock was somebody else's.
    bounds = Bounds::of(config);
    restores(&sources, &down)?;
    let plan = plan(args, job, sources, &bounds, stop)?;
    tell::summary(args, job, &plan, stop)?;
    if plan.sum(|there| there.goes.entries) == 0 {
        return tell::done(args, job, &plan, None, &Emptied::default(), (began, stop));
    }
    tell::confirmed(args, job, stop)?;

    let mut made = None;
    let may = if args.no_backup {
        May::Everything
    } else {
        let mut seen = Seen::default();
        if plan.has_data() {
            made = Some(last_archive(
                (args, config),
                job,
                &plan,
                (&destination, &lock),
                (clock, stop),
                &mut seen,
            )?);
        }
        May::Archived(seen)
    };
    sys::failpoint("reset-archived");

    let mut emptied = Emptied::default();
    let ended = empty(&plan.sources, &plan.options, &may, stop, &mut emptied)
        .and_then(|()| look_again(&plan, &bounds, stop, &mut emptied));
    let exit = tell::done(args, job, &plan, made.as_ref(), &emptied, (began, stop))?;
    ended.map(|()| exit)
}

/// The job that is meant.
fn job_of<'a>(args: &ResetArgs, config: &'a Config) -> Result<&'a Job> {
    let known = || config.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ");
    match (&args.job, config.jobs.as_slice()) {
        (None, [job]) => Ok(job),
        (None, _) => Err(Error::usage(format!(
            "reset of which job? name one of them: tarkeep reset JOB, of {}",
            known()
        ))),
        (Some(name), jobs) => jobs
            .iter()
            .find(|job| job.name == *name)
            .ok_or_else(|| Error::usage(format!("{name:?}: no such job; the jobs are: {}", known()))),
    }
}

/// Whether somebody can be asked, or need not be.
fn permitted(args: &ResetArgs, job: &Job) -> Result<()> {
    match (args.yes, job.allow_reset) {
        (true, true) => Ok(()),
        (true, false) => Err(Error::usage(
            "--yes alone empties nothing: set TARKEEP_ALLOW_RESET=1 too, so that no single slip is enough; on a terminal, \
             without --yes, the job's name is asked for instead",
        )),
        (false, _) if stdin().is_terminal() => Ok(()),
        (false, allowed) => Err(Error::usage(format!(
            "nobody is there to type the job's name: run it on a terminal (docker compose run --rm reset), or give --yes{}",
            if allowed {
                "; TARKEEP_ALLOW_RESET=1 alone is not enough"
            } else {
                " and set TARKEEP_ALLOW_RESET=1"
            }
        ))),
    }
}

/// The sources, none of which is out of bounds or cannot be written to.
fn checked(args: &ResetArgs, job: &Job, bounds: &Bounds) -> Result<Vec<(Source, (u64, u64))>> {
    let mut sources = Vec::new();
    for source in job::sources(job)? {
        let id = bounds.check(&source)?;
        let folder = if source.path.is_dir() { Some(source.path.as_path()) } else { source.path.parent() };
        sys::check_writable(folder.unwrap_or(Path::new("/"))).map_err(|e| {
            if e.cause().and_then(std::io::Error::raw_os_error)
                != Some(rustix::io::Errno::ROFS.raw_os_error())
            {
                return e;
            }
            Error::failed(format!(
                "{e}: it is mounted read-only, as it should be for backups; run this instead: \
                 docker compose run --rm reset{}",
                retyped(args)
            ))
        })?;
        sources.push((source, id));
    }
    Ok(sources)
}

/// The arguments as they were typed, for a command that people can copy.
fn retyped(args: &ResetArgs) -> String {
    let mut words = args.job.as_ref().map_or(String::new(), |job| format!(" {job}"));
    for (set, flag) in [(args.no_backup, " --no-backup"), (args.force, " --force")] {
        if set {
            words += flag;
        }
    }
    words
}

/// Finish or undo restores that were interrupted in the sources; refuse where one is at work.
fn restores(sources: &[(Source, (u64, u64))], down: &dyn Fn(&[PathBuf]) -> Result<()>) -> Result<()> {
    for (source, _) in sources {
        recover(&source.path, down, &mut recovered)?;
        require_none(&source.path)?;
        if !source.path.is_dir() {
            continue;
        }
        // What is mounted in a source is restored by itself.
        let mounts = sys::mounts_below(&source.path).into_iter().map(|mount| source.path.join(mount));
        for folder in std::iter::once(source.path.clone()).chain(mounts) {
            let failed = |e| Error::io("list source", &folder, e);
            for entry in folder.read_dir().map_err(failed)? {
                let entry = entry.map_err(failed)?;
                if is_restore_folder(entry.file_name().as_bytes()) {
                    return Err(Error::failed(format!(
                        "a restore works in {}, or was left there by somebody else: wait until it is done, or move the \
                         folder away",
                        printable_path(&entry.path())
                    )));
                }
            }
        }
    }
    Ok(())
}

/// What goes and what stays. Nothing is changed.
fn plan(
    args: &ResetArgs,
    job: &Job,
    sources: Vec<(Source, (u64, u64))>,
    bounds: &Bounds,
    stop: &Stop,
) -> Result<Plan> {
    let mut full = Vec::new();
    for source in sources {
        if !is_empty(&source.0.path)? {
            full.push(source);
        }
    }
    let plain: Vec<Source> = full.iter().map(|(source, _)| source.clone()).collect();
    // What is mounted elsewhere is nobody's wish to empty, archive or not.
    let everything = source::Options { one_file_system: job.one_file_system, ..source::Options::default() };
    let options = if args.no_backup { everything.clone() } else { job::options(job, None) };
    let there = there(&plain, (&everything, &options), bounds, stop)?;
    Ok(Plan { sources: full, there, options })
}

/// The archive that all this can be got back from, read back whole.
fn last_archive(
    (args, config): (&ResetArgs, &Config),
    job: &Job,
    plan: &Plan,
    locked: (&Local, &Lock),
    (clock, stop): (&dyn Clock, &Stop),
    seen: &mut Seen,
) -> Result<Made> {
    // One that is empty already would fail the run, and there is nothing to keep of it. The others as they were typed: a
    // relative path has another name in archives than the same one in full.
    let full = |typed: &&PathBuf| {
        Source::new(typed).is_ok_and(|it| plan.sources.iter().any(|(source, _)| source.path == it.path))
    };
    let sources: Vec<PathBuf> = job.sources.iter().filter(full).cloned().collect();
    let progress = Progress::default();
    let hands = Hands { clock, stop, progress: &progress };
    let began = clock.now();
    let draw = !args.no_progress && !args.json && stderr().is_terminal();
    let made = bar::with(draw.then_some(&progress), || {
        job::run_locked(job, &sources, hands, locked, &mut |entry| seen.add(entry))
    })
    .map_err(|e| {
        let exit = e.exit();
        Error::failed(format!("the last archive could not be made, and nothing was removed: {e}"))
            .with_exit(exit)
    })?;
    backup::note(job, &made, began, clock.now());
    let _ = stderr().write_all(backup::summary(job, &made).as_bytes());
    let missed =
        [(&made.report.skipped, "could not be read"), (&made.report.changed, "changed while being read")];
    for (noted, what) in missed {
        if noted.count > 0 {
            return Err(Error::failed(format!(
                "{} {what}, so the last archive does not have all there is, and nothing was removed; the first: {}; \
                 stop what writes there, or reset with --no-backup, which trusts the archives there are",
                counted(noted.count, "entry", "entries"),
                noted.names.first().map_or("", String::as_str)
            ))
            .with_exit(Exit::Incomplete));
        }
    }
    let path = made.path.as_deref().ok_or_else(|| Error::failed("the last archive has no name"))?;
    let verified = verify(&Which::file(path.into()), config, stop)?;
    if let Some(problem) = verified.problems.first() {
        return Err(Error::damaged(format!(
            "the last archive {} is damaged, and nothing was removed: {problem}; check the disk and the machine's memory",
            printable_path(path)
        )));
    }
    Ok(made)
}

/// What is there now and was not said to stay has come meanwhile.
fn look_again(plan: &Plan, bounds: &Bounds, stop: &Stop, emptied: &mut Emptied) -> Result<()> {
    let mut full = Vec::new();
    for source in plan.plain() {
        if source.path.exists() && !is_empty(&source.path)? {
            full.push(source);
        }
    }
    let everything =
        source::Options { one_file_system: plan.options.one_file_system, ..source::Options::default() };
    let now = there(&full, (&everything, &plan.options), bounds, stop)?;
    let files: u64 = now.iter().map(|there| there.goes.entries - there.goes.folders).sum();
    let said = emptied.left.count + emptied.mounted.count;
    if let Some(more) = files.checked_sub(said).filter(|more| *more > 0) {
        emptied.left.count += more;
        emptied.left.names.push(format!("{}, new: something writes here", counted(more, "entry", "entries")));
    }
    Ok(())
}
