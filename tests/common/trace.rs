//! What the program reads, as the system sees it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::disk::run;
use super::program::{TARKEEP, text};

/// Whether system calls can be made to fail here, or to kill their process (`fsync:signal=KILL`). Said where not.
pub fn may_inject(fault: &str) -> bool {
    let may = run("strace", &["-f", "-o", "/dev/null", "-e", &format!("inject={fault}"), "true"]);
    if !may {
        super::skip("strace, and the right to trace");
    }
    may
}

/// Run it to its end in a folder, and count the bytes of the archive there, of this name, that it reads. None, and said,
/// where it cannot be traced.
pub fn read_of(archive: &str, arguments: &[&str], folder: &Path) -> Option<(u64, Output)> {
    reads_of(archive, arguments, folder).map(|(read, _, output)| (read, output))
}

/// [`read_of`], and how often the same bytes are read at most.
pub fn reads_of(archive: &str, arguments: &[&str], folder: &Path) -> Option<(u64, u32, Output)> {
    let traces = tempfile::tempdir().unwrap();
    // A file for each thread: in one for all, calls that interrupt one another stand in two lines.
    let traced = Command::new("strace")
        .args([
            "-ff",
            "-y",
            "-e",
            "trace=read,pread64,readv,preadv,preadv2,mmap,copy_file_range,sendfile,splice",
        ])
        .args(["-o".as_ref(), traces.path().join("of").as_os_str(), TARKEEP.as_ref()])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TARKEEP_DESTINATION", folder)
        .output();
    let output = match traced {
        Ok(output) if !text(&output.stderr).contains("PTRACE") => output,
        _ => {
            super::skip("strace, and being allowed to trace");
            return None;
        }
    };
    let file = format!("/{archive}>");
    let mut read = 0;
    let mut places = BTreeMap::<String, u32>::new();
    for trace in fs::read_dir(traces.path()).unwrap() {
        let trace = fs::read_to_string(trace.unwrap().path()).unwrap();
        for line in trace.lines().filter(|line| line.contains(&file)) {
            // What is mapped or moved within the kernel could not be counted.
            assert!(line.starts_with("read") || line.starts_with("pread"), "{line}");
            read += line.rsplit_once(" = ").and_then(|(_, count)| count.parse::<u64>().ok()).unwrap();
            // Where and how much: `…"..., 4096, 8192) = 4096`.
            let bytes_end = line.rfind('"').unwrap_or_default();
            *places.entry(line[bytes_end..].to_owned()).or_insert(0) += 1;
        }
    }
    assert!(read > 0, "{arguments:?}");
    Some((read, places.into_values().max().unwrap_or_default(), output))
}
