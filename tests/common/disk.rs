//! Real disks that a test may fill, cut off and mount again. As root, on a machine where it may mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something mounted on a folder of its own, unmounted and removed when dropped.
pub struct Disk {
    _folder: tempfile::TempDir,
    mount_point: PathBuf,
    /// The file behind an ext4, as a loop device.
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
        let mut disk = Self::unmounted();
        let image = image.map_or_else(|| disk.path().with_file_name("image"), Path::to_path_buf);
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0", text(&image)]);
        disk.image = Some(image);
        if !made {
            super::skip("mkfs.ext4");
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

    /// Unmount it and mount what is on the disk, as after a power failure.
    pub fn remount(&mut self) {
        // Another test's child, between fork and exec, may have something open there for a moment.
        assert!(soon(|| run("umount", &[text(self.path())])), "umount {}", self.path().display());
        self.mounted = false;
        // A mount namespace that another test made meanwhile has a copy of the mount. It keeps this file system alive,
        // and mounting the same device would give the same one, cut off as it is (seen: an I/O error on every read).
        let image = self.image.as_mut().expect("only a disk in a file can be mounted again");
        let after = image.with_extension("after");
        std::fs::copy(&image, &after).unwrap();
        *image = after;
        assert!(soon(|| self.mount()), "mount {} again", self.path().display());
        self.mounted = true;
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

/// Whether something succeeds within half a minute.
pub fn soon(done: impl Fn() -> bool) -> bool {
    let began = std::time::Instant::now();
    loop {
        if done() {
            return true;
        }
        if began.elapsed() > std::time::Duration::from_secs(30) {
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
