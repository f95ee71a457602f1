//! What happens to a file after it was looked at, and before it is opened; and to the base while it is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use tarkeep::archive::base::{Base, Purpose, Rule};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::{Options, Out, write_on};
use tarkeep::entry::{Entry, Find, Found};
use tarkeep::error::Error;
use tarkeep::job::Made;
use tarkeep::progress::Progress;
use tarkeep::report::Report;
use tarkeep::source::{self, Source, Walk};
use tarkeep::stop::Stop;

use crate::nights::{Nights, archive, noise};

/// A walk during which something happens before the first file is opened.
struct Then<'a> {
    walk: Walk,
    happens: Option<Box<dyn FnOnce() + 'a>>,
}

impl Iterator for Then<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        self.walk.next()
    }
}

impl Find for Then<'_> {
    fn open(&mut self, entry: &Entry) -> Option<Found> {
        if let Some(happens) = self.happens.take() {
            happens();
        }
        self.walk.open(entry)
    }
}

/// Name and body of each file, target of each link, and the report; `s` is the source.
type Read = (BTreeMap<String, Vec<u8>>, Report);

/// An archive of the source, built on this one, while something happens; and how often it did.
fn built_on(base: &Made, source: &Path, happens: impl FnOnce()) -> Read {
    let last = archive(base);
    let about = last.about().unwrap();
    let base = Base::new(last, &about, Rule::Strict, Purpose::Reuse).unwrap();
    let options = source::Options { look: true, ..source::Options::default() };
    let source = Source::new(source).unwrap();
    let root = String::from_utf8(source.name.clone()).unwrap();
    let walk = source::walk(&[source], &options).unwrap();
    let mut then = Then { walk, happens: Some(Box::new(happens)) };
    let mut out = Vec::new();
    let written = write_on(
        Some(&base),
        &mut then,
        Options { codec: Codec::Gzip(6), threads: 2 },
        |_, _| Ok(about),
        &mut Out::Written(&mut out),
        (&Stop::default(), &Progress::default()),
        |e| Error::io("write archive", "memory", e),
    )
    .unwrap();
    assert!(then.happens.is_none(), "nothing was opened");
    let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(&out[..]));
    let mut read = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().trim_end_matches('/').replace(&root, "s");
        let mut body = Vec::new();
        if let Some(link) = entry.link_name_bytes() {
            let kind: &[u8] = if entry.header().entry_type().is_hard_link() { b"hard " } else { b"-> " };
            body.extend_from_slice(kind);
            body.extend_from_slice(&link);
        }
        entry.read_to_end(&mut body).unwrap();
        read.insert(name, body);
    }
    let mut report = written.report;
    for noted in [&mut report.skipped, &mut report.vanished] {
        noted.names.iter_mut().for_each(|name| *name = name.replace(&root, "s"));
    }
    (read, report)
}

/// Ten small files in a folder `d`, all in one group of which one is changed so that the others have to be opened.
fn nights() -> Option<(Nights, Made)> {
    let mut nights = Nights::new()?;
    let source = nights.source();
    fs::create_dir(source.join("d")).unwrap();
    for number in 0..10 {
        fs::write(source.join(format!("d/{number}")), noise(1000, number)).unwrap();
    }
    fs::hard_link(source.join("d/3"), source.join("d/5-link")).unwrap();
    let made = nights.next();
    fs::write(source.join("d/8"), b"changed").unwrap();
    Some((nights, made))
}

fn with(happens: impl FnOnce(&Path)) -> Option<Read> {
    let (nights, made) = nights()?;
    let source = nights.source();
    Some(built_on(&made, &source, || happens(&source)))
}

#[test]
fn a_file_that_goes_has_vanished_and_another_name_of_it_brings_the_body() {
    let Some((read, report)) = with(|source| fs::remove_file(source.join("d/3")).unwrap()) else { return };
    assert_eq!(report.vanished.count, 1, "{report:?}");
    assert!(report.vanished.names[0].starts_with("s/d/3: "), "{report:?}");
    assert_eq!(read["s/d/5-link"], noise(1000, 3));
    assert_eq!(read["s/d/8"], b"changed");
    assert!(report.complete() && !read.contains_key("s/d/3"));
}

#[test]
fn a_file_that_is_replaced_is_archived_as_it_is_then_and_its_other_name_as_it_was() {
    let replaced = |source: &Path| {
        fs::write(source.join("new"), b"another file, longer or shorter").unwrap();
        fs::rename(source.join("new"), source.join("d/3")).unwrap();
    };
    let Some((read, report)) = with(replaced) else { return };
    assert_eq!(read["s/d/3"], b"another file, longer or shorter");
    assert_eq!(read["s/d/5-link"], noise(1000, 3));
    assert!(report.complete() && report.changed.count == 0, "{report:?}");
}

#[test]
fn a_file_that_becomes_a_link_or_a_pipe_is_one() {
    let changed = |source: &Path| {
        fs::remove_file(source.join("d/0")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", source.join("d/0")).unwrap();
        fs::remove_file(source.join("d/1")).unwrap();
        assert!(Command::new("mkfifo").arg(source.join("d/1")).status().unwrap().success());
        fs::remove_file(source.join("d/2")).unwrap();
        fs::create_dir(source.join("d/2")).unwrap();
    };
    let Some((read, report)) = with(changed) else { return };
    assert_eq!(read["s/d/0"], b"-> /etc/passwd");
    assert_eq!(read["s/d/1"], b"");
    assert!(!read.contains_key("s/d/2"));
    assert_eq!(report.skipped.names, ["s/d/2: open source file: it became a folder after it was listed"]);
}

#[test]
fn a_folder_that_becomes_a_link_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    for number in 0..10 {
        fs::write(outside.path().join(format!("{number}")), b"secret").unwrap();
    }
    let swapped = |source: &Path| {
        fs::rename(source.join("d"), source.join("was d")).unwrap();
        std::os::unix::fs::symlink(outside.path(), source.join("d")).unwrap();
    };
    let Some((read, report)) = with(swapped) else { return };
    assert!(!read.values().any(|body| body.starts_with(b"secret")), "{report:?}");
    assert!(report.skipped.count + report.vanished.count >= 8, "{report:?}");
}

#[test]
fn a_base_that_is_cut_or_deleted_while_it_is_read_costs_only_reading() {
    let Some(mut nights) = Nights::new() else { return };
    for number in 0..80 {
        fs::write(nights.source().join(format!("{number:02}")), noise(30_000, number)).unwrap();
    }
    fs::write(nights.source().join("large"), noise(1 << 20, 99)).unwrap();
    // Its name comes first, and it has changed: when it is opened, the base is open, and most of it not yet used.
    fs::write(nights.source().join("!"), noise(600_000, 1)).unwrap();
    nights.next();
    for delete in [false, true] {
        let base = nights.next();
        fs::write(nights.source().join("!"), noise(600_000, if delete { 2 } else { 3 })).unwrap();
        let path = base.path.clone().unwrap();
        let (read, report) = built_on(&base, &nights.source(), || {
            if delete {
                fs::remove_file(&path).unwrap();
            } else {
                File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
            }
        });
        assert_eq!(read["s/large"], noise(1 << 20, 99));
        assert_eq!(read["s/79"], noise(30_000, 79));
        assert_eq!(report.warnings.len(), usize::from(!delete), "{report:?}");
        assert!(report.complete());
        let _ = fs::remove_file(path);
    }
}
