//! One valid configuration out of what people write, or an error that says where the mistake is and what to write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tarkeep::archive::codec::Codec;
use tarkeep::cli::Cli;
use tarkeep::config::{
    self, ChangeDetection, Config, Environment, OnMiss, OnStart, Origin, Typed, Unchanged,
};
use tarkeep::exit::Exit;

fn tz(name: &str) -> tarkeep::zone::Tz {
    name.parse().unwrap()
}

/// The configuration from this file, this command line and this environment. The file is always given, so that one of
/// the machine's own does not count.
fn load<const N: usize>(
    file: &str,
    line: &[&str],
    variables: [(&str, &str); N],
) -> Result<Config, tarkeep::error::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tarkeep.toml");
    std::fs::write(&path, file).unwrap();
    let arguments = ["tarkeep"].iter().chain(line).map(std::ffi::OsString::from);
    let typed = Cli::read(arguments).unwrap().typed();
    config::load(&Typed { file: Some(path), ..typed }, &Environment::of(variables))
}

fn environment<const N: usize>(variables: [(&str, &str); N]) -> Config {
    load("", &["info"], variables).unwrap()
}

/// What is refused, as the user sees it, without the folder that the test's file stands in.
fn refusal<const N: usize>(file: &str, line: &[&str], variables: [(&str, &str); N]) -> String {
    let error = load(file, line, variables).expect_err(&format!("{file:?} {line:?} {variables:?}"));
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    let text = error.to_string();
    match text.find("tarkeep.toml") {
        Some(at) if text.starts_with('/') => text[at..].to_owned(),
        _ => text,
    }
}

fn origin(config: &Config, key: &str) -> String {
    let mut all = config.jobs[0].shown.iter().chain(&config.shown);
    all.find(|shown| shown.setting.key == key).unwrap().origin.to_string()
}

#[test]
fn nothing_set_is_one_job_from_data_to_backup() {
    let config = environment([]);
    let [job] = config.jobs.as_slice() else { panic!("one job") };
    assert_eq!(job.name, "data");
    assert_eq!(job.sources, [PathBuf::from("/data")]);
    assert_eq!(job.destination, Path::new("/backup"));
    assert_eq!(job.schedule.to_string(), "01:00");
    assert_eq!(job.zone, tarkeep::zone::Tz::UTC);
    assert_eq!(job.on_start, OnStart::First);
    assert_eq!(job.catch_up, Duration::from_hours(12));
    assert_eq!(job.codec, Codec::Gzip(6));
    assert_eq!((job.mode, job.owner, job.nice), (0o640, None, 10));
    assert_eq!(job.unchanged, Unchanged::Copy);
    assert_eq!((job.on_skipped, job.on_changed), (OnMiss::Warn, OnMiss::Warn));
    assert!(job.exclude.is_empty() && job.exclude_from.is_none() && job.state.is_none());
    assert!(!job.one_file_system && !job.exclude_caches && job.exclude_if_present.is_empty());
    assert!(!job.require_mount.source && !job.require_mount.destination);
    assert!(job.services_down.is_empty() && !job.allow_reset);
    assert!(job.shown.iter().all(|shown| shown.origin == Origin::Default));
}

