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
    fs::write(source.join("noise"), noise(1_000_000, 7)).unwrap();
    fs::write(source.join("text"), b"some text\n".repeat(200_000)).unwrap();
    let path = folder.path().join("x.tar.gz");
    archive(folder.path(), "data", &path);
    let bytes = fs::read(&path).unwrap();
    let members = bytes.windows(10).filter(|window| *window == &bytes[..10]).count();
    assert!(members > 20, "an index of {members} members is short");

    let mut raw = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut raw).unwrap();
    let expected = (raw.len() as u64, blake3::hash(&raw));

    let mut table = Table::read("gzip", &READERS.iter().map(|reader| reader.name).collect::<Vec<_>>());
    let here: Vec<_> =
        READERS.iter().enumerate().filter(|(n, reader)| table.knows(*n, version(reader.version))).collect();
    let looks: [(&str, Look); 3] = [
        ("decompresses", &|reader| decompresses(reader, &path, expected)),
        ("tests (`-t`)", &|reader| tests(reader, &path)),
        ("shows as length (`-l`)", &|reader| lists(reader, &path, expected.0)),
    ];
    for (label, look) in looks {
        table.row(label, here.iter().map(|(number, reader)| (*number, look(reader))));
    }
    table.finish();
}
