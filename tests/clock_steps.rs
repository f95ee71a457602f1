//! The wall clock of a machine is set, forward and back, under a daemon that sleeps: on a machine of its own, in qemu, as
//! nobody wants that done to theirs. That the kernel tells of it (timerfd, cancel on set) can be seen nowhere else.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{disk, skip};

/// Each line that begins with `#` is looked at. What the daemon should do, it does at once; the time in which it should do
/// nothing is short, as it would do it at once.
const INIT: &str = r##"#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t tmpfs backup /backup
archives() { find /backup -name '*.tar.gz' | sort | cut -d/ -f3- | tr '\n' ' '; }
step() { date -s "$1" >/dev/null; }
# $1 archives, or two minutes
until_there() { for i in $(seq 1200); do [ $(find /backup -name '*.tar.gz' | wc -l) -ge $1 ] && break; usleep 100000; done; }
step "2026-11-20 12:00:00"
tarkeep run 2>/log &
until grep -q 'next run at' /log; do usleep 100000; done; sleep 1
step "2026-11-21 01:00:30"; until_there 1; echo "#forward: $(archives)"
step "2026-11-21 00:30:00"; sleep 2; echo "#back: $(archives)"
step "2026-11-21 00:59:58"; sleep 4; echo "#the same time again: $(archives)"
step "2026-11-22 00:59:57"; until_there 2; echo "#the next night: $(archives)"
step "2026-11-25 09:00:00"; until_there 3; echo "#three nights on: $(archives)"
step "2026-11-25 16:00:00"; sleep 2; echo "#nothing was due: $(archives)"
tarkeep health >/dev/null && echo "#healthy"
tarkeep verify --all >/dev/null && echo "#sound"
cat /log
poweroff -f
"##;

#[test]
fn a_clock_that_is_set_brings_each_run_once() {
    let Some(kernel) = kernel() else { return skip("a kernel for x86-64, in /boot or target/kernel/boot") };
    if !disk::run("qemu-system-x86_64", &["--version"]) {
        return skip("qemu-system-x86_64");
    }
    if !disk::run("bsdtar", &["--version"]) || !Path::new("/bin/busybox").exists() {
        return skip("bsdtar and busybox");
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for name in ["bin", "backup", "data", "dev", "proc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(root.join("data/file"), "content").unwrap();
    fs::write(root.join("init"), INIT).unwrap();
    fs::set_permissions(root.join("init"), Permissions::from_mode(0o755)).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let tarkeep = env!("CARGO_BIN_EXE_tarkeep");
    if !disk::run("strip", &["-o", root.join("bin/tarkeep").to_str().unwrap(), tarkeep]) {
        fs::copy(tarkeep, root.join("bin/tarkeep")).unwrap();
    }
    for library in libraries(tarkeep) {
        let place = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(library, place).unwrap();
    }
    let image = folder.path().join("initrd");
    let mut pack = Command::new("bsdtar");
    pack.arg("--format=newc").arg("-cf").arg(&image).arg("-C").arg(&root).arg(".");
    assert!(pack.status().unwrap().success());

    let mut machine = Command::new("timeout");
    machine.args([
        "300",
        "qemu-system-x86_64",
        "-m",
        "512",
        "-nographic",
        "-no-reboot",
        "-net",
        "none",
        "-kernel",
    ]);
    machine.arg(kernel).arg("-initrd").arg(image).stdin(Stdio::null());
    machine.args(["-append", "console=ttyS0 quiet panic=-1 TARKEEP_SCHEDULE=01:00 TARKEEP_ON_START=never"]);
    let output = machine.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> =
        said.lines().filter_map(|line| line.split_once('#')).map(|(_, line)| line.trim()).collect();
    let first = "2026-11-21/01-00-30.tar.gz";
    let two = format!("{first} 2026-11-22/01-00-00.tar.gz");
    let three = format!("{two} 2026-11-25/09-00-00.tar.gz");
    let expected = [
        format!("forward: {first}"),
        format!("back: {first}"),
        format!("the same time again: {first}"),
        format!("the next night: {two}"),
        format!("three nights on: {three}"),
        format!("nothing was due: {three}"),
        "healthy".into(),
        "sound".into(),
    ];
    assert_eq!(found, expected, "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn kernel() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let folders = [target.join("kernel/boot"), "/boot".into()];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().map_while(Result::ok);
    let mut kernels = files
        .map(|file| file.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")));
    kernels.next().filter(|_| cfg!(target_arch = "x86_64"))
}

/// The shared libraries that a binary is loaded with.
fn libraries(binary: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(binary).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