#[test]
fn every_setting_is_taken_from_the_environment() {
    let config = environment([
        ("TARKEEP_SOURCE", "/a, /b"),
        ("TARKEEP_DESTINATION", "/mnt/disk"),
        ("TARKEEP_SCHEDULE", "every 15m"),
        ("TARKEEP_TIMEZONE", "Europe/Berlin"),
        ("TARKEEP_ON_START", "always"),
        ("TARKEEP_CATCH_UP", "off"),
        ("TARKEEP_NAME", "%Y%m%d-%H%M%S"),
        ("TARKEEP_LATEST_LINK", "latest.tar.gz"),
        ("TARKEEP_CODEC", "none"),
        ("TARKEEP_KEEP", "last=3"),
        ("TARKEEP_VERIFY", "@weekly"),
        ("TARKEEP_UNCHANGED", "link"),
        ("TARKEEP_EXCLUDE", "*.tmp\n!keep.tmp"),
        ("TARKEEP_EXCLUDE_CACHES", "yes"),
        ("TARKEEP_EXCLUDE_IF_PRESENT", ".nobackup,.skip"),
        ("TARKEEP_ONE_FILE_SYSTEM", "true"),
        ("TARKEEP_REQUIRE_MOUNT", "source,destination"),
        ("TARKEEP_ON_SKIPPED", "fail"),
        ("TARKEEP_ON_CHANGED", "fail"),
        ("TARKEEP_MODE", "600"),
        ("TARKEEP_OWNER", "1000:100"),
        ("TARKEEP_STATE", "/state"),
        ("TARKEEP_SERVICES_DOWN", "database:5432, [::1]:80"),
        ("TARKEEP_ALLOW_RESET", "1"),
        ("TARKEEP_NICE", "0"),
        ("TARKEEP_THREADS", "3"),
        ("TARKEEP_LOG", "debug"),
        ("TARKEEP_LOG_FORMAT", "json"),
    ]);
    let job = &config.jobs[0];
    assert_eq!(job.sources, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(job.destination, Path::new("/mnt/disk"));
    assert_eq!(job.schedule.to_string(), "every 15m");
    assert_eq!(job.zone, tz("Europe/Berlin"));
    assert_eq!((job.on_start, job.catch_up), (OnStart::Always, Duration::ZERO));
    assert_eq!((job.codec, job.unchanged), (Codec::None, Unchanged::Link));
    assert_eq!(job.latest_link.as_deref(), Some("latest.tar.gz"));
    assert_eq!((job.keep.to_string(), job.verify.to_string()), ("last=3".into(), "@weekly".into()));
    assert_eq!(job.exclude, ["*.tmp", "!keep.tmp"]);
    assert_eq!(job.exclude_if_present, [".nobackup", ".skip"]);
    assert!(job.exclude_caches && job.one_file_system);
    assert!(job.require_mount.source && job.require_mount.destination);
    assert_eq!((job.on_skipped, job.on_changed), (OnMiss::Fail, OnMiss::Fail));
    assert_eq!((job.mode, job.owner, job.nice), (0o600, Some((1000, 100)), 0));
    assert_eq!(job.state.as_deref(), Some(Path::new("/state")));
    let services: Vec<_> = job.services_down.iter().map(ToString::to_string).collect();
    assert_eq!(services, ["database:5432", "[::1]:80"]);
    assert!(job.allow_reset);
    assert_eq!(job.threads.get(), 3);
    assert_eq!(config.log, "debug");
    assert_eq!(config.log_format, config::LogFormat::Json);
    assert_eq!(origin(&config, "codec"), "TARKEEP_CODEC");
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let file = "codec = \"gzip:3\"\nnice = 3\nthreads = 3\nexclude-caches = true\n";
    let variables = [("TARKEEP_CODEC", "gzip:2"), ("TARKEEP_NICE", "2")];
    let config = load(file, &["backup", "--codec", "gzip:1"], variables).unwrap();
    let job = &config.jobs[0];
    assert_eq!((job.codec, job.nice, job.threads.get()), (Codec::Gzip(1), 2, 3));
    assert!(job.exclude_caches);
    assert_eq!(origin(&config, "codec"), "--codec");
    assert_eq!(origin(&config, "nice"), "TARKEEP_NICE");
    assert!(origin(&config, "threads").ends_with("/tarkeep.toml"));
    assert_eq!(origin(&config, "schedule"), "default");
}

#[test]
fn every_flag_of_backup_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let patterns = folder.path().join("patterns");
    std::fs::write(&patterns, "*.tmp\n").unwrap();
    let line = "backup --source /a --source /b,c --destination /d --codec none --exclude *.o --exclude-from PATTERNS \
                --one-file-system --threads 9 --name %Y%m%d";
    let line = line.replace("PATTERNS", patterns.to_str().unwrap());
    let line: Vec<_> = line.split_whitespace().collect();
    let job = load("", &line, []).unwrap().jobs.remove(0);
    assert_eq!(job.sources, [PathBuf::from("/a"), PathBuf::from("/b,c")]);
    assert_eq!(job.destination, Path::new("/d"));
    assert_eq!((job.codec, job.one_file_system, job.threads.get()), (Codec::None, true, 9));
    assert_eq!((job.exclude.as_slice(), job.exclude_from), (&["*.o".to_owned()][..], Some(patterns)));
    let shown = job.shown.iter().find(|shown| shown.setting.key == "archive-name").unwrap();
    assert_eq!((shown.value.as_str(), shown.origin.to_string().as_str()), ("%Y%m%d", "--name"));
}

#[test]
fn second_names_count_where_the_first_is_not_set() {
    let config =
        environment([("CRON_SCHEDULE", "02:00"), ("TZ", ":Asia/Tokyo"), ("RUST_LOG", "debug,hyper")]);
    assert_eq!(config.jobs[0].schedule.to_string(), "02:00");
    assert_eq!(config.jobs[0].zone, tz("Asia/Tokyo"));
    assert_eq!(config.log, "debug");
    assert_eq!(origin(&config, "schedule"), "CRON_SCHEDULE");

    let config = environment([
        ("CRON_SCHEDULE", "02:00"),
        ("TARKEEP_SCHEDULE", "03:00"),
        ("TZ", "Asia/Tokyo"),
        ("TARKEEP_TIMEZONE", "UTC"),
        ("RUST_LOG", "debug"),
        ("TARKEEP_LOG", "warn"),
    ]);
    assert_eq!(config.jobs[0].schedule.to_string(), "03:00");
    assert_eq!(config.jobs[0].zone, tarkeep::zone::Tz::UTC);
    assert_eq!(config.log, "warn");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let config =
        environment([("TARKEEP_CODEC", ""), ("TZ", ""), ("TARKEEP_EXCLUDE", " \n"), ("BACKUPS_KEPT", "")]);
    assert_eq!(config.jobs[0].codec, Codec::Gzip(6));
    assert_eq!(origin(&config, "codec"), "default");
    assert!(config.jobs[0].exclude.is_empty());
}

