//! `restore` as people use it: everything comes back as it was, nothing that is there is lost, whatever happens meanwhile.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod others;
mod targets;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Output};

use bench::{Bench, ok, same};
use common::disk::Disk;
use common::program::{self, stderr as text};
use common::tree::{everything, fingerprint};

#[test]
fn everything_comes_back_as_it_was() {
    let bench = Bench::new(everything);
    ok(&bench.restore(&["--to", bench.at("out").to_str().unwrap()]));
    same(&bench.below("out"), &fingerprint(&bench.at("data")), "");
    for name in ["holes", "few holes", "zeros"] {
        let about = bench.below("out").join(name).metadata().unwrap();
        assert!(about.blocks() * 512 < about.len() / 2, "{name} is sparse again");
    }
    bench.no_litter();
}

#[test]
fn a_destroyed_source_is_restored_to_where_it_was() {
    let bench = Bench::new(everything);
    let was = fingerprint(&bench.at("data"));
    fs::remove_dir_all(bench.at("data")).unwrap();
    ok(&bench.restore(&[]));
    same(&bench.at("data"), &was, "");
    bench.no_litter();
}

#[test]
fn with_force_and_delete_a_changed_source_is_what_it_was() {
    let bench = Bench::new(everything);
    let data = bench.at("data");
    let was = fingerprint(&data);
    fs::write(data.join("small"), b"changed").unwrap();
    fs::remove_dir_all(data.join("folder")).unwrap();
    fs::write(data.join("folder"), b"a file now").unwrap();
    fs::remove_file(data.join("large text")).unwrap();
    fs::create_dir_all(data.join("large text/inside")).unwrap();
    fs::create_dir_all(data.join("more/and more")).unwrap();
    fs::write(data.join("more/and more/still"), b"more").unwrap();
    let refused = bench.restore(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("is not empty: --force"), "{}", text(&refused));
    let refused = bench.restore(&["--force"]);
    assert!(text(&refused).contains("--yes says that it may"), "{}", text(&refused));
    assert_eq!(fs::read(data.join("small")).unwrap(), b"changed");
    ok(&bench.restore(&["--force", "--yes"]));
    assert!(data.join("more/and more/still").exists(), "without --delete the others stay");
    fs::write(data.join("empty folder/new"), b"new").unwrap();
    ok(&bench.restore(&["--force", "--delete", "--yes"]));
    same(&data, &was, "");
    bench.no_litter();
}

#[test]
fn one_path_brings_what_is_below_it_and_leaves_the_rest_alone() {
    let bench = Bench::new(everything);
    let data = bench.at("data");
    let was = fingerprint(&data);
    fs::remove_dir_all(data.join("folder/deep")).unwrap();
    fs::write(data.join("small"), b"changed").unwrap();
    ok(&bench.restore(&[&bench.name("folder/deep"), "--force", "--yes"]));
    let is = fingerprint(&data);
    for (name, line) in was.iter().filter(|(name, _)| name.starts_with(b"folder/deep")) {
        assert_eq!(is.get(name), Some(line));
    }
    assert_eq!(fs::read(data.join("small")).unwrap(), b"changed");
    // A folder on the way that is there already keeps what it has.
    assert_eq!(was[b"folder/text".as_slice()], is[b"folder/text".as_slice()]);
}

