//! What came of a run, and how it is told.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;

use super::whose;
use crate::config::Job;
use crate::exit::Exit;
use crate::printable::{counted, human_bytes, printable_path};
use crate::prune::Pruned;
use crate::report::Report;
use crate::state::Counts;
use crate::zone::Tz;

/// How many names of each kind of miss a run logs; the archive's index has more.
const NAMES_LOGGED: usize = 100;

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
