//! Several restores, and other programs, at work on the same folders.

use std::fs;

use super::bench::{Bench, ok};
use super::common::program::stderr as text;

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
