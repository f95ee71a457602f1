//! The format against its description: a second reader in Python, the example in `docs/format.md`, and other tools.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{made, skip};
use libdeflater::Decompressor;
use serde_json::{Value, json};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::{self, EntryRecord, Envelope, FOOTER_LEN, Footer, PageKind};
use tarkeep::archive::reader::{self, Archive, Opened};
use tarkeep::archive::verify::{Depth, Options, verify};
use tarkeep::entry::{Entry, Kind};
use tarkeep::printable::printable;
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

fn indexed(path: &Path) -> Box<Archive> {
    match reader::open(path).unwrap() {
        Opened::Indexed(archive) => archive,
        Opened::Unindexed(unindexed) => panic!("no index: {:?}", unindexed.damage),
    }
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// What `tests/index_reader.py` says: the entries, and the summary.
fn second_reader(path: &Path) -> (Vec<Value>, Value) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/index_reader.py");
    let output = Command::new("python3").arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    (lines, summary)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// An entry as the second reader prints it, but for its texts.
fn as_json(archive: &Archive, entry: &EntryRecord) -> Value {
    let mut body = Vec::new();
    archive.body(entry).read_to_end(&mut body).unwrap();
    let flags = u8::from(entry.changed) + 2 * u8::from(entry.cut) + 4 * u8::from(entry.sparse.is_some());
    let mut value = json!({
        "name_hex": hex(&entry.name),
        "type": entry.kind.letter().to_string(),
        "mode": entry.mode, "uid": entry.uid, "gid": entry.gid, "size": entry.size,
        "mtime": entry.mtime.seconds, "mtime_nanos": entry.mtime.nanos,
        "ctime": entry.ctime.seconds, "ctime_nanos": entry.ctime.nanos,
        "inode": entry.inode, "device": entry.device,
        "segment": entry.segment, "offset": entry.offset, "headers": entry.headers,
        "flags": flags,
        "body_crc": crc32fast::hash(&body),
    });
    match &entry.kind {
        Kind::Symlink(target) | Kind::Hardlink(target) => value["target_hex"] = json!(hex(target)),
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            value["numbers"] = json!([major, minor]);
        }
        _ => {}
    }
    if let Some(stored) = entry.sparse {
        value["stored"] = json!(stored);
    }
    value
}

fn readers_agree(path: &Path) {
    let archive = indexed(path);
    let (mut entries, summary) = second_reader(path);
    for entry in &mut entries {
        let fields = entry.as_object_mut().unwrap();
        fields.remove("name");
        fields.remove("target");
    }
    let mut ours: Vec<Value> = archive.entries().map(|entry| as_json(&archive, &entry.unwrap())).collect();
    if archive.footer().envelope == Envelope::Zstd {
        // Python's standard library has no zstd: bodies are not read.
        ours.iter_mut().for_each(|entry| {
            entry.as_object_mut().unwrap().remove("body_crc");
        });
    }
    assert_eq!(entries, ours);
    assert_eq!(summary["segments"], archive.segment_count());
    assert_eq!(summary["about"], serde_json::to_value(archive.about().unwrap()).unwrap());
}

fn sound(path: &Path) {
    let options = Options { depth: Depth::Full, threads: 2 };
    let verified = verify(path, options, &Stop::default(), &Progress::default()).unwrap();
    assert_eq!(verified.problems, [""; 0]);
}

/// Enough entries for several pages, with names, times, numbers and owners that differ.
fn many() -> Vec<Entry> {
    let mut entries = vec![made::entry(b"data", Kind::Directory)];
    for number in 0_u32..3000 {
        let name = format!("data/{number:05}-{}", "x".repeat(number as usize % 50));
        let mut entry = made::file(name.as_bytes(), name.repeat(number as usize % 20).as_bytes());
        entry.mode = [0o644, 0o4755, 0o600, 0][number as usize % 4];
        entry.uid = number * 1_000_003;
        entry.gid = u32::MAX - number;
        entry.mtime.seconds = i64::from(number) * 1_000_000_000 - 1_500_000_000_000;
        entry.mtime.nanos = number * 331_777 % 1_000_000_000;
        entry.ctime.seconds = entry.mtime.seconds + i64::from(number) - 7;
        entry.inode = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        entry.device = u64::from(number % 3) << 60;
        entries.push(entry);
    }
    entries
}