#[test]
fn a_value_can_stand_in_a_file_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("codec");
    let variable = path.to_str().unwrap();
    for (contents, codec) in [("gzip:9\n", Codec::Gzip(9)), ("gzip:8", Codec::Gzip(8))] {
        std::fs::write(&path, contents).unwrap();
        let config = environment([("TARKEEP_CODEC_FILE", variable)]);
        assert_eq!(config.jobs[0].codec, codec);
        assert_eq!(origin(&config, "codec"), format!("TARKEEP_CODEC_FILE ({variable})"));
    }
    // Only one line end is cut, and what stays is an error that names the file.
    std::fs::write(&path, "gzip:9\n\n").unwrap();
    let refused = refusal("", &["info"], [("TARKEEP_CODEC_FILE", variable)]);
    assert!(
        refused.starts_with(&format!("TARKEEP_CODEC_FILE ({variable}): codec \"gzip:9\\n\"")),
        "{refused}"
    );

    std::fs::write(&path, "04:00").unwrap();
    let config = environment([("CRON_SCHEDULE_FILE", variable)]);
    assert_eq!(config.jobs[0].schedule.to_string(), "04:00");
    // Other programs may mean something else by these.
    environment([("TZ_FILE", variable), ("RUST_LOG_FILE", variable)]);

    std::fs::write(&path, "").unwrap();
    let refused = refusal("", &["info"], [("TARKEEP_CODEC_FILE", variable)]);
    assert!(refused.ends_with("the file is empty"), "{refused}");
    let both = refusal("", &["info"], [("TARKEEP_CODEC_FILE", variable), ("TARKEEP_CODEC", "none")]);
    assert_eq!(both, "TARKEEP_CODEC and TARKEEP_CODEC_FILE are both set; remove one of them");
    let missing = refusal("", &["info"], [("TARKEEP_CODEC_FILE", "/no/such/file")]);
    assert_eq!(
        missing,
        "TARKEEP_CODEC_FILE: read file /no/such/file: no such file or directory (os error 2)"
    );
    let endless = refusal("", &["info"], [("TARKEEP_CODEC_FILE", "/dev/zero")]);
    assert!(endless.ends_with("longer than 64 KiB"), "{endless}");
}

#[test]
fn what_is_taken_over_is_a_matter_of_the_job() {
    let of = |config: &Config| (config.jobs[0].change_detection, config.jobs[0].full_every);
    let week = Duration::from_hours(7 * 24);
    assert_eq!(of(&environment([])), (ChangeDetection::Strict, week));
    for (word, meant) in [("mtime", ChangeDetection::Mtime), ("content", ChangeDetection::Content)] {
        assert_eq!(of(&environment([("TARKEEP_CHANGE_DETECTION", word)])), (meant, week));
    }
    let never = environment([("TARKEEP_FULL_EVERY", "off")]);
    assert_eq!(of(&never), (ChangeDetection::Strict, Duration::ZERO));
    let file = "[[job]]\nname = \"a\"\nchange-detection = \"content\"\nfull-every = \"36h\"\n";
    let config = load(file, &["info"], []).unwrap();
    assert_eq!(of(&config), (ChangeDetection::Content, Duration::from_hours(36)));
}

#[test]
fn a_link_is_not_for_names_that_move() {
    let said =
        refusal("", &["info"], [("TARKEEP_UNCHANGED", "link"), ("TARKEEP_NAME", "db/volume.{version}")]);
    assert!(said.starts_with("TARKEEP_UNCHANGED: \"link\": ") && said.contains("{version}"), "{said}");
    let said = refusal("unchanged = \"symlink\"\n", &["info"], []);
    assert!(said.contains("unchanged: \"symlink\": write copy or link"), "{said}");
    environment([("TARKEEP_UNCHANGED", "copy"), ("TARKEEP_NAME", "db/volume.{version}")]);
}

#[test]
fn several_jobs_stand_in_the_file() {
    let file = r#"
        timezone = "Europe/Berlin"
        codec = "gzip:9"

        [[job]]
        name = "db"
        schedule = "@hourly"
        [[job.source]]
        path = "/db"
        [[job.source]]
        path = "/more"
        [[job.destination]]
        path = "/backup/db"

        [[job]]
        name = "photos"
        source = ["/photos, and films"]
        destination = "/backup/photos"
        codec = "none"
        exclude = ["a,b", "c"]
    "#;
    let config = load(file, &["info"], [("TARKEEP_NICE", "5")]).unwrap();
    let [db, photos] = config.jobs.as_slice() else { panic!("two jobs") };
    assert_eq!(db.sources, [PathBuf::from("/db"), PathBuf::from("/more")]);
    assert_eq!(db.destination, Path::new("/backup/db"));
    assert_eq!((db.codec, photos.codec), (Codec::Gzip(9), Codec::None));
    assert_eq!((db.zone, photos.zone), (tz("Europe/Berlin"), tz("Europe/Berlin")));
    assert_eq!((db.nice, photos.nice), (5, 5));
    assert_eq!(db.schedule.to_string(), "@hourly");
    assert_eq!(photos.schedule.to_string(), "01:00");
    assert_eq!(photos.sources, [PathBuf::from("/photos, and films")]);
    assert_eq!(photos.exclude, ["a,b", "c"]);
    assert!(origin(&config, "source").ends_with("tarkeep.toml: job \"db\""));

    let names = |line: &[&str]| -> Vec<String> {
        load(file, line, []).unwrap().jobs.into_iter().map(|job| job.name).collect()
    };
    assert_eq!(names(&["backup"]), ["db", "photos"]);
    assert_eq!(names(&["backup", "photos"]), ["photos"]);
    assert_eq!(names(&["list", "--job", "db"]), ["db"]);

    // One source or destination for both would be a mistake; for the one that is named it is not.
    assert!(load(file, &["backup", "db", "--source", "/other"], []).is_ok());
    let refused = refusal(file, &["backup", "--source", "/other"], []);
    assert_eq!(refused, "--source: there are 2 jobs; name the one that is meant");
    let refused = refusal(file, &["info"], [("TARKEEP_DESTINATION", "/other")]);
    assert!(refused.starts_with("TARKEEP_DESTINATION: the file has 2 jobs"), "{refused}");
    let refused = refusal(file, &["backup", "foto"], []);
    assert_eq!(refused, "\"foto\": no such job; did you mean photos?; the jobs are: db, photos");
}

