use proptest::prelude::*;

use super::*;

fn at(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
}

#[test]
fn every_ending_has_one_for_what_is_encrypted() {
    for ending in ENDINGS.into_iter().filter(|ending| !ending.contains(".age")) {
        assert_eq!(encrypted(ending), format!("{ending}.age"));
    }
}

#[test]
fn the_default_makes_a_folder_a_day() {
    let pattern = Pattern::default();
    let name = pattern.name(at("2026-11-20 01:02:03"), ".tar.gz", 1);
    assert_eq!(name.to_string(), "2026-11-20/01-02-03.tar.gz");
    assert_eq!(name.next().to_string(), "2026-11-20/01-02-03-2.tar.gz");
    assert_eq!(name.next().next().short(), "2026-11-20/01-02-03-3");
    assert_eq!(pattern.parse("2026-11-20/01-02-03-2.tar.gz"), Some(name.next()));
}

#[test]
fn only_its_own_names_are_recognised() {
    let pattern = Pattern::default();
    for stranger in [
        "",
        ".tar.gz",
        "01-02-03.tar.gz",
        "2026-11-20/01-02-03",
        "2026-11-20/01-02-03.tgz",
        "2026-11-20/01-02-03.tar.gz.part",
        "2026-11-20/01-02-03.tar.gz.tar.gz",
        "2026-11-20/01-02-03-.tar.gz",
        "2026-11-20/01-02-03-0.tar.gz",
        "2026-11-20/01-02-03-1.tar.gz",
        "2026-11-20/01-02-03-02.tar.gz",
        "2026-11-20/01-02-03-+2.tar.gz",
        "2026-11-20/01-02-03-99999999999.tar.gz",
        "2026-11-20/01-02-03 2.tar.gz",
        "2026-11-20/24-02-03.tar.gz",
        "2026-11-20/01-60-03.tar.gz",
        "2026-11-20/1-02-03.tar.gz",
        "2026-02-30/01-02-03.tar.gz",
        "2026-11-20/x/01-02-03.tar.gz",
        "/2026-11-20/01-02-03.tar.gz",
        "2026-11-20//01-02-03.tar.gz",
        "+026-11-20/01-02-03.tar.gz",
        "2026-11-20/01-02-\u{663}\u{663}.tar.gz",
    ] {
        assert_eq!(pattern.parse(stranger), None, "{stranger}");
    }
    for ending in ENDINGS {
        let path = format!("2026-11-20/01-02-03{ending}");
        assert_eq!(pattern.parse(&path).unwrap().to_string(), path);
    }
}

#[test]
fn a_name_that_contradicts_itself_is_not_ours() {
    let pattern = Pattern::new("%Y/%j/%Y-%m-%d", "").unwrap();
    assert!(pattern.parse("2026/324/2026-11-20.tar.gz").is_some());
    assert!(pattern.parse("2026/323/2026-11-20.tar.gz").is_none());
    assert!(pattern.parse("2025/324/2026-11-20.tar.gz").is_none());
}

#[test]
fn folders_are_recognised_on_the_way() {
    let pattern = Pattern::new("keep/{job}/%Y/%m-%d/%H-%M-%S", "db").unwrap();
    for folder in ["keep", "keep/db", "keep/db/2026", "keep/db/2026/11-20"] {
        assert!(pattern.is_folder(folder), "{folder}");
    }
    assert!(!pattern.is_dated_folder("keep/db"));
    assert!(pattern.is_dated_folder("keep/db/2026"));
    for stranger in ["", "db", "keep/other", "keep/db/2026/13-20", "keep/db/2026/11-20/01-00-00", "keep/"] {
        assert!(!pattern.is_folder(stranger), "{stranger}");
    }
}

