//! Archives in other people's hands: what each reader of `.tar.gz` gets back, and what it does not.
//!
//! `docs/readers.md` has the tables; these tests fill them.

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod gzip;
mod make;
mod random;
mod readers;
mod shared;
mod sparse;
mod table;
mod tree;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use common::disk::Disk;

/// A command with nothing in its environment but where programs are and that names are UTF-8.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command.env_clear().env("PATH", path).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    command
}

/// Archive the folder of this name in a folder to a file that is not there yet.
fn archive(folder: &Path, name: &str, to: &Path) {
    let mut tarkeep = command(env!("CARGO_BIN_EXE_tarkeep"));
    tarkeep.env("TARKEEP_CONFIG", "/dev/null").env("TARKEEP_NICE", "0").current_dir(folder);
    let output = tarkeep.args(["backup", "--source", name, "-o"]).arg(to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A tmpfs on which everything that an archive can hold can be made; else says what is missing.
fn workshop() -> Option<Disk> {
    let disk = Disk::tmpfs("size=2g,mode=700")?;
    let probe = disk.path().join("probe");
    std::fs::create_dir(&probe).unwrap();
    if let Err(error) = make::everything_special(&probe) {
        common::skip(&format!("a tmpfs with attributes, ACLs and devices, and root ({error})"));
        return None;
    }
    std::fs::remove_dir_all(&probe).unwrap();
    Some(disk)
}