#[test]
fn two_jobs_do_not_share_a_link() {
    let job = |name: &str, link: &str| {
        format!("[[job]]\nname = {name:?}\narchive-name = \"{name}-%Y-%m-%d\"\nlatest-link = {link:?}\n")
    };
    let refused = refusal(&(job("a", "latest") + &job("b", "latest")), &["info"], []);
    assert!(refused.contains("the same latest-link"), "{refused}");
    load(&(job("a", "latest-a") + &job("b", "latest-b")), &["info"], []).unwrap();
}

#[test]
fn names_that_would_be_the_same_are_found_however_they_are_written() {
    for (one, other) in [
        (["/x", "{job}/%Y-%m-%d"], ["/x", "a/%Y-%m-%d"]),
        (["/x", "a/%Y-%m-%d"], ["/x/a", "%Y-%m-%d"]),
        (["/x", "a/b/%Y-%m-%d"], ["/x/a", "b/%Y-%m-%d"]),
        (["/x", "a/x.{version}"], ["/x/a", "x.{version}"]),
    ] {
        let job = |name: &str, [destination, pattern]: [&str; 2]| {
            format!("[[job]]\nname = {name:?}\ndestination = {destination:?}\narchive-name = {pattern:?}\n")
        };
        let refused = refusal(&(job("a", one) + &job("b", other)), &["info"], []);
        assert!(refused.contains("could not be told apart"), "{refused}");
    }
}

#[test]
fn what_is_kept_can_be_said_in_three_ways() {
    let text = "last=30 daily=14 weekly=8 monthly=12 yearly=5 within=90d";
    let keep = |config: Config| config.jobs[0].keep.to_string();
    assert_eq!(keep(environment([])), "all");
    assert_eq!(keep(environment([("TARKEEP_KEEP", "all")])), "all");
    assert_eq!(keep(environment([("TARKEEP_KEEP", text)])), text);
    assert_eq!(
        keep(environment([("TARKEEP_KEEP", "within=48h,\n hourly=24, last=1")])),
        "last=1 hourly=24 within=2d"
    );
    assert_eq!(keep(environment([("TARKEEP_KEEP", "within=1000d")])), "within=1000d");
    let table = "keep = { within = \"90d\", last = 30, daily = 14, weekly = 8, monthly = 12, yearly = 5 }";
    assert_eq!(keep(load(table, &["info"], []).unwrap()), text);
    assert_eq!(keep(load(&format!("keep = {text:?}"), &["info"], []).unwrap()), text);

    let config = environment([("BACKUPS_KEPT", "30")]);
    assert_eq!(origin(&config, "keep"), "BACKUPS_KEPT");
    assert_eq!(
        config.jobs[0].shown.iter().find(|shown| shown.setting.key == "keep").unwrap().value,
        "last=30"
    );
    assert_eq!(keep(config), "last=30");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    std::fs::write(&path, "9\n").unwrap();
    assert_eq!(keep(environment([("BACKUPS_KEPT_FILE", path.to_str().unwrap())])), "last=9");
    for second in [("BACKUPS_KEPT", "30"), ("BACKUPS_KEPT_FILE", "/x")] {
        let refused = refusal("", &["info"], [second, ("TARKEEP_KEEP", "all")]);
        assert!(refused.starts_with("BACKUPS_KEPT and TARKEEP_KEEP are both set"), "{refused}");
    }
}

#[test]
fn one_destination_by_two_names_is_one_destination() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("backup"), folder.path().join("link"));
    std::fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for (other, name, good) in [
        (link.clone(), "%Y-%m-%d/%H-%M-%S", false),
        (path.join("../backup/."), "%Y-%m-%d/%H-%M-%S", false),
        (link, "b/%Y-%m-%d", true),
        (path.join("b"), "%Y-%m-%d/%H-%M-%S", true),
        (path.clone(), "{job}/%Y-%m-%d/%H-%M-%S", true),
    ] {
        let file = format!(
            "[[job]]\nname = \"a\"\ndestination = {path:?}\n[[job]]\nname = \"b\"\ndestination = {other:?}\n\
             archive-name = {name:?}\n"
        );
        if good {
            load(&file, &["info"], []).unwrap();
        } else {
            let refused = refusal(&file, &["info"], []);
            assert!(refused.contains("\"a\" and \"b\" have the same destination"), "{refused}");
        }
    }
}

