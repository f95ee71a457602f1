//! `backup`: one run now.

pub(super) mod bar;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::Path;
use std::thread;

use chrono::{DateTime, Utc};
use serde_json::json;
use signal_hook::consts::SIGTERM;

use crate::archive::codec::Codec;
use crate::cli::BackupArgs;
use crate::clock::Clock;
use crate::command::output::{Outlet, Output};
use crate::command::state_folder;
use crate::config::{Config, Job};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job::{self, Hands, Made};
use crate::printable::{counted, human_bytes, printable_path};
use crate::progress::Progress;
use crate::report::Noted;
use crate::retention::Keep;
use crate::state::LastRun;
use crate::stop::Stop;
use crate::threads::spawn;

/// How many names of what was missed are shown; the log and the index have more.
const NAMES_SHOWN: usize = 5;

/// Run the jobs, one after the other; the worst end counts.
///
/// # Errors
/// If nothing came of the last of them to fail.
pub fn run(args: &BackupArgs, config: &Config, clock: &dyn Clock, stop: &Stop) -> Result<Exit> {
    if let Some(path) = &args.output {
        let [job] = config.jobs.as_slice() else {
            return Err(Error::usage(
                "-o takes one archive, and there are several jobs: name one of them, tarkeep backup JOB -o FILE",
            ));
        };
        let made = if path == Path::new("-") {
            to_stdout(job, args, clock, stop)
        } else {
            named_as_it_is(job, path)?;
            let job = Job { codec: codec(args, job, path)?, ..job.clone() };
            one(args, clock, stop, Some(&job), |hands| job::to_file(&job, hands, path))
        }?;
        return shown(args, job, &made, stop);
    }
    let mut worst = Exit::Complete;
    for job in &config.jobs {
        let began = clock.now();
        // An archive of something else says nothing about the job's own source, and nothing is pruned for it.
        let other =
            (!args.source.is_empty()).then(|| Job { keep: Keep::All, latest_link: None, ..job.clone() });
        let job_now = other.as_ref().unwrap_or(job);
        let made = one(args, clock, stop, None, |hands| {
            if args.full { job::run_in_full(job_now, hands) } else { job::run(job_now, hands) }
        });
        let exit = made.and_then(|made| {
            if args.source.is_empty() {
                note(job, &made, began, clock.now());
            }
            shown(args, job, &made, stop)
        });
        let exit = match exit {
            Err(error) if config.jobs.len() > 1 && stop.asked().is_none() => {
                log::error!("job {}: {error}", job.name);
                error.exit()
            }
            other => other?,
        };
        worst = exit.worse(worst);
    }
    Ok(worst)
}

/// Endings of what no codec here makes.
const FOREIGN: [&str; 11] = ["7z", "Z", "br", "lz", "lz4", "lzma", "lzo", "rar", "txz", "xz", "zip"];

/// That what is called encrypted will be, what is called an archive that anybody can read as well, and that nothing is
/// made that is called compressed otherwise than it is.
fn named_as_it_is(job: &Job, path: &Path) -> Result<()> {
    let ending = path.extension().unwrap_or_default();
    let wrong = match (ending == "age", &job.recipients) {
        (true, None) => {
            "its name says that it is encrypted, and it would not be: give --recipient KEY, set TARKEEP_AGE_RECIPIENTS or \
             TARKEEP_AGE_PASSPHRASE_FILE, or leave .age out of the name"
        }
        (false, Some(_)) if Codec::of_name(path).is_some() => {
            "its name does not say that it is encrypted, and it would be: add .age to the name"
        }
        _ if FOREIGN.iter().any(|foreign| ending == *foreign) => {
            "its name says what it would not be: .tar.gz, .tar.zst, .tar.bz2 and .tar can be made"
        }
        _ => return Ok(()),
    };
    Err(Error::usage(format!("write archive {}: {wrong}", printable_path(path))))
}

/// The codec that the file's name says, or that was asked for; of several levels, the one that is set.
fn codec(args: &BackupArgs, job: &Job, path: &Path) -> Result<Codec> {
    let refused = |e: String| Error::usage(format!("write archive {}: {e}", printable_path(path)));
    match Codec::of_name(path).filter(|named| named.ending() != job.codec.ending()) {
        None => Ok(job.codec),
        // Whatever opens a `.tar` looks into it, and not at its name.
        Some(Codec::None) if args.codec.is_some() => Ok(job.codec),
        Some(_) if args.codec.is_some() => Err(refused(format!(
            "its name says what it would not be with --codec {}: call it {}, or leave --codec out",
            job.codec,
            job.codec.ending()
        ))),
        Some(named) => named.built().map(|()| named).map_err(|e| refused(e.to_string())),
    }
}