#[test]
fn a_glob_brings_what_fits_it_with_the_folders_around() {
    let bench = Bench::new(everything);
    ok(&bench.restore(&["*noise", "--to", bench.at("out").to_str().unwrap()]));
    let is = fingerprint(&bench.below("out"));
    let files: Vec<_> = is.keys().filter(|name| name.ends_with(b"noise")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let was = fingerprint(&bench.at("data"));
    for (name, line) in is.iter().filter(|(name, _)| !name.is_empty()) {
        assert_eq!(was.get(name), Some(line), "{}", String::from_utf8_lossy(name));
    }
}

#[test]
fn a_path_means_the_same_to_list_and_to_restore_with_an_index_and_without() {
    let bench = Bench::new(|source| {
        for name in ["what[1]", "what1", "what2", "a["] {
            fs::write(source.join(name), name).unwrap();
        }
    });
    let plain = bench.at("plain.tar.gz");
    // One gzip member of the same tar stream has no index.
    let unpacked = Command::new("gzip").arg("-dc").arg(&bench.archive).output().unwrap();
    let repacked = Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(fs::File::create(&plain).unwrap())
        .spawn();
    let mut repacked = repacked.unwrap();
    std::io::Write::write_all(&mut repacked.stdin.take().unwrap(), &unpacked.stdout).unwrap();
    assert!(repacked.wait().unwrap().success());
    for (number, (path, means)) in [
        (bench.name("what[1]"), &["what[1]"][..]),
        (bench.name("what[2]"), &["what2"]),
        ("what?".into(), &["what1", "what2"]),
        (bench.name("a["), &["a["]),
        (".".into(), &["a[", "what1", "what2", "what[1]"]),
    ]
    .into_iter()
    .enumerate()
    {
        for archive in [&bench.archive, &plain] {
            let archive = archive.to_str().unwrap();
            let kind = if archive.contains("plain") { "plain" } else { "indexed" };
            let out = bench.at(&format!("{kind}{number}"));
            ok(&bench.tarkeep(&["restore", archive, &path, "--to", out.to_str().unwrap()], &[]));
            let files = fs::read_dir(bench.below(out.to_str().unwrap())).unwrap();
            let mut files: Vec<_> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            assert_eq!(files, means, "restore {path}, {kind}");
            let listed = bench.tarkeep(&["list", archive, &path, "--json"], &[]);
            ok(&listed);
            let listed = String::from_utf8(listed.stdout).unwrap();
            let mut names: Vec<_> = listed
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["name"]
                        .as_str()
                        .unwrap()
                        .to_owned()
                })
                .filter_map(|name| name.strip_prefix(&format!("{}/", bench.name(""))).map(str::to_owned))
                .collect();
            names.sort();
            // Without an index `what1` is listed before it is known that `what[1]` is a name.
            if kind == "plain" && means == ["what[1]"] {
                assert_eq!(names, ["what1", "what[1]"]);
            } else {
                assert_eq!(names, means, "list {path}, {kind}");
            }
        }
    }
}

#[test]
fn a_hard_link_alone_is_the_file() {
    let bench = Bench::new(everything);
    for codec in ["gzip:6", "none"] {
        let archive = bench.at(&format!("{codec}.tar"));
        let archive = archive.to_str().unwrap();
        ok(&bench.tarkeep(&["backup", "--codec", codec, "-o", archive], &[]));
        for (link, file, to) in [("folder/hard link", "small", "1"), ("z hard link", "large text", "2")] {
            let to = format!("{to} {codec}");
            let out = bench.at(&to);
            ok(&bench.tarkeep(&["restore", archive, &bench.name(link), "--to", out.to_str().unwrap()], &[]));
            let restored = fs::read(bench.below(&to).join(link)).unwrap();
            assert!(restored == fs::read(bench.at("data").join(file)).unwrap(), "{link}");
        }
    }
}

/// In an archive that has to be read through as well, where the file came by before it was known to be wanted.
#[test]
fn hard_links_between_two_sources_come_back_as_files() {
    for codec in ["gzip:6", "none"] {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for source in [&one, &two] {
            fs::create_dir(source).unwrap();
        }
        fs::write(one.join("file"), b"file").unwrap();
        for name in ["linked", "linked too"] {
            fs::hard_link(one.join("file"), two.join(name)).unwrap();
        }
        let tarkeep = |arguments: &[&str]| {
            let mut command = program::command(arguments);
            command.env("TARKEEP_SOURCE", format!("{},{}", one.display(), two.display()));
            command.env("TARKEEP_DESTINATION", folder.path()).env("TARKEEP_CODEC", codec).output().unwrap()
        };
        ok(&tarkeep(&["backup"]));
        for source in [&one, &two] {
            fs::remove_dir_all(source).unwrap();
        }
        ok(&tarkeep(&["restore", "latest"]));
        for path in [one.join("file"), two.join("linked"), two.join("linked too")] {
            assert_eq!(fs::read(&path).unwrap(), b"file", "{codec}: {}", path.display());
        }
        let inode = |name: &str| two.join(name).metadata().unwrap().ino();
        assert_eq!(inode("linked"), inode("linked too"), "{codec}");
    }
}

