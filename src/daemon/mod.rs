//! The daemon: sleeps until a job is due, runs it, and sleeps again. It does not know what a run does.
//!
//! One thread waits, at one place (`alarm`); a run has a thread of its own for as long as it lasts, so that signals
//! are heard, and due times seen, meanwhile. Runs come one after the other.

mod alarm;
pub mod core;
pub mod signals;

use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::zone::Tz;
use chrono::{DateTime, Utc};

use self::alarm::{Alarm, Bell};
pub use self::core::Planned;
use self::core::{Core, Step};
use self::signals::Signals;
use crate::agenda::said;
use crate::clock::Clock;
use crate::error::{Error, Result, cause_text};
use crate::exit::Exit;
use crate::printable::printable;
use crate::state::{Counts, Ear, Folder, Occupied};
use crate::stop::Stop;
use crate::sys;

/// So long a run may take to be abandoned before the process ends without it: what it reads or writes does not answer, like
/// a network disk that is gone.
const PATIENCE: Duration = Duration::from_millis(1500);

/// So long noting and tidying up may take then. Docker kills after 10 seconds.
const TIDYING: Duration = Duration::from_secs(5);

/// What executes a run.
pub trait Runner: Send + 'static {
    /// Run the job to its end, looking at `stop` all the time. It may be asked for any of the jobs that the daemon was
    /// given together with it. `due` is the time that the run is for; none for a run at start.
    ///
    /// What there is to say of a good run it logs itself; an error it returns.
    fn run(&mut self, job: &str, due: Option<DateTime<Tz>>, stop: &Stop) -> Ran;

    /// The process ends without the run that is on, which does not hear that it should stop: remove what it has not finished.
    fn give_up();
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How a process would end that did only this. `Signal` is a run that was abandoned.
    pub exit: Exit,
    /// The name of the archive that was published.
    pub archive: Option<String>,
    /// How much is in it.
    pub counts: Option<Counts>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Ran {
    /// A run that published this archive.
    pub fn published(exit: Exit, archive: impl Into<String>) -> Self {
        Self { exit, archive: Some(archive.into()), counts: None, error: None }
    }
}

impl From<Error> for Ran {
    fn from(error: Error) -> Self {
        Self { exit: error.exit(), archive: None, counts: None, error: Some(error.to_string()) }
    }
}

/// Keep the jobs' schedules until a signal stops it. Every failed run is survived.
///
/// `reload` reads the configuration again; on an error the old one stays in force. The outcome is `Complete` when it
/// was stopped between runs, and the signal when a run was abandoned; see [`signals::end`].
///
/// # Errors
/// If another daemon keeps one of the jobs, or the system has no timer for us.
pub fn run<R: Runner>(
    jobs: Vec<Planned>,
    runner: R,
    mut reload: impl FnMut() -> Result<(Vec<Planned>, R)>,
    signals: &Signals,
    clock: &dyn Clock,
) -> Result<Exit> {
    let alarm = Alarm::new().map_err(|e| no_alarm(&e))?;
    let ear = Ear::open().inspect_err(|e| log::debug!("health cannot ask whether the loop lives: {e}")).ok();
    let others: Vec<_> = [signals.as_fd()].into_iter().chain(ear.as_ref().map(|ear| ear.as_fd())).collect();
    let mut homes = Homes { ear: ear.as_ref(), signs: Vec::new() };
    homes.occupy(&jobs)?;
    let mut core = Core::new(jobs, clock.now());
    let mut worker = Worker::new(runner, alarm.bell());
    let mut stopping = None;
    core.announce(clock.now());
    loop {
        signals.take();
        ear.iter().for_each(Ear::answer);
        if let Some(ran) = worker.ended() {
            let exit = ran.exit;
            core.ended(ran, clock.now());
            if signals.stopped().is_some() && matches!(exit, Exit::Signal(_)) {
                return Ok(exit);
            }
            core.announce(clock.now());
            sys::give_back_memory();
        }
        if let Some(signal) = signals.stopped() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            if !core.running() {
                log::info!("stopped by {name}");
                return Ok(Exit::Complete);
            }
            let since = *stopping.get_or_insert_with(|| {
                log::info!("stopped by {name}: abandoning the run");
                Instant::now()
            });
            let left = PATIENCE.saturating_sub(since.elapsed());
            if left.is_zero() {
                log::warn!(
                    "the run does not end, as what it reads or writes does not answer: going without it"
                );
                leave::<R>(core, signal, clock.now());
                return Ok(Exit::Signal(signal));
            }
            alarm.wait(Some(clock.now() + left), &others).map_err(|e| no_alarm(&e))?;
            continue;
        }
        if signals.reload() {
            match reload().and_then(|(jobs, runner)| homes.occupy(&jobs).map(|()| (jobs, runner))) {
                Ok((jobs, runner)) => {
                    log::info!("the configuration was read again");
                    core.replace(jobs, clock.now());
                    core.announce(clock.now());
                    worker.replace(runner);
                }
                Err(error) => log::error!("{error}; the configuration stays as it was"),
            }
        }
        match core.step(clock.now()) {
            Step::Run { job, due } => {
                homes.look_after();
                let why = due.map_or("at start".to_owned(), |due| format!("due at {}", said(due)));
                log::info!("job {}: running, {why}", printable(job.as_bytes()));
                worker.begin(job, due, signals.stop().clone());
            }
            Step::Wait(until) => alarm.wait(until, &others).map_err(|e| no_alarm(&e))?,
        }
    }
}

