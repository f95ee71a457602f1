//! Every codec, there and back, and what other tools make of it and we of theirs.

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::program::feed;
use common::tree::{everything, fingerprint, noise};
use common::{made, skip};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::reader::{self, Opened};
use tarkeep::entry::Kind;

fn tarkeep(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tarkeep"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("TARKEEP_DESTINATION", folder)
        .env("TARKEEP_NICE", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Run it and say what came to standard output; it must end so and, if well, have nothing else to say.
fn ends(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = tarkeep(arguments, folder);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}{}", text(&output.stdout));
    if code == 0 && !["backup", "restore"].contains(&arguments[0]) {
        assert_eq!(said, "", "{arguments:?}");
    }
    text(&output.stdout) + &said
}

fn has(tool: &str) -> bool {
    let mut found = Command::new(tool);
    found.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    found.status().is_ok()
}

/// Whether a build without default features is what is tested, or a tool is not there: then it is said.
fn lacks(codec: Codec, tools: &[&str]) -> bool {
    if codec.built().is_err() {
        skip(&format!("a build with {codec}"));
        return true;
    }
    let missing = tools.iter().find(|tool| !has(tool));
    missing.inspect(|tool| skip(tool)).is_some()
}

/// What a command makes of these bytes.
fn pipe(command: &[&str], bytes: &[u8]) -> Vec<u8> {
    let output = feed(Command::new(command[0]).args(&command[1..]), bytes);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    output.stdout
}

#[test]
fn everything_comes_back_from_every_codec() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    everything(&folder.join("data"));
    let was = fingerprint(&folder.join("data"));
    for codec in made::codecs().into_iter().map(|codec| codec.to_string()) {
        let archive = format!("x-{}", codec.replace(':', "-"));
        ends(&["backup", "--source", "data", "--codec", &codec, "-o", &archive], folder, 0);
        assert!(ends(&["verify", &archive], folder, 0).contains(": sound: "), "{codec}");
        assert_eq!(ends(&["list", &archive], folder, 0).lines().count(), was.len(), "{codec}");
        assert_eq!(ends(&["diff", &archive, "data"], folder, 0), "", "{codec}");
        assert_eq!(ends(&["cat", &archive, "data/small"], folder, 0), "small", "{codec}");
        // As root with owners and devices: an archive that has no index says who made it.
        ends(&["restore", &archive, "--to", "out"], folder, 0);
        let is = fingerprint(&folder.join("out/data"));
        for (name, line) in &was {
            assert_eq!(is.get(name), Some(line), "{codec}: {}", text(name));
        }
        assert_eq!(is.len(), was.len(), "{codec}");
        fs::remove_dir_all(folder.join("out")).unwrap();
    }
}