#[test]
fn what_is_not_there_and_where_it_cannot_go_is_said_before_anything_is_touched() {
    let bench = Bench::new(everything);
    let out = bench.at("out");
    let to = out.to_str().unwrap();
    let file = bench.at("data/small");
    for (arguments, code, says) in [
        (vec!["nothing/such", "--to", to], 2, "the archive has no entry nothing/such; the first in it is "),
        (vec!["[", "--to", to], 2, "glob ["),
        (vec!["no*such", "--to", to], 2, "the archive has no entry no*such"),
        (vec!["--to", file.to_str().unwrap()], 2, "is not a folder"),
        (vec!["--to", "/proc/nowhere/x"], 1, "/proc/nowhere"),
        (vec!["--delete"], 2, "--force"),
        // What is damaged in the archive may be whole in the folder.
        (vec!["--salvage", "--force"], 2, "cannot be used with"),
    ] {
        let output = bench.restore(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{arguments:?}: {}", text(&output));
        assert!(!out.exists(), "{arguments:?}");
    }
    ok(&bench.restore(&["--to", to, "--dry-run"]));
    assert!(!out.exists());
    bench.no_litter();
}

#[test]
fn on_a_read_only_mount_the_command_that_does_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::tmpfs("size=1m") else { return };
    fs::write(disk.path().join("it's"), "a").unwrap();
    let tarkeep = |arguments: &[&str]| {
        let mut command = program::command_in(arguments, folder.path());
        command.env("TARKEEP_SOURCE", disk.path());
        command
    };
    ok(&tarkeep(&["backup", "-o", "archive.tar.gz"]).output().unwrap());
    disk.make_read_only();
    for (words, hint) in [
        (&["archive.tar.gz", "--force", "--delete"][..], "--rm restore archive.tar.gz --force --delete\n"),
        (
            &["archive.tar.gz", "*s", "--job", "data", "--threads", "1", "--force", "--dry-run", "--json"],
            "--rm restore archive.tar.gz '*s' --job data --threads 1 --force --dry-run --json\n",
        ),
        // Nobody can be asked where the archive comes from standard input.
        (&["-", "--force"], "--rm -T restore - --force --yes <x.tar.gz\n"),
    ] {
        let archive = fs::File::open(folder.path().join("archive.tar.gz")).unwrap();
        let output = tarkeep(&[&["restore"], words].concat()).stdin(archive).output().unwrap();
        let wanted =
            "it is mounted read-only, as it should be for backups; run this instead: docker compose run ";
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        assert!(text(&output).ends_with(&format!("{wanted}{hint}")), "{words:?}: {}", text(&output));
    }
}

