//! `run`: the daemon, and what it runs.

use crate::zone::Tz;
use chrono::DateTime;

use crate::clock::Clock;
use crate::command::state_folder;
use crate::config::{Config, Job, OnStart};
use crate::daemon::signals::Signals;
use crate::daemon::{self, Planned, Ran, Runner};
use crate::destination;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job::{self, Hands, recheck};
use crate::printable::{counted, printable_path};
use crate::progress::Progress;
use crate::retention::Keep;
use crate::stop::Stop;

/// Run the jobs whenever they are due, until a signal stops it. `reload` reads the configuration again.
pub fn run(
    config: Config,
    mut reload: impl FnMut() -> Result<Config>,
    clock: &'static dyn Clock,
) -> Result<Exit> {
    let stop = Stop::default();
    let signals = Signals::daemon(&stop)?;
    log::info!("tarkeep {}, {}", env!("CARGO_PKG_VERSION"), counted(config.jobs.len() as u64, "job", "jobs"));
    let start = |config: Config| (planned(&config, &stop), Runs { jobs: config.jobs, clock });
    say(&config);
    let (jobs, runs) = start(config);
    let reload = || {
        let config = reload()?;
        say(&config);
        Ok(start(config))
    };
    daemon::run(jobs, runs, reload, &signals, clock)
}

/// What is configured: a line a job, and at debug level every setting.
fn say(config: &Config) {
    for job in &config.jobs {
        let sources: Vec<_> = job.sources.iter().map(|path| printable_path(path)).collect();
        log::info!(
            "job {}: {} to {}, {}, schedule {} in {}, keeps {}",
            job.name,
            sources.join(", "),
            printable_path(&job.destination),
            job.codec,
            job.schedule,
            job.zone,
            job.keep
        );
        if job.keep != Keep::All && !job::known_later(job) {
            log::warn!(
                "job {}: archives of codec {} have no index and are never pruned",
                job.name,
                job.codec
            );
        }
        for shown in &job.shown {
            log::debug!("job {}: {} = {} ({})", job.name, shown.setting.variable, shown.value, shown.origin);
        }
    }
}

fn planned(config: &Config, stop: &Stop) -> Vec<Planned> {
    let plan = |job: &Job| Planned {
        name: job.name.clone(),
        schedule: job.schedule.clone(),
        zone: job.zone,
        catch_up: job.catch_up,
        on_start: job.on_start,
        has_archive: has_archive(job, stop),
        state: state_folder(job).path().to_owned(),
    };
    let verification = |job: &Job| Planned {
        name: job::verification(job),
        schedule: job.verify.clone(),
        on_start: OnStart::Never,
        has_archive: true,
        ..plan(job)
    };
    let verified = config.jobs.iter().filter(|job| !job.verify.is_off());
    config.jobs.iter().map(plan).chain(verified.map(verification)).collect()
}

/// Where the destination cannot be read, a first run will fail, and say so at once rather than at night.
fn has_archive(job: &Job, stop: &Stop) -> bool {
    job::open(job)
        .and_then(|destination| Ok(job::newest(job, &destination, stop)?.next().is_some()))
        .unwrap_or(false)
}

/// The jobs as the daemon runs them.
struct Runs {
    jobs: Vec<Job>,
    clock: &'static dyn Clock,
}

impl Runner for Runs {
    fn run(&mut self, name: &str, _due: Option<DateTime<Tz>>, stop: &Stop) -> Ran {
        if let Some(job) = self.jobs.iter().find(|job| job::verification(job) == name) {
            return recheck::run(job, self.clock, stop).map_or_else(Ran::from, |()| Ran {
                exit: Exit::Complete,
                archive: None,
                counts: None,
                error: None,
            });
        }
        let Some(job) = self.jobs.iter().find(|job| job.name == name) else {
            return Ran::from(Error::failed(format!("there is no job {name:?} any more")));
        };
        match job::run(job, Hands { clock: self.clock, stop, progress: &Progress::default() }) {
            Ok(made) => {
                job::log(job, &made);
                let counts = Some(made.counts(job));
                Ran { exit: made.exit(), error: made.later(), archive: made.name, counts }
            }
            Err(error) => Ran::from(error),
        }
    }

    fn give_up() {
        destination::discard_unfinished();
    }
}
