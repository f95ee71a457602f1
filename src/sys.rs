//! What is asked of the operating system beyond files: mount points, priority, and points to fail at in tests.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, access, statat, statx};

use crate::error::{Error, Result};

/// Whether something is mounted at this path, bind mounts included. A symbolic link is followed.
///
/// # Errors
/// If there is nothing at the path, or it cannot be looked at.
pub fn is_mount_point(path: &Path) -> Result<bool> {
    let failed = |e| Error::io("look for a mount at", path, e);
    if let Ok(found) = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    // Before Linux 5.8, which does not show a bind mount within one file system.
    let here = statat(CWD, path, AtFlags::empty()).map_err(failed)?;
    let above = statat(CWD, path.join(".."), AtFlags::empty()).map_err(failed)?;
    Ok(here.st_dev != above.st_dev || here.st_ino == above.st_ino)
}

/// Folders below this one that something is mounted on, relative to it; none where the kernel does not list them.
pub fn mounts_below(folder: &Path) -> BTreeSet<PathBuf> {
    let Ok(folder) = folder.canonicalize() else { return BTreeSet::new() };
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    // The fifth field: see proc(5).
    let points =
        mounts.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    // Looked at only where they concern us: what is mounted elsewhere may not answer.
    let below = points.map(unescaped).filter(|point| *point != folder && point.starts_with(&folder));
    let folders = below.filter(|point| point.is_dir());
    folders.filter_map(|point| point.strip_prefix(&folder).ok().map(Path::to_path_buf)).collect()
}

/// A path of `/proc/self/mountinfo`: blanks, line ends and backslashes are three octal digits there.
pub fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|it| std::str::from_utf8(it).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether something can be made in this folder: not on a read-only mount, and not against its permissions.
///
/// # Errors
/// If it cannot, with the reason.
pub fn check_writable(folder: &Path) -> Result<()> {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| Error::io("write to", folder, e))
}

/// Let others go first, from 0 (not at all) to 19: for the calling thread and the threads it starts from now on.
///
/// I/O goes the same way: a thread without a priority of its own for it has `(nice + 20) / 5` (ioprio_set(2)). A process
/// that is politer already stays so; where it is not allowed, nothing happens.
pub fn be_nice(level: u8) {
    use rustix::process::{getpriority_process, setpriority_process};
    let level = i32::from(level.min(19));
    if level > 0
        && getpriority_process(None).is_ok_and(|now| now < level)
        && let Err(e) = setpriority_process(None, level)
    {
        log::debug!("set priority to nice {level}: {e}");
    }
}

/// Let all threads take memory from one heap. With one for each, what the threads of a run had stays with the process
/// for a night and a day: [`give_back_memory`] reaches only the first. To be called while there is one thread.
///
/// As in [`give_back_memory`], this is for the allocator of glibc; others do not have the call, or the habit.
#[allow(unsafe_code, reason = "no safe call tells the allocator")]
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers and sets one of the allocator's own.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Give memory that is free back to the system.
#[allow(unsafe_code, reason = "no safe call asks the allocator for it")]
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and touches what is free only, under the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Let the kernel write no core of this process: it has secrets in its memory. The limit is not asked where cores go to
/// a program, as they do to systemd-coredump; the other one is.
pub fn leave_no_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::debug!("forbid core dumps: {e}");
    }
    if let Err(e) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        log::debug!("forbid core dumps: {e}");
    }
}

/// A step at which a test may stop the process (`TARKEEP_FAILPOINT=step:stop`) or kill it (`TARKEEP_FAILPOINT=step`).
/// Nothing in a release build.
pub fn failpoint(step: &str) {
    #[cfg(debug_assertions)]
    {
        use signal_hook::consts::{SIGKILL, SIGSTOP};
        let wanted = std::env::var("TARKEEP_FAILPOINT").unwrap_or_default();
        let (name, action) = wanted.split_once(':').unwrap_or((&wanted, "kill"));
        if name == step {
            // To this thread: one that is sent to the process leaves it running until another thread took the signal.
            let _ = signal_hook::low_level::raise(if action == "stop" { SIGSTOP } else { SIGKILL });
        }
    }
    let _ = step;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_left_to_the_limit_or_to_a_program() {
        use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
        leave_no_core();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }

    #[test]
    fn mount_points_are_told_from_folders() {
        assert!(is_mount_point(Path::new("/")).unwrap());
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(folder.path()).unwrap());
        assert!(is_mount_point(&folder.path().join("none")).is_err());
    }
}
