//! What is never emptied: the machine's own folders, homes, and where archives are kept.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::job;
use crate::printable::printable_path;
use crate::source::Source;
use crate::sys;

/// Device and inode: a folder by whatever name.
type Id = (u64, u64);

/// Folders of a system. What is in some of them is people's data; they themselves are not.
const SYSTEM: [&str; 33] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/docker",
    "/var/log",
    "/var/spool",
    "/var/tmp",
];
/// Those in which everything is the system's, and whether a volume may be mounted there all the same, as images of
/// databases have it: `/usr/share/elasticsearch/data`.
const TREES: [(&str, bool); 20] = [
    ("/run/media", true),
    ("/usr", true),
    ("/usr/bin", false),
    ("/usr/lib", false),
    ("/usr/sbin", false),
    ("/bin", false),
    ("/boot", false),
    ("/dev", false),
    ("/etc", false),
    ("/lib", false),
    ("/lib32", false),
    ("/lib64", false),
    ("/libx32", false),
    ("/proc", false),
    ("/run", false),
    ("/sbin", false),
    ("/sys", false),
    ("/var/lib/apt", false),
    ("/var/lib/dpkg", false),
    ("/var/lib/rpm", false),
];
/// What is at the root of a system. So many of them are no chance.
const ROOT_NAMES: [&str; 11] =
    ["bin", "boot", "etc", "home", "lib", "proc", "root", "sbin", "sys", "usr", "var"];
const ROOT_NAMES_MOST: usize = 4;
/// What shells and their friends keep in a home.
const HOME_NAMES: [&str; 10] = [
    ".bash_history",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".gnupg",
    ".profile",
    ".ssh",
    ".zsh_history",
    ".zshenv",
    ".zshrc",
];
const HOME_NAMES_MOST: usize = 1;
/// From this number on a user is a person, on all distributions of now; 65534 is nobody.
const PEOPLE: std::ops::Range<u32> = 1000..65534;

/// What is out of bounds, by device and inode.
#[derive(Debug, Default)]
pub struct Bounds {
    ids: HashMap<Id, String>,
    /// Folders in which nothing is emptied, and whether volumes there are.
    trees: HashMap<Id, (&'static str, bool)>,
    /// Where archives and states are kept, links resolved.
    kept: Vec<(PathBuf, String)>,
}

impl Bounds {
    /// What this machine and this configuration, with all its jobs, put out of bounds.
    pub fn of(config: &Config) -> Self {
        let mut bounds = Self::default();
        for job in &config.jobs {
            let what = format!("the destination of job {}", job.name);
            bounds.keep(&job.destination, what);
            if let Some(state) = &job.state {
                bounds.keep(state, format!("the state of job {}", job.name));
            }
            let archives = job::open(job).and_then(|destination| destination.archives(&job.pattern));
            for stored in archives.unwrap_or_default() {
                bounds.add(&stored.path, format!("an archive of job {}", job.name));
            }
        }
        for path in SYSTEM {
            bounds.add(Path::new(path), "a folder of the system".into());
        }
        for (path, volumes) in TREES {
            if let Some(id) = id_of(Path::new(path)) {
                bounds.trees.entry(id).or_insert((path, volumes));
            }
        }
        for path in homes().iter().chain(&config.home) {
            bounds.add(path, "somebody's home".into());
        }
        bounds
    }

    fn keep(&mut self, path: &Path, what: String) {
        if let Ok(found) = path.canonicalize() {
            self.kept.push((found, what.clone()));
        }
        self.add(path, what);
    }

    fn add(&mut self, path: &Path, what: String) {
        if let Some(id) = id_of(path) {
            self.ids.entry(id).or_insert(what);
        }
    }

    /// What this is, if it is out of bounds.
    pub fn what(&self, id: Id) -> Option<&str> {
        self.ids.get(&id).map(String::as_str)
    }

    /// Refuse a source that is out of bounds, or cannot be told from what is. Its device and inode otherwise, by which it
    /// is known from here on.
    ///
    /// # Errors
    /// If it is refused, or is not there.
    pub fn check(&self, source: &Source) -> Result<Id> {
        // Without the slash at its end, which would follow a link.
        let path: PathBuf = source.path.components().collect();
        let failed = |e| Error::io("look at source", &path, e);
        let shown = printable_path(&path);
        let refused = |what: &str| {
            Err(Error::usage(format!(
                "source {shown} {what}: it is not emptied; give the job a folder of its own, or empty this one by hand"
            )))
        };
        let about = path.symlink_metadata().map_err(failed)?;
        if about.is_symlink() {
            return refused("is a symbolic link");
        }
        let id = (about.dev(), about.ino());
        if let Some(what) = self.what(id) {
            return refused(&format!("is {what}"));
        }
        let found = path.canonicalize().map_err(failed)?;
        for (kept, what) in &self.kept {
            if found.ancestors().any(|above| id_of(above) == id_of(kept)) {
                return refused(&format!("is in {what}"));
            }
            if kept.ancestors().any(|above| id_of(above) == Some(id)) {
                return refused(&format!("holds {what}"));
            }
        }
        if let Some(tree) = self.tree_around(&found)? {
            return refused(&format!("is in a folder of the system, {tree}"));
        }
        if let Some(origin) = mounted_from(&path)
            && is_own(&origin)
        {
            return refused(&format!("is {} of another system", printable_path(&origin)));
        }
        if about.is_dir() {
            let has = |names: &[&str]| {
                names.iter().filter(|name| path.join(name).symlink_metadata().is_ok()).count()
            };
            if path.join("etc").is_dir() && has(&ROOT_NAMES) > ROOT_NAMES_MOST {
                return refused("looks like the root of a system");
            }
            if has(&HOME_NAMES) > HOME_NAMES_MOST {
                return refused("looks like somebody's home");
            }
        }
        Ok(id)
    }

