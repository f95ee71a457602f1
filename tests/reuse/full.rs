//! Every so often everything is read, and held against what the last archive says.

use std::fs;

use chrono::TimeDelta;

use crate::common::disk::{Disk, run};
use crate::nights::{Nights, archive, body, noise};

#[test]
fn after_a_week_everything_is_read_and_compared() {
    let Some(mut nights) = Nights::new() else { return };
    let source = nights.source();
    for number in 0..40 {
        fs::write(source.join(format!("{number:02}")), noise(30_000, number)).unwrap();
    }
    fs::write(source.join("large"), noise(1 << 20, 99)).unwrap();
    let first = nights.next();
    let said = |made| archive(made).about().unwrap().read;
    assert_eq!(said(&first), None, "all of it was read by the run itself");
    let second = nights.next();
    let when = archive(&first).about().unwrap().instant;
    assert_eq!(said(&second), Some(when.clone()));
    nights.ahead += TimeDelta::days(6);
    let third = nights.next();
    assert_eq!(said(&third), Some(when));
    assert!(!third.report.reused.is_nothing());
    nights.ahead += TimeDelta::days(1);
    fs::write(source.join("07"), noise(30_000, 1234)).unwrap();
    let fourth = nights.next();
    assert_eq!(said(&fourth), None);
    assert!(fourth.report.reused.is_nothing());
    assert!(fourth.report.complete(), "{:?}", fourth.report.warnings);
    nights.assert_as_in_full(&fourth);
}

#[test]
fn what_changed_below_the_file_system_is_an_error_with_its_name() {
    // As root: an ext4 whose blocks are written behind its back, which is what rot looks like.
    let Some(disk) = Disk::ext4(64, None) else { return };
    let Some(mut nights) = Nights::new() else { return };
    for number in 0..20 {
        fs::write(disk.path().join(format!("small-{number:02}")), noise(30_000, number)).unwrap();
    }
    fs::write(disk.path().join("large"), noise(1 << 20, 99)).unwrap();
    fs::remove_dir(nights.source()).unwrap();
    std::os::unix::fs::symlink(disk.path(), nights.source()).unwrap();
    nights.next();
    let second = nights.next();
    assert!(!second.report.reused.is_nothing());

    assert!(run("sync", &["-f", disk.path().to_str().unwrap()]));
    let rotten = disk.as_rotten(&[&noise(30_000, 7)[100..], &noise(1 << 20, 99)[500_000..]]);
    fs::remove_file(nights.source()).unwrap();
    std::os::unix::fs::symlink(rotten.path(), nights.source()).unwrap();
    // Nothing tells of it, so what was right is taken over.
    let third = nights.next();
    assert_eq!(body(&third, "/small-07"), noise(30_000, 7));
    assert!(third.report.complete());
    nights.ahead += TimeDelta::days(8);
    let fourth = nights.next();
    assert_eq!(fourth.report.exit().code(), 3);
    let warning = &fourth.report.warnings[0];
    assert!(warning.suspect, "{}", warning.text);
    for name in ["/small-07", "/large"] {
        assert!(warning.text.contains(name), "{}", warning.text);
    }
    assert!(!warning.text.contains("small-06"), "{}", warning.text);
    assert_ne!(body(&fourth, "/small-07"), noise(30_000, 7), "the archive has what is there");
}

/// By mtime nothing else is asked for: a file that was written and had its mtime set back has another inode and ctime.
#[test]
fn what_had_its_mtime_set_back_is_named_and_pruning_says_where_the_older_content_is() {
    let Some(mut nights) = Nights::new() else { return };
    nights = nights.with("TARKEEP_CHANGE_DETECTION", "mtime").with("TARKEEP_KEEP", "last=1");
    let path = nights.source().join("file");
    fs::write(&path, noise(5000, 1)).unwrap();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let first = nights.next();
    fs::write(&path, noise(5000, 2)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    nights.ahead += TimeDelta::days(8);
    let second = nights.next();
    let text = &second.report.warnings[0].text;
    assert!(text.contains("though size and mtime are the same: ") && !text.contains("inode"), "{text}");
    assert!(text.contains("something changed it and set its mtime back"), "{text}");
    let held = second.held.unwrap();
    assert!(held.contains(text.as_str()) && !held.contains("shrunk"), "{held}");
    let older = format!("what was there before is in {}", first.name.unwrap());
    assert!(held.contains(&older), "{held}");
}