/// Every mistake in a variable, and what the message must say.
#[test]
fn mistakes_in_the_environment_are_refused_with_name_value_and_remedy() {
    for (name, value, said) in [
        ("TARKEEP_SCHEDULE", "25:00", "TARKEEP_SCHEDULE: schedule '25:00': there is no hour 25"),
        ("TARKEEP_SCHEDULE", "0 0 31 2 *", "TARKEEP_SCHEDULE: schedule '0 0 31 2 *': "),
        (
            "TARKEEP_SCHEDULE",
            "",
            "TARKEEP_SCHEDULE: the schedule is empty; write a time such as 01:00, or off",
        ),
        ("TARKEEP_SCHEDULE", " ", "TARKEEP_SCHEDULE: the schedule is empty"),
        ("CRON_SCHEDULE", "", "CRON_SCHEDULE: the schedule is empty"),
        ("CRON_SCHEDULE", "nightly", "CRON_SCHEDULE: schedule 'nightly': "),
        (
            "TARKEEP_LATEST_LINK",
            "a/b",
            "TARKEEP_LATEST_LINK: \"a/b\": not the name of a link; write one without",
        ),
        ("TARKEEP_LATEST_LINK", "..", "TARKEEP_LATEST_LINK: \"..\": not the name of a link"),
        ("TARKEEP_LATEST_LINK", ".tarkeep", "TARKEEP_LATEST_LINK: \".tarkeep\": not the name of a link"),
        (
            "TARKEEP_LATEST_LINK",
            "2026-11-20",
            "TARKEEP_LATEST_LINK: \"2026-11-20\": an archive, or a folder of archives",
        ),
        (
            "TARKEEP_NAME",
            "backup.{version}.x",
            "TARKEEP_NAME: name pattern \"backup.{version}.x\": {version} can only",
        ),
        ("TARKEEP_VERIFY", "weekly", "TARKEEP_VERIFY: schedule 'weekly': "),
        (
            "TARKEEP_TIMEZONE",
            "Europe/Berln",
            "TARKEEP_TIMEZONE: \"Europe/Berln\": no such time zone; the nearest are Europe/Berlin",
        ),
        ("TZ", "berlin", "TZ: \"berlin\": no such time zone; the nearest are Europe/Berlin"),
        (
            "TARKEEP_CODEC",
            "gzip:13",
            "TARKEEP_CODEC: codec \"gzip:13\": a gzip level is a number from 1 to 12; use gzip",
        ),
        ("TARKEEP_CODEC", "gzip:0", "TARKEEP_CODEC: codec \"gzip:0\": "),
        ("TARKEEP_CODEC", "xz:3", "TARKEEP_CODEC: codec \"xz:3\": not a codec of this version; use gzip"),
        (
            "TARKEEP_CODEC",
            "zstd:20",
            "TARKEEP_CODEC: codec \"zstd:20\": a zstd level is a number from 1 to 19; use",
        ),
        ("TARKEEP_CODEC", "bzip2:9", "TARKEEP_CODEC: codec \"bzip2:9\": it has no levels; use gzip"),
        ("TARKEEP_KEEP", "last=0", "TARKEEP_KEEP: last=0: keeps nothing; write a number from 1"),
        ("TARKEEP_KEEP", "daily=-3", "TARKEEP_KEEP: daily=-3: not a number of archives to keep; write"),
        ("TARKEEP_KEEP", "daily=+3", "TARKEEP_KEEP: daily=+3: not a number of archives to keep"),
        ("TARKEEP_KEEP", "daily=", "TARKEEP_KEEP: daily=: not a number of archives to keep"),
        ("TARKEEP_KEEP", "daily=1.5", "TARKEEP_KEEP: daily=1.5: not a number of archives to keep"),
        ("TARKEEP_KEEP", "daily=99999999999", "TARKEEP_KEEP: daily=99999999999: not a number"),
        (
            "TARKEEP_KEEP",
            "dayly=3",
            "TARKEEP_KEEP: \"dayly\": no such rule; did you mean daily?; write all, or rules",
        ),
        ("TARKEEP_KEEP", "weakly", "TARKEEP_KEEP: \"weakly\": not a rule; did you mean weekly?"),
        ("TARKEEP_KEEP", "30", "TARKEEP_KEEP: \"30\": not a rule; a rule is a name, = and a number"),
        (
            "TARKEEP_KEEP",
            "last = 3",
            "TARKEEP_KEEP: \"last\": not a rule; a rule is a name, = and a number, without blanks",
        ),
        ("TARKEEP_KEEP", "daily=7 weekly", "TARKEEP_KEEP: \"weekly\": not a rule; a rule is a name, ="),
        ("BACKUPS_KEPT", "100001", "BACKUPS_KEPT: \"100001\": write how many archives to keep, 7 to 100000"),
        ("TARKEEP_KEEP", "all last=3", "TARKEEP_KEEP: all keeps everything: write it alone, or only rules"),
        ("TARKEEP_KEEP", "last=3 last=4", "TARKEEP_KEEP: last: given twice"),
        ("TARKEEP_KEEP", "within=0d", "TARKEEP_KEEP: within=0d: keeps nothing; leave it out"),
        (
            "TARKEEP_KEEP",
            "within=90",
            "TARKEEP_KEEP: within: \"90\": the unit is missing; write a whole number",
        ),
        ("TARKEEP_KEEP", "within=99999d", "TARKEEP_KEEP: within: \"99999d\": longer than 36600d"),
        ("TARKEEP_KEEP", ",", "TARKEEP_KEEP: no rule at all would delete every archive; write all"),
        (
            "BACKUPS_KEPT",
            "6",
            "BACKUPS_KEPT: 6: what is found broken after some days would be in every archive",
        ),
        ("BACKUPS_KEPT", "0", "BACKUPS_KEPT: \"0\": write how many archives to keep, 7 to 100000"),
        ("BACKUPS_KEPT", "-7", "BACKUPS_KEPT: \"-7\": write how many archives to keep, 7 to 100000"),
        ("BACKUPS_KEPT", "last=7", "BACKUPS_KEPT: \"last=7\": write how many archives to keep, 7 to 100000"),
        (
            "TARKEEP_ON_START",
            "sometimes",
            "TARKEEP_ON_START: 'sometimes' is not a time to run at start: say first, always or never",
        ),
        (
            "TARKEEP_CATCH_UP",
            "12",
            "TARKEEP_CATCH_UP: \"12\": the unit is missing; write a whole number and a unit: 30s, 15m, 12h or 7d, or off",
        ),
        ("TARKEEP_CATCH_UP", "400d", "TARKEEP_CATCH_UP: \"400d\": longer than 366d"),
        ("TARKEEP_CATCH_UP", "-1h", "TARKEEP_CATCH_UP: \"-1h\": not a duration"),
        ("TARKEEP_ON_SKIPPED", "Fail", "TARKEEP_ON_SKIPPED: \"Fail\": write warn or fail"),
        ("TARKEEP_ON_CHANGED", "ignore", "TARKEEP_ON_CHANGED: \"ignore\": write warn or fail"),
        (
            "TARKEEP_CHANGE_DETECTION",
            "ctime",
            "TARKEEP_CHANGE_DETECTION: \"ctime\": write strict, mtime or content",
        ),
        ("TARKEEP_MODE", "0999", "TARKEEP_MODE: \"0999\": not octal; write three octal digits, such as 0640"),
        ("TARKEEP_MODE", "0040", "TARKEEP_MODE: \"0040\": the owner could not read"),
        ("TARKEEP_OWNER", "me:users", "TARKEEP_OWNER: \"me:users\": not an owner; write the numbers"),
        ("TARKEEP_NICE", "20", "TARKEEP_NICE: \"20\": write a number from 0 to 19"),
        ("TARKEEP_THREADS", "0", "TARKEEP_THREADS: \"0\": write a number from 1 to 256"),
        ("TARKEEP_THREADS", "257", "TARKEEP_THREADS: \"257\": write a number from 1 to 256"),
        ("TARKEEP_EXCLUDE", "*.o,[z-a]", "TARKEEP_EXCLUDE: "),
        (
            "TARKEEP_EXCLUDE_FROM",
            "/no/such",
            "TARKEEP_EXCLUDE_FROM: read patterns from /no/such: no such file",
        ),
        ("TARKEEP_ONE_FILE_SYSTEM", "maybe", "TARKEEP_ONE_FILE_SYSTEM: \"maybe\": write true or false"),
        (
            "TARKEEP_EXCLUDE_IF_PRESENT",
            "a/b",
            "TARKEEP_EXCLUDE_IF_PRESENT: \"a/b\": write the name of a file",
        ),
        (
            "TARKEEP_REQUIRE_MOUNT",
            "sources",
            "TARKEEP_REQUIRE_MOUNT: \"sources\": write source or destination",
        ),
        (
            "TARKEEP_SERVICES_DOWN",
            "cache:6379,database",
            "TARKEEP_SERVICES_DOWN: \"database\": the port is missing; write host:port, such as database:5432",
        ),
        ("TARKEEP_SERVICES_DOWN", "db:0", "TARKEEP_SERVICES_DOWN: \"db:0\": the port is a number from 1"),
        ("TARKEEP_SERVICES_DOWN", "db:99999", "TARKEEP_SERVICES_DOWN: \"db:99999\": the port is a number"),
        ("TARKEEP_SERVICES_DOWN", "http://db:80", "TARKEEP_SERVICES_DOWN: \"http://db:80\": not a host and"),
        ("TARKEEP_ALLOW_RESET", "data", "TARKEEP_ALLOW_RESET: \"data\": write true or false"),
        (
            "TARKEEP_LOG",
            "verbose",
            "TARKEEP_LOG: \"verbose\": not a level; write off, error, warn, info, debug or trace",
        ),
        ("TARKEEP_LOG", "tarkeep=loud", "TARKEEP_LOG: \"tarkeep=loud\": not a level"),
        ("TARKEEP_LOG_FORMAT", "xml", "TARKEEP_LOG_FORMAT: \"xml\": write text or json"),
        ("TARKEEP_SOURCE", ",", "TARKEEP_SOURCE: no source; write the path of a folder"),
        ("TARKEEP_SOURCE", "/a,/a", "TARKEEP_SOURCE: /a: given twice"),
        (
            "TARKEEP_SOURCE",
            "postgres",
            "TARKEEP_SOURCE: \"postgres\": not in this version; write the path of a folder",
        ),
        ("TARKEEP_SOURCE", "/a,elasticsearch", "TARKEEP_SOURCE: \"elasticsearch\": not in this version"),
        ("TARKEEP_SOURCE", "bucket", "TARKEEP_SOURCE: \"bucket\": not in this version"),
        (
            "TARKEEP_SOURCE",
            "sftp://host/a",
            "TARKEEP_SOURCE: \"sftp://host/a\": URLs are not in this version",
        ),
        ("TARKEEP_DESTINATION", "s3", "TARKEEP_DESTINATION: \"s3\": not in this version"),
        (
            "TARKEEP_DESTINATION",
            "s3://bucket",
            "TARKEEP_DESTINATION: \"s3://bucket\": URLs are not in this version",
        ),
        (
            "TARKEEP_DESTINATION",
            "/a,/b",
            "TARKEEP_DESTINATION: \"/a,/b\": several destinations are not in this version",
        ),
        ("TARKEEP_CODEX", "gzip", "TARKEEP_CODEX: no such setting; did you mean TARKEEP_CODEC?"),
        ("TARKEEP_CODEX_FILE", "/x", "TARKEEP_CODEX_FILE: no such setting; did you mean TARKEEP_CODEC?"),
        ("TARKEEP_CONFIG_FILE", "/x", "TARKEEP_CONFIG_FILE: no such setting; did you mean TARKEEP_CONFIG?"),
        ("TARKEEP_PORTS", "1", "TARKEEP_PORTS: no such setting"),
        ("TARKEEP_RETENTION", "", "TARKEEP_RETENTION: no such setting"),
    ] {
        let refused = refusal("", &["info"], [(name, value)]);
        assert!(refused.starts_with(said), "{name}={value}: {refused}");
    }
}

