//! A name that is taken.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use tarkeep::archive::name::Pattern;
use tarkeep::destination::{Local, file};
use tarkeep::exit::Exit;

use crate::child::{BYTES, archive, content, left, options, run};

#[test]
fn whatever_has_the_name_keeps_it_and_the_archive_gets_the_next_number() {
    for taken_by in ["file", "folder", "full folder", "link to a file", "dangling link"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(root.join("2026-11-20")).unwrap();
        let other = elsewhere.path().join("other");
        match taken_by {
            "file" => fs::write(archive(root), "older").unwrap(),
            "folder" => fs::create_dir(archive(root)).unwrap(),
            "full folder" => fs::create_dir_all(archive(root).join("x")).unwrap(),
            "link to a file" => {
                fs::write(&other, "older").unwrap();
                symlink(&other, archive(root)).unwrap();
            }
            _ => symlink(&other, archive(root)).unwrap(),
        }
        let before = fs::symlink_metadata(archive(root)).unwrap();
        for number in 2..=4 {
            let published = run(root, BYTES).unwrap();
            assert_eq!(
                published.path,
                root.canonicalize().unwrap().join(format!("2026-11-20/01-00-00-{number}.tar.gz"))
            );
            assert_eq!(published.name.unwrap().number, number, "{taken_by}");
            assert!(fs::read(published.path).unwrap() == content(BYTES), "{taken_by}");
        }
        let after = fs::symlink_metadata(archive(root)).unwrap();
        assert_eq!(
            (before.file_type(), before.modified().unwrap()),
            (after.file_type(), after.modified().unwrap())
        );
        match taken_by {
            "file" => assert_eq!(fs::read(archive(root)).unwrap(), b"older"),
            "link to a file" => assert_eq!(fs::read(&other).unwrap(), b"older"),
            "dangling link" => assert!(!other.exists(), "nothing is written through a link"),
            _ => {}
        }
    }
}

#[test]
fn a_file_or_a_link_where_the_day_belongs_is_said_and_left() {
    for link in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let day = folder.path().join("2026-11-20");
        if link {
            symlink(elsewhere.path(), &day).unwrap();
        } else {
            fs::write(&day, "mine").unwrap();
        }
        let error = run(folder.path(), BYTES).unwrap_err().to_string();
        assert!(error.contains("2026-11-20 is not a folder"), "{error}");
        assert_eq!(left(folder.path()), ["2026-11-20"]);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}

#[test]
fn archives_are_listed_newest_first_and_strangers_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in [
        "2026-11-19/23-00-00.tar.gz",
        "2026-11-20/01-00-00.tar.gz",
        "2026-11-20/01-00-00-2.tar",
        "2026-11-20/notes.txt",
        "2026-11-20/.tarkeep-0123456789abcdef.tmp",
        "stranger/01-00-00.tar.gz",
        "01-00-00.tar.gz",
        "2026-13-20/01-00-00.tar.gz",
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), "x").unwrap();
    }
    fs::create_dir(root.join("2026-11-20/02-00-00.tar.gz")).unwrap();
    symlink("01-00-00.tar.gz", root.join("2026-11-20/03-00-00.tar.gz")).unwrap();
    symlink("2026-11-20", root.join("2026-11-21")).unwrap();
    let local = Local::open(root, options()).unwrap();
    let found = local.archives(&Pattern::default()).unwrap();
    let names: Vec<_> = found.iter().map(|stored| stored.name.to_string()).collect();
    assert_eq!(
        names,
        ["2026-11-20/01-00-00-2.tar", "2026-11-20/01-00-00.tar.gz", "2026-11-19/23-00-00.tar.gz"]
    );
    assert!(found.iter().all(|stored| stored.bytes == 1 && stored.path.is_file()));
    assert!(!root.join(".tarkeep").exists(), "looking changes nothing");
}

