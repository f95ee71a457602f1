//! Several restores, and other programs, at work on the same folders.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::bench::{Bench, Stopped, ok};
use super::common::program::{command, stderr as text};

const REPLACE: [&str; 3] = ["--force", "--delete", "--yes"];

#[test]
fn two_restores_do_not_work_in_one_folder() {
    let bench = Bench::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        fs::write(source.join("folder/file"), "archived").unwrap();
    });
    let data = bench.at("data");
    let [out, inner, deep] = ["out", "data/folder", "data/folder/deep"].map(|name| bench.at(name));
    let (out, inner, deep) = (out.to_str().unwrap(), inner.to_str().unwrap(), deep.to_str().unwrap());
    let into = |folder| [&["--to", folder][..], &REPLACE[..]].concat();
    // Each as it is at work, and what does not go with it, and what does.
    for (first, second, is_refused) in [
        (REPLACE.to_vec(), REPLACE.to_vec(), true),
        (REPLACE.to_vec(), into(inner), true),
        (REPLACE.to_vec(), vec!["--to", deep], true),
        (into(inner), REPLACE.to_vec(), true),
        (vec!["--to", deep], REPLACE.to_vec(), true),
        (vec!["--to", out], vec!["--to", out], true),
        (vec!["--to", out], REPLACE.to_vec(), false),
        (REPLACE.to_vec(), vec!["--to", out], false),
    ] {
        fs::write(data.join("folder/file"), "changed").unwrap();
        let shown = format!("{first:?} {second:?}");
        for step in ["restore-extracted", "restore-noted"] {
            let at_work = bench.stopped(&first, step);
            let output = bench.restore(&second);
            let who = format!(", process {} on ", at_work.pid());
            if is_refused {
                assert_eq!(output.status.code(), Some(11), "{shown}: {}", text(&output));
                assert!(text(&output).contains("another restore works in "), "{shown}: {}", text(&output));
                assert!(text(&output).contains(&who), "{shown}: {}", text(&output));
            } else {
                ok(&output);
            }
            assert_eq!(at_work.go_on().status.code(), Some(0), "{shown}");
            let _ = fs::remove_dir_all(out);
            let _ = fs::remove_dir_all(deep);
        }
        let _ = fs::remove_dir_all(inner);
        ok(&bench.restore(&REPLACE));
    }
    assert_eq!(fs::read_to_string(data.join("folder/file")).unwrap(), "archived");
    bench.no_litter();
}

/// What is finished late would put what was to be there before in the place of what came since.
#[test]
fn what_was_interrupted_within_a_folder_is_made_good_before_it_is_replaced() {
    let bench = Bench::new(|source| {
        fs::create_dir_all(source.join("folder/deep")).unwrap();
        fs::write(source.join("folder/deep/file"), "archived").unwrap();
    });
    let deep = bench.at("data/folder/deep");
    let write = || fs::write(deep.join("file"), "changed").unwrap();
    let to = ["--to", deep.to_str().unwrap()];
    let killed = |arguments: &[&str]| drop(bench.stopped(arguments, "restore-noted"));
    write();
    killed(&[&to[..], &REPLACE].concat());
    let output = bench.restore(&REPLACE);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("a restore was interrupted in "), "{}", text(&output));
    assert_eq!(fs::read_to_string(deep.join("file")).unwrap(), "changed");
    ok(&bench.restore(&[&to[..], &REPLACE].concat()));
    ok(&bench.restore(&REPLACE));
    assert_eq!(deep.read_dir().unwrap().count(), 1);
    bench.no_litter();
}

#[test]
fn what_was_interrupted_around_a_folder_is_finished_before_it_is_replaced() {
    let bench = Bench::new(|source| {
        fs::create_dir_all(source.join("folder/deep")).unwrap();
        fs::write(source.join("folder/deep/file"), "archived").unwrap();
    });
    let deep = bench.at("data/folder/deep");
    fs::write(deep.join("file"), "changed").unwrap();
    drop(bench.stopped(&REPLACE, "restore-noted"));
    let output = bench.restore(&[&["--to", deep.to_str().unwrap()], &REPLACE[..]].concat());
    ok(&output);
    assert!(text(&output).contains("was finished"), "{}", text(&output));
    bench.no_litter();
}

/// It is theirs, or on a disk that keeps no owners: nothing tells which.
#[test]
fn what_looks_interrupted_and_is_not_believed_is_said() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    let data = bench.at("data");
    fs::write(data.join("more"), "more").unwrap();
    drop(bench.stopped(&REPLACE, "restore-noted"));
    let left = data.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let left = left.into_iter().find(|path| path.to_str().unwrap().contains(".tarkeep-restore-")).unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o755)).unwrap();
    let output = bench.restore(&["--force", "--yes"]);
    ok(&output);
    let shown = format!("{} is called like the folder of a restore, but is of somebody else", left.display());
    assert!(text(&output).contains(&shown), "{}", text(&output));
    assert!(data.join("more").exists() && left.exists());
}

