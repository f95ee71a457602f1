//! Archives made in the process, of entries made up.

use std::io;
use std::ops::Range;

use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::About;
use tarkeep::archive::{self, Options};
use tarkeep::entry::{Content, Entry, Found, Kind, Timestamp};
use tarkeep::error::Error;
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

/// A body in memory, and where it has data.
#[derive(Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    at: usize,
    data: Option<Vec<Range<u64>>>,
}

impl Content for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }

    fn data(&self) -> Option<&[Range<u64>]> {
        self.data.as_deref()
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset as usize;
        Ok(())
    }

    fn changed(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// An entry without a body, last changed in 2023.
pub fn entry(name: &[u8], kind: Kind) -> Entry {
    let time = Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 };
    Entry {
        name: name.to_vec(),
        mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
        kind,
        uid: 1000,
        gid: 1000,
        user: Vec::new(),
        group: Vec::new(),
        mtime: time,
        ctime: Timestamp { seconds: time.seconds + 1, ..time },
        inode: 42,
        device: 7,
        size: 0,
        xattrs: Vec::new(),
        content: None,
    }
}

/// A regular file.
pub fn file(name: &[u8], body: &[u8]) -> Entry {
    let content = Memory { bytes: body.to_vec(), at: 0, data: None };
    Entry { size: body.len() as u64, content: Some(Box::new(content)), ..entry(name, Kind::File) }
}

/// A regular file whose body has data only here; the rest is a hole.
pub fn sparse(name: &[u8], body: &[u8], data: Vec<Range<u64>>) -> Entry {
    let content = Memory { bytes: body.to_vec(), at: 0, data: Some(data) };
    Entry { size: body.len() as u64, content: Some(Box::new(content)), ..entry(name, Kind::File) }
}

/// One codec of each kind that this build has.
pub fn codecs() -> Vec<Codec> {
    Codec::ALL.into_iter().filter(|codec| codec.built().is_ok()).collect()
}

/// Those of them whose archives have an index.
pub fn indexed() -> Vec<Codec> {
    codecs().into_iter().filter(|codec| codec.envelope().is_some()).collect()
}

/// An archive of these, which are in the order of names.
pub fn archive(entries: Vec<Entry>, codec: Codec) -> Vec<u8> {
    archive_that_says(entries, codec, |about| about)
}

/// The same, with another page about it in its index.
pub fn archive_that_says(entries: Vec<Entry>, codec: Codec, says: impl FnOnce(About) -> About) -> Vec<u8> {
    let mut out = Vec::new();
    archive::write(
        &mut entries.into_iter().map(|entry| Found::Entry(Box::new(entry))),
        Options { codec, threads: 1 },
        |_, report| {
            Ok(says(About {
                tool: "tarkeep 0.0.0".into(),
                job: "data".into(),
                sources: Vec::new(),
                instant: "2026-11-20T01:00:00+01:00".into(),
                zone: "Europe/Berlin".into(),
                began: "2026-11-20T00:00:00.000000001Z".into(),
                ended: "2026-11-20T00:00:01.000000002Z".into(),
                codec: codec.to_string(),
                read: None,
                boot: None,
                report: report.clone(),
            }))
        },
        &mut out,
        (&Stop::default(), &Progress::default()),
        |e| Error::io("write archive", "memory", e),
    )
    .unwrap();
    out
}

/// One entry of every kind, a long name, a large file of three pieces, a sparse one.
pub fn assortment() -> Vec<Entry> {
    let mut hole = vec![0; 70 << 20];
    hole[1 << 20..][..5].copy_from_slice(b"hello");
    let data = 1 << 20..(1 << 20) + 4096;
    vec![
        entry(b"data", Kind::Directory),
        file(b"data/a", b"the first file\n"),
        entry(b"data/another name of a", Kind::Hardlink(b"data/a".to_vec())),
        file(b"data/big", &vec![b'x'; 600_000]),
        entry(b"data/device", Kind::CharDevice(1, 3)),
        file(b"data/empty", b""),
        entry(b"data/fifo", Kind::Fifo),
        sparse(b"data/hole", &hole, vec![data]),
        entry(b"data/link", Kind::Symlink(b"../else\xffwhere".to_vec())),
        file(&[b"data/long-".as_slice(), &[b'n'; 120]].concat(), b"long"),
    ]
}
