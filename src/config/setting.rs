//! The settings there are: the one table that reading, checking, showing and suggesting all use.

/// One setting: what it is called in each place, and what holds when nobody sets it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the environment.
    pub variable: &'static str,
    /// A name other programs use too, which counts when [`Setting::variable`] is not set.
    pub second: Option<&'static str>,
    /// Its key in the file, and its name in messages.
    pub key: &'static str,
    /// What holds when it is set nowhere. Empty: nothing.
    pub default: &'static str,
    /// Whether each job can have its own.
    pub of_job: bool,
    /// Whether its value is nobody's business.
    pub secret: bool,
}

const fn setting(variable: &'static str, key: &'static str, default: &'static str) -> Setting {
    Setting { variable, second: None, key, default, of_job: true, secret: false }
}

/// Folders and files to archive.
pub const SOURCE: Setting = setting("TARKEEP_SOURCE", "source", "/data");
/// The folder that archives are kept in.
pub const DESTINATION: Setting = setting("TARKEEP_DESTINATION", "destination", "/backup");
/// When runs are due.
pub const SCHEDULE: Setting =
    Setting { second: Some("CRON_SCHEDULE"), ..setting("TARKEEP_SCHEDULE", "schedule", "01:00") };
/// The time zone of the schedule, the names and the log.
pub const TIMEZONE: Setting =
    Setting { second: Some("TZ"), ..setting("TARKEEP_TIMEZONE", "timezone", "UTC") };
/// Whether a run is due when the daemon starts.
pub const ON_START: Setting = setting("TARKEEP_ON_START", "on-start", "first");
/// How late a missed run is still caught up with.
pub const CATCH_UP: Setting = setting("TARKEEP_CATCH_UP", "catch-up", "12h");
/// The archive's name below the destination.
pub const NAME: Setting = setting("TARKEEP_NAME", "archive-name", "%Y-%m-%d/%H-%M-%S");
/// What archives are compressed with.
pub const CODEC: Setting = setting("TARKEEP_CODEC", "codec", "gzip:6");
/// To whom archives are encrypted.
pub const AGE_RECIPIENTS: Setting = setting("TARKEEP_AGE_RECIPIENTS", "age-recipients", "");
/// What archives are encrypted with instead, and decrypted.
pub const AGE_PASSPHRASE: Setting =
    Setting { secret: true, ..setting("TARKEEP_AGE_PASSPHRASE", "age-passphrase", "") };
/// What decrypts archives.
pub const AGE_IDENTITY: Setting =
    Setting { secret: true, ..setting("TARKEEP_AGE_IDENTITY", "age-identity", "") };
/// What protects the SSH keys among those.
pub const AGE_IDENTITY_PASSPHRASE: Setting =
    Setting { secret: true, ..setting("TARKEEP_AGE_IDENTITY_PASSPHRASE", "age-identity-passphrase", "") };
