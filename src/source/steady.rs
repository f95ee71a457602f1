//! File systems whose times tell every change of a file.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{StatFs, fstatfs, statfs};

/// `f_type` of file systems where a file can change and its times stay: in memory, where a store through a shared mapping
/// moves no time at all (measured); those of the kernel, whose files are made when they are read; FAT, which keeps no time
/// of change on disk; images, which have the time of change that their maker wrote; and those behind which another one
/// stands that cannot be asked. From `linux/magic.h` and the file systems' own headers.
const UNSTEADY: [u64; 20] = [
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x9584_58f6, // hugetlbfs
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x4d44,      // vfat
    0x2011_bab0, // exFAT
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // EROFS
    0x9660,      // ISO 9660
    0x7275,      // romfs
    0x28cd_3d45, // cramfs
    0x794c_7630, // overlayfs: its upper folder may be in memory
    0x6573_5546, // FUSE
    0x786f_4256, // shared folders of VirtualBox
    0x0102_1997, // 9P
];

/// What has been found out about each device.
#[derive(Debug, Default)]
pub struct Steady(HashMap<u64, bool>);

impl Steady {
    /// Whether on this device, which the folder is on, times tell every change.
    pub(super) fn is(&mut self, device: u64, folder: BorrowedFd<'_>) -> bool {
        *self.0.entry(device).or_insert_with(|| fstatfs(folder).is_ok_and(tells))
    }

    /// The same of a device that this is on.
    pub fn is_at(&mut self, device: u64, path: &Path) -> bool {
        *self.0.entry(device).or_insert_with(|| statfs(path).is_ok_and(tells))
    }
}

fn tells(about: StatFs) -> bool {
    // The width of the field differs between machines; the numbers have 32 bits.
    !UNSTEADY.contains(&(about.f_type as u64 & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn what_the_kernel_makes_up_is_not_steady() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(!Steady::default().is(1, proc.as_fd()));
    }
}
