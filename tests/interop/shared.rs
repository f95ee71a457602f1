//! Archives that share blocks with the one before: there is padding in them, which no reader may notice.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tarkeep::archive::base::{Base, Purpose, Rule};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::SegmentKind;
use tarkeep::archive::reader::{Archive, Opened, open};
use tarkeep::archive::{Options, Out, Shares, write_on};
use tarkeep::error::Error;
use tarkeep::progress::Progress;
use tarkeep::source::{self, Source};
use tarkeep::stop::Stop;

use super::make::noise;
use super::{archive, gzip, readers};

/// A file whose blocks are copied where others would be shared: it has the same bytes then, on any file system.
struct Copied(File);

impl Write for Copied {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shares for Copied {
    fn block(&self) -> u64 {
        4096
    }

    fn share(&mut self, from: &File, at: u64, length: u64) -> io::Result<()> {
        let mut bytes = vec![0; length as usize];
        from.read_exact_at(&mut bytes, at)?;
        self.0.write_all(&bytes)
    }
}

fn indexed(path: &Path) -> Archive {
    let Opened::Indexed(archive) = open(path).unwrap() else { panic!("no index") };
    *archive
}

/// An archive of this folder that is built on another.
fn share(folder: &Path, last: &Path, to: &Path) {
    let last = indexed(last);
    let about = last.about().unwrap();
    let base = Base::new(last, &about, Rule::Content, Purpose::Reuse).unwrap();
    let source = Source::new(folder).unwrap();
    let mut walk = source::walk(&[source], &source::Options::default()).unwrap();
    let mut out = Copied(File::create_new(to).unwrap());
    let options = Options { codec: Codec::Gzip(6), threads: 2 };
    let hands = (&Stop::default(), &Progress::default());
    let failed = |e| Error::io("write archive", to, e);
    write_on(Some(&base), &mut walk, options, |_, _| Ok(about), &mut Out::Shared(&mut out), hands, failed)
        .unwrap();
}

fn stream(path: &Path) -> Vec<u8> {
    let mut stream = Vec::new();
    flate2::read::MultiGzDecoder::new(File::open(path).unwrap()).read_to_end(&mut stream).unwrap();
    stream
}

#[test]
fn every_reader_gets_from_an_archive_with_padding_what_it_gets_from_one_without() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("data");
    fs::create_dir(&source).unwrap();
    for number in 0..60 {
        fs::write(source.join(format!("small-{number:02}")), noise(20_000, number)).unwrap();
    }
    // Compressed, so that the pieces that change get another length.
    let words = noise(8 << 20, 99).iter().map(|byte| byte & 0x1f).collect::<Vec<u8>>();
    fs::write(source.join("large"), &words).unwrap();
    let to = |name: &str| folder.path().join(name);
    let name = source.to_str().unwrap();
    archive(folder.path(), name, &to("last.tar.gz"));
    fs::write(source.join("small-30"), b"shorter").unwrap();
    let large = File::options().write(true).open(source.join("large")).unwrap();
    for piece in [0, 9, 20] {
        large.write_all_at(&noise(50_000, piece), u64::from(piece) * (256 << 10) + 1000).unwrap();
    }
    archive(folder.path(), name, &to("without.tar.gz"));
    share(&source, &to("last.tar.gz"), &to("with.tar.gz"));

    let padded = indexed(&to("with.tar.gz"));
    let kinds: Vec<SegmentKind> = padded.segments().map(|segment| segment.unwrap().record.kind).collect();
    let padding = kinds.iter().filter(|kind| **kind == SegmentKind::Padding).count();
    let within = kinds.windows(2).filter(|pair| *pair == [SegmentKind::Padding, SegmentKind::Piece]).count();
    assert!(padding > 2 && within > 1, "{kinds:?}");
    let expected = stream(&to("without.tar.gz"));
    assert!(stream(&to("with.tar.gz")) == expected);

    let (with, without) = (to("with.tar.gz"), to("without.tar.gz"));
    gzip::assert_read_alike(&with, &without, (expected.len() as u64, blake3::hash(&expected)));
    let within = name.trim_start_matches('/').as_bytes();
    readers::assert_unpacked_alike(&with, &without, folder.path(), within);
}
