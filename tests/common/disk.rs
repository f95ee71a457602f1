//! Real disks that a test may fill, cut off and mount again. As root, on a machine where it may mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something mounted on a folder of its own, unmounted and removed when dropped.
pub struct Disk {
    _folder: tempfile::TempDir,
    mount_point: PathBuf,
    /// The file behind an ext4 and its kind, as a loop device.
    image: Option<PathBuf>,
    mounted: bool,
}

impl Disk {
    /// A tmpfs with these options (`size=1m`). None, and said, where that is not allowed.
    pub fn tmpfs(options: &str) -> Option<Self> {
        let mut disk = Self::unmounted();
        disk.mounted = run("mount", &["-t", "tmpfs", "-o", options, "tarkeep-test", text(disk.path())]);
        disk.or_skip()
    }

    /// An ext4 in a file of so many MiB, at this path or beside the mount.
    pub fn ext4(mib: u64, image: Option<&Path>) -> Option<Self> {
        Self::made_by(&["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0"], mib, image)
    }

    /// An XFS whose files can have blocks in common; it wants 300 MiB.
    pub fn xfs(mib: u64) -> Option<Self> {
        Self::made_by(&["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], mib, None)
    }

    /// A btrfs; it wants 120 MiB.
    pub fn btrfs(mib: u64) -> Option<Self> {
        Self::made_by(&["mkfs.btrfs", "-q", "-f"], mib, None)
    }

    fn made_by(command: &[&str], mib: u64, image: Option<&Path>) -> Option<Self> {
        let mut disk = Self::unmounted();
        let image = image.map_or_else(|| disk.path().with_file_name("image"), Path::to_path_buf);
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let made = run(command[0], &[&command[1..], &[text(&image)]].concat());
        disk.image = Some(image);
        if !made {
            super::skip(command[0]);
            return None;
        }
        disk.mounted = disk.mount();
        disk.or_skip()
    }

    fn unmounted() -> Self {
        let folder = tempfile::Builder::new().prefix("tarkeep-disk-").tempdir().unwrap();
        let mount_point = folder.path().join("mnt");
        std::fs::create_dir(&mount_point).unwrap();
        Self { _folder: folder, mount_point, image: None, mounted: false }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Unmount and mount it, so that what is read comes from the disk.
    pub fn mount_again(&self) {
        assert!(soon(|| run("umount", &[text(self.path())])) && soon(|| self.mount()));
    }

    /// Bytes of it that are in use, when all is written.
    pub fn used(&self) -> u64 {
        assert!(run("sync", &["-f", text(self.path())]));
        let space = rustix::fs::statvfs(self.path()).unwrap();
        (space.f_blocks - space.f_bfree) * space.f_frsize
    }

    /// Let nothing be written to it from here on.
    pub fn make_read_only(&self) {
        // Another test's child, between fork and exec, may have something open there for a moment.
        assert!(soon(|| run("mount", &["-o", "remount,ro", text(self.path())])));
    }

    /// What has reached the disk so far, as a disk of its own: what a machine finds that starts again.
    ///
    /// A copy, as the file system itself is not always gone when it is unmounted: a container that is being started
    /// beside this test has it too, for a while.
    pub fn as_found_later(&self) -> Self {
        let mut disk = Self::unmounted();
        let image = disk.path().with_file_name("image");
        std::fs::copy(self.image.as_ref().unwrap(), &image).unwrap();
        disk.image = Some(image);
        disk.mounted = soon(|| disk.mount());
        assert!(disk.mounted, "mount {}", disk.path().display());
        disk
    }

    /// A disk like this one, as it has been written so far, on which these bytes, which stand there once, are wrong in
    /// the first: nothing but a read shows it.
    pub fn as_rotten(&self, bytes: &[&[u8]]) -> Self {
        let mut disk = Self::unmounted();
        let image = disk.path().with_file_name("image");
        let mut copy = std::fs::read(self.image.as_ref().unwrap()).unwrap();
        for wanted in bytes {
            let begin = &wanted[..64];
            let at = copy.windows(64).position(|window| window == begin).expect("they are on the disk");
            copy[at] ^= 0x40;
        }
        std::fs::write(&image, copy).unwrap();
        disk.image = Some(image);
        disk.mounted = soon(|| disk.mount());
        assert!(disk.mounted, "mount {}", disk.path().display());
        disk
    }

    fn mount(&self) -> bool {
        run("mount", &["-o", "loop", text(self.image.as_ref().unwrap()), text(self.path())])
    }

    fn or_skip(self) -> Option<Self> {
        if !self.mounted {
            super::skip("root and the right to mount");
        }
        self.mounted.then_some(self)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && !soon(|| run("umount", &[text(self.path())])) {
            run("umount", &["-l", text(self.path())]);
        }
    }
}

/// Whether something comes true. Nothing that is waited for takes a second on a machine that has nothing else to do.
pub fn soon(done: impl Fn() -> bool) -> bool {
    let began = std::time::Instant::now();
    loop {
        if done() {
            return true;
        }
        if began.elapsed() > std::time::Duration::from_mins(2) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether a command is there and succeeds.
pub fn run(command: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(command);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
