//! What is thrown at the parsers, by libFuzzer (`fuzz/`) and by `tests/fuzz_smoke.rs`. They may refuse; they may not
//! panic, hang, or fill the memory.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use tarkeep::archive::index;
use tarkeep::archive::name::Pattern;
use tarkeep::archive::stream::{self, Gunzip, Input};
use tarkeep::archive::verify::{Depth, Options, verify_file};
use tarkeep::config::{self, Environment, Typed};
use tarkeep::progress::Progress;
use tarkeep::schedule::Schedule;
use tarkeep::stop::Stop;

/// A file in memory.
pub fn file(bytes: &[u8]) -> File {
    let mut file =
        File::from(memfd_create("input", MemfdFlags::CLOEXEC).expect("memory has room for a small file"));
    file.write_all(bytes).expect("memory has room for a small file");
    file
}

/// A footer, a table of pages, a page of segments, a page of entries.
pub fn index(data: &[u8]) {
    let _ = index::Footer::decode(data, data.len() as u64 * 7);
    let Some((&count, page)) = data.split_first() else { return };
    let count = usize::from(count);
    if let Ok(pages) = index::decode_table(page, 1000) {
        assert!(pages.len() <= page.len());
    }
    if let Ok(segments) = index::decode_segments(page, count) {
        assert_eq!(segments.len(), count);
    }
    if let Ok(entries) = index::decode_entries(page, count) {
        assert_eq!(entries.len(), count);
    }
}

/// A whole archive: opened, verified, read.
pub fn archive(data: &[u8]) {
    use tarkeep::archive::reader::{Opened, from_file};
    let options = Options { depth: Depth::Full, threads: 1 };
    let verified =
        verify_file(file(data), Path::new("input"), options, &Stop::default(), &Progress::default());
    let Ok(Opened::Indexed(archive)) = from_file(file(data), Path::new("input")) else { return };
    let _ = archive.about();
    let mut whole = true;
    for entry in archive.entries() {
        let Ok(entry) = entry else { break };
        let _ = archive.find(&entry.name);
        whole &= std::io::copy(&mut archive.body(&entry), &mut std::io::sink())
            .is_ok_and(|read| read == entry.body());
    }
    if verified.is_ok_and(|verified| verified.sound()) {
        assert!(whole, "a sound archive can be read");
    }
}

/// A tar stream, plain and as gzip.
pub fn tar(data: &[u8]) {
    let _ = stream::parse(&mut &data[..]);
    let _ = stream::parse(&mut Gunzip::new(data));
}

/// A file whose tar stream is read through, whatever it is compressed with.
pub fn packed(data: &[u8]) {
    let bytes = Box::new(std::io::Cursor::new(data.to_vec()));
    if let Ok(input) = Input::new(bytes, Path::new("input"), &Stop::default()) {
        let mut input = input.at_most(64 << 20, "enough".into());
        let _ = stream::parse(&mut input);
    }
}

/// A configuration file, and the words that have a language of their own.
pub fn config(data: &[u8]) {
    let file = file(data);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let typed = Typed { file: Some(path), ..Typed::default() };
    let _ = config::load(&typed, &Environment::of([]));
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(3) {
        let _ = Pattern::new(line, "job");
        if let Ok(schedule) = line.parse::<Schedule>() {
            let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time of our days");
            let _ =
                schedule.next_after(now.with_timezone(
                    &"Europe/Berlin".parse::<tarkeep::zone::Tz>().expect("a zone that there is"),
                ));
        }
    }
}