#[test]
fn a_second_reader_in_python_finds_what_ours_finds() {
    if !has("python3") {
        return skip("python3");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, entries) in [("assortment", made::assortment()), ("many", many()), ("nothing", Vec::new())] {
        let path = folder.path().join(name);
        fs::write(&path, made::archive(entries, Codec::Gzip(6))).unwrap();
        readers_agree(&path);
        sound(&path);
    }
    if Codec::Zstd(3).built().is_ok() {
        for entries in [made::assortment(), many(), Vec::new()] {
            let path = folder.path().join("in zstd");
            fs::write(&path, made::archive(entries, Codec::Zstd(3))).unwrap();
            readers_agree(&path);
            sound(&path);
        }
    }
}

#[test]
fn every_entry_is_found_by_its_name_and_folders_with_all_below_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many");
    let mut entries = many();
    entries.push(made::entry(b"data/folder", Kind::Directory));
    entries.push(made::file(b"data/folder/a", b"a"));
    entries.push(made::file(b"data/folder/b", b"b"));
    entries.push(made::file(b"data/folder!", b"not below it"));
    fs::write(&path, made::archive(entries, Codec::Gzip(6))).unwrap();
    sound(&path);
    let archive = indexed(&path);
    for entry in archive.entries().step_by(61) {
        let entry = entry.unwrap();
        assert_eq!(archive.find(&entry.name).unwrap().as_ref(), Some(&entry));
        let mut longer = entry.name.clone();
        longer.push(b'~');
        assert_eq!(archive.find(&longer).unwrap(), None);
    }
    assert_eq!(archive.find(b"").unwrap(), None);
    assert_eq!(archive.find(b"zzz").unwrap(), None);
    let below = |name: &[u8]| -> Vec<String> {
        archive.below(name).map(|entry| printable(&entry.unwrap().name)).collect()
    };
    assert_eq!(below(b"data/folder"), ["data/folder", "data/folder/a", "data/folder/b"]);
    assert_eq!(below(b"data/folder/b"), ["data/folder/b"]);
    assert_eq!(below(b"data/fold"), [""; 0]);
    assert_eq!(below(b"data").len() as u64, archive.entry_count());
    assert_eq!(below(b"").len() as u64, archive.entry_count());
}

#[test]
fn names_of_any_length_make_an_index_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep");
    let mut name = b"data".to_vec();
    let mut entries = vec![made::entry(&name, Kind::Directory)];
    for depth in 0..150 {
        name.extend_from_slice(format!("/{depth:0>200}").as_bytes());
        entries.push(made::entry(&name, Kind::Directory));
    }
    fs::write(&path, made::archive(entries, Codec::Gzip(6))).unwrap();
    sound(&path);
    let archive = indexed(&path);
    assert_eq!(archive.entries().last().unwrap().unwrap().name, name);
    assert!(archive.find(&name).unwrap().is_some());
}

#[test]
fn gzip_and_tar_and_python_read_all_of_it_without_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.tar.gz");
    fs::write(&path, made::archive(made::assortment(), Codec::Gzip(6))).unwrap();
    for line in [
        ["gzip", "-t", ""],
        ["tar", "-tzf", ""],
        ["bsdtar", "-tf", ""],
        ["python3", "-c", "import sys, tarfile; print(*tarfile.open(sys.argv[1]).getnames(), sep='\\n')"],
    ] {
        if !has(line[0]) {
            skip(line[0]);
            continue;
        }
        let arguments = line[1..].iter().filter(|argument| !argument.is_empty());
        let output = Command::new(line[0]).args(arguments).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}: {}", line[0], String::from_utf8_lossy(&output.stderr));
        if line[0] == "gzip" {
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        } else {
            assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 10, "{}", line[0]);
        }
    }
}

/// The archive of the example: a folder and a file in it.
fn example(codec: Codec) -> Vec<u8> {
    let mut folder = made::entry(b"data", Kind::Directory);
    let mut file = made::file(b"data/hello", b"hello\n");
    for (entry, inode) in [(&mut folder, 12), (&mut file, 13)] {
        entry.mtime.nanos = 0;
        entry.ctime.nanos = 500;
        entry.inode = inode;
    }
    made::archive_that_says(vec![folder, file], codec, |mut about| {
        about.sources = vec!["/data".into()];
        about
    })
}

/// The bytes of the code blocks that are called `hex` in `docs/format.md`, in their order.
fn documented() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md")).unwrap();
    let blocks = text.split("```hex\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            let columns = block.lines().map(|line| line.get(6..54).unwrap_or(&line[6.min(line.len())..]));
            let digits = columns.flat_map(str::split_whitespace);
            digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
        })
        .collect()
}

