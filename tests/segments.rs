//! The writer of archives by itself: what goes in comes out of ordinary readers, whatever happens to a file meanwhile.

use std::io::{self, Read};
use std::ops::Range;

use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::About;
use tarkeep::archive::{Options, Written, write};
use tarkeep::entry::{Content, Entry, Found, Kind, Timestamp};
use tarkeep::error::Error;
use tarkeep::progress::Progress;
use tarkeep::report::Report;
use tarkeep::stop::Stop;

/// A body in memory, which can end early, fail, or say that it changed.
#[derive(Debug, Default)]
struct Body {
    bytes: Vec<u8>,
    at: usize,
    fails_at: Option<usize>,
    changed: bool,
    data: Option<Vec<Range<u64>>>,
}

impl Content for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.bytes.len().min(self.at + buffer.len());
        if self.fails_at.is_some_and(|at| end > at) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let length = end - self.at.min(end);
        buffer[..length].copy_from_slice(&self.bytes[end - length..end]);
        self.at = end;
        Ok(length)
    }

    fn data(&self) -> Option<&[Range<u64>]> {
        self.data.as_deref()
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        // Holes are not in memory: what is left of them is the data, piece after piece.
        let before = |range: &&Range<u64>| range.end <= offset;
        self.at =
            self.data.iter().flatten().filter(before).map(|range| (range.end - range.start) as usize).sum();
        Ok(())
    }

    fn changed(&mut self) -> io::Result<bool> {
        Ok(self.changed)
    }
}

fn entry(name: &str, kind: Kind, size: u64, content: Option<Body>) -> Found {
    Found::Entry(Box::new(Entry {
        name: name.into(),
        kind,
        mode: 0o644,
        uid: 1,
        gid: 2,
        user: Vec::new(),
        group: Vec::new(),
        mtime: Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 },
        ctime: Timestamp { seconds: 1_700_000_001, nanos: 5 },
        inode: 7,
        device: 8,
        size,
        xattrs: Vec::new(),
        content: content.map(|body| Box::new(body) as Box<dyn Content>),
    }))
}

fn file(name: &str, bytes: &[u8]) -> Found {
    entry(name, Kind::File, bytes.len() as u64, Some(Body { bytes: bytes.to_vec(), ..Body::default() }))
}

#[expect(clippy::unnecessary_wraps, reason = "the writer lets it refuse")]
fn about<F>(_: &F, report: &mut Report) -> Result<About, Error> {
    let text = String::new;
    Ok(About {
        tool: text(),
        job: text(),
        sources: Vec::new(),
        instant: text(),
        zone: text(),
        began: text(),
        ended: text(),
        codec: text(),
        read: None,
        boot: None,
        report: report.clone(),
    })
}

fn archive(found: Vec<Found>, codec: Codec, threads: usize) -> (Vec<u8>, Written) {
    let mut out = Vec::new();
    let written = write(
        &mut found.into_iter(),
        Options { codec, threads },
        about,
        &mut out,
        (&Stop::default(), &Progress::default()),
        |error| Error::io("write archive", "memory", error),
    )
    .unwrap();
    assert_eq!(written.report.stored, out.len() as u64);
    (out, written)
}

/// What `flate2` and the `tar` crate make of an archive: names and bodies.
fn read(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut raw = Vec::new();
    flate2::read::MultiGzDecoder::new(archive).read_to_end(&mut raw).unwrap();
    let mut first = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut first).unwrap();
    assert!(raw == first, "all data stands in the first gzip member");
    entries(&raw)
}

fn entries(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            (name, body)
        })
        .collect()
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut noise);
    noise
}

fn many() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> =
        (0..3000).map(|n| (format!("data/{n:04}"), format!("{n} ").repeat(n % 1500).into_bytes())).collect();
    files.push(("data/large".into(), noise(900_000, 1)));
    files.push(("data/larger".into(), b"compressible ".repeat(300_000)));
    files.push(("data/small".into(), noise(5000, 2)));
    files
}

#[test]
fn what_goes_in_comes_out_and_threads_do_not_change_a_byte() {
    let files = many();
    let found = || files.iter().map(|(name, bytes)| file(name, bytes)).collect();
    let (one, _) = archive(found(), Codec::Gzip(6), 1);
    let (four, written) = archive(found(), Codec::Gzip(6), 4);
    assert!(one == four);
    assert!(read(&one) == files);
    assert_eq!(written.report.files, files.len() as u64);
    let (plain, _) = archive(found(), Codec::None, 2);
    assert!(entries(&plain) == files);
}