#[test]
fn what_was_interrupted_is_not_finished_while_services_of_it_are_up() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap().to_string();
    let (data, look) = (bench.at("data"), bench.at("look"));
    fs::remove_dir_all(&data).unwrap();
    drop(bench.stopped(&[], "restore-noted"));
    // Nobody waits for a neighbour.
    let archive = bench.archive.to_str().unwrap();
    let beside = || {
        let arguments = ["restore", archive, "--to", look.to_str().unwrap()];
        let output = bench.tarkeep(&arguments, &[("TARKEEP_SERVICES_DOWN", &address)]);
        ok(&output);
        fs::remove_dir_all(&look).unwrap();
        text(&output)
    };
    let said = beside();
    assert!(said.contains("cannot be finished yet") && said.contains(&format!("{address} is up")), "{said}");
    assert!(!data.exists());
    drop(service);
    let said = beside();
    assert!(said.contains("was finished"), "{said}");
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "archived");
    bench.no_litter();
}

#[test]
fn the_services_of_every_job_that_has_the_source_are_asked() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap().to_string();
    let job = |name: &str, more: &str| {
        let folder = bench.at(name);
        fs::create_dir(&folder).unwrap();
        format!(
            "[[job]]\nname = {name:?}\nsource = {:?}\ndestination = {folder:?}\n{more}\n",
            bench.at("data")
        )
    };
    let config = job("one", "") + &job("two", &format!("services-down = {address:?}"));
    fs::write(bench.at("jobs.toml"), config).unwrap();
    let mut command = command(&["restore", "--job", "one", bench.archive.to_str().unwrap()]);
    let output = command.args(["--yes"]).env("TARKEEP_CONFIG", bench.at("jobs.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let wanted = format!("{address} is up and may use the data of job two; nothing was touched");
    assert!(text(&output).contains(&wanted), "{}", text(&output));
}

/// What the run has read of it and what it reads next would be of two nights.
#[test]
fn nothing_is_replaced_while_a_job_reads_it() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    let file = bench.at("data/file");
    fs::write(&file, "changed").unwrap();
    let mut backup = command(&["backup"]);
    backup.env("TARKEEP_SOURCE", bench.at("data")).env("TARKEEP_DESTINATION", bench.folder.path());
    backup.env("TARKEEP_FAILPOINT", "before-sync:stop");
    let backup = Stopped::new(backup);
    let output = bench.restore(&REPLACE);
    assert_eq!(output.status.code(), Some(11), "{}", text(&output));
    let wanted = format!("is locked by process {} on ", backup.pid());
    assert!(text(&output).contains(&wanted), "{}", text(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "changed");
    bench.no_litter();
    // Before an archive is read through, which would find the damage.
    let damaged = bench.at("damaged.tar.gz");
    let mut bytes = fs::read(&bench.archive).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let restore = |arguments: &[&str]| {
        bench.tarkeep(&[&["restore", damaged.to_str().unwrap()], arguments].concat(), &[]).status.code()
    };
    assert_eq!([restore(&REPLACE), restore(&[&REPLACE[..], &["--dry-run"]].concat())], [Some(11), Some(5)]);
    // A place of its own is read by nobody, and in one that comes into being whole nothing is mixed.
    for place in ["look", "data/look"] {
        ok(&bench.restore(&["--to", bench.at(place).to_str().unwrap()]));
    }
    ok(&backup.go_on());
    ok(&bench.restore(&REPLACE));
}

#[test]
fn what_was_interrupted_is_not_finished_while_a_job_reads_it() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    let file = bench.at("data/file");
    fs::write(&file, "changed").unwrap();
    drop(bench.stopped(&REPLACE, "restore-noted"));
    let mut backup = command(&["backup"]);
    backup.env("TARKEEP_SOURCE", bench.at("data")).env("TARKEEP_DESTINATION", bench.folder.path());
    backup.env("TARKEEP_FAILPOINT", "before-sync:stop");
    let backup = Stopped::new(backup);
    let within = bench.at("data/new");
    let output = bench.restore(&["--to", within.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(11), "{}", text(&output));
    let says = ["cannot be finished yet: job ", &format!("is locked by process {} on ", backup.pid())];
    assert!(says.iter().all(|says| text(&output).contains(says)), "{}", text(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "changed");
    // It has seen the folder of the restore.
    assert_eq!(backup.go_on().status.code(), Some(3));
    ok(&bench.restore(&["--to", within.to_str().unwrap()]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "archived");
    bench.no_litter();
}

/// What it was to do is not known, and it is not passed by: somebody has to say so.
#[test]
fn of_a_journal_that_cannot_be_read_it_is_said_what_to_do() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "archived").unwrap());
    drop(bench.stopped(&REPLACE, "restore-noted"));
    let left = bench.at("data").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let left = left.into_iter().find(|path| path.to_str().unwrap().contains(".tarkeep-restore-")).unwrap();
    fs::write(left.join("journal"), "").unwrap();
    let output = bench.restore(&REPLACE);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for says in [
        "read the journal in ",
        "what that restore was to do is not known: remove the folder, and restore again",
    ] {
        assert!(text(&output).contains(says), "{says}: {}", text(&output));
    }
    fs::remove_dir_all(left).unwrap();
    ok(&bench.restore(&REPLACE));
    bench.no_litter();
}