#[test]
fn versions_stand_at_the_end_and_are_always_there() {
    let pattern = Pattern::new("db/{job}.{version}", "volume").unwrap();
    let name = pattern.name(at("2026-11-20 01:02:03"), ".tar.gz", 1);
    assert_eq!(name.to_string(), "db/volume.1.tar.gz");
    assert_eq!(pattern.parse("db/volume.12.tar.gz").unwrap().number, 12);
    assert!(pattern.parse("db/volume.2.tar").unwrap().rank() < name.rank(), "the lower one is the newer");
    for stranger in [
        "db/volume.tar.gz",
        "db/volume..tar.gz",
        "db/volume.0.tar.gz",
        "db/volume.01.tar.gz",
        "db/volume.1-2.tar.gz",
        "db/volume.-1.tar.gz",
        "db/volume.1.x.tar.gz",
        "volume.1.tar.gz",
    ] {
        assert_eq!(pattern.parse(stranger), None, "{stranger}");
    }
    assert!(pattern.is_folder("db") && !pattern.is_dated_folder("db"));
    let alone = Pattern::new("{version}", "").unwrap();
    assert_eq!(alone.parse("3.tar").unwrap().to_string(), "3.tar");
}

#[test]
fn patterns_that_cannot_work_are_refused_with_the_reason() {
    for (text, reason) in [
        ("", "is empty"),
        ("/%Y%m%d", "must be relative"),
        ("%Y%m%d/", "empty part"),
        ("%Y//%m%d", "empty part"),
        ("../%Y%m%d", "\"..\""),
        ("%Y%m%d/./%H", "\".\""),
        (".tarkeep/%Y%m%d", ".tarkeep"),
        ("%Y/.tarkeep-%m%d", ".tarkeep"),
        ("%Y%m%d\n", "control character"),
        ("%Y%m%d.tar.gz", "leave out \".tar.gz\""),
        ("nightly", "two days"),
        ("%H-%M-%S", "two days"),
        ("%Y-%m", "two days"),
        ("%Y-%d", "two days"),
        ("%Y-%m-%d-%s", "%s is not known"),
        ("%F", "%F is not known"),
        ("%Y%m%d%", "single %"),
        ("{version}-%Y%m%d", "only stand at the end"),
        ("%Y/volume.{version}", "counts from the newest"),
        ("{service}.{version}", "{service} is not known"),
        ("{job-%Y%m%d", "{ without }"),
        (&format!("{}%Y%m%d", "x".repeat(199)), "longer than"),
    ] {
        let error = Pattern::new(text, "job").unwrap_err();
        assert!(error.to_string().contains(reason), "{text:?}: {error}");
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
    }
    assert!(Pattern::new("{job}/%Y%m%d", "a/b").unwrap_err().to_string().contains("a/b"));
    assert!(Pattern::new("{job}/%Y%m%d", "..").unwrap_err().to_string().contains("\"..\""));
}

fn times() -> impl Strategy<Value = NaiveDateTime> {
    // From the year 0 to 9999.
    (-62_167_219_200_i64..253_402_300_800)
        .prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 999).unwrap().naive_utc())
}

proptest! {
    #[test]
    fn names_round_trip(
        local in times(),
        number in 0_u32..2000,
        ending in prop::sample::select(ENDINGS.to_vec()),
        text in prop::sample::select(vec![
            DEFAULT, "%Y%j", "%Y%m%d%H%M%S", "{job}-%d.%m.%Y_%H%M", "100%%/%Y/%j/%y%m%d-2", "%S%M%H-%j-%Y",
        ]),
    ) {
        let pattern = Pattern::new(text, "job-7").unwrap();
        let name = pattern.name(local, ending, number);
        prop_assert_eq!(pattern.parse(&name.to_string()), Some(name.clone()));
        prop_assert!(name.local <= local);
        let folder = name.to_string();
        for (slash, _) in folder.match_indices('/') {
            prop_assert!(pattern.is_folder(&folder[..slash]));
        }
    }

    #[test]
    fn whatever_is_recognised_is_what_would_be_made(path in "[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{2}-[0-9]{2}-[0-9]{2}(-[0-9]{1,3})?\\.tar(\\.gz)?") {
        if let Some(name) = Pattern::default().parse(&path) {
            prop_assert_eq!(name.to_string(), path);
        }
    }
}