#[test]
fn levels_differ_in_size_and_not_in_what_they_hold() {
    if lacks(Codec::Zstd(3), &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    let words: Vec<u8> = noise(400_000, 1).iter().flat_map(|byte| format!("{byte} ").into_bytes()).collect();
    fs::write(folder.join("data/words"), &words).unwrap();
    fs::write(folder.join("data/noise"), noise(2_000_000, 2)).unwrap();
    let mut last = u64::MAX;
    for codec in ["zstd:1", "zstd:7", "zstd:13", "zstd:19"] {
        ends(&["backup", "--source", "data", "--codec", codec, "-o", codec], folder, 0);
        ends(&["verify", codec], folder, 0);
        assert_eq!(ends(&["diff", codec, "data"], folder, 0), "", "{codec}");
        let size = fs::metadata(folder.join(codec)).unwrap().len();
        assert!(size <= last, "{codec}: {size} bytes, and {last} before");
        last = size;
    }
}

#[test]
fn stock_tools_read_and_test_what_is_in_zstd() {
    if lacks(Codec::Zstd(3), &["zstd", "tar"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("x.tar.zst");
    // The index takes several frames.
    let files =
        (0..3000).map(|n| made::file(format!("data/{n:05}-{}", n * 7919).as_bytes(), &noise(200, n as u8)));
    let entries: Vec<_> = files.chain([made::file(b"data/large", &noise(3_000_000, 1))]).collect();
    let count = entries.len();
    let archive = made::archive(entries, Codec::Zstd(3));
    fs::write(&path, &archive).unwrap();
    let name = path.to_str().unwrap();
    let output = Command::new("zstd").args(["-t", "-q", name]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    // Each frame of data has a checksum of its own.
    let mut flipped = archive.clone();
    flipped[archive.len() / 2] ^= 1;
    fs::write(folder.join("flipped"), flipped).unwrap();
    let output = Command::new("zstd").args(["-t", "-q"]).arg(folder.join("flipped")).output().unwrap();
    assert!(!output.status.success());

    let tar = pipe(&["zstd", "-dc"], &archive);
    let plain = ends(&["list", "x.tar.zst"], folder, 0).lines().count();
    assert_eq!(text(&pipe(&["tar", "-tf", "-"], &tar)).lines().count(), plain);
    // GNU tar knows it by its name and by its first bytes.
    fs::copy(&path, folder.join("x")).unwrap();
    for line in [
        &["tar", "-tf", name][..],
        &["tar", "-tf", folder.join("x").to_str().unwrap()],
        &["tar", "--zstd", "-tf", name],
        &["bsdtar", "-tf", name],
        &["sh", "-c", "bsdtar -tf - < \"$0\"", name],
        &["sh", "-c", "7z x -so \"$0\" | tar -tf -", name],
    ] {
        if line.iter().any(|word| word.contains("bsdtar")) && !has("bsdtar") {
            skip("bsdtar");
            continue;
        }
        if line.iter().any(|word| word.contains("7z")) && !has("7z") {
            skip("7z");
            continue;
        }
        let output = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), count, "{line:?}");
        assert_eq!(text(&output.stderr), "", "{line:?}");
    }
}

#[test]
fn stock_tools_read_what_has_no_index_and_are_silent_about_who_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let entries = || {
        let files = (0..40).map(|n| made::file(format!("data/{n:02}").as_bytes(), &noise(50_000, n)));
        let large = made::file(b"data/large", &noise(2_000_000, 100));
        [made::entry(b"data", Kind::Directory)].into_iter().chain(files).chain([large]).collect::<Vec<_>>()
    };
    let python = "import sys, tarfile; print(*tarfile.open(sys.argv[1]).getnames(), sep='\\n')";
    for codec in [Codec::None, Codec::Bzip2] {
        if codec.built().is_err() {
            skip(&format!("a build with {codec}"));
            continue;
        }
        let bytes = made::archive(entries(), codec);
        let name = format!("x{}", codec.ending());
        fs::write(folder.join(&name), &bytes).unwrap();
        let unpack = if codec == Codec::Bzip2 { "-tjf" } else { "-tf" };
        for line in [
            &["tar", "-tf", &name][..],
            &["busybox", "tar", unpack, &name],
            &["bsdtar", "-tf", &name],
            &["python3", "-c", python, &name],
            &["sh", "-c", "7z t -bso0 -bsp0 \"$0\"", &name],
            &["bzip2", "-t", &name],
            &[
                "perl",
                "-MArchive::Tar",
                "-e",
                "print map {\"$_\\n\"} Archive::Tar->new($ARGV[0])->list_files",
                &name,
            ],
        ] {
            if line[0] == "bzip2" && codec != Codec::Bzip2 {
                continue;
            }
            let tool = if line[0] == "sh" { "7z" } else { line[0] };
            if !has(tool) {
                skip(tool);
                continue;
            }
            let output = Command::new(line[0]).args(&line[1..]).current_dir(folder).output().unwrap();
            assert!(output.status.success(), "{line:?}: {}", text(&output.stderr));
            assert_eq!(text(&output.stderr), "", "{line:?}");
            if !["sh", "bzip2"].contains(&line[0]) {
                assert_eq!(text(&output.stdout).lines().count(), 42, "{line:?}: {}", text(&output.stdout));
            }
        }
    }
}

#[test]
fn the_name_of_the_file_says_the_codec_and_never_one_that_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/a"), b"a").unwrap();
    let made = |name: &str, more: &[&str]| -> Vec<u8> {
        ends(&[&["backup", "--source", "data", "-o", name], more].concat(), folder, 0);
        let bytes = fs::read(folder.join(name)).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
        bytes
    };
    let gzip = |bytes: Vec<u8>| bytes.starts_with(&[0x1f, 0x8b]);
    let refused = |name: &str, codec: &[&str], why: &str| {
        let said = ends(&[&["backup", "--source", "data", "-o", name], codec].concat(), folder, 2);
        assert!(
            said.contains(&format!("write archive {name}: its name says what it would not be{why}")),
            "{said}"
        );
        assert!(!folder.join(name).exists());
    };
    for name in ["x.tar.gz", "x.tgz", "x.gz", "x"] {
        assert!(gzip(made(name, &[])) && gzip(made(name, &["--codec", "gzip:1"])), "{name}");
    }
    assert!(made("x", &["--codec", "none"]).starts_with(b"PaxHeaders/"));
    assert!(made("x.tar", &[]).starts_with(b"PaxHeaders/"));
    assert!(gzip(made("x.tar", &["--codec", "gzip"])));
    refused("x.tar.gz", &["--codec", "none"], " with --codec none: call it .tar, or leave --codec out");
    for (name, codec, magic) in [
        ("x.tar.zst", Codec::Zstd(3), &[0x28, 0xb5, 0x2f, 0xfd][..]),
        ("x.zst", Codec::Zstd(3), &[0x28, 0xb5, 0x2f, 0xfd]),
        ("x.tar.bz2", Codec::Bzip2, b"BZh9"),
        ("x.tbz", Codec::Bzip2, b"BZh9"),
    ] {
        refused(name, &["--codec", "gzip:1"], " with --codec gzip:1: call it .tar.gz,");
        if codec.built().is_ok() {
            let codec = codec.to_string();
            assert!(
                made(name, &[]).starts_with(magic) && made(name, &["--codec", &codec]).starts_with(magic)
            );
            refused("x.tar.gz", &["--codec", &codec], &format!(" with --codec {codec}: call it .tar."));
        } else {
            let said = ends(&["backup", "--source", "data", "-o", name], folder, 2);
            assert!(said.contains("this tarkeep was built without "), "{said}");
            assert!(!folder.join(name).exists());
        }
    }
    for name in ["x.tar.xz", "x.zip"] {
        refused(name, &[], ": .tar.gz, ");
        refused(name, &["--codec", "gzip"], ": .tar.gz, ");
    }
}