#[test]
fn what_kubernetes_injects_for_a_service_is_not_a_mistake() {
    environment([
        ("TARKEEP_PORT", "tcp://10.0.0.1:80"),
        ("TARKEEP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TARKEEP_SERVICE_HOST", "10.0.0.1"),
        ("TARKEEP_SERVICE_PORT_HTTP", "80"),
    ]);
}

/// Every mistake in the file, and what the message must say.
#[test]
fn mistakes_in_the_file_are_refused_with_place_key_and_remedy() {
    for (file, said) in [
        ("codec = \"gzip:99\"", "tarkeep.toml: codec: codec \"gzip:99\": "),
        (
            "[[job]]\nname = \"db\"\ncodec = \"gzip:99\"",
            "tarkeep.toml: job \"db\": codec: codec \"gzip:99\": ",
        ),
        (
            "[[job]]\nname = \"db\"\ncodek = \"none\"",
            "tarkeep.toml: job \"db\": \"codek\": no such key; did you mean codec?",
        ),
        (
            "one_file_system = true",
            "tarkeep.toml: \"one_file_system\": no such key; did you mean one-file-system?",
        ),
        ("jobs = []", "tarkeep.toml: \"jobs\": no such key; did you mean job?"),
        ("a = 1\nb = \n", "tarkeep.toml: line 2: not TOML: "),
        ("schedule = 01:00:00", "tarkeep.toml: schedule: write the value in quotes"),
        ("mode = 640.0", "tarkeep.toml: mode: write the value in quotes"),
        ("mode = 640", "tarkeep.toml: mode: write it in quotes"),
        ("mode = 0o640", "tarkeep.toml: mode: write it in quotes, such as \"0640\""),
        ("schedule = \"\"", "tarkeep.toml: schedule: empty; write a value, or remove the line"),
        ("codec = \" \"", "tarkeep.toml: codec: empty"),
        ("exclude = [\"a\", 1]", "tarkeep.toml: exclude: every item of a list is a text in quotes"),
        ("codec = [\"none\", \"gzip\"]", "tarkeep.toml: codec: one value is wanted here, not a list"),
        ("[job]\nname = \"x\"", "tarkeep.toml: job: write [[job]]"),
        ("job = [1]", "tarkeep.toml: job: write [[job]]"),
        ("[[job]]\nname = 1", "tarkeep.toml: job: name: write it in quotes"),
        ("[[job]]\nname = \"a/b\"", "tarkeep.toml: job \"a/b\": not a name"),
        ("[[job]]\nname = \"\"", "tarkeep.toml: job \"\": not a name"),
        ("[[job]]\nname = \"-o\"", "tarkeep.toml: job \"-o\": not a name"),
        ("[[job]]\nlog = \"info\"", "tarkeep.toml: job \"data\": log: holds for all jobs"),
        (
            "[[job]]\n[[job]]\n",
            "tarkeep.toml: two jobs are called \"data\"; give each [[job]] a name of its own",
        ),
        (
            "[[job]]\nname=\"a\"\n[[job]]\nname=\"b\"\n",
            "tarkeep.toml: jobs \"a\" and \"b\" have the same destination /backup",
        ),
        (
            "[[job]]\n[[job.source]]\nkind = \"postgres\"",
            "tarkeep.toml: job \"data\": source: \"kind\": not in this version",
        ),
        (
            "[[job]]\n[[job.source]]\npaths = \"/a\"",
            "tarkeep.toml: job \"data\": source: \"paths\": not in this version, which knows only path here; did you mean path?",
        ),
        ("[[job]]\n[[job.source]]\n", "tarkeep.toml: job \"data\": source: path is missing"),
        (
            "[[job]]\n[[job.destination]]\npath=\"/a\"\n[[job.destination]]\npath=\"/b\"",
            "tarkeep.toml: job \"data\": destination: \"/a, /b\": several destinations are not in this version",
        ),
        (
            "[[job]]\n[[job.destination]]\npath=\"s3\"",
            "tarkeep.toml: job \"data\": destination: \"s3\": not in this version",
        ),
        ("source = []", "tarkeep.toml: source: no source"),
        (
            "[[job]]\nkeep = \"daily=x\"",
            "tarkeep.toml: job \"data\": keep: daily=x: not a number of archives to keep",
        ),
        ("keep = 7", "tarkeep.toml: keep: \"7\": not a rule; a rule is a name, ="),
        ("keep = {}", "tarkeep.toml: keep: no rule at all would delete every archive; write all"),
        ("keep = { last = -1 }", "tarkeep.toml: keep: last=-1: not a number of archives to keep"),
        ("keep = { last = 0 }", "tarkeep.toml: keep: last=0: keeps nothing"),
        ("keep = { last = true }", "tarkeep.toml: keep: last: write a number, or for within a text"),
        ("keep = { last = \"3 daily=4\" }", "tarkeep.toml: keep: last: write a number"),
        ("keep = { \"last=3 daily\" = 3 }", "tarkeep.toml: keep: \"last=3 daily\": no such rule"),
        ("keep = { montly = 3 }", "tarkeep.toml: keep: \"montly\": no such rule; did you mean monthly?"),
        ("keep = { within = \"90\" }", "tarkeep.toml: keep: within: \"90\": the unit is missing"),
        // A mistake in one job is found when another is wanted.
        (
            "[[job]]\nname=\"a\"\ndestination=\"/a\"\n[[job]]\nname=\"b\"\nnice=\"x\"",
            "tarkeep.toml: job \"b\": nice: \"x\": write a number",
        ),
    ] {
        let refused = refusal(file, &["info"], []);
        assert!(refused.starts_with(said), "{file:?}: {refused}");
    }
}