/// Which archives stay.
pub const KEEP: Setting = Setting { second: Some(BACKUPS_KEPT), ..setting("TARKEEP_KEEP", "keep", "all") };
/// How many archives stay, as other tools have it: [`KEEP`] with one rule.
pub const BACKUPS_KEPT: &str = "BACKUPS_KEPT";
/// A link to the newest archive.
pub const LATEST_LINK: Setting = setting("TARKEEP_LATEST_LINK", "latest-link", "");
/// When archives are read back.
pub const VERIFY: Setting = setting("TARKEEP_VERIFY", "verify", "off");
/// How it is known that a file has not changed since the last archive.
pub const CHANGE_DETECTION: Setting = setting("TARKEEP_CHANGE_DETECTION", "change-detection", "strict");
/// How often everything is read, changed or not.
pub const FULL_EVERY: Setting = setting("TARKEEP_FULL_EVERY", "full-every", "7d");
/// What becomes of a run that finds nothing changed.
pub const UNCHANGED: Setting = setting("TARKEEP_UNCHANGED", "unchanged", "copy");
/// Whether archives have in common what does not change, where the file system can do that.
pub const SHARE: Setting = setting("TARKEEP_SHARE", "share", "false");
/// What is left out.
pub const EXCLUDE: Setting = setting("TARKEEP_EXCLUDE", "exclude", "");
/// A file of what is left out.
pub const EXCLUDE_FROM: Setting = setting("TARKEEP_EXCLUDE_FROM", "exclude-from", "");
/// Whether folders with a `CACHEDIR.TAG` are left out.
pub const EXCLUDE_CACHES: Setting = setting("TARKEEP_EXCLUDE_CACHES", "exclude-caches", "false");
/// Files whose presence leaves their folder out.
pub const EXCLUDE_IF_PRESENT: Setting = setting("TARKEEP_EXCLUDE_IF_PRESENT", "exclude-if-present", "");
/// Whether other filesystems below a source are left out.
pub const ONE_FILE_SYSTEM: Setting = setting("TARKEEP_ONE_FILE_SYSTEM", "one-file-system", "false");
/// Which sides must be mount points.
pub const REQUIRE_MOUNT: Setting = setting("TARKEEP_REQUIRE_MOUNT", "require-mount", "");
/// What becomes of a run that could not read everything.
pub const ON_SKIPPED: Setting = setting("TARKEEP_ON_SKIPPED", "on-skipped", "warn");
/// What becomes of a run in which files changed while they were read.
pub const ON_CHANGED: Setting = setting("TARKEEP_ON_CHANGED", "on-changed", "warn");
/// Permissions of archives.
pub const MODE: Setting = setting("TARKEEP_MODE", "mode", "0640");
/// Who archives belong to.
pub const OWNER: Setting = setting("TARKEEP_OWNER", "owner", "");
/// Where the state is kept.
pub const STATE: Setting = setting("TARKEEP_STATE", "state", "");
/// Services that must be down before the sources are restored or emptied.
pub const SERVICES_DOWN: Setting = setting("TARKEEP_SERVICES_DOWN", "services-down", "");
/// Whether the sources may be emptied without anybody being asked.
pub const ALLOW_RESET: Setting = setting("TARKEEP_ALLOW_RESET", "allow-reset", "false");
/// How much other work comes first.
pub const NICE: Setting = setting("TARKEEP_NICE", "nice", "10");
/// How many threads compress.
pub const THREADS: Setting = setting("TARKEEP_THREADS", "threads", "");
/// What is logged.
pub const LOG: Setting =
    Setting { second: Some("RUST_LOG"), of_job: false, ..setting("TARKEEP_LOG", "log", "info") };
/// How it is logged.
pub const LOG_FORMAT: Setting =
    Setting { of_job: false, ..setting("TARKEEP_LOG_FORMAT", "log-format", "text") };

/// Every setting, in the order in which `info` shows them.
pub const SETTINGS: [&Setting; 36] = [
    &SOURCE,
    &DESTINATION,
    &SCHEDULE,
    &TIMEZONE,
    &ON_START,
    &CATCH_UP,
    &NAME,
    &LATEST_LINK,
    &CODEC,
    &AGE_RECIPIENTS,
    &AGE_PASSPHRASE,
    &AGE_IDENTITY,
    &AGE_IDENTITY_PASSPHRASE,
    &KEEP,
    &VERIFY,
    &CHANGE_DETECTION,
    &FULL_EVERY,
    &UNCHANGED,
    &SHARE,
    &EXCLUDE,
    &EXCLUDE_FROM,
    &EXCLUDE_CACHES,
    &EXCLUDE_IF_PRESENT,
    &ONE_FILE_SYSTEM,
    &REQUIRE_MOUNT,
    &ON_SKIPPED,
    &ON_CHANGED,
    &MODE,
    &OWNER,
    &STATE,
    &SERVICES_DOWN,
    &ALLOW_RESET,
    &NICE,
    &THREADS,
    &LOG,
    &LOG_FORMAT,
];

/// The name in the environment of the configuration file's path.
pub const CONFIG_VARIABLE: &str = "TARKEEP_CONFIG";
/// Where the configuration file is looked for when nobody says where it is. It may be missing there.
pub const CONFIG_DEFAULT: &str = "/etc/tarkeep/tarkeep.toml";