#[test]
fn only_what_dead_writers_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let elsewhere = tempfile::tempdir().unwrap();
    let litter = ".tarkeep-0123456789abcdef.tmp";
    for path in [litter, "2026-11-18/x", "2026-11-19/x", "stranger/x", "2026-13-01/x"] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path.with_file_name(litter), "half").unwrap();
    }
    fs::write(root.join("2026-11-18/notes.txt"), "mine").unwrap();
    for similar in
        [".tarkeep-0123456789abcdeg.tmp", ".tarkeep-0123456789abcdef.tmp2", "tarkeep-0123456789abcdef.tmp"]
    {
        fs::write(root.join("2026-11-18").join(similar), "mine").unwrap();
    }
    fs::create_dir(root.join("2026-11-17")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(elsewhere.path().join(litter), "half").unwrap();
    symlink(elsewhere.path(), root.join("2026-11-16")).unwrap();

    let local = Local::open(root, options()).unwrap();
    let lock = local.lock("test", "now").unwrap();
    let pattern = Pattern::default();
    let mut living = local.begin(&lock, &crate::child::name()).unwrap();
    living.write_all(b"alive").unwrap();
    let mut swept = local.sweep(&lock, &pattern).unwrap();
    swept.sort();
    let root = root.canonicalize().unwrap();
    let wanted = [litter, "2026-11-17", "2026-11-18/L", "2026-11-19", "2026-11-19/L"];
    assert_eq!(swept, wanted.map(|path| root.join(path.replace('L', litter))));
    assert!(elsewhere.path().join(litter).exists(), "no link is followed");
    assert!(root.join("stranger").join(litter).exists() && root.join("empty").exists());
    assert!(root.join("2026-11-18/.tarkeep-0123456789abcdeg.tmp").exists());
    assert_eq!(living.publish(|_| Ok(())).unwrap().bytes, 5, "the living are left alone");
}

#[test]
fn an_upload_that_is_dropped_or_refused_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let local = Local::open(root, options()).unwrap();
    let lock = local.lock("test", "now").unwrap();
    let mut upload = local.begin(&lock, &crate::child::name()).unwrap();
    upload.write_all(&content(BYTES)).unwrap();
    assert_eq!(upload.written(), BYTES as u64);
    assert_eq!(left(root).len(), 2);
    drop(upload);
    assert_eq!(left(root), Vec::<String>::new());

    let upload = local.begin(&lock, &crate::child::name()).unwrap();
    let error = upload.publish(|_| Err(tarkeep::error::Error::damaged("no"))).unwrap_err();
    assert_eq!(error.exit(), Exit::Damaged);
    assert_eq!(left(root), Vec::<String>::new());

    // A folder that somebody uses meanwhile stays.
    let upload = local.begin(&lock, &crate::child::name()).unwrap();
    fs::write(root.join("2026-11-20/notes.txt"), "mine").unwrap();
    drop(upload);
    assert_eq!(left(root), ["2026-11-20", "2026-11-20/notes.txt"]);
}

#[test]
fn a_file_that_was_asked_for_by_path_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz");
    fs::write(folder.path().join(".tarkeep-0123456789abcdef.tmp"), "litter of a killed process").unwrap();
    let mut upload = file::begin(&path, None).unwrap();
    upload.write_all(b"whole").unwrap();
    assert!(!path.exists());
    let published = upload.publish(|_| Ok(())).unwrap();
    assert_eq!((published.path, published.name, published.bytes), (path.clone(), None, 5));
    assert_eq!(left(folder.path()), ["x.tar.gz"]);

    let error = file::begin(&path, None).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.to_string().contains("is there already"), "{error}");
    let dangling = folder.path().join("y.tar.gz");
    symlink("nowhere", &dangling).unwrap();
    assert!(file::begin(&dangling, None).is_err());
    assert!(
        file::begin(&folder.path().join("none/x.tar.gz"), None)
            .unwrap_err()
            .to_string()
            .contains("open folder")
    );
    for no_name in ["/", "..", "x/"] {
        assert_eq!(file::begin(no_name.as_ref(), None).unwrap_err().exit(), Exit::Usage, "{no_name}");
    }

    // Somebody is faster.
    let late = folder.path().join("z.tar.gz");
    let upload = file::begin(&late, None).unwrap();
    fs::write(&late, "theirs").unwrap();
    assert!(upload.publish(|_| Ok(())).unwrap_err().to_string().contains("is there already"));
    assert_eq!(fs::read(&late).unwrap(), b"theirs");
    assert_eq!(left(folder.path()), ["x.tar.gz", "y.tar.gz", "z.tar.gz"]);
}