/// The pages of an index that fits into one member, decompressed, and the table of them behind.
fn pages(file: &[u8]) -> Vec<(PageKind, Vec<u8>)> {
    let footer = Footer::decode(&file[file.len() - FOOTER_LEN as usize..], file.len() as u64).unwrap();
    assert!(footer.length <= 4064);
    let front = if footer.envelope == Envelope::Gzip { 17 } else { 11 };
    let index = &file[footer.start as usize + front..][..footer.length as usize];
    let inflate = |stored: &[u8], raw: usize| {
        let mut bytes = vec![0; raw];
        assert_eq!(Decompressor::new().deflate_decompress(stored, &mut bytes), Ok(raw));
        bytes
    };
    let table = inflate(&index[footer.table as usize..], footer.raw as usize);
    let mut pages: Vec<_> = index::decode_table(&table, footer.table)
        .unwrap()
        .into_iter()
        .map(|page| {
            let stored = &index[page.offset as usize..][..page.stored as usize];
            (page.kind, inflate(stored, page.raw as usize))
        })
        .collect();
    pages.push((PageKind::About, table));
    pages
}

#[test]
fn the_example_in_the_description_is_an_archive() {
    let blocks = documented();
    let [file, segments, entries, table, _] = blocks.as_slice() else { panic!("five blocks of hex") };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.tar.gz");
    fs::write(&path, file).unwrap();
    sound(&path);
    let archive = indexed(&path);
    let mut body = String::new();
    let hello = archive.find(b"data/hello").unwrap().unwrap();
    archive.body(&hello).read_to_string(&mut body).unwrap();
    assert_eq!(body, "hello\n");
    let found = pages(file);
    for (kind, bytes) in &found[..2] {
        assert_eq!(bytes, if matches!(kind, PageKind::Entries(_)) { entries } else { segments });
    }
    assert_eq!(&found.last().unwrap().1, table);
    if has("python3") {
        readers_agree(&path);
    } else {
        skip("python3");
    }
}

#[test]
fn the_example_in_zstd_is_one_too() {
    if Codec::Zstd(3).built().is_err() {
        return skip("a build with zstd");
    }
    let blocks = documented();
    let file = &blocks[4];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.tar.zst");
    fs::write(&path, file).unwrap();
    sound(&path);
    let archive = indexed(&path);
    let hello = archive.find(b"data/hello").unwrap().unwrap();
    let mut body = String::new();
    archive.body(&hello).read_to_string(&mut body).unwrap();
    assert_eq!(body, "hello\n");
    // What the two examples hold is the same, but for where segments stand and how they are compressed.
    let entries = |pages: &[(PageKind, Vec<u8>)]| pages[1].1.clone();
    assert_eq!(entries(&pages(file)), entries(&pages(&blocks[0])));
    if has("python3") {
        readers_agree(&path);
    } else {
        skip("python3");
    }
}

#[test]
fn the_examples_are_what_is_written_today() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new): (PathBuf, PathBuf) = (folder.path().join("old"), folder.path().join("new"));
    for (block, codec) in [(0, Codec::Gzip(6)), (4, Codec::Zstd(3))] {
        if codec.built().is_err() {
            skip(&format!("a build with {codec}"));
            continue;
        }
        fs::write(&old, &documented()[block]).unwrap();
        fs::write(&new, example(codec)).unwrap();
        let (old, new) = (indexed(&old), indexed(&new));
        // What was compressed may differ with the compressor; what it stands for does not.
        let entries = |archive: &Archive| archive.entries().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(entries(&old), entries(&new));
        let raw = |archive: &Archive| -> Vec<Vec<u8>> {
            (0..archive.segment_count()).map(|number| archive.read_segment(number).unwrap()).collect()
        };
        assert_eq!(raw(&old), raw(&new));
    }
}

fn dump(bytes: &[u8]) -> String {
    let line = |(number, line): (usize, &[u8])| {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line
            .iter()
            .map(|byte| if byte.is_ascii_graphic() && *byte != b'`' { char::from(*byte) } else { '.' })
            .collect();
        format!("{:04x}  {:<48} {text}\n", number * 16, digits.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

#[test]
#[ignore = "prints the blocks of the example, for docs/format.md"]
fn print_the_example() {
    let mut out = std::io::stdout().lock();
    for codec in made::indexed() {
        let file = example(codec);
        writeln!(out, "{codec}\n```hex\n{}```", dump(&file)).unwrap();
        for (kind, bytes) in pages(&file) {
            writeln!(out, "{kind:?} {}\n```hex\n{}```", bytes.len(), dump(&bytes)).unwrap();
        }
    }
}
