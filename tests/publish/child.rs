//! The writer, and what its tests ask about what it left.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tarkeep::archive::name::{ArchiveName, Pattern};
use tarkeep::destination::{Local, Options, Published};
use tarkeep::error::{Error, Result};

/// Every step of a writer at which it can be stopped.
pub fn steps() -> impl Iterator<Item = &'static str> {
    crate::common::backups::STEPS.into_iter().chain(["done"])
}

/// Some windows and a part of one.
pub const BYTES: usize = (1 << 20) + 17;

/// Bytes that no file system makes up by itself.
pub fn content(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

pub fn name() -> ArchiveName {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    Pattern::default().name(day.and_hms_opt(1, 0, 0).unwrap(), ".tar.gz", 1)
}

pub fn options() -> Options {
    Options::default()
}

/// One run of a writer: lock, sweep, write, publish.
pub fn run(root: &Path, bytes: usize) -> Result<Published> {
    let local = Local::open(root, options())?;
    let lock = local.lock("test", "2026-11-20T01:00:00Z")?;
    local.sweep(&lock, &Pattern::default())?;
    let mut upload = local.begin(&lock, &name())?;
    let wanted = content(bytes);
    for part in wanted.chunks(1 << 18) {
        upload.write_all(part).map_err(|e| upload.failed(e))?;
    }
    upload.publish(|mut file: &File| {
        let mut found = Vec::new();
        file.read_to_end(&mut found).map_err(|e| Error::io("read back", root, e))?;
        if found == wanted { Ok(()) } else { Err(Error::damaged("not what was written")) }
    })
}

/// The archive that is there already when a link is made to it.
pub const OLDER: &str = "2026-11-19/01-00-00.tar.gz";

/// One run of a writer that finds nothing changed: lock, sweep, write, and a link to [`OLDER`] instead.
pub fn run_linking(root: &Path) -> Result<Published> {
    let local = Local::open(root, options())?;
    let lock = local.lock("test", "2026-11-20T01:00:00Z")?;
    local.sweep(&lock, &Pattern::default())?;
    let mut upload = local.begin(&lock, &name())?;
    upload.write_all(&content(BYTES)).map_err(|e| upload.failed(e))?;
    let place = local.place(&Pattern::default().parse(OLDER).unwrap())?;
    let (_, file) = place.open()?;
    Ok(upload.link(&place, file, |_| true)?.expect("this file system has links"))
}

/// Not a test by itself: with `TARKEEP_TEST_ROOT` this process is a writer.
#[test]
fn publish() {
    let Some(root) = std::env::var_os("TARKEEP_TEST_ROOT") else { return };
    let bytes = std::env::var("TARKEEP_TEST_BYTES").unwrap().parse().unwrap();
    let root = Path::new(&root);
    let linking = std::env::var_os("TARKEEP_TEST_LINK").is_some();
    let code = match if linking { run_linking(root) } else { run(root, bytes) } {
        Ok(_) => 0,
        Err(e) => {
            eprintln!("{e}");
            i32::from(e.exit().code())
        }
    };
    tarkeep::sys::failpoint("done");
    std::process::exit(code)
}

/// A writer, behind these words (`strace …`, or none).
pub fn writer(before: &[&str], root: &Path, bytes: usize) -> Command {
    let mut words: Vec<_> = before.iter().map(std::ffi::OsString::from).collect();
    words.push(std::env::current_exe().unwrap().into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["child::publish", "--exact", "--nocapture", "--test-threads=1"]);
    command.env_clear().env("TARKEEP_TEST_ROOT", root).env("TARKEEP_TEST_BYTES", bytes.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Whether a writer can be stopped at a step.
pub fn can_stop() -> bool {
    if !cfg!(debug_assertions) {
        crate::common::skip("a debug build, which can be told where to stop");
    }
    cfg!(debug_assertions)
}

/// A writer that has stopped at a step, or has ended without coming by.
pub struct Stopped(Option<Child>);

impl Stopped {
    /// Not in a release build, which knows no steps to stop at; a test asks [`can_stop`] first.
    pub fn at(step: &str, root: &Path) -> Self {
        Self::of(writer(&[], root, BYTES), step)
    }

    /// One that makes a link.
    pub fn linking_at(step: &str, root: &Path) -> Self {
        let mut writer = writer(&[], root, BYTES);
        writer.env("TARKEEP_TEST_LINK", "1");
        Self::of(writer, step)
    }

    fn of(mut writer: Command, step: &str) -> Self {
        let child = writer.env("TARKEEP_FAILPOINT", format!("{step}:stop")).spawn().unwrap();
        let pid = Pid::from_child(&child);
        // Does not take the child's end away from the one who waits for it below.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid), options).unwrap().unwrap();
        assert!(status.stopped(), "the writer ended before {step}");
        Self(Some(child))
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn go_on(mut self) -> Output {
        let child = self.0.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
        child.wait_with_output().unwrap()
    }

    pub fn kill(mut self) -> ExitStatus {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Everything in a destination but the lock, as paths below it, sorted.
pub fn left(root: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let shown = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            if shown == ".tarkeep" || shown == "lost+found" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(root, &path, found);
            }
            found.push(shown);
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

/// What a writer that succeeded leaves, and what was there before.
pub const PUBLISHED: [&str; 2] = ["2026-11-20", "2026-11-20/01-00-00.tar.gz"];

pub fn archive(root: &Path) -> PathBuf {
    root.join(PUBLISHED[1])
}

/// Nothing under the final name, or all of it.
pub fn assert_none_or_whole(root: &Path, bytes: usize, when: &str) -> bool {
    match fs::read(archive(root)) {
        Ok(found) => {
            assert!(found == content(bytes), "{when}: the archive is not whole: {} bytes", found.len());
            true
        }
        Err(e) => {
            assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{when}");
            false
        }
    }
}