    /// The folder of the system that this is in, unless it is in a volume that is mounted there.
    fn tree_around(&self, path: &Path) -> Result<Option<&'static str>> {
        let mut in_volume = false;
        for above in path.ancestors() {
            let Some(id) = id_of(above) else { continue };
            if let Some((tree, volumes)) = self.trees.get(&id) {
                return Ok((!in_volume || !volumes).then_some(*tree));
            }
            // Some distributions mount /usr/local.
            in_volume = in_volume || (!self.ids.contains_key(&id) && sys::is_mount_point(above)?);
        }
        Ok(None)
    }
}

fn id_of(path: &Path) -> Option<Id> {
    path.metadata().ok().map(|about| (about.dev(), about.ino()))
}

/// The homes of root and of people. Those of services are often where their data is.
fn homes() -> Vec<PathBuf> {
    let text = std::fs::read("/etc/passwd").unwrap_or_default();
    homes_in(&text)
}

fn homes_in(passwd: &[u8]) -> Vec<PathBuf> {
    let home = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let number: u32 = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        let home = fields.get(5).filter(|home| home.starts_with(b"/"))?;
        (number == 0 || PEOPLE.contains(&number)).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(home)))
    };
    passwd.split(|byte| *byte == b'\n').filter_map(home).collect()
}

/// Where a mount point leads in its file system, if that is not the root of it: `/home/me` for `-v /home/me:/data`.
fn mounted_from(path: &Path) -> Option<PathBuf> {
    let about = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    let mask = StatxFlags::from_bits_retain(about.stx_mask);
    // Since Linux 5.8, both of them.
    if !mask.contains(StatxFlags::MNT_ID) || !about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return None;
    }
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    root_of(&mounts, about.stx_mnt_id).filter(|root| root != Path::new("/"))
}

/// The fourth field of the mount with this number: see proc(5).
fn root_of(mounts: &[u8], number: u64) -> Option<PathBuf> {
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        (fields.next()? == number.to_string().as_bytes()).then(|| fields.nth(2))?.map(sys::unescaped)
    })
}

/// Whether a path in a file system would be the system's own, or a home, if that were the root file system: a container
/// sees no more of the host than this.
fn is_own(origin: &Path) -> bool {
    // How distributions name their subvolumes of btrfs: @ and @home.
    let text = origin.to_string_lossy();
    let below = |subvolume: &str| {
        text.strip_prefix(subvolume).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let text = match (below("/@home"), below("/@")) {
        (Some(home), _) => format!("/home{home}"),
        (_, Some("")) => "/".to_owned(),
        (_, Some(root)) => root.to_owned(),
        _ => text.to_string(),
    };
    let in_home = text.strip_prefix("/home/").is_some_and(|rest| !rest.contains('/'));
    // What is below the others is no part of a root file system, but /run of a disk of data may be somebody's runs.
    let in_tree = ["/boot", "/etc", "/usr"].iter().any(|tree| Path::new(&text).starts_with(tree));
    in_home || in_tree || SYSTEM.contains(&text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_those_of_root_and_of_people() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\nredis:x:101:1::/var/lib/redis:\nme:x:1000:1000:Me:/home/me:\n\
            nobody:x:65534:65534::/nonexistent:\nbroken\nodd:x:1001:1001:::\n";
        assert_eq!(homes_in(passwd), [Path::new("/root"), Path::new("/home/me")]);
    }

    #[test]
    fn mounts_are_read_as_the_kernel_writes_them() {
        let mounts = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            40 36 98:0 /home/a\\040b\\134 /data rw - ext4 /dev/sda1 rw\n";
        assert_eq!(root_of(mounts, 40), Some(PathBuf::from("/home/a b\\")));
        assert_eq!(root_of(mounts, 4), None);
    }

    #[test]
    fn what_a_container_is_given_of_a_host_is_known_by_its_path() {
        for own in
            ["/home/me", "/home", "/etc", "/root", "/@home/me", "/@", "/@/etc/ssh", "/var", "/usr/local/bin"]
        {
            assert!(is_own(Path::new(own)), "{own}");
        }
        for data in [
            "/home/me/data",
            "/srv/data",
            "/@data",
            "/run/1",
            "/etcetera",
            "/var/lib/docker/volumes/x/_data",
            "/@/srv/x",
        ] {
            assert!(!is_own(Path::new(data)), "{data}");
        }
    }
}