/// Let `health` know of an archive as it knows of those of the daemon. A run by hand that fails is seen by who typed it.
pub(super) fn note(job: &Job, made: &Made, began: DateTime<Utc>, ended: DateTime<Utc>) {
    let exit = made.exit();
    let run = LastRun { began, ended, exit: exit.code(), archive: made.name.clone(), error: made.later() };
    if let Err(error) = state_folder(job).update(&job.name, |state| {
        state.note(run, exit);
        state.counts = Some(made.counts(job));
    }) {
        log::warn!("{error}");
    }
}

/// One run with a bar on the terminal, if there is one. Of a job that is `uncounted` nobody says how much there is, as the last
/// archive and the look for room do where archives are kept: that is found out meanwhile.
fn one(
    args: &BackupArgs,
    clock: &dyn Clock,
    stop: &Stop,
    uncounted: Option<&Job>,
    run: impl FnOnce(Hands) -> Result<Made>,
) -> Result<Made> {
    let progress = Progress::default();
    let draw = !args.no_progress && stderr().is_terminal();
    let run = || run(Hands { clock, stop, progress: &progress });
    bar::with(draw.then_some(&progress), || match uncounted.filter(|_| draw) {
        Some(job) => counting(job, &progress, run),
        None => run(),
    })
}

/// Do the work, and let whoever draws know how much there is to do, once that is counted.
fn counting<T>(job: &Job, progress: &Progress, work: impl FnOnce() -> T) -> T {
    let enough = Stop::default();
    thread::scope(|scope| {
        let count = || {
            let counted = job::count(job, &enough);
            if let (Ok(amount), None) = (counted, enough.asked()) {
                progress.expect(amount.bytes);
            }
        };
        // Without a thread for it the bar shows no time left.
        let _ = spawn(scope, count);
        let result = work();
        enough.ask(SIGTERM);
        result
    })
}

fn to_stdout(job: &Job, args: &BackupArgs, clock: &dyn Clock, stop: &Stop) -> Result<Made> {
    if stdout().is_terminal() {
        return Err(Error::usage(
            "an archive is not for a terminal: redirect it, tarkeep backup -o - > x.tar.gz; from a container, \
             docker compose exec -T backup backup > x.tar.gz (-T, or there is a terminal in between)",
        ));
    }
    let mut out = Outlet::new(stop)?;
    let itself = out.metadata()?;
    one(args, clock, stop, Some(job), |hands| job::to_stream(job, hands, &mut out, &itself))
}

fn shown(args: &BackupArgs, job: &Job, made: &Made, stop: &Stop) -> Result<Exit> {
    stop.check()?;
    if args.json {
        let mut output = Output::until(stop)?;
        output.json(&json!({
            "job": job.name,
            "archive": made.name,
            "path": made.path.as_deref().map(printable_path),
            "link_to": made.link,
            "instant": made.instant.to_rfc3339(),
            "seconds": made.took.as_secs_f64(),
            "exit": made.exit().code(),
            "report": made.report,
            "pruned": made.pruned,
            "held": made.held,
            "failed_later": made.later,
        }))?;
        output.finish()?;
    } else {
        // Nobody who reads the summary is no reason to fail.
        let _ = stderr().write_all(summary(job, made).as_bytes());
    }
    Ok(made.exit())
}

/// What came of a run, on less than a screen.
pub(super) fn summary(job: &Job, made: &Made) -> String {
    let report = &made.report;
    let to = made.path.as_deref().map_or("standard output".into(), printable_path);
    let mut text = format!("{to}\n");
    let mut row = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<9} {value}");
    };
    row(
        "archived",
        format!(
            "{}: {} in {}",
            counted(report.entries, "entry", "entries"),
            human_bytes(report.bytes),
            counted(report.files, "file", "files")
        ),
    );
    row("stored", job::stored(made));
    if let Some(recipients) = &job.recipients {
        row("encrypted", recipients.to_string());
    }
    row("took", job::took(report, made.took));
    let mut missed = |what: &str, noted: &Noted| {
        if noted.count > 0 {
            row(what, noted.count.to_string());
            noted.names.iter().take(NAMES_SHOWN).for_each(|name| row("", name.clone()));
            if noted.count > NAMES_SHOWN as u64 {
                row("", format!("and {} more", noted.count - NAMES_SHOWN as u64));
            }
        }
    };
    missed("skipped", &report.skipped);
    missed("changed", &report.changed);
    missed("vanished", &report.vanished);
    for warning in &report.warnings {
        row("warning", warning.text.clone());
    }
    if let Some(pruned) = made.pruned.as_ref().filter(|pruned| !pruned.deleted.is_empty()) {
        row("pruned", pruned.summary());
    }
    if let Some(held) = &made.held {
        row("warning", format!("nothing is pruned: {held}"));
    }
    for failure in &made.later {
        row("exit 4", format!("the archive is there; {failure}"));
    }
    if !report.complete() {
        row("exit 3", "the archive is there, and does not have all that it should".into());
    }
    text
}