#[test]
fn a_codec_that_was_left_out_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/a"), b"a").unwrap();
    for (codec, start) in [("zstd", &b"\x28\xb5\x2f\xfd\x24\0"[..]), ("bzip2", b"BZh91AY&SY\0\0")] {
        if codec.parse::<Codec>().is_ok() {
            continue;
        }
        let said = ends(&["backup", "--source", "data", "--codec", codec, "-o", "x"], folder, 2);
        assert!(said.contains(&format!("was built without {codec}; use gzip")), "{said}");
        fs::write(folder.join("theirs"), start).unwrap();
        for command in ["list", "verify"] {
            let said = ends(&[command, "theirs"], folder, 1);
            assert!(
                said.contains(&format!("archive theirs: this tarkeep was built without {codec}")),
                "{said}"
            );
        }
        assert!(!folder.join("x").exists());
    }
}

#[test]
fn archives_of_every_codec_are_kept_side_by_side_and_known() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, kept) = (folder.join("data"), folder.join("kept"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&kept).unwrap();
    fs::write(data.join("a"), b"a").unwrap();
    for codec in made::codecs() {
        let (kept, codec) = (kept.to_str().unwrap(), codec.to_string());
        ends(&["backup", "--source", "data", "--destination", kept, "--codec", &codec], folder, 0);
    }
    let listed = text(&tarkeep(&["list", "--json"], &kept).stdout);
    for codec in made::codecs() {
        let line = listed.lines().find(|line| line.contains(&format!("{}\"", codec.ending())));
        let line = line.unwrap_or_else(|| panic!("{codec}: {listed}"));
        assert!(line.contains(&format!("\"indexed\":{}", codec.envelope().is_some())), "{line}");
    }
    let verified = ends(&["verify", "--all"], &kept, 0);
    assert_eq!(verified.matches(": sound: 2 entries").count(), made::codecs().len(), "{verified}");
}

