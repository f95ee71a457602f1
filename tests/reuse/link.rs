//! With `TARKEEP_UNCHANGED=link` a run that finds nothing changed makes one more name of the last archive.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tarkeep::archive::name::Pattern;
use tarkeep::archive::verify::{Depth, Options, verify};
use tarkeep::destination::Local;
use tarkeep::exit::Exit;
use tarkeep::inventory::{self, Item, Whose};
use tarkeep::job::Made;
use tarkeep::progress::Progress;
use tarkeep::state::{Folder, Links};
use tarkeep::stop::Stop;

use crate::nights::{Nights, archive, noise};

/// Small files in several groups, and a large one, left alone for some time.
fn nights() -> Option<Nights> {
    let nights = Nights::new()?.with("TARKEEP_UNCHANGED", "link");
    for number in 0..60 {
        fs::write(nights.source().join(format!("small-{number:02}")), noise(50_000, number)).unwrap();
    }
    fs::write(nights.source().join("large"), noise(1 << 20, 99)).unwrap();
    Some(nights)
}

fn inode(made: &Made) -> u64 {
    made.path.as_ref().unwrap().metadata().unwrap().ino()
}

fn name(made: &Made) -> String {
    format!("{}.tar.gz", made.name.as_ref().unwrap())
}

/// What is known of the archives, newest first.
fn items(nights: &Nights) -> Vec<Item> {
    let local = Local::open(&nights.destination(), tarkeep::destination::Options::default()).unwrap();
    let whose = Whose { job: "data".into(), sources: Vec::new() };
    inventory::take(&local, &Pattern::default(), &whose, &Folder::new(local.state_dir()), &Stop::default())
        .unwrap()
}

fn instants(nights: &Nights) -> Vec<DateTime<Utc>> {
    items(nights).into_iter().map(|item| item.own.unwrap().instant).collect()
}

fn links(nights: &Nights) -> Links {
    Folder::new(nights.destination().join(".tarkeep")).links("data")
}

fn sound(path: &Path) -> bool {
    let options = Options { depth: Depth::Full, threads: 1 };
    verify(path, options, &Stop::default(), &Progress::default()).unwrap().sound()
}

#[track_caller]
fn assert_link(made: &Made, to: &Made) {
    assert_eq!((&made.link, inode(made)), (&to.name, inode(to)));
    assert_eq!(made.exit(), Exit::Complete);
    assert_eq!(made.report.stored, to.report.stored);
    let folder = made.path.as_ref().unwrap().parent().unwrap();
    assert!(fs::read_dir(folder).unwrap().all(|entry| entry.unwrap().path().extension().unwrap() == "gz"));
}

#[track_caller]
fn assert_copy(made: &Made, last: &Made) {
    assert_eq!(made.link, None);
    assert_ne!(inode(made), inode(last));
    assert!(sound(made.path.as_ref().unwrap()));
}

#[test]
fn a_night_in_which_nothing_changed_is_a_link_with_an_instant_of_its_own() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    assert_eq!(first.link, None, "there is nothing to link to");
    let second = nights.next();
    assert_link(&second, &first);
    let third = nights.next();
    assert_link(&third, &second);
    let told = [&third, &second, &first].map(|made| made.instant.to_utc());
    assert_eq!(instants(&nights), told);
    assert_eq!(archive(&third).about().unwrap().instant, archive(&first).about().unwrap().instant);
    assert!(items(&nights).iter().all(|item| item.names == 3));

    fs::write(nights.source().join("small-07"), noise(50_000, 1234)).unwrap();
    let fourth = nights.next();
    assert_copy(&fourth, &third);
    assert!(!fourth.report.reused.is_nothing());
    nights.assert_as_in_full(&fourth);
    assert_link(&nights.next(), &fourth);
    assert_eq!(items(&nights).iter().map(|item| item.names).collect::<Vec<_>>(), [2, 2, 3, 3, 3]);
}

#[test]
fn by_default_it_is_a_copy() {
    let Some(mut nights) = Nights::new() else { return };
    fs::write(nights.source().join("file"), "content").unwrap();
    let first = nights.next();
    let second = nights.next();
    assert_copy(&second, &first);
}