/// It would remove what the restore has just put there.
#[test]
fn nothing_is_reset_while_a_restore_works_around_it() {
    let bench = Bench::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        fs::write(source.join("folder/file"), "archived").unwrap();
    });
    let (folder, archives) = (bench.at("data/folder"), bench.at("archives"));
    fs::create_dir(&archives).unwrap();
    for source in [folder.clone(), folder.join("file")] {
        let at_work = bench.stopped(&REPLACE, "restore-noted");
        let environment = [
            ("TARKEEP_SOURCE", source.to_str().unwrap()),
            ("TARKEEP_DESTINATION", archives.to_str().unwrap()),
            ("TARKEEP_ALLOW_RESET", "1"),
        ];
        let output = bench.tarkeep(&["reset", "--yes"], &environment);
        assert_eq!(output.status.code(), Some(11), "{}", text(&output));
        let who = format!(", process {} on ", at_work.pid());
        assert!(text(&output).contains("another restore works in "), "{}", text(&output));
        assert!(text(&output).contains(&who), "{}", text(&output));
        ok(&at_work.go_on());
        assert!(folder.join("file").exists());
    }
    bench.no_litter();
}

#[test]
fn of_several_folders_one_that_somebody_makes_meanwhile_is_theirs() {
    let bench = Bench::new(|source| fs::write(source.join("file"), "old").unwrap());
    let [one, two] = ["one", "two"].map(|name| bench.at(name));
    let sources = format!("{},{}", one.display(), two.display());
    for source in [&one, &two] {
        fs::create_dir(source).unwrap();
        fs::write(source.join("file"), "archived").unwrap();
    }
    let archive = bench.at("both.tar.gz");
    let run = |arguments: &[&str]| bench.tarkeep(arguments, &[("TARKEEP_SOURCE", &sources)]);
    ok(&run(&["backup", "-o", archive.to_str().unwrap()]));
    let restore = [&["restore", archive.to_str().unwrap()], &REPLACE[..]].concat();
    for missing in [&one, &two] {
        for step in ["restore-extracted", "restore-noted"] {
            let other = if missing == &one { &two } else { &one };
            fs::remove_dir_all(missing).unwrap();
            fs::write(other.join("file"), "now").unwrap();
            let mut command = command(&restore);
            command.env("TARKEEP_SOURCE", &sources).env("TARKEEP_DESTINATION", bench.folder.path());
            command.env("TARKEEP_FAILPOINT", format!("{step}:stop"));
            let stopped = Stopped::new(command);
            fs::create_dir(missing).unwrap();
            fs::write(missing.join("theirs"), "theirs").unwrap();
            let output = stopped.go_on();
            let shown = format!("{step} {}: {}", missing.display(), text(&output));
            assert_eq!(output.status.code(), Some(1), "{shown}");
            assert!(missing.join("theirs").exists(), "{shown}");
            if step == "restore-noted" {
                assert!(
                    text(&output).contains("move away what stands there, and the next restore"),
                    "{shown}"
                );
                fs::remove_dir_all(missing).unwrap();
                let next = other.join("next");
                ok(&run(&["restore", archive.to_str().unwrap(), "--to", next.to_str().unwrap()]));
                fs::remove_dir_all(next).unwrap();
                let is = [&one, &two].map(|source| fs::read_to_string(source.join("file")).unwrap());
                assert_eq!(is, ["archived", "archived"], "{shown}");
            } else {
                assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "now", "{shown}");
            }
            bench.no_litter();
        }
    }
}

#[test]
fn a_source_within_another_is_restored_with_it() {
    let bench = Bench::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        fs::write(source.join("folder/file"), "archived").unwrap();
    });
    let (data, inner) = (bench.at("data"), bench.at("data/folder"));
    fs::write(inner.join("file"), "changed").unwrap();
    fs::write(inner.join("more"), "more").unwrap();
    let sources = format!("{},{}", data.display(), inner.display());
    let arguments = [&["restore", bench.archive.to_str().unwrap()], &REPLACE[..]].concat();
    ok(&bench.tarkeep(&arguments, &[("TARKEEP_SOURCE", &sources)]));
    assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), "archived");
    assert_eq!(inner.read_dir().unwrap().count(), 1);
    bench.no_litter();
}
