//! Archives that mean harm: whatever they hold, nothing outside the target changes, and it is said what was refused.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use common::made;
use common::program::{self, tarkeep};
use common::tree::fingerprint;
use flate2::Compression;
use flate2::write::GzEncoder;
use tarkeep::archive::codec::Codec;
use tarkeep::archive::reader::{Opened, open};
use tarkeep::entry::{Entry, Kind};
use tempfile::TempDir;

/// A tar stream, written byte by byte: no tool would make most of these.
#[derive(Default, Clone)]
struct Raw(Vec<u8>);

/// What one header says.
struct Header<'a> {
    name: &'a [u8],
    letter: u8,
    link: &'a [u8],
    size: u64,
    mode: u32,
    /// Bytes of the header that are overwritten before it is summed.
    patch: Vec<(usize, Vec<u8>)>,
}

impl Default for Header<'_> {
    fn default() -> Self {
        Self { name: b"file", letter: b'0', link: b"", size: 0, mode: 0o644, patch: Vec::new() }
    }
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Raw {
    fn header(mut self, header: Header) -> Self {
        let mut block = [0; 512];
        put(&mut block, 0, &header.name[..header.name.len().min(100)]);
        put(&mut block, 100, format!("{:07o}\0", header.mode).as_bytes());
        put(&mut block, 108, b"0000000\x000000000\0");
        put(&mut block, 124, format!("{:011o}\0", header.size).as_bytes());
        put(&mut block, 136, b"14000000000\0");
        block[156] = header.letter;
        put(&mut block, 157, &header.link[..header.link.len().min(100)]);
        put(&mut block, 257, b"ustar\x0000");
        for (at, bytes) in &header.patch {
            put(&mut block, *at, bytes);
        }
        put(&mut block, 148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.0.extend_from_slice(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, body: &[u8]) -> Self {
        let header = Header { name: name.as_bytes(), size: body.len() as u64, ..Header::default() };
        self.header(header).body(body)
    }

    fn entry(self, letter: u8, name: &str, link: &str) -> Self {
        let (name, link) = (name.as_bytes(), link.as_bytes());
        self.header(Header { name, letter, link, mode: 0o755, ..Header::default() })
    }

    fn folder(self, name: &str) -> Self {
        self.entry(b'5', name, "")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name, target)
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name, target)
    }

    /// An extended header with these bytes as its records.
    fn pax_bytes(self, records: &[u8]) -> Self {
        let size = records.len() as u64;
        self.header(Header { name: b"pax", letter: b'x', size, ..Header::default() }).body(records)
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..9).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.pax_bytes(&bytes)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// A folder with things that must not change, and a target in it.
struct World {
    folder: TempDir,
    before: BTreeMap<Vec<u8>, String>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("outside/folder")).unwrap();
        fs::write(at("outside/secret"), b"secret").unwrap();
        fs::set_permissions(at("outside/secret"), PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(at("outside/folder/file"), b"as it was").unwrap();
        let before = fingerprint(&at("outside"));
        Self { folder, before }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.at("out").join(name)
    }

    fn restore(&self, tar: &[u8], arguments: &[&str]) -> Output {
        let archive = self.at("archive");
        fs::write(&archive, tar).unwrap();
        let out = self.at("out");
        let restore = ["restore", archive.to_str().unwrap(), "--to", out.to_str().unwrap()];
        let output = tarkeep(&[&restore, arguments].concat(), self.folder.path());
        self.untouched();
        output
    }

    /// Nothing outside has changed, and nothing was left beside the target.
    fn untouched(&self) {
        assert_eq!(fingerprint(&self.at("outside")), self.before);
        let mut names: Vec<_> =
            self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.retain(|name| name != "out");
        assert_eq!(names, ["archive", "outside"]);
        if let Ok(listing) = self.at("out").read_dir() {
            for entry in listing {
                let name = entry.unwrap().file_name();
                assert!(!name.to_str().unwrap_or("").starts_with(".tarkeep-restore"), "{}", name.display());
            }
        }
    }

    /// Restored but for what is refused for these reasons.
    fn refuses(&self, tar: &[u8], arguments: &[&str], reasons: &[&str]) {
        let output = self.restore(tar, arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        for reason in reasons {
            assert!(said.contains(reason), "{reason}: {said}");
        }
        let count =
            if reasons.len() == 1 { "1 entry was".into() } else { format!("{} entries were", reasons.len()) };
        assert!(said.contains(&format!("{count} refused; --trust takes it all")), "{said}");
    }

    /// Not restored at all.
    fn fails(&self, tar: &[u8], code: i32, says: &str) {
        let output = self.restore(tar, &[]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(says), "{says}: {}", said(&output));
        assert!(!self.at("out").exists());
    }

    fn accepts(&self, tar: &[u8], arguments: &[&str]) -> String {
        let output = self.restore(tar, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.out(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn names_that_lead_outside_are_refused_and_the_others_restored() {
    let world = World::new();
    let outside = world.at("outside/secret");
    let tar = Raw::default()
        .file("../outside/secret", b"evil")
        .file("a/../../outside/secret", b"evil")
        .file("a/..", b"evil")
        .file("..", b"evil")
        .pax(&[("path", b"good\0../outside/secret")])
        .file("x", b"evil")
        .file("good", b"good")
        .end();
    let up = "its name leads upwards with ..";
    let reasons = [
        &format!("../outside/secret: {up}"),
        &format!("a/../../outside/secret: {up}"),
        &format!("a/..: {up}"),
        &format!("..: {up}"),
        "a zero byte is in its name",
    ];
    world.refuses(&tar, &[], &reasons);
    assert_eq!(world.read("good"), b"good");
    // Absolute names lose their slash.
    let name = outside.to_str().unwrap();
    let tar = Raw::default().pax(&[("path", name.as_bytes())]).file("x", b"inside").end();
    world.accepts(&tar, &["--force", "--yes"]);
    assert_eq!(world.read(&name[1..]), b"inside");
}

#[test]
fn nothing_is_written_through_links_that_the_archive_made() {
    let world = World::new();
    let outside = world.at("outside");
    let outside = outside.to_str().unwrap();
    // CVE-2021-38511: a link, and then a file and a folder below it.
    let tar = Raw::default()
        .link("absolute", outside)
        .file("absolute/new", b"inside now: the link was refused")
        .folder("inside")
        .link("link", "inside")
        .file("link/file", b"evil")
        .folder("link/folder")
        .file("link/folder/file", b"evil")
        .link("up", "..")
        .link("a/up", "../..")
        .link("a/fine", "../good")
        .link("b/hidden", "inside/../..")
        .file("good", b"good")
        .end();
    let through = "a link or a file stands where its folder would be";
    world.refuses(
        &tar,
        &[],
        &[
            "absolute: a link to an absolute path",
            &format!("link/file: {through}"),
            &format!("link/folder: {through}"),
            &format!("link/folder/file: {through}"),
            "up: a link that leads outside",
            "a/up: a link that leads outside",
            "b/hidden: a link whose target has .. behind a name",
        ],
    );
    assert_eq!(fs::read_link(world.out("a/fine")).unwrap(), Path::new("../good"));
    assert!(world.read("absolute/new").starts_with(b"inside"));
    assert_eq!(world.out("inside").read_dir().unwrap().count(), 0);
}

#[test]
fn a_link_that_is_trusted_is_still_not_written_through() {
    let world = World::new();
    let outside = world.at("outside");
    let tar = Raw::default()
        .link("out", outside.to_str().unwrap())
        .file("out/secret", b"evil")
        .header(Header { name: b"out", letter: b'5', mode: 0o777, ..Header::default() })
        .file("out/new", b"new")
        .end();
    world.refuses(&tar, &["--trust"], &["out/secret: a link or a file stands where its folder would be"]);
    // CVE-2026-33056: a folder of the link's name takes its place, and the mode is the folder's.
    assert!(world.out("out").symlink_metadata().unwrap().is_dir());
    assert_eq!(world.read("out/new"), b"new");
}

#[test]
fn hard_links_lead_to_nothing_but_what_the_archive_made_itself() {
    let world = World::new();
    let outside = world.at("outside/secret");
    let tar = Raw::default()
        .hard_link("climbs", "../outside/secret")
        .hard_link("absolute", outside.to_str().unwrap())
        .hard_link("later", "good")
        .file("good", b"good")
        .folder("folder")
        .file("folder/file", b"good")
        .link("link", "folder")
        .hard_link("through", "link/file")
        .hard_link("of a folder", "folder")
        .hard_link("good", "good")
        .link("folder/deep", "../good")
        .hard_link("shallow", "folder/deep")
        .hard_link("fine", "good")
        .file("fine", b"replaced, and the other one is not")
        .end();
    let none = "a hard link to what is not there, or only through a link";
    world.refuses(
        &tar,
        &[],
        &[
            "climbs: a hard link to a file of which its name leads upwards with ..",
            &format!("absolute: {none}"),
            &format!("later: {none}"),
            &format!("through: {none}"),
            "of a folder: a hard link to a folder",
            "good: a hard link to itself",
            "shallow: a link that leads outside",
        ],
    );
    assert_eq!(world.read("good"), b"good");
    assert!(world.read("fine").starts_with(b"replaced"));
}

#[test]
fn a_chain_of_links_takes_no_hard_link_outside() {
    // CVE-2026-26960: each link by itself seems to stay inside; a hard link through both would be of what is outside.
    let world = World::new();
    let tar = Raw::default()
        .folder("a/b")
        .link("a/b/up", "../..")
        .link("a/b/escape", "up/..")
        .hard_link("read", "a/b/escape/outside/secret")
        .hard_link("read too", "a/b/up/../outside/secret")
        .hard_link("write", "a/b/up/outside/secret")
        .file("write", b"evil")
        .file("good", b"good")
        .end();
    let none = "a hard link to what is not there, or only through a link";
    let refused = [
        "a/b/escape: a link whose target has .. behind a name",
        &format!("read: {none}"),
        "read too: a hard link to a file of which its name leads upwards with ..",
        &format!("write: {none}"),
    ];
    world.refuses(&tar, &[], &refused);
    assert!(!world.out("read").exists() && !world.out("read too").exists());
    assert_eq!((world.read("write"), world.read("good")), (b"evil".to_vec(), b"good".to_vec()));
    // Trusted, the links are made, and nothing leads through them all the same.
    world.refuses(&tar, &["--trust", "--force", "--yes"], &refused[1..]);
    assert!(!world.out("read").exists());
}

#[test]
fn names_that_differ_in_case_only_never_lead_through_one_another() {
    // Where a file system takes them for one, the second finds the first: a link, which is not followed. Where it does not,
    // there are two.
    let world = World::new();
    let tar = Raw::default()
        .link("Folder", "inside")
        .folder("inside")
        .file("folder/file", b"one")
        .file("FILE", b"first")
        .file("file", b"second")
        .end();
    let folder = tempfile::tempdir_in(world.at("")).unwrap();
    fs::write(folder.path().join("Case"), b"").unwrap();
    if folder.path().join("case").exists() {
        world.refuses(&tar, &[], &["folder/file: a link or a file stands where its folder would be"]);
        assert_eq!(world.read("FILE"), b"second");
    } else {
        drop(folder);
        world.accepts(&tar, &[]);
        assert_eq!((world.read("FILE"), world.read("file")), (b"first".to_vec(), b"second".to_vec()));
        assert_eq!(world.read("folder/file"), b"one");
        assert!(!world.out("inside/file").exists());
    }
}

#[test]
fn two_archives_after_each_other_lead_nowhere_either() {
    // CVE-2025-45582: the first archive makes the link, the second writes through it.
    let world = World::new();
    let outside = world.at("outside");
    let outside = outside.to_str().unwrap();
    let first = Raw::default().link("folder", outside).link("file", &format!("{outside}/secret")).end();
    world.accepts(&first, &["--trust"]);
    let second = Raw::default()
        .file("folder/secret", b"evil")
        .file("file", b"evil")
        .header(Header { name: b"folder/folder/file", mode: 0o777, ..Header::default() })
        .end();
    world.accepts(&second, &["--force", "--yes"]);
    assert_eq!(world.read("folder/secret"), b"evil");
    assert!(world.out("folder").symlink_metadata().unwrap().is_dir());
    assert!(world.out("file").symlink_metadata().unwrap().is_file());
    // A link in the target that its owner made is not followed either.
    fs::remove_dir_all(world.at("out")).unwrap();
    fs::create_dir(world.at("out")).unwrap();
    symlink(outside, world.out("mine")).unwrap();
    let third = Raw::default().file("mine/secret", b"evil").end();
    world.accepts(&third, &["--force", "--yes"]);
    assert_eq!(world.read("mine/secret"), b"evil");
    // Hard links do not reach what was there before the restore.
    let fourth = Raw::default().hard_link("again", "mine/secret").file("other", b"").end();
    world.refuses(&fourth, &["--force", "--yes"], &["again: a hard link to what is not there"]);
}

#[test]
fn what_an_archive_says_of_its_root_moves_nothing_out_of_the_target() {
    for letter in [b'0', b'1', b'2', b'3', b'6'] {
        for arguments in [&["--force", "--yes"][..], &["--force", "--yes", "--trust"]] {
            let world = World::new();
            fs::create_dir(world.at("out")).unwrap();
            let tar = Raw::default().entry(letter, ".", "outside").file("good", b"good").end();
            world.refuses(&tar, arguments, &[".: it would take the place of the whole folder"]);
            assert_eq!(world.read("good"), b"good");
        }
    }
}

#[test]
fn a_source_that_an_archive_makes_a_link_leads_no_later_one_elsewhere() {
    let world = World::new();
    fs::create_dir(world.at("source")).unwrap();
    fs::write(world.at("source/file"), b"file").unwrap();
    let name = |name: &str| world.at(name).strip_prefix("/").unwrap().to_str().unwrap().to_owned();
    let restore = |tar: Vec<u8>, more: &[&str], code: i32| {
        fs::write(world.at("archive"), tar).unwrap();
        let arguments = [&["restore", "archive", "--force", "--yes"], more].concat();
        let mut command = program::command_in(&arguments, world.folder.path());
        command.env("TARKEEP_SOURCE", world.at("source")).env("TARKEEP_DESTINATION", world.at("archives"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert_eq!(fingerprint(&world.at("outside")), world.before);
    };
    let link = |raw: Raw| raw.pax(&[("path", name("source").as_bytes())]).link("x", "outside");
    let file = |raw: Raw, at: &str| raw.pax(&[("path", name(at).as_bytes())]).file("x", b"file");
    let folder = |raw: Raw| raw.pax(&[("path", name("source").as_bytes())]).folder("x");
    // A folder or a file first, so that it looks like a source that is one.
    for (first, code) in
        [(Raw::default(), 1), (folder(Raw::default()), 3), (file(Raw::default(), "source"), 1)]
    {
        let tar = link(first).end();
        restore(tar.clone(), &[], code);
        restore(tar, &["--delete"], 2);
    }
    assert_eq!(fs::read(world.at("source/file")).unwrap(), b"file");
    restore(file(folder(Raw::default()), "source/secret").end(), &["--delete"], 0);
    assert_eq!(fs::read(world.at("source/secret")).unwrap(), b"file");
    // A source that is a file stays possible.
    restore(file(Raw::default(), "source").end(), &["--delete"], 0);
    assert_eq!(fs::read(world.at("source")).unwrap(), b"file");
}

#[test]
fn a_journal_out_of_an_archive_is_not_that_of_an_interrupted_restore() {
    let world = World::new();
    let folder = ".tarkeep-restore-0123456789abcdef";
    let becomes = format!("{:?}", b"../outside/evil");
    let journal = format!(r#"{{"phase":"swapping","becomes":{becomes},"delete":[],"merged":[],"kept":[]}}"#);
    let tar = Raw::default()
        .header(Header { name: folder.as_bytes(), letter: b'5', mode: 0o700, ..Header::default() })
        .folder(&format!("{folder}/new"))
        .file(&format!("{folder}/journal"), journal.as_bytes())
        .file("file", b"")
        .end();
    let why = "named as those are that restores work in";
    world.refuses(&tar, &[], &[why; 3]);
    world.refuses(&tar, &["--force", "--yes"], &[why; 3]);
    assert!(!world.out(folder).exists());
}

#[test]
fn devices_pipes_bits_and_owners_are_left_out_unless_the_archive_is_trusted() {
    let world = World::new();
    let owner = |mut header: Header<'static>| {
        header.patch.push((108, b"0001750\x000001751\0".to_vec()));
        header
    };
    let tar = Raw::default()
        .header(owner(Header { name: b"setuid", mode: 0o6777, ..Header::default() }))
        .header(owner(Header { name: b"folder", letter: b'5', mode: 0o1777, ..Header::default() }))
        .header(Header { name: b"none", mode: 0, ..Header::default() })
        .header(Header {
            name: b"null",
            letter: b'3',
            mode: 0o666,
            patch: vec![(329, b"0000001\x000000003\0".to_vec())],
            ..Header::default()
        })
        .entry(b'4', "disk", "")
        .entry(b'6', "pipe", "")
        .end();
    let refused = ["null: a device or pipe", "disk: a device or pipe", "pipe: a device or pipe"];
    world.refuses(&tar, &[], &refused);
    let about = |name: &str| world.out(name).symlink_metadata().unwrap();
    assert_eq!(about("setuid").mode() & 0o7777, 0o755);
    assert_eq!(about("folder").mode() & 0o7777, 0o755);
    assert_eq!(about("none").mode() & 0o7777, 0o600);
    assert_eq!(about("setuid").uid(), rustix::process::geteuid().as_raw());
    if !rustix::process::geteuid().is_root() {
        return common::skip("root, to make devices");
    }
    world.accepts(&tar, &["--trust", "--force", "--yes"]);
    assert_eq!(about("setuid").mode() & 0o7777, 0o6777);
    assert_eq!((about("setuid").uid(), about("setuid").gid()), (1000, 1001));
    assert_eq!(about("folder").mode() & 0o7777, 0o1777);
    assert_eq!(about("none").mode() & 0o7777, 0);
}

#[test]
fn an_entry_that_comes_again_takes_the_place_of_the_first() {
    let world = World::new();
    let tar = Raw::default()
        .file("file", b"first")
        .file("file", b"second")
        .file("becomes a folder", b"")
        .folder("becomes a folder")
        .file("becomes a folder/file", b"in it")
        .folder("becomes a file")
        .file("becomes a file", b"file")
        .link("link", "file")
        .file("link", b"not through it")
        .folder("full")
        .file("full/file", b"")
        .file("full", b"")
        .file("a", b"a file")
        .file("a/b", b"")
        .file("Name", b"upper")
        .file("name", b"lower")
        .end();
    world.refuses(
        &tar,
        &[],
        &[
            "full: a folder with content has its name",
            "a/b: a link or a file stands where its folder would be",
        ],
    );
    for (name, body) in [
        ("file", &b"second"[..]),
        ("becomes a folder/file", b"in it"),
        ("becomes a file", b"file"),
        ("link", b"not through it"),
        ("a", b"a file"),
        ("Name", b"upper"),
        ("name", b"lower"),
    ] {
        assert_eq!(world.read(name), body, "{name}");
    }
}

#[test]
fn sizes_are_those_of_the_extended_header_where_the_two_differ() {
    let world = World::new();
    // CVE-2025-62518, CVE-2026-33055: who goes by the other size sees entries that hide in the body.
    let hidden = Raw::default().file("hidden", b"evil").0;
    let size = hidden.len().to_string();
    let tar = Raw::default()
        .pax(&[("size", size.as_bytes())])
        .header(Header { name: b"outer", ..Header::default() })
        .body(&hidden)
        .file("after", b"after")
        .end();
    world.accepts(&tar, &[]);
    assert_eq!(world.read("outer"), hidden);
    assert!(!world.out("hidden").exists());
    assert_eq!(world.read("after"), b"after");
    // The other way round, the file is empty, and what follows is an entry.
    fs::remove_dir_all(world.at("out")).unwrap();
    let tar = Raw::default()
        .pax(&[("size", b"0")])
        .header(Header { name: b"outer", size: hidden.len() as u64, ..Header::default() })
        .body(&hidden)
        .end();
    world.accepts(&tar, &[]);
    assert_eq!((world.read("outer").len(), world.read("hidden")), (0, b"evil".to_vec()));
}

#[test]
fn headers_that_lie_are_damage_and_nothing_is_touched() {
    let world = World::new();
    let lies: [(&[u8], &str); 8] = [
        (b"99999 path=x\n", "a record of its extended header makes no sense"),
        (b"5 path=x\n", "a record of its extended header makes no sense"),
        (b"-1 path=x\n", "a record of its extended header makes no sense"),
        (b"18446744073709551615 path=x\n", "a record of its extended header makes no sense"),
        (b"11 size=-1\n", "a record of its extended header makes no sense"),
        (b"29 size=18446744073709551615\n", "its size is impossible"),
        (b"28 size=9223372036854775000\n", "its size is impossible"),
        (b"16 size=1000000\n", "cut"),
    ];
    for (records, says) in lies {
        let tar = Raw::default().file("before", b"").pax_bytes(records).file("x", b"").end();
        world.fails(&tar, 5, says);
    }
    let header = |patch| Header { patch: vec![patch], ..Header::default() };
    for (patch, says) in [
        ((124, b"zzzzzzzzzzzz".to_vec()), "a number in its header makes no sense"),
        ((124, vec![0xff; 12]), "its size is negative"),
        ((156, b"M".to_vec()), "one volume of several"),
    ] {
        world.fails(&Raw::default().file("before", b"").header(header(patch)).end(), 5, says);
    }
    let mut sum = Raw::default().file("file", b"body").end();
    sum[0] ^= 1;
    world.fails(&sum, 5, "checksum");
}

#[test]
fn names_of_300_mib_are_neither_kept_nor_believed() {
    let world = World::new();
    // One that only says so, and one that is.
    let size = 300 << 20;
    let said = Raw::default().header(Header { name: b"pax", letter: b'x', size, ..Header::default() });
    world.fails(&said.0, 5, "its extended header is too long");
    for letter in [b'L', b'K', b'x', b'g'] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let header = Raw::default().header(Header { letter, size, ..Header::default() });
        encoder.write_all(&header.0).unwrap();
        for _ in 0..300 {
            encoder.write_all(&vec![b'a'; 1 << 20]).unwrap();
        }
        encoder.write_all(&Raw::default().file("x", b"").end()).unwrap();
        world.fails(&encoder.finish().unwrap(), 5, "its extended header is too long");
    }
    // One that is as long as may be read, and deeper than any file system goes.
    for name in ["a".repeat(8 << 20), "a/".repeat(4 << 20)] {
        let tar = Raw::default().pax(&[("path", name.as_bytes())]).file("x", b"").file("good", b"").end();
        let output = world.restore(&tar, &["--force", "--yes"]);
        assert_eq!(output.status.code(), Some(3), "{}", said_short(&output));
        assert!(world.out("good").exists());
    }
    let deep = "d/".repeat(200) + &"n".repeat(300);
    let tar = Raw::default().pax(&[("path", deep.as_bytes())]).file("x", b"").file("good", b"").end();
    world.refuses(&tar, &["--force", "--yes"], &["file name too long"]);
}

fn said_short(output: &Output) -> String {
    said(output).chars().take(2000).collect()
}

#[test]
fn maps_of_sparse_files_that_lie_are_refused() {
    let world = World::new();
    let map = |records: &[(&str, &[u8])]| {
        Raw::default().file("before", b"").pax(records).file("x", &[b'd'; 512]).end()
    };
    for records in [
        &[("GNU.sparse.size", &b"100"[..]), ("GNU.sparse.map", b"0,200")][..],
        &[("GNU.sparse.size", b"10000"), ("GNU.sparse.map", b"500,10,0,10")],
        &[("GNU.sparse.size", b"10000"), ("GNU.sparse.map", b"0,1000")],
        &[("GNU.sparse.size", b"10000"), ("GNU.sparse.map", b"0,10,20")],
        &[("GNU.sparse.size", b"10000"), ("GNU.sparse.map", b"18446744073709551615,10")],
        &[("GNU.sparse.size", b"10000"), ("GNU.sparse.offset", b"9999"), ("GNU.sparse.numbytes", b"10")],
    ] {
        world.fails(&map(records), 5, "the map of a sparse file in its headers makes no sense");
    }
    // In the body, the map is only of this file, and the next one is found all the same.
    for body in ["1\n0\n1000\n", "1\n9999\n10\n", "99999999999\n", "x", "9\n1\n", ""] {
        let records =
            [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10000")];
        let mut block = body.as_bytes().to_vec();
        block.resize(512, 0);
        let tar = Raw::default().pax(&records).file("lies", &block).file("good", b"good").end();
        let output = world.restore(&tar, &["--force", "--yes"]);
        assert_eq!(output.status.code(), Some(3), "{body}: {}", said(&output));
        assert!(!world.out("lies").exists(), "{body}");
        assert_eq!(world.read("good"), b"good");
        fs::remove_dir_all(world.at("out")).unwrap();
    }
    // A file of 8 EiB is one hole.
    let records = [("GNU.sparse.size", &b"9223372036854775807"[..]), ("GNU.sparse.map", b"0,0")];
    let tar = Raw::default().pax(&records).file("huge", b"").file("good", b"good").end();
    let output = world.restore(&tar, &["--force", "--yes"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    fs::remove_dir_all(world.at("out")).unwrap();
}

#[test]
fn billions_of_holes_take_neither_memory_nor_time() {
    let world = World::new();
    // A map in the body that goes on for 900 MiB, of parts that are all empty.
    let size: u64 = 900 << 20;
    let records = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.realsize", b"10000")];
    let head = Raw::default().pax(&records).header(Header { size, ..Header::default() }).0;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&head).unwrap();
    encoder.write_all(b"230000000\n").unwrap();
    let zeros = b"0\n".repeat(1 << 19);
    for _ in 0..900 {
        encoder.write_all(&zeros).unwrap();
    }
    let tar = encoder.finish().unwrap();
    // The body ends early: it is damage.
    world.fails(&tar, 5, "cut");
    // The old format, with blocks of its map that never end.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut block = [0; 512];
    for at in 0..42 {
        put(&mut block, 12 * at, b"00000000000\0");
    }
    block[504] = 1;
    let patch = vec![
        (257, b"ustar  \0".to_vec()),
        (386, b"00000000000\0".repeat(8)),
        (482, vec![1]),
        (483, b"00000010000\0".to_vec()),
    ];
    let head = Raw::default().header(Header { letter: b'S', patch, ..Header::default() }).0;
    encoder.write_all(&head).unwrap();
    for _ in 0..200_000 {
        encoder.write_all(&block).unwrap();
    }
    world.fails(&encoder.finish().unwrap(), 5, "the map of a sparse file is too long");
}

#[test]
fn bombs_are_capped_by_their_ratio() {
    let world = World::new();
    let zeros = vec![0; 1 << 20];
    let mebibytes: u64 = 1100;
    let size = mebibytes << 20;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&Raw::default().header(Header { size, ..Header::default() }).0).unwrap();
    // Made once and repeated: members of gzip, each one MiB.
    let mut bomb = encoder.finish().unwrap();
    let member = gzip(&zeros);
    for _ in 0..mebibytes {
        bomb.extend_from_slice(&member);
    }
    bomb.extend(gzip(&[0; 1024]));
    world.fails(&bomb, 1, "a bomb, it seems; nothing was touched; --trust restores it all the same");
}

#[test]
fn bombs_in_bzip2_and_zstd_are_capped_as_well() {
    let world = World::new();
    for codec in made::codecs().into_iter().filter(|codec| matches!(codec, Codec::Bzip2 | Codec::Zstd(_))) {
        let entries = vec![made::file(b"first", b"has the mark"), made::file(b"zeros", &vec![0; 40 << 20])];
        let whole = made::archive(entries, codec);
        fs::write(world.at("archive"), &whole).unwrap();
        // Where its segments begin; the index is behind the last.
        let (segments, end): (Vec<usize>, usize) = match open(&world.at("archive")).unwrap() {
            Opened::Indexed(archive) => (
                archive.segments().map(|segment| segment.unwrap().offset as usize).collect(),
                archive.footer().start as usize,
            ),
            Opened::Unindexed(_) => {
                ((0..whole.len()).filter(|at| whole[*at..].starts_with(b"BZh9")).collect(), whole.len())
            }
        };
        // The large file again and again, in an archive that does not say that it is ours.
        let last = segments[segments.len() - 1];
        let bomb = [whole[segments[1]..last].repeat(28), whole[last..end].to_vec()].concat();
        assert!(bomb.len() < 1 << 20, "{codec}: {}", bomb.len());
        world.fails(&bomb, 1, "a bomb, it seems; nothing was touched; --trust restores it all the same");
    }
}

/// What is refused in an archive of anybody's, and the names of it in this order.
const HARMFUL: [&str; 3] =
    ["device: a device or pipe", "link: a link to an absolute path", "pipe: a device or pipe"];

/// Entries that do harm, and one that does none.
fn harmful() -> Vec<Entry> {
    let mut bits = made::file(b"bits", b"set-id");
    (bits.mode, bits.uid, bits.gid) = (0o6777, 1000, 1001);
    vec![
        bits,
        made::entry(b"device", Kind::CharDevice(1, 3)),
        made::entry(b"link", Kind::Symlink(b"/etc/passwd".to_vec())),
        made::entry(b"pipe", Kind::Fifo),
    ]
}

#[test]
fn archives_that_look_like_ours_are_restored_by_the_rules_for_strangers_when_asked() {
    for codec in made::codecs() {
        let world = World::new();
        let archive = made::archive(harmful(), codec);
        world.refuses(&archive, &["--untrusted"], &HARMFUL);
        let about = |name: &str| world.out(name).symlink_metadata().unwrap();
        assert_eq!(about("bits").mode() & 0o7777, 0o755, "{codec}");
        assert_eq!(about("bits").uid(), rustix::process::geteuid().as_raw(), "{codec}");
        assert_eq!(world.out("").read_dir().unwrap().count(), 1, "{codec}");
        // One name of it too, which the index would find.
        world.refuses(&archive, &["pipe", "bits", "--untrusted", "--force", "--yes"], &HARMFUL[2..]);

        let both = world.restore(&archive, &["--trust", "--untrusted"]);
        assert_eq!(both.status.code(), Some(2), "{}", said(&both));
        if !rustix::process::geteuid().is_root() {
            common::skip("root, to make devices");
            continue;
        }
        world.accepts(&archive, &["--force", "--yes"]);
        assert_eq!((about("bits").uid(), about("bits").gid()), (1000, 1001), "{codec}");
        assert_eq!(about("bits").mode() & 0o7777, 0o6777, "{codec}");
        assert_eq!(about("device").rdev(), rustix::fs::makedev(1, 3), "{codec}");
        assert!(about("link").is_symlink(), "{codec}");
    }
}

#[test]
fn only_the_first_entry_says_whose_an_archive_is() {
    let world = World::new();
    let pipe = |raw: Raw| raw.entry(b'6', "pipe", "").file("other", b"").end();
    let mark = [("comment", &b"tarkeep 1"[..])];
    let refused = |tar: &[u8], arguments: &[&str]| {
        world.refuses(tar, &[arguments, &["--force", "--yes"]].concat(), &["pipe: a device or pipe"]);
    };
    world.accepts(&pipe(Raw::default().pax(&mark)), &[]);
    world.accepts(&gzip(&pipe(Raw::default().pax(&mark).file("file", b""))), &["--force", "--yes"]);
    refused(&pipe(Raw::default().pax(&mark)), &["--untrusted"]);
    refused(&pipe(Raw::default().file("file", b"").pax(&mark)), &[]);
    refused(&pipe(Raw::default().pax(&[("comment", b"tarkeep 10")])), &[]);
    refused(&pipe(Raw::default().pax(&[("comments", b"tarkeep 1")])), &[]);
    // A header for all entries says nothing of who made the archive: git puts a comment there.
    let mut global = Raw::default().pax(&mark).0;
    global[156] = b'g';
    let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(global[at]) }).sum();
    put(&mut global, 148, format!("{sum:06o}\0 ").as_bytes());
    refused(&pipe(Raw(global)), &[]);
}

#[test]
fn attributes_of_an_archive_that_is_not_trusted_are_those_of_users_only() {
    let world = World::new();
    let tar = Raw::default()
        .pax(&[
            ("SCHILY.xattr.user.fine", b"1"),
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.huge", &vec![b'x'; 100_000]),
        ])
        .file("file", b"")
        .end();
    let said = world.accepts(&tar, &[]);
    assert!(said.contains("extended attributes or ACLs"), "{said}");
    let seen = &fingerprint(&world.at("out"))[&b"file"[..]];
    assert!(!seen.contains("security.") && !seen.contains("trusted.") && !seen.contains("huge"), "{seen}");
}

#[test]
fn what_an_index_says_of_its_time_reaches_no_terminal_as_it_is() {
    let world = World::new();
    let entries = vec![made::entry(b"data", Kind::Directory), made::file(b"data/a", b"a")];
    let forged = made::archive_that_says(entries, Codec::Gzip(1), |about| tarkeep::archive::index::About {
        instant: "\x1b]0;x\x07".into(),
        ..about
    });
    let output = world.restore(&forged, &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains(" of \\x1b]0;x\\x07\n"), "{:?}", said(&output));
}