#[test]
fn whatever_is_not_as_it_was_makes_an_archive_of_its_own() {
    let Some(mut nights) = nights() else { return };
    let source = nights.source();
    let file = |number: u32| source.join(format!("small-{number:02}"));
    fs::hard_link(file(3), source.join("small-04-link")).unwrap();
    let mut last = nights.next();
    let changes: [(&str, &dyn Fn()); 9] = [
        ("a file is gone", &|| fs::remove_file(file(1)).unwrap()),
        ("a file is new", &|| fs::write(source.join("new"), "").unwrap()),
        ("a folder is new", &|| fs::create_dir(source.join("folder")).unwrap()),
        ("a mode", &|| fs::set_permissions(file(2), Permissions::from_mode(0o600)).unwrap()),
        ("an mtime", &|| {
            let file = File::options().write(true).open(file(5)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("only a ctime", &|| {
            fs::rename(file(6), source.join("x"))
                .and_then(|()| fs::rename(source.join("x"), file(6)))
                .unwrap();
        }),
        ("another inode with the same bytes", &|| {
            fs::copy(file(8), source.join("y")).unwrap();
            fs::rename(source.join("y"), file(8)).unwrap();
        }),
        ("one of two names", &|| fs::remove_file(source.join("small-04-link")).unwrap()),
        ("a link", &|| std::os::unix::fs::symlink("x", source.join("symlink")).unwrap()),
    ];
    for (what, change) in changes {
        let before = nights.next();
        assert!(before.link.is_some(), "before {what}: {:?}", before.report);
        change();
        let made = nights.next();
        assert_eq!(made.link, None, "{what}");
        assert_copy(&made, &before);
        last = made;
    }
    assert_link(&nights.next(), &last);
}

#[test]
fn what_is_left_out_anew_is_a_change() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    let report = archive(&first).about().unwrap().report;
    nights.exclude = vec!["small-0*".into()];
    let second = nights.next();
    assert_copy(&second, &first);
    assert!(second.report.entries < report.entries);
    assert_link(&nights.next(), &second);
}

#[test]
fn a_file_that_is_too_young_to_be_known_is_read_and_the_archive_has_a_scan_that_knows_it() {
    let Some(mut nights) = nights() else { return };
    let first = nights.at_once();
    nights.ahead = TimeDelta::minutes(10);
    let second = nights.next();
    // Everything was read, and found to be the same: linked, it would be read each night again.
    assert_copy(&second, &first);
    let third = nights.next();
    assert_link(&third, &second);
    assert_link(&nights.next(), &third);
}

#[test]
fn by_content_everything_is_read_and_linked() {
    let Some(nights) = nights() else { return };
    let mut nights = nights.with("TARKEEP_CHANGE_DETECTION", "content");
    let first = nights.at_once();
    nights.ahead = TimeDelta::minutes(10);
    let second = nights.next();
    assert_link(&second, &first);
    fs::write(nights.source().join("small-07"), noise(50_000, 1234)).unwrap();
    assert_copy(&nights.next(), &second);
}

#[test]
fn after_a_week_of_links_everything_is_read_and_written() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    let read = archive(&first).about().unwrap().instant;
    for _ in 0..6 {
        nights.ahead += TimeDelta::days(1) - TimeDelta::minutes(10);
        assert!(nights.next().link.is_some());
    }
    nights.ahead += TimeDelta::days(1);
    let full = nights.next();
    assert_copy(&full, &first);
    assert!(full.report.reused.is_nothing());
    assert_eq!(archive(&full).about().unwrap().read, None);
    assert_ne!(archive(&full).about().unwrap().instant, read);
    assert_link(&nights.next(), &full);
}

#[test]
fn nothing_is_linked_to_an_archive_that_is_damaged() {
    let Some(mut nights) = nights() else { return };
    let mut base = nights.next();
    let count = archive(&base).segment_count();
    // Also where nothing is taken over, as at the end; and in its index, where each page counts.
    for segment in 0..count {
        let at = archive(&base).segment(segment).unwrap();
        let at = at.offset + at.record.stored / 2;
        let file = File::options().read(true).write(true).open(base.path.as_ref().unwrap()).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        let made = nights.next();
        assert_copy(&made, &base);
        nights.assert_as_in_full(&made);
        // The one that warns of damage is not what the next one would be.
        base = if made.report.warnings.is_empty() { made } else { nights.next() };
        assert!(sound(base.path.as_ref().unwrap()));
    }
}

#[test]
fn a_link_whose_record_is_lost_stays_and_the_next_runs_build_on_it() {
    let Some(nights) = nights() else { return };
    let mut nights = nights.with("TARKEEP_KEEP", "last=2");
    let first = nights.next();
    let second = nights.next();
    let third = nights.next();
    assert!(!first.path.as_ref().unwrap().exists(), "last=2");
    fs::remove_file(nights.destination().join(".tarkeep/data.links")).unwrap();
    let told = items(&nights);
    for item in &told {
        let why = item.own.as_ref().unwrap_err();
        assert!(
            why.contains("somebody renamed it") && why.contains("a link of which there is no record"),
            "{why}"
        );
    }
    // Nothing is known as the job's own but what is made from now on.
    let fourth = nights.next();
    assert_link(&fourth, &third);
    let fifth = nights.next();
    assert_link(&fifth, &fourth);
    let sixth = nights.next();
    assert_eq!(sixth.pruned.as_ref().unwrap().deleted.len(), 1);
    assert_eq!(sixth.pruned.as_ref().unwrap().freed, 0);
    for made in [&second, &third, &fifth, &sixth] {
        assert!(sound(made.path.as_ref().unwrap()));
    }
    assert!(!fourth.path.as_ref().unwrap().exists());
}

#[test]
fn a_record_is_of_this_archive_and_of_no_other_that_has_its_name() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    let second = nights.next();
    let path = second.path.clone().unwrap();
    assert!(
        links(&nights)
            .find(&name(&second), first.report.stored, &archive(&first).about().unwrap().instant)
            .is_some()
    );
    // A copy to another disk, without hard links, is as good.
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(instants(&nights), [&second, &first].map(|made| made.instant.to_utc()));
    assert!(items(&nights).iter().all(|item| item.names == 1));
    // Another archive under the name is not.
    fs::write(nights.source().join("new"), "").unwrap();
    let third = nights.next();
    fs::rename(third.path.as_ref().unwrap(), &path).unwrap();
    let why = items(&nights)[0].own.clone().unwrap_err();
    assert!(why.contains("somebody renamed it: by its index"), "{why}");
}