#[test]
fn mistakes_in_flags_are_refused_with_the_flag() {
    for (line, said) in [
        (&["backup", "--codec", "brotli"][..], "--codec: codec \"brotli\": "),
        (&["backup", "--threads", "many"], "--threads: \"many\": write a number from 1 to 256"),
        (&["verify", "--threads", "0"], "--threads: \"0\": write a number from 1 to 256"),
        (&["backup", "--source", ""], "--source: empty; write a value, or leave it out"),
        (&["backup", "--destination", ""], "--destination: empty"),
        (&["backup", "--destination", "s3"], "--destination: \"s3\": not in this version"),
        (&["backup", "nightly"], "\"nightly\": no such job; the jobs are: data"),
        (&["info", "--log", "loud"], "--log: \"loud\": not a level"),
    ] {
        let refused = refusal("", line, []);
        assert!(refused.starts_with(said), "{line:?}: {refused}");
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let typed = Typed { file: Some("/no/such.toml".into()), ..Typed::default() };
    let error = config::load(&typed, &Environment::default()).unwrap_err();
    assert_eq!(error.to_string(), "--config: /no/such.toml: no such file; write the path of one");
    let variables = Environment::of([("TARKEEP_CONFIG", "/no/such.toml")]);
    let error = config::load(&Typed::default(), &variables).unwrap_err();
    assert_eq!(error.to_string(), "TARKEEP_CONFIG: /no/such.toml: no such file; write the path of one");
    let typed = Typed { file: Some("/".into()), ..Typed::default() };
    let error = config::load(&typed, &Environment::default()).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.to_string().starts_with("read configuration file /: "), "{error}");
}

