//! Which daemon keeps a job: it holds a file locked, and its process number stands in it.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ear::{Asked, Ear};
use super::{Folder, open_lock};
use crate::error::{Error, Result, cause_text};
use crate::printable::{printable, printable_path};

/// What can be seen of the daemon that keeps a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// There is none.
    None,
    /// There is one, and nothing is known to be wrong with it.
    Alive,
    /// There is one, and its process, of this number, does not get to do anything: it is stopped.
    Stopped(u32),
    /// There is one, and its process, of this number, does not answer: its loop hangs.
    Silent(u32),
}

/// The sign that a daemon keeps a job.
#[derive(Debug)]
pub struct Occupied {
    _file: File,
}

/// A process, as far as another one can tell whether it is the one meant: numbers are of a namespace, and that is of a
/// boot of a machine.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    namespace: String,
    boot: String,
    /// Where it can be asked whether it lives.
    #[serde(default)]
    ear: Option<String>,
}

/// A tracer stops what it traces for a moment at each of its calls; who is stopped as often as this, stays so.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

impl Folder {
    /// Say that a daemon keeps this job, for as long as what is returned is kept. The kernel drops it with the process.
    /// With its ear it can be asked.
    ///
    /// # Errors
    /// If another daemon keeps it, or the folder cannot be written.
    pub fn occupy(&self, job: &str, ear: Option<&Ear>) -> Result<Occupied> {
        self.create()?;
        let path = self.file(job, "daemon");
        let mut file = open_lock(&path)?;
        // A health check holds the lock shared for a moment to find out whether it is held.
        for attempt in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < 20 => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::locked(format!(
                        "another daemon keeps the job {} with its state in {}; stop that one, or give this job \
                         another name or another state folder",
                        printable(job.as_bytes()),
                        printable_path(&self.0)
                    )));
                }
                Err(TryLockError::Error(error)) => {
                    let (path, cause) = (printable_path(&path), cause_text(&error));
                    log::warn!("lock {path}: {cause}; health cannot tell whether the daemon lives");
                    break;
                }
            }
        }
        // Whoever was here before must not be taken for us. On a full disk the lock says enough.
        let noted = file.set_len(0).and_then(|()| match Process::own(ear) {
            Some(own) => file.write_all(&serde_json::to_vec(&own)?),
            None => Ok(()),
        });
        if let Err(error) = noted {
            log::debug!("{}", Error::io("note who keeps", &path, error));
        }
        Ok(Occupied { _file: file })
    }

    /// Whether a daemon keeps this job. Where the file system knows no locks, that is believed.
    pub fn occupied(&self, job: &str) -> bool {
        match File::open(self.file(job, "daemon")) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(_) => false,
        }
    }

    /// The daemon that keeps this job. One of another container, or of another machine, counts as alive: of its
    /// process there is nothing to be seen from here.
    pub fn keeper(&self, job: &str, asked: &mut Asked) -> Keeper {
        if !self.occupied(job) {
            return Keeper::None;
        }
        match self.process(job).filter(Process::is_of_here) {
            Some(process) if process.stays_stopped() => Keeper::Stopped(process.pid),
            Some(process) if process.is_silent(asked) => Keeper::Silent(process.pid),
            _ => Keeper::Alive,
        }
    }

    fn process(&self, job: &str) -> Option<Process> {
        let mut text = Vec::new();
        File::open(self.file(job, "daemon")).ok()?.take(4096).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

impl Process {
    fn own(ear: Option<&Ear>) -> Option<Self> {
        let ear = ear.map(|ear| ear.name().to_owned());
        Some(Self { pid: std::process::id(), namespace: namespace()?, boot: boot()?, ear })
    }

    fn is_of_here(&self) -> bool {
        Self::own(None).is_some_and(|own| own.namespace == self.namespace && own.boot == self.boot)
    }

    fn is_silent(&self, asked: &mut Asked) -> bool {
        self.ear.as_deref().and_then(|ear| asked.answers(ear)) == Some(false)
    }

    fn stays_stopped(&self) -> bool {
        (0..LOOKS).all(|look| {
            if look > 0 {
                thread::sleep(BETWEEN_LOOKS);
            }
            fs::read_to_string(format!("/proc/{}/stat", self.pid)).is_ok_and(|stat| is_stopped(&stat))
        })
    }
}

/// Whether this line of `/proc/PID/stat` (proc_pid_stat(5)) is of a process whose first thread, the daemon's loop, is
/// stopped, traced and stopped, or dead. The name before the state may hold anything, brackets too.
fn is_stopped(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| "TtZX".contains(state))
}

fn namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid").ok()?.into_os_string().into_string().ok()
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_process_stands_behind_its_name() {
        assert!(is_stopped("7 (tarkeep) T 1 7 7 0"));
        assert!(is_stopped("7 (a) S (b) t 1 7"));
        assert!(is_stopped("7 (tarkeep) Z 1"));
        assert!(!is_stopped("7 (tarkeep) S 1 7 7 0") && !is_stopped("7 (a) T (b) S 1 7"));
        assert!(!is_stopped("7 (tarkeep) D 1 7 7 0") && !is_stopped("") && !is_stopped("7 (tarkeep) "));
    }

    #[test]
    fn a_process_of_another_namespace_or_machine_is_not_taken_for_one_of_here() {
        let own = Process::own(None).unwrap();
        assert!(own.is_of_here() && !own.stays_stopped());
        assert!(!Process { namespace: "pid:[1]".into(), ..Process::own(None).unwrap() }.is_of_here());
        assert!(!Process { boot: "another".into(), ..own }.is_of_here());
    }
}