#[test]
fn names_are_pruned_one_by_one_and_only_the_last_one_frees() {
    let Some(nights) = nights() else { return };
    let mut nights = nights.with("TARKEEP_KEEP", "last=3");
    let made: Vec<Made> = (0..5).map(|_| nights.next()).collect();
    let stored = made[0].report.stored;
    let says = archive(&made[4]).about().unwrap().instant;
    for (at, one) in made.iter().enumerate() {
        assert_eq!(one.path.as_ref().unwrap().exists(), at >= 2, "{at}");
        let known = links(&nights).find(&name(one), stored, &says).is_some();
        // The first is no link; the second was one, and is forgotten with its name.
        assert_eq!(known, at >= 2, "{at}");
        assert!(one.pruned.as_ref().unwrap().freed == 0);
    }
    fs::write(nights.source().join("new"), "").unwrap();
    let freed: Vec<u64> = (0..3).map(|_| nights.next().pruned.unwrap().freed).collect();
    assert_eq!(freed, [0, 0, stored]);
    assert_eq!(instants(&nights).len(), 3);
}

#[test]
fn what_somebody_deletes_by_hand_is_forgotten_in_time_and_not_when_a_disk_is_away() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    let says = archive(&first).about().unwrap().instant;
    let second = nights.next();
    let third = nights.next();
    let known =
        |nights: &Nights, made: &Made| links(nights).find(&name(made), first.report.stored, &says).is_some();
    fs::remove_file(second.path.as_ref().unwrap()).unwrap();
    nights.next();
    assert!(known(&nights, &second), "missing for a moment only, as far as anybody can tell");
    nights.ahead += TimeDelta::days(29);
    nights.next();
    assert!(known(&nights, &second));
    nights.ahead += TimeDelta::days(1);
    nights.next();
    assert!(!known(&nights, &second) && known(&nights, &third));

    // Away for a night, and back: it begins anew.
    let away = nights.destination().join("away");
    fs::rename(third.path.as_ref().unwrap(), &away).unwrap();
    nights.next();
    fs::rename(&away, third.path.as_ref().unwrap()).unwrap();
    nights.ahead += TimeDelta::days(40);
    nights.next();
    fs::rename(third.path.as_ref().unwrap(), &away).unwrap();
    nights.next();
    assert!(known(&nights, &third));
}

#[test]
fn the_owner_and_the_mode_stay_as_they_are() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    fs::set_permissions(first.path.as_ref().unwrap(), Permissions::from_mode(0o604)).unwrap();
    let second = nights.next();
    assert_link(&second, &first);
    assert_eq!(second.path.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o604);
}