#[test]
fn a_damaged_archive_touches_nothing() {
    let bench = Bench::new(everything);
    let mut bytes = fs::read(&bench.archive).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&bench.archive, bytes).unwrap();
    let was = fingerprint(&bench.at("data"));
    let output = bench.restore(&["--force", "--delete", "--yes"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert!(text(&output).contains("nothing was touched"), "{}", text(&output));
    same(&bench.at("data"), &was, "");
}

#[test]
fn what_can_be_read_of_a_damaged_archive_is_saved_and_the_rest_named() {
    let bench = Bench::new(everything);
    let was = fingerprint(&bench.at("data"));
    let whole = fs::read(&bench.archive).unwrap();
    let counts = |output: &Output| -> serde_json::Value {
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["restored"].clone()
    };
    let whole_output = bench.restore(&["--json", "--to", bench.at("whole").to_str().unwrap()]);
    let all = counts(&whole_output)["entries"].as_u64().unwrap();
    // From the first segments, which hold folders and small files, to the pieces of the large ones.
    for part in 1..8 {
        let mut bytes = whole.clone();
        // The index is at the end, and an eighth of all at most.
        let at = whole.len() * part / 9;
        bytes[at] ^= 0x10;
        fs::write(&bench.archive, &bytes).unwrap();
        let output = bench.restore(&["--salvage", "--json", "--to", bench.at("out").to_str().unwrap()]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(5), "byte {at}: {said}");
        assert!(said.contains(" lost"), "byte {at}: {said}");
        let is = fingerprint(&bench.below("out"));
        // Each is there, whole or in part, or lost, and counted once.
        let restored = counts(&output);
        let [entries, partial, lost] = ["/entries", "/partial/count", "/lost/count"]
            .map(|name| restored.pointer(name).unwrap().as_u64().unwrap());
        assert_eq!(entries + lost, all, "byte {at}: {restored}");
        assert_eq!(entries, is.len() as u64, "byte {at}: {restored}");
        assert!(partial + lost > 0 && partial <= entries, "byte {at}: {restored}");
        let mut differing = 0;
        for (name, line) in was.iter().filter(|(name, line)| !name.is_empty() && is.get(*name) != Some(line))
        {
            // A folder is named as an entry; what has no entry any more has other times and modes.
            differing += 1;
            let shown = tarkeep::printable::printable(name);
            assert!(said.contains(&format!("{shown}: ")), "byte {at}: {shown} is {line}: {said}");
        }
        assert_eq!(differing, partial + lost, "byte {at}: {said}");
        assert!(differing < was.len() as u64 - 5, "byte {at}: {differing}: {said}");
        fs::remove_dir_all(bench.at("out")).unwrap();
    }
}

/// An archive that was cut within a file, and has to be read through.
#[test]
fn of_a_file_that_was_cut_off_the_beginning_is_saved() {
    let text_of = |line: usize| format!("{line:0>15}\n");
    let large: String = (0..300_000).map(text_of).collect();
    let bench = Bench::new(|source| {
        fs::write(source.join("a"), b"a").unwrap();
        fs::write(source.join("b"), &large).unwrap();
        fs::write(source.join("c"), b"c").unwrap();
    });
    let archive = bench.at("cut.tar");
    ok(&bench.tarkeep(&["backup", "--codec", "none", "-o", archive.to_str().unwrap()], &[]));
    let bytes = fs::read(&archive).unwrap();
    let begin = bytes.windows(16).position(|part| part == text_of(0).as_bytes()).unwrap();
    fs::write(&archive, &bytes[..3_000_000]).unwrap();
    let out = bench.at("out");
    let arguments = ["restore", archive.to_str().unwrap(), "--salvage", "--to", out.to_str().unwrap()];
    let output = bench.tarkeep(&arguments, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    let saved = fs::read_to_string(bench.below("out").join("b")).unwrap();
    assert!(saved.len() == 3_000_000 - begin && large.starts_with(&saved), "{}", saved.len());
    assert_eq!(fs::read(bench.below("out").join("a")).unwrap(), b"a");
    assert!(!bench.below("out").join("c").exists());
    for says in ["restored 3 entries, ", "1 of them in part", "b: only its first ", "after the beginning of "]
    {
        assert!(said.contains(says), "{says}: {said}");
    }
}

/// The file that a link was to stands in the stream before its end, and is not asked for by its own name.
#[test]
fn a_link_alone_is_saved_out_of_a_stream_that_ends_early() {
    let bench = Bench::new(|source| {
        fs::write(source.join("a"), b"linked").unwrap();
        fs::hard_link(source.join("a"), source.join("b")).unwrap();
        fs::write(source.join("c"), vec![7; 1_000_000]).unwrap();
    });
    let archive = bench.at("cut.tar");
    ok(&bench.tarkeep(&["backup", "--codec", "none", "-o", archive.to_str().unwrap()], &[]));
    fs::File::options().write(true).open(&archive).unwrap().set_len(500_000).unwrap();
    let out = bench.at("out");
    let name = bench.name("b");
    let arguments = ["restore", archive.to_str().unwrap(), &name, "--salvage", "--to", out.to_str().unwrap()];
    let output = bench.tarkeep(&arguments, &[]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert!(text(&output).contains("what stands before it could not be checked"), "{}", text(&output));
    assert_eq!(fs::read(bench.below("out").join("b")).unwrap(), b"linked");
}

#[test]
fn a_restore_killed_at_any_step_is_undone_or_finished_by_the_next() {
    let bench = Bench::new(everything);
    let data = bench.at("data");
    let was = fingerprint(&data);
    for (step, finished) in [
        ("restore-extracted", false),
        ("restore-noted", true),
        ("restore-deleted", true),
        ("restore-swapped", true),
    ] {
        fs::write(data.join("small"), b"changed").unwrap();
        fs::write(data.join("another"), b"changed").unwrap();
        let changed = fingerprint(&data);
        let archive = bench.archive.to_str().unwrap();
        let arguments = ["restore", archive, "--force", "--delete", "--yes"];
        let output = bench.tarkeep(&arguments, &[("TARKEEP_FAILPOINT", step)]);
        assert_eq!(output.status.code(), None, "{step}: killed");
        if !finished {
            let mut now = fingerprint(&data);
            now.retain(|name, _| !name.starts_with(b".tarkeep-restore"));
            let differing: Vec<_> = changed
                .iter()
                .filter(|(name, line)| !name.is_empty() && now.get(*name) != Some(line))
                .collect();
            assert!(differing.is_empty(), "{step}: the old is untouched, but {differing:?}");
        }
        // The next one, of one small file to elsewhere in the same place, first cleans up.
        let output = bench.restore(&[&bench.name("-dash"), "--force", "--yes"]);
        ok(&output);
        let says = if finished { "was finished" } else { "was undone" };
        assert!(text(&output).contains(says), "{step}: {}", text(&output));
        if finished {
            // The second restore put a file into the source's own folder, which has the time of that.
            let mut now = fingerprint(&data);
            now.insert(Vec::new(), was[&Vec::new()].clone());
            assert!(now == was, "{step}");
        } else {
            ok(&bench.restore(&["--force", "--delete", "--yes"]));
            same(&data, &was, step);
        }
        bench.no_litter();
    }
}

#[test]
fn without_root_what_cannot_be_applied_is_counted() {
    if !rustix::process::geteuid().is_root() {
        return common::skip("root, to become somebody else");
    }
    let bench = Bench::new(everything);
    let out = bench.at("out");
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::chown(&out, Some(65534), Some(65534)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    for path in [bench.folder.path(), &bench.archive] {
        fs::set_permissions(path, mode(0o755)).unwrap();
    }
    let restore = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program::TARKEEP, "restore"]);
        command.arg(&bench.archive).arg("--to").arg(&out).args(arguments).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("TARKEEP_DESTINATION", bench.folder.path()).output().unwrap()
    };
    let output = restore(&["--json"]);
    if output.status.code() == Some(126) || text(&output).contains("failed to execute") {
        return common::skip("a test binary that another user may run");
    }
    ok(&output);
    assert!(text(&output).contains("not applied: "), "{}", text(&output));
    assert!(text(&output).contains("2 devices"), "{}", text(&output));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let counted = said["restored"]["unapplied"]["owners"].as_u64();
    assert_eq!(counted, said["restored"]["entries"].as_u64().map(|all| all - 2), "all but two hard links");
    let restored = bench.below("out");
    assert!(fs::read(restored.join("large text")).unwrap() == fs::read(bench.at("data/large text")).unwrap());
    assert_eq!(restored.join("folder/text").metadata().unwrap().mode() & 0o7777, 0o751);
    // A file that stands in for a link to it is counted as well, with the two folders above it.
    fs::remove_dir_all(&restored).unwrap();
    let output = restore(&[&bench.name("folder/hard link"), "--force", "--yes"]);
    ok(&output);
    assert!(text(&output).contains("not applied: 3 owners, "), "{}", text(&output));
}

#[test]
fn a_path_that_is_empty_is_not_taken_for_everything() {
    let bench = Bench::new(|source| fs::write(source.join("a"), "a").unwrap());
    let archive = bench.archive.to_str().unwrap();
    for command in ["restore", "list", "cat"] {
        let output = bench.tarkeep(&[command, archive, ""], &[]);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", text(&output));
        assert!(text(&output).contains("it is empty; . is everything"), "{command}: {}", text(&output));
    }
}

#[test]
fn a_dry_run_says_in_json_what_would_be_restored() {
    let bench = Bench::new(|source| fs::write(source.join("a"), "abc").unwrap());
    let output = bench.restore(&["--to", bench.at("out").to_str().unwrap(), "--dry-run", "--json"]);
    ok(&output);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let part = serde_json::json!({ "target": bench.at("out"), "entries": 2, "bytes": 3 });
    assert_eq!(said, serde_json::json!({ "dry_run": true, "parts": [part] }));
    assert!(!bench.at("out").exists());
}

#[test]
fn delete_never_removes_the_archives_that_stand_in_the_source_or_the_target() {
    let bench = Bench::new(|source| {
        fs::create_dir(source.join("kept")).unwrap();
        fs::write(source.join("file"), b"file").unwrap();
    });
    let (source, kept) = (bench.at("data"), bench.at("data/kept"));
    let destination = [("TARKEEP_DESTINATION", kept.to_str().unwrap())];
    ok(&bench.tarkeep(&["backup"], &destination));
    let all = fingerprint(&kept);
    assert!(all.len() > 3, "an archive, in its folder, and the state");
    fs::write(source.join("more"), b"more").unwrap();
    let delete = ["--force", "--delete", "--yes"];
    let run = |arguments: &[&str]| {
        bench.tarkeep(&[&["restore", "latest"], arguments, &delete].concat(), &destination)
    };
    ok(&run(&[]));
    assert!(!source.join("more").exists());
    let now = fingerprint(&kept);
    assert!(all.keys().all(|name| now.contains_key(name)), "{now:?}");
    let refused = run(&["--to", kept.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("is where archives are kept"), "{}", text(&refused));
    // Above it, where no folder on the way is in the archive, and in it.
    ok(&run(&["--to", bench.folder.path().to_str().unwrap()]));
    let day = kept.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let day = day.into_iter().find(|path| !path.ends_with(".tarkeep")).unwrap();
    ok(&run(&["--to", day.to_str().unwrap()]));
    let now = fingerprint(&kept);
    assert!(all.keys().all(|name| now.contains_key(name)), "{now:?}");
}

/// Whatever stands beside the file was never part of the source.
#[test]
fn delete_leaves_the_neighbours_of_a_source_that_is_a_file() {
    for codec in ["gzip:6", "none"] {
        let bench = Bench::new(|source| {
            fs::create_dir(source.join("folder")).unwrap();
            fs::write(source.join("folder/neighbour"), b"neighbour").unwrap();
            fs::write(source.join("file"), b"file").unwrap();
            fs::write(source.join("file too"), b"neighbour").unwrap();
        });
        let (file, archive) = (bench.at("data/file"), bench.at("file.tar"));
        let (source, archive) = ([("TARKEEP_SOURCE", file.to_str().unwrap())], archive.to_str().unwrap());
        ok(&bench.tarkeep(&["backup", "--codec", codec, "-o", archive], &source));
        let was = fingerprint(&bench.at("data"));
        fs::write(&file, b"changed").unwrap();
        let restored = bench.tarkeep(&["restore", archive, "--force", "--delete", "--yes"], &source);
        ok(&restored);
        assert!(!text(&restored).contains("everything else is removed\n"), "{}", text(&restored));
        let (mut is, mut was) = (fingerprint(&bench.at("data")), was);
        // The folder around it changed with the swap.
        assert!(is.remove(&Vec::new()).is_some() && was.remove(&Vec::new()).is_some());
        assert_eq!(is, was, "{codec}");
    }
}

/// As two files of `/etc` are, on a machine that has been set up anew.
#[test]
fn several_single_files_come_back_into_a_folder_that_is_gone() {
    for codec in ["gzip:6", "none"] {
        let bench = Bench::new(|source| {
            for name in ["one", "two", "neighbour"] {
                fs::write(source.join(name), name).unwrap();
            }
        });
        let (data, archive) = (bench.at("data"), bench.at("files.tar"));
        let [one, two] = ["one", "two"].map(|name| data.join(name));
        let both = format!("{},{}", one.display(), two.display());
        let run = |arguments: &[&str]| bench.tarkeep(arguments, &[("TARKEEP_SOURCE", &both)]);
        ok(&run(&["backup", "--codec", codec, "-o", archive.to_str().unwrap()]));
        let restore = ["restore", archive.to_str().unwrap(), "--force", "--delete", "--yes"];
        fs::remove_dir_all(&data).unwrap();
        ok(&run(&restore));
        let names = |path: &std::path::Path| path.read_dir().unwrap().count();
        assert_eq!(names(&data), 2, "{codec}");
        fs::write(&one, "changed").unwrap();
        fs::write(data.join("neighbour"), "neighbour").unwrap();
        ok(&run(&restore));
        assert_eq!([&one, &two].map(|file| fs::read_to_string(file).unwrap()), ["one", "two"], "{codec}");
        assert_eq!(names(&data), 3, "{codec}: what stands beside them stays");
        bench.no_litter();
    }
}

#[test]
fn what_is_called_like_the_folder_of_a_restore_does_not_keep_the_rest_from_its_place() {
    let mut bench = Bench::new(|source| {
        fs::create_dir_all(source.join("a/.tarkeep-restore-notes")).unwrap();
        fs::write(source.join("a/.tarkeep-restore-notes/text"), b"mine").unwrap();
        fs::write(source.join("z"), b"z").unwrap();
    });
    let data = bench.at("data");
    fs::create_dir_all(data.join("a/.tarkeep-restore-0123456789abcdef/new")).unwrap();
    // What is archived beside it may be of no single moment.
    bench.archive = bench.at("beside.tar.gz");
    let incomplete = bench.tarkeep(&["backup", "-o", bench.archive.to_str().unwrap()], &[]);
    assert_eq!(incomplete.status.code(), Some(3), "{}", text(&incomplete));
    assert!(text(&incomplete).contains("a restore works in it, or was interrupted"), "{}", text(&incomplete));
    fs::write(data.join("z"), b"changed").unwrap();
    fs::write(data.join("a/.tarkeep-restore-notes/text"), b"changed").unwrap();
    ok(&bench.restore(&["--force", "--yes"]));
    assert_eq!(fs::read(data.join("z")).unwrap(), b"z");
    assert_eq!(fs::read(data.join("a/.tarkeep-restore-notes/text")).unwrap(), b"mine");
    ok(&bench.restore(&["--to", bench.at("out").to_str().unwrap()]));
    assert!(!bench.below("out").join("a/.tarkeep-restore-0123456789abcdef").exists());
}

#[test]
fn a_journal_that_somebody_else_laid_down_is_not_believed() {
    let bench = Bench::new(|source| fs::write(source.join("file"), b"file").unwrap());
    let planted = bench.at(".tarkeep-restore-0123456789abcdef");
    fs::create_dir_all(planted.join("new")).unwrap();
    fs::create_dir(planted.join("old")).unwrap();
    let becomes = format!("{:?}", b"taken");
    let journal =
        format!(r#"{{"phase":"swapping","becomes":{becomes},"delete":[],"merged":[],"opened":[]}}"#);
    fs::write(planted.join("journal"), journal).unwrap();
    // Ours are for nobody else to read.
    fs::set_permissions(&planted, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    ok(&bench.restore(&["--to", bench.at("out").to_str().unwrap()]));
    assert!(planted.exists() && !bench.at("taken").exists());
}