/// End without the run that is on. What does not answer may be the disk that is tidied up here, so that is not waited for long.
fn leave<R: Runner>(mut core: Core, signal: i32, now: DateTime<Utc>) {
    let (done, tidied) = mpsc::channel();
    let abandoned = Ran { exit: Exit::Signal(signal), archive: None, counts: None, error: None };
    let tidy = move || {
        R::give_up();
        core.ended(abandoned, now);
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(tidy).is_ok() {
        let _ = tidied.recv_timeout(TIDYING);
    }
}

fn no_alarm(error: &std::io::Error) -> Error {
    Error::failed(format!("wait for the next due time: {}", cause_text(error)))
}

/// The runner, or the thread that has it.
struct Worker<R> {
    runner: Option<R>,
    /// What takes the runner's place when its run has ended.
    successor: Option<R>,
    done: Sender<(R, Ran)>,
    results: Receiver<(R, Ran)>,
    bell: Bell,
}

impl<R: Runner> Worker<R> {
    fn new(runner: R, bell: Bell) -> Self {
        let (done, results) = mpsc::channel();
        Self { runner: Some(runner), successor: None, done, results, bell }
    }

    fn begin(&mut self, job: String, due: Option<DateTime<Tz>>, stop: Stop) {
        let runner = self.runner.take().expect("a run begins only when none is on");
        let (done, bell) = (self.done.clone(), self.bell.clone());
        // The runner goes over only when there is a thread that takes it.
        let (give, take) = mpsc::channel::<R>();
        let started = thread::Builder::new().spawn(move || {
            let Ok(mut runner) = take.recv() else { return };
            let ran = catch_unwind(AssertUnwindSafe(|| runner.run(&job, due, &stop)))
                .unwrap_or_else(|_| Ran::from(Error::failed("the run ended in a panic, which is a bug")));
            // Nobody listens only when the process ends.
            let _ = done.send((runner, ran));
            bell.ring();
        });
        if let Err(e) = started {
            let _ = self
                .done
                .send((runner, Ran::from(Error::failed(format!("start a thread for the run: {e}")))));
            self.bell.ring();
        } else {
            let _ = give.send(runner);
        }
    }

    fn ended(&mut self) -> Option<Ran> {
        let (runner, ran) = self.results.try_recv().ok()?;
        self.runner = Some(self.successor.take().unwrap_or(runner));
        Some(ran)
    }

    fn replace(&mut self, runner: R) {
        match &mut self.runner {
            Some(old) => *old = runner,
            None => self.successor = Some(runner),
        }
    }
}

/// The signs in the state folders that a daemon keeps these jobs.
struct Homes<'a> {
    ear: Option<&'a Ear>,
    signs: Vec<(PathBuf, String, Option<Occupied>)>,
}

impl Homes<'_> {
    /// Occupy what the jobs need, and leave the rest. A folder that cannot be written may come back, so that is a
    /// warning.
    fn occupy(&mut self, jobs: &[Planned]) -> Result<()> {
        for job in jobs {
            if !self.signs.iter().any(|(path, name, _)| *path == job.state && *name == job.name) {
                let sign = match Folder::new(&job.state).occupy(&job.name, self.ear) {
                    Err(error) if error.exit() == Exit::Locked => return Err(error),
                    Err(error) => {
                        log::warn!("{error}; the state is not kept until this is mended");
                        None
                    }
                    Ok(sign) => Some(sign),
                };
                self.signs.push((job.state.clone(), job.name.clone(), sign));
            }
        }
        self.signs.retain(|(path, name, _)| jobs.iter().any(|job| job.state == *path && job.name == *name));
        Ok(())
    }

    /// A destination may have been gone, or been mounted anew with another folder in its place.
    fn look_after(&mut self) {
        for (path, name, sign) in &mut self.signs {
            let folder = Folder::new(&*path);
            if sign.is_none() || !folder.occupied(name) {
                *sign = folder.occupy(name, self.ear).ok();
            }
        }
    }
}
