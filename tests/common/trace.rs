//! What the program reads, as the system sees it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::program::{TARKEEP, text};

/// Run it to its end in a folder, and count the bytes of the archive there, of this name, that it reads. None, and said,
/// where it cannot be traced.
pub fn read_of(archive: &str, arguments: &[&str], folder: &Path) -> Option<(u64, Output)> {
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
    for trace in fs::read_dir(traces.path()).unwrap() {
        let trace = fs::read_to_string(trace.unwrap().path()).unwrap();
        for line in trace.lines().filter(|line| line.contains(&file)) {
            // What is mapped or moved within the kernel could not be counted.
            assert!(line.starts_with("read") || line.starts_with("pread"), "{line}");
            read += line.rsplit_once(" = ").and_then(|(_, count)| count.parse::<u64>().ok()).unwrap();
        }
    }
    assert!(read > 0, "{arguments:?}");
    Some((read, output))
}
