//! What each reader of archives gets back of everything that can be in one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use rustix::fs::FileType;

use super::cases::{CASES, Case, Row, difference};
use super::table::Table;
use super::tree::{self, Node, Tree};
use super::{archive, command, common, workshop};

/// One who unpacks.
pub struct Reader {
    name: &'static str,
    /// How it says its version, of which two numbers count.
    version: &'static [&'static str],
    /// Unpack this archive into this folder.
    unpack: fn(&Path, &Path) -> Output,
}

pub const GNU_TAR: Reader = Reader {
    name: "GNU tar",
    version: &["tar", "--version"],
    unpack: |archive, into| {
        let mut tar = command("tar");
        tar.args(["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]);
        // It says of far times that they are far, and that it does not know the mark of names that are not UTF-8.
        tar.args(["--warning=no-timestamp", "--warning=no-unknown-keyword", "-xpzf"]);
        run(tar.arg(archive).arg("-C").arg(into))
    },
};

const READERS: &[Reader] = &[
    GNU_TAR,
    Reader {
        name: "bsdtar",
        version: &["bsdtar", "--version"],
        unpack: |archive, into| {
            let mut tar = command("bsdtar");
            run(tar.args(["--numeric-owner", "-xpf"]).arg(archive).arg("-C").arg(into))
        },
    },
    Reader {
        name: "busybox",
        version: &["busybox"],
        unpack: |archive, into| {
            let mut tar = command("busybox");
            run(tar.args(["tar", "-xpzf"]).arg(archive).arg("-C").arg(into))
        },
    },
    Reader {
        name: "Python",
        version: &["python3", "--version"],
        unpack: |archive, into| {
            let script = "import sys, tarfile\n\
                if hasattr(tarfile, 'fully_trusted_filter'):\n    \
                    tarfile.TarFile.extraction_filter = staticmethod(tarfile.fully_trusted_filter)\n\
                tarfile.open(sys.argv[1]).extractall(sys.argv[2], numeric_owner=True)\n";
            run(command("python3").args(["-c", script]).arg(archive).arg(into))
        },
    },
    Reader {
        name: "7-Zip",
        version: &["7z"],
        unpack: |archive, into| {
            let tar = into.with_extension("tar");
            let mut seven = command("7z");
            let first = seven.args(["x", "-so"]).arg(archive).stdout(File::create(&tar).unwrap()).output();
            let first = first.unwrap();
            if !first.status.success() {
                return first;
            }
            let mut seven = command("7z");
            let second = run(seven.args(["x", "-y", "-bd"]).arg(format!("-o{}", into.display())).arg(&tar));
            fs::remove_file(&tar).unwrap();
            second
        },
    },
    Reader {
        name: "Perl",
        version: &["perl", "-MArchive::Tar", "-e", "print $Archive::Tar::VERSION"],
        unpack: |archive, into| {
            let script = "chdir $ARGV[1] or die; my $tar = Archive::Tar->new($ARGV[0]) or die; \
                $tar->extract or die $tar->error";
            run(command("perl").args(["-MArchive::Tar", "-e", script]).arg(archive).arg(into))
        },
    },
];

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// A program's version, as it says it; none if it is not here.
pub fn version(said_by: &[&str]) -> Option<String> {
    let output = command(said_by[0]).args(&said_by[1..]).output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let first = said.lines().find(|line| line.contains('.'))?;
    let number = first.split(|c: char| !c.is_ascii_digit() && c != '.');
    let number = number.map(|word| word.trim_matches('.')).find(|word| word.contains('.'))?;
    // The third number changes nothing that shows here.
    Some(number.splitn(3, '.').take(2).collect::<Vec<_>>().join("."))
}

impl Reader {
    /// What it gets back of an archive, and how it ends: its exit code if that is not 0.
    fn gets(&self, archive: &Path, folder: &Path) -> (Tree, Option<i32>, String) {
        let into = folder.join(self.name.replace(' ', "-"));
        fs::create_dir(&into).unwrap();
        let output = (self.unpack)(archive, &into);
        let got = tree::read(&into);
        remove(&into);
        let said = [output.stdout, output.stderr].concat();
        let code = (!output.status.success()).then(|| output.status.code().unwrap_or(-1));
        (got, code, String::from_utf8_lossy(&said).into_owned())
    }
}

/// Each reader that is here unpacks the first, in this folder, to what it unpacks the second to. The folders on the way to
/// what is in them, which are called so, are of no archive.
pub fn assert_unpacked_alike(one: &Path, other: &Path, folder: &Path, within: &[u8]) {
    for reader in READERS {
        if version(reader.version).is_none() {
            common::skip(reader.name);
            continue;
        }
        let gets = |archive| {
            let (mut tree, code, said) = reader.gets(archive, folder);
            tree.retain(|name, _| name.starts_with(within));
            // Perl's leaves folders with the time at which it made what is in them.
            tree.values_mut().filter(|node| node.kind == FileType::Directory).for_each(|node| node.mtime = 0);
            (tree, code, said)
        };
        let (found, code, said) = gets(one);
        assert!(found.len() > 1, "{}: {said}", reader.name);
        let (expected, code_then, _) = gets(other);
        assert_eq!(code, code_then, "{}: {said}", reader.name);
        assert!(found == expected, "{}: {said}", reader.name);
    }
}

/// Remove a folder, however deep.
fn remove(folder: &Path) {
    assert!(common::disk::run("rm", &["-rf", "--", folder.to_str().unwrap()]));
}

/// Make the tree of a case in a folder: how it looks, and an archive of it.
fn prepare(case: &Case, folder: &Path) -> (Tree, std::path::PathBuf) {
    let root = folder.join(case.name);
    fs::create_dir(&root).unwrap();
    (case.make)(&root);
    let mut want = tree::read(&root);
    want.retain(|_, node| node.kind != FileType::Socket);
    let to = folder.join(format!("{}.tar.gz", case.name));
    archive(folder, case.name, &to);
    (want, to)
}

/// What stands in the table: what a reader got, against what there was.
fn cell(row: &Row, case: &Case, want: &Tree, got: &Tree, code: Option<i32>) -> String {
    let ours: Vec<_> =
        want.iter().filter(|(name, _)| !name.is_empty() && name.starts_with(row.begins.as_bytes())).collect();
    assert!(!ours.is_empty(), "{}: nothing to compare", row.label);
    let prefix = [case.name.as_bytes(), b"/"].concat();
    let stands_in = |folder: &[u8]| got.keys().any(|name| name.starts_with(folder));
    let mut words = BTreeSet::new();
    let mut different = 0;
    for (name, want) in &ours {
        let word = match got.get(&[&prefix, name.as_slice()].concat()) {
            Some(got) => {
                // In the tree that was unpacked all names begin with the folder's.
                let first = got.first.strip_prefix(&prefix[..]).unwrap_or_default().to_vec();
                let got = Node { first, ..got.clone() };
                row.aspects.iter().find_map(|aspect| difference(*aspect, want, &got))
            }
            // What the headers say to readers that do not know better.
            None if stands_in(b"GNUSparseFile/") => Some("condensed"),
            None if stands_in(b"PaxLongName/") => Some("other name"),
            None => Some("missing"),
        };
        different += usize::from(word.is_some());
        words.extend(word.filter(|word| !word.is_empty()));
    }
    let words = words.into_iter().collect::<Vec<_>>().join(", ");
    let all = different == ours.len();
    let mut text = match words.as_str() {
        _ if different == 0 => "yes".to_owned(),
        "to the microsecond" | "whole seconds" => words,
        "to the microsecond, whole seconds" => "whole seconds".to_owned(),
        "" => if all { "no" } else { "partly" }.to_owned(),
        words => format!("{}: {words}", if all { "no" } else { "partly" }),
    };
    if let Some(code) = code {
        write!(text, " ({code})").unwrap();
    }
    text
}

#[test]
fn what_each_reader_gets_back_is_what_the_table_says() {
    let Some(disk) = workshop() else { return };
    let mut table = Table::read("extracting", &READERS.iter().map(|reader| reader.name).collect::<Vec<_>>());
    let here: Vec<_> =
        READERS.iter().enumerate().filter(|(n, reader)| table.knows(*n, version(reader.version))).collect();
    let prepared: Vec<_> = CASES.iter().map(|case| (case, prepare(case, disk.path()))).collect();
    // Each reader by itself, as they leave each other alone.
    let columns: Vec<Vec<String>> = thread::scope(|scope| {
        let threads: Vec<_> = here
            .iter()
            .map(|(_, reader)| {
                let (disk, prepared) = (&disk, &prepared);
                scope.spawn(move || {
                    let mut column = Vec::new();
                    for (case, (want, archive)) in prepared {
                        let (got, code, said) = reader.gets(archive, disk.path());
                        let cells: Vec<_> =
                            case.rows.iter().map(|row| cell(row, case, want, &got, code)).collect();
                        if cells.iter().any(|cell| cell != "yes") {
                            let said: Vec<String> = said
                                .lines()
                                .rev()
                                .take(3)
                                .map(|line| line.chars().take(120).collect())
                                .collect();
                            println!("{} {}: {cells:?}: {said:?}", reader.name, case.name);
                        }
                        column.extend(cells);
                    }
                    column
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let rows = CASES.iter().flat_map(|case| case.rows);
    for (at, row) in rows.enumerate() {
        let cells = here.iter().zip(&columns).map(|((number, _), column)| (*number, column[at].clone()));
        table.row(row.label, cells);
    }
    table.finish();
}

#[test]
fn gnu_tar_gets_everything_back() {
    let Some(disk) = workshop() else { return };
    let case = CASES.iter().find(|case| case.name == "all").unwrap();
    let (want, archive) = prepare(case, disk.path());
    let (got, code, said) = GNU_TAR.gets(&archive, disk.path());
    assert_eq!((code, said.as_str()), (None, ""));
    let prefix = [case.name.as_bytes(), b"/"].concat();
    let mut got: Tree = got
        .into_iter()
        .filter_map(|(name, node)| {
            let inner = if name == case.name.as_bytes() { &b""[..] } else { name.strip_prefix(&prefix[..])? };
            let first = node.first.strip_prefix(&prefix[..]).unwrap_or_default().to_vec();
            Some((inner.to_vec(), Node { first, ..node }))
        })
        .collect();
    let names =
        |tree: &Tree| tree.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>();
    assert_eq!(names(&want), names(&got));
    for (name, want) in &want {
        let got = got.remove(name).unwrap();
        let large = want.body.is_some_and(|(length, _)| length > want.allocated + (64 << 20));
        // Small holes come back as zeros.
        let allocated = if large { got.allocated } else { want.allocated };
        assert_eq!(*want, Node { allocated, ..got }, "{}", String::from_utf8_lossy(name));
    }

    let mut compare = command("tar");
    compare
        .args(["--xattrs", "--acls", "--numeric-owner", "--warning=no-unknown-keyword", "-dzf"])
        .arg(&archive)
        .arg("-C")
        .arg(disk.path());
    let output = compare.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "tar --compare");
}