#[test]
fn every_level_comes_back() {
    let files = &many()[2900..];
    for level in 1..=12 {
        let found = files.iter().map(|(name, bytes)| file(name, bytes)).collect();
        assert!(read(&archive(found, Codec::Gzip(level), 2).0) == files, "level {level}");
    }
}

#[test]
fn a_body_is_exactly_as_long_as_its_header_says() {
    for size in [100, 1_000_000_u64] {
        for (had, changed) in [(size - 1, false), (0, false), (size, true), (size + 700, true)] {
            let body = Body { bytes: vec![b'x'; had as usize], changed, ..Body::default() };
            let found = vec![entry("data/a", Kind::File, size, Some(body)), file("data/b", b"after")];
            let (bytes, written) = archive(found, Codec::Gzip(6), 2);
            let entries = read(&bytes);
            let mut expected = vec![b'x'; had.min(size) as usize];
            expected.resize(size as usize, 0);
            assert!(entries[0].1 == expected, "{size} {had}");
            assert_eq!(entries[1].1, b"after");
            assert_eq!((written.report.changed.count, written.report.skipped.count), (1, 0), "{size} {had}");
            assert!(written.report.complete());
        }
    }
}

#[test]
fn a_small_file_that_fails_is_left_out_and_so_are_links_to_it() {
    let body = Body { bytes: vec![1; 5000], fails_at: Some(4000), ..Body::default() };
    let found = vec![
        file("data/a", b"before"),
        entry("data/b", Kind::File, 5000, Some(body)),
        entry("data/c", Kind::Hardlink(b"data/b".to_vec()), 0, None),
        file("data/d", b"after"),
    ];
    let (bytes, written) = archive(found, Codec::Gzip(6), 2);
    assert_eq!(read(&bytes), [("data/a".into(), b"before".to_vec()), ("data/d".into(), b"after".to_vec())]);
    assert_eq!(written.report.skipped.count, 2);
    assert_eq!(written.report.skipped.names[0], "data/b: read source file: input/output error (os error 5)");
    assert!(!written.report.complete());
}

#[test]
fn a_large_file_that_fails_keeps_what_was_read() {
    let body = Body { bytes: vec![1; 1_000_000], fails_at: Some(600_000), ..Body::default() };
    let (bytes, written) =
        archive(vec![entry("data/b", Kind::File, 1_000_000, Some(body))], Codec::Gzip(6), 2);
    let entries = read(&bytes);
    assert_eq!(entries[0].1.len(), 1_000_000);
    assert!(entries[0].1[..500_000].iter().all(|byte| *byte == 1));
    assert_eq!((written.report.skipped.count, written.report.complete()), (1, false));
}

#[test]
fn large_holes_are_not_read_and_come_back() {
    let size = 1_u64 << 34;
    let data = vec![0..8192, (1 << 33)..(1 << 33) + 4096];
    let body = Body { bytes: noise(12288, 3), data: Some(data), ..Body::default() };
    let (bytes, written) =
        archive(vec![entry("data/holes", Kind::File, size, Some(body))], Codec::Gzip(6), 2);
    assert!(bytes.len() < 20_000);
    assert_eq!(written.report.bytes, size);
    let mut raw = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut raw).unwrap();
    let mut tar = tar::Archive::new(&raw[..]);
    let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
    let records: Vec<_> = entry
        .pax_extensions()
        .unwrap()
        .unwrap()
        .map(|record| {
            record
                .map(|record| (record.key().unwrap().to_owned(), record.value().unwrap().to_owned()))
                .unwrap()
        })
        .collect();
    assert!(records.contains(&("GNU.sparse.name".into(), "data/holes".into())));
    assert!(records.contains(&("GNU.sparse.realsize".into(), size.to_string())));
}

#[test]
fn a_wish_to_stop_ends_it_and_a_full_disk_too() {
    let stop = Stop::default();
    stop.ask(15);
    let write = |stop: &Stop, out: &mut (dyn io::Write + Send)| {
        write(
            &mut many().iter().map(|(name, bytes)| file(name, bytes)).collect::<Vec<_>>().into_iter(),
            Options { codec: Codec::Gzip(1), threads: 2 },
            about,
            out,
            (stop, &Progress::default()),
            |error| Error::io("write archive", "/backup/x", error),
        )
        .unwrap_err()
    };
    assert_eq!(write(&stop, &mut io::sink()).exit().code(), 128 + 15);
    let mut room = vec![0; 50_000];
    let error = write(&Stop::default(), &mut &mut room[..]).to_string();
    assert!(error.starts_with("write archive /backup/x: "), "{error}");
}
