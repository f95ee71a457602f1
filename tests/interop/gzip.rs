//! What readers of gzip make of an archive: all of them get all of the data, and some are puzzled by the index.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use super::make::noise;
use super::readers::version;
use super::table::Table;
use super::{archive, command, common};

/// One who decompresses: how it says its version, how it decompresses to standard output, how it tests, and how it says
/// how long the data is. The file's name is added.
struct Reader {
    name: &'static str,
    version: &'static [&'static str],
    decompress: &'static [&'static str],
    test: &'static [&'static str],
    list: &'static [&'static str],
}

const READERS: &[Reader] = &[
    Reader {
        name: "gzip",
        version: &["gzip", "--version"],
        decompress: &["gzip", "-dc"],
        test: &["gzip", "-t"],
        list: &["gzip", "-l"],
    },
    Reader {
        name: "pigz",
        version: &["pigz", "--version"],
        decompress: &["pigz", "-dc"],
        test: &["pigz", "-t"],
        list: &["pigz", "-l"],
    },
    Reader {
        name: "igzip",
        version: &["igzip", "--version"],
        decompress: &["igzip", "-dc"],
        test: &["igzip", "-t"],
        list: &[],
    },
    Reader {
        name: "busybox",
        version: &["busybox"],
        decompress: &["busybox", "zcat"],
        test: &["busybox", "gunzip", "-t"],
        list: &[],
    },
    Reader {
        name: "Python",
        version: &["python3", "--version"],
        decompress: &["python3", "-m", "gzip", "-d"],
        test: &[],
        list: &[],
    },
    Reader {
        name: "7-Zip",
        version: &["7z"],
        decompress: &["7z", "x", "-so"],
        test: &["7z", "t", "-bd"],
        list: &["7z", "l", "-slt"],
    },
    Reader {
        name: "Perl",
        version: &["perl", "-MIO::Uncompress::Gunzip", "-e", "print $IO::Uncompress::Gunzip::VERSION"],
        decompress: &[
            "perl",
            "-MIO::Uncompress::Gunzip=:all",
            "-e",
            "gunzip $ARGV[0] => '-' or die $GunzipError",
        ],
        test: &[],
        list: &[],
    },
];

/// How a program ends, if not well.
fn ends(status: std::process::ExitStatus) -> String {
    if status.success() { String::new() } else { format!(" ({})", status.code().unwrap_or(-1)) }
}

fn decompresses(reader: &Reader, archive: &Path, expected: (u64, blake3::Hash)) -> String {
    let mut child = command(reader.decompress[0]);
    child.args(&reader.decompress[1..]).stderr(Stdio::null());
    // Python's wants to make a file beside the archive, but from a pipe it does not.
    if reader.name == "Python" {
        child.arg("-").stdin(File::open(archive).unwrap());
    } else {
        child.arg(archive);
    }
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut hasher = blake3::Hasher::new();
    let length = std::io::copy(child.stdout.as_mut().unwrap(), &mut hasher).unwrap();
    let all = (length, hasher.finalize()) == expected;
    let status = child.wait().unwrap();
    format!("{}{}", if all { "all" } else { "not all" }, ends(status))
}

fn tests(reader: &Reader, archive: &Path) -> String {
    let Some((program, arguments)) = reader.test.split_first() else { return "–".into() };
    let mut child = command(program);
    let status =
        child.args(arguments).arg(archive).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    format!("{}{}", if status.success() { "sound" } else { "damaged" }, ends(status))
}

fn lists(reader: &Reader, archive: &Path, length: u64) -> String {
    let Some((program, arguments)) = reader.list.split_first() else { return "–".into() };
    let output = command(program).args(arguments).arg(archive).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // `Size = LENGTH`, or titles and below them `COMPRESSED LENGTH …`.
    let found = match said.lines().find_map(|line| line.strip_prefix("Size = ")) {
        Some(size) => size.to_owned(),
        None => said.lines().nth(1).and_then(|line| line.split_whitespace().nth(1)).unwrap_or("").to_owned(),
    };
    if found == length.to_string() { "right".into() } else { format!("{found}{}", ends(output.status)) }
}

/// A row: what is looked at.
type Look<'a> = &'a dyn Fn(&Reader) -> String;