/// A tar of two files, as anybody would make it.
fn foreign() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in [("data/a", noise(700_000, 1)), ("data/b", b"text ".repeat(50_000))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, &body[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Listed, verified, read, compared and restored: `name` holds what [`foreign`] makes.
fn is_read(name: &str, folder: &Path) {
    assert_eq!(ends(&["list", name], folder, 0).lines().count(), 2, "{name}");
    let verified = ends(&["verify", name], folder, 0);
    assert!(
        verified.contains(": sound: 2 entries") && verified.contains("checked by reading: no index"),
        "{verified}"
    );
    assert_eq!(ends(&["cat", name, "data/b"], folder, 0), "text ".repeat(50_000), "{name}");
    ends(&["restore", name, "--to", "out"], folder, 0);
    assert!(fs::read(folder.join("out/data/a")).unwrap() == noise(700_000, 1), "{name}");
    fs::write(folder.join("plain"), foreign()).unwrap();
    assert_eq!(ends(&["diff", name, "plain"], folder, 0), "", "{name}");
    fs::remove_dir_all(folder.join("out")).unwrap();
}

fn all_cuts_and_garbage_are_found(what: &str, packed: &[u8], folder: &Path) {
    fs::write(folder.join("zeros"), [packed, &[0; 5000]].concat()).unwrap();
    assert!(ends(&["verify", "zeros"], folder, 0).contains("on are zeros"));
    fs::write(folder.join("garbage"), [packed, b"garbage"].concat()).unwrap();
    let said = ends(&["verify", "garbage"], folder, 5);
    assert!(said.contains(&format!("the bytes from offset {} on are not {what}\n", packed.len())), "{said}");
    let said = ends(&["restore", "garbage", "--to", "out"], folder, 5);
    assert!(said.contains("nothing was touched") && !folder.join("out").exists(), "{said}");
    let lengths = (0..24).chain((24..packed.len()).step_by(packed.len() / 20)).chain([packed.len() - 1]);
    for length in lengths {
        fs::write(folder.join("cut"), &packed[..length]).unwrap();
        let said = ends(&["verify", "cut"], folder, 5);
        assert!(!said.contains("sound:"), "cut to {length}: {said}");
        ends(&["restore", "cut", "--to", "out"], folder, 5);
        assert!(!folder.join("out").exists(), "cut to {length}");
    }
}

#[test]
fn other_peoples_bzip2_is_read_in_one_stream_or_many() {
    if lacks(Codec::Bzip2, &["bzip2"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tar = foreign();
    let one = pipe(&["bzip2", "-c"], &tar);
    let many: Vec<u8> = tar.chunks(300_000).flat_map(|part| pipe(&["bzip2", "-1c"], part)).collect();
    let empty = pipe(&["bzip2", "-c"], b"");
    for (name, bytes) in [("one", &one), ("many", &many), ("empty", &[&empty[..], &many, &empty].concat())] {
        fs::write(folder.join(name), bytes).unwrap();
        is_read(name, folder);
    }
    all_cuts_and_garbage_are_found("bzip2", &many, folder);
    // The checksum of a block, or of the stream.
    for at in [12, one.len() / 2, one.len() - 3] {
        let mut flipped = one.clone();
        flipped[at] ^= 16;
        fs::write(folder.join("flipped"), flipped).unwrap();
        ends(&["verify", "flipped"], folder, 5);
    }
}

/// A skippable frame with these bytes.
fn skippable(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[0x50 + number, 0x2a, 0x4d, 0x18][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

#[test]
fn other_peoples_zstd_is_read_in_one_frame_or_many() {
    if lacks(Codec::Zstd(3), &["zstd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tar = foreign();
    let one = pipe(&["zstd", "-c"], &tar);
    let many: Vec<u8> =
        tar.chunks(300_000).flat_map(|part| pipe(&["zstd", "-qc", "--no-check"], part)).collect();
    let skipped = tar.chunks(300_000).flat_map(|part| {
        [skippable(0, b""), pipe(&["zstd", "-qc"], part), skippable(15, &noise(300_000, 3))].concat()
    });
    let skipped: Vec<u8> = skipped.collect();
    let long = pipe(&["zstd", "-qc", "--long=27", "--ultra", "-22"], &tar);
    for (name, bytes) in [("one", &one), ("many", &many), ("skipped", &skipped), ("long", &long)] {
        fs::write(folder.join(name), bytes).unwrap();
        is_read(name, folder);
    }
    all_cuts_and_garbage_are_found("zstd", &many, folder);
    let mut flipped = one.clone();
    flipped[one.len() / 2] ^= 16;
    fs::write(folder.join("flipped"), flipped).unwrap();
    ends(&["verify", "flipped"], folder, 5);
    // Whoever reads it needs as much memory as it says that it refers back.
    fs::write(folder.join("window"), stored(27, &tar)).unwrap();
    is_read("window", folder);
    for log in [28, 31, 41] {
        fs::write(folder.join("window"), stored(log, &tar)).unwrap();
        let said = ends(&["verify", "window"], folder, 5);
        assert!(said.contains("zstd: Frame requires too much memory for decoding"), "{said}");
        ends(&["restore", "window", "--to", "out"], folder, 5);
        assert!(!folder.join("out").exists());
    }
}

/// A frame that wants to refer back 2^`log` bytes, and holds these as they are.
fn stored(log: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    let blocks = bytes.chunks(100_000);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(number == last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

#[test]
fn our_zstd_with_a_damaged_index_is_restored_all_the_same() {
    if lacks(Codec::Zstd(3), &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let entries = vec![
        made::entry(b"data", Kind::Directory),
        made::file(b"data/a", b"a"),
        made::file(b"data/large", &noise(600_000, 1)),
    ];
    let whole = made::archive(entries, Codec::Zstd(3));
    fs::write(folder.join("x"), &whole).unwrap();
    let Opened::Indexed(archive) = reader::open(&folder.join("x")).unwrap() else { panic!("no index") };
    let index = archive.footer().start as usize;
    let cuts = [1, 30, 100, whole.len() - index].map(|cut| whole[..whole.len() - cut].to_vec());
    let flips = (index..whole.len()).step_by(5).chain(index..index + 11).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        // Where only one of the two is hit, it is verified by the index or the index is not used.
        *flipped.last_mut().unwrap() ^= 1;
        flipped
    });
    for (number, bytes) in cuts.into_iter().chain(flips).enumerate() {
        fs::write(folder.join("x"), bytes).unwrap();
        let said = ends(&["restore", "x", "--to", "out"], folder, 0);
        assert!(said.contains("it is read from its beginning to its end instead"), "{number}: {said}");
        assert_eq!(fs::read(folder.join("out/data/a")).unwrap(), b"a");
        assert!(fs::read(folder.join("out/data/large")).unwrap() == noise(600_000, 1));
        fs::remove_dir_all(folder.join("out")).unwrap();
        assert!(ends(&["verify", "x"], folder, 5).contains("the end of the archive is damaged or missing"));
    }
}

#[test]
fn what_is_not_damaged_is_salvaged_from_zstd() {
    if lacks(Codec::Zstd(3), &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let body = noise(900_000, 1);
    let entries = vec![
        made::entry(b"data", Kind::Directory),
        made::file(b"data/a", b"a"),
        made::file(b"data/large", &body),
        made::file(b"data/z", b"z"),
    ];
    fs::write(folder.join("x"), made::archive(entries, Codec::Zstd(1))).unwrap();
    let Opened::Indexed(archive) = reader::open(&folder.join("x")).unwrap() else { panic!("no index") };
    let large = archive.find(b"data/large").unwrap().unwrap();
    let piece = archive.segment(large.segment + 2).unwrap();
    let file = fs::OpenOptions::new().write(true).open(folder.join("x")).unwrap();
    file.write_all_at(&[0x55; 9], piece.offset + 1000).unwrap();
    let said = ends(&["restore", "x", "--to", "out"], folder, 5);
    assert!(said.contains("hash of the stored bytes differs; nothing was touched"), "{said}");
    let said = ends(&["restore", "x", "--to", "out", "--salvage"], folder, 5);
    assert!(said.contains("zeros stand for 256.0 KiB of its 878.9 KiB, from byte 262144 on"), "{said}");
    let mut expected = body;
    expected[262_144..524_288].fill(0);
    assert!(fs::read(folder.join("out/data/large")).unwrap() == expected);
    assert_eq!(fs::read(folder.join("out/data/z")).unwrap(), b"z");
    // Before the damage, one file is read by the index as if there were none.
    assert_eq!(ends(&["cat", "x", "data/a"], folder, 0), "a");
}

#[test]
fn every_codec_comes_through_a_pipe_and_is_restored_from_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/a"), noise(1_000_000, 1)).unwrap();
    for codec in made::codecs().into_iter().map(|codec| codec.to_string()) {
        let archive = tarkeep(&["backup", "--source", "data", "--codec", &codec, "-o", "-"], folder).stdout;
        let program = env!("CARGO_BIN_EXE_tarkeep");
        let out = folder.join("out");
        pipe(&[program, "restore", "-", "--to", out.to_str().unwrap()], &archive);
        assert!(fs::read(out.join("data/a")).unwrap() == noise(1_000_000, 1), "{codec}");
        let listed = pipe(&[program, "list", "-"], &archive);
        assert_eq!(text(&listed).lines().count(), 2, "{codec}");
        let mut body = Vec::new();
        pipe(&[program, "cat", "-", "data/a"], &archive).as_slice().read_to_end(&mut body).unwrap();
        assert!(body == noise(1_000_000, 1), "{codec}");
        fs::remove_dir_all(&out).unwrap();
    }
}