#[test]
fn the_documentation_has_every_setting_as_it_is() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `TARKEEP_")).collect();
    let expected = config::SETTINGS.map(|setting| {
        let second = setting.second.map_or(String::new(), |second| format!(" or `{second}`"));
        let default =
            if setting.default.is_empty() { "–".into() } else { format!("`{}`", setting.default) };
        format!("| `{}`{second} | `{}` | {default} | ", setting.variable, setting.key)
    });
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.starts_with(expected), "{row}\n{expected}");
    }
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(load(example, &["info"], []).unwrap().jobs.len(), 2);
}

proptest! {
    /// Whatever stands in the file or in a variable, there is a configuration or a usage error on one line.
    #[test]
    fn nothing_that_is_written_makes_it_panic(
        text in "\\PC{0,40}",
        index in 0..config::SETTINGS.len(),
        spread in "[a-z\\[\\]=\"',.0-9:\n -]{0,80}",
    ) {
        let setting = config::SETTINGS[index];
        let quoted = format!("{} = {text:?}\n", setting.key);
        for (file, variables) in [
            (quoted.as_str(), [("TARKEEP_LOG", "info")]),
            (spread.as_str(), [("TARKEEP_LOG", "info")]),
            ("", [(setting.variable, text.as_str())]),
        ] {
            if let Err(error) = load(file, &["info"], variables) {
                prop_assert_eq!(error.exit(), Exit::Usage);
                prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
            }
        }
    }
}