/// What was seen; of igzip both of two things, where it is chance which of them it does: see the page.
fn by_chance(reader: &Reader, seen: String, two: [&str; 2]) -> String {
    if reader.name == "igzip" && two.contains(&&*seen) { two.join(" or ") } else { seen }
}

/// Where the index begins and the footer ends, by the footer.
fn index(archive: &[u8]) -> std::ops::Range<usize> {
    let start = archive.len() - 92 + 18;
    u64::from_le_bytes(archive[start..start + 8].try_into().unwrap()) as usize..archive.len()
}

const MIB: usize = 1 << 20;

/// Whether a multiple of 1 MiB lies in the index, in the header of one of its members.
fn is_split(archive: &[u8]) -> bool {
    let index = index(archive);
    let at = index.end / MIB * MIB;
    // A member has 4,091 bytes, of which ten at each end may lie anywhere.
    at > index.start && (10..4081).contains(&((at - index.start) % 4091))
}

/// Each reader that is here finds the first sound as the second, gets all of it, and says the same length.
pub fn assert_read_alike(one: &Path, other: &Path, expected: (u64, blake3::Hash)) {
    for reader in READERS.iter().filter(|reader| is_here(reader)) {
        let looks = |path| {
            [decompresses(reader, path, expected), tests(reader, path), lists(reader, path, expected.0)]
        };
        let found = looks(one);
        assert!(found[0].starts_with("all"), "{}: {found:?}", reader.name);
        assert_eq!(found, looks(other), "{}", reader.name);
    }
}

fn is_here(reader: &Reader) -> bool {
    let is_here = version(reader.version).is_some();
    if !is_here {
        common::skip(reader.name);
    }
    is_here
}

#[test]
fn every_reader_of_gzip_gets_all_of_the_data_and_the_table_says_what_the_index_does_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("data");
    fs::create_dir(&source).unwrap();
    // Names that do not compress make a long index.
    let mut names = noise(4000 * 80, 6);
    names.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
    for name in names.chunks(80) {
        fs::write(source.join(std::str::from_utf8(name).unwrap()), b"").unwrap();
    }
    fs::write(source.join("text"), b"some text\n".repeat(200_000)).unwrap();
    let made = |name: &str, length: usize| {
        fs::write(source.join("noise"), noise(length, 7)).unwrap();
        let path = folder.path().join(name);
        archive(folder.path(), "data", &path);
        let bytes = fs::read(&path).unwrap();
        let mut raw = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut raw).unwrap();
        (path, bytes, (raw.len() as u64, blake3::hash(&raw)))
    };
    let (path, bytes, expected) = made("x.tar.gz", 1_000_000);
    let members = bytes.windows(10).filter(|window| *window == &bytes[..10]).count();
    assert!(members > 20, "an index of {members} members is short");
    // The same with so much more data that the index begins shortly before a whole MiB.
    let (split, split_bytes, split_expected) =
        made("split.tar.gz", 1_000_000 + (MIB - index(&bytes).start % MIB) + MIB - 15 * 4091 - 2000);
    assert!(!is_split(&bytes) && is_split(&split_bytes), "{:?} {:?}", index(&bytes), index(&split_bytes));

    let mut table = Table::read("gzip", &READERS.iter().map(|reader| reader.name).collect::<Vec<_>>());
    let here: Vec<_> =
        READERS.iter().enumerate().filter(|(n, reader)| table.knows(*n, version(reader.version))).collect();
    let looks: [(&str, Look); 5] = [
        ("decompresses", &|reader| decompresses(reader, &path, expected)),
        ("tests (`-t`)", &|reader| tests(reader, &path)),
        ("decompresses, where a whole MiB ends in the index", &|reader| {
            by_chance(reader, decompresses(reader, &split, split_expected), ["all", "all (1)"])
        }),
        ("tests (`-t`), where a whole MiB ends in the index", &|reader| {
            by_chance(reader, tests(reader, &split), ["sound", "damaged (1)"])
        }),
        ("shows as length (`-l`)", &|reader| lists(reader, &path, expected.0)),
    ];
    for (label, look) in looks {
        table.row(label, here.iter().map(|(number, reader)| (*number, look(reader))));
    }
    table.finish();
}
