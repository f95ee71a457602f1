//! The layers put together, and each value given its type.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::archive::name::Pattern;
use crate::error::{Error, Result};
use crate::printable::printable_path;

use super::encryption;
use super::environment::Environment;
use super::file::{self, FileJob, FromFile, Values};
use super::nearest::suggestion;
use super::setting::{self, CONFIG_DEFAULT, CONFIG_VARIABLE, SETTINGS, Setting};
use super::value::{Origin, Value, Written};
use super::{ChangeDetection, Config, Job, LogFormat, OnMiss, Shown, Typed, jobs, meaning, parse};

pub fn load(typed: &Typed, environment: &Environment) -> Result<Config> {
    environment.check_names()?;
    let (path, from_file) = read_file(typed, environment)?;
    let layers = Layers { typed, environment, common: &from_file.common, job: None };

    let unnamed = [FileJob { name: None, values: Values::default() }];
    let declared = if from_file.jobs.is_empty() { &unnamed[..] } else { &from_file.jobs[..] };
    let file_name = path.as_deref().map_or_else(String::new, |path| printable_path(path) + ": ");
    let names = jobs::names(declared, &file_name)?;
    for typed in &typed.jobs {
        if !names.contains(typed) {
            let near = suggestion(typed, names.iter().map(String::as_str));
            let known = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            // Who types a path means a folder.
            let folder = if typed.contains('/') { "; to archive a folder: --source FOLDER" } else { "" };
            return Err(Error::usage(format!("{typed:?}: no such job{near}; the jobs are: {known}{folder}")));
        }
    }
    let wanted = |name: &String| typed.jobs.is_empty() || typed.jobs.contains(name);
    jobs::one_for_places(
        typed,
        environment,
        declared.len(),
        names.iter().filter(|name| wanted(name)).count(),
    )?;

    // All jobs are read, so that a mistake in one is found whichever is wanted.
    let mut jobs: Vec<Job> = Vec::new();
    for (name, file_job) in names.iter().zip(declared) {
        jobs.push(job(name, Layers { job: Some(&file_job.values), ..layers })?);
    }
    jobs::no_two_in_one_place(&jobs, &file_name)?;
    let (jobs, others) = jobs.into_iter().partition(|job| wanted(&job.name));

    let log = layers.value(&setting::LOG)?;
    let log_format = layers.value(&setting::LOG_FORMAT)?;
    let filters = meaning::filters(&log)?;
    // What is in force: parts of RUST_LOG may concern other programs only.
    let shown_log = Shown { value: filters.clone(), ..shown(&setting::LOG, &log) };
    Ok(Config {
        jobs,
        others,
        log: filters,
        log_format: log_format
            .read(|text| parse::word(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]))?,
        file: path,
        home: environment.home(),
        shown: vec![shown_log, shown(&setting::LOG_FORMAT, &log_format)],
    })
}

/// The file that was named, which must be there, or the one that is looked for, which need not be.
fn read_file(typed: &Typed, environment: &Environment) -> Result<(Option<PathBuf>, FromFile)> {
    let named = match (&typed.file, environment.config_path()) {
        (Some(path), _) => Some(("--config", path.clone())),
        (None, Some(path)) => Some((CONFIG_VARIABLE, path)),
        (None, None) => None,
    };
    if let Some((origin, path)) = named {
        let found = file::read(&path)?.ok_or_else(|| {
            Error::usage(format!("{origin}: {}: no such file; write the path of one", printable_path(&path)))
        })?;
        return Ok((Some(path), found));
    }
    let path = PathBuf::from(CONFIG_DEFAULT);
    Ok(file::read(&path)?.map_or_else(|| (None, FromFile::default()), |found| (Some(path), found)))
}

fn shown(setting: &'static Setting, value: &Value) -> Shown {
    let hidden = setting.secret && value.origin != Origin::Default;
    let shown = if hidden { "(set, and not shown)".into() } else { value.shown() };
    Shown { setting, value: shown, origin: value.origin.clone() }
}

/// Where values come from, the first that has one winning.
#[derive(Clone, Copy)]
struct Layers<'a> {
    typed: &'a Typed,
    environment: &'a Environment,
    job: Option<&'a Values>,
    common: &'a Values,
}

impl Layers<'_> {
    fn value(&self, setting: &'static Setting) -> Result<Value> {
        if let Some((_, value)) = self.typed.values.iter().find(|(typed, _)| *typed == setting) {
            return match &value.written {
                Written::Text(text) if text.is_empty() => {
                    Err(value.wrong("empty; write a value, or leave it out"))
                }
                Written::Items(items) if items.iter().any(|item| item.is_empty()) => {
                    Err(value.wrong("empty; write a value, or leave it out"))
                }
                _ => Ok(value.clone()),
            };
        }
        if let Some((_, flag, path)) = self.typed.files.iter().find(|(typed, ..)| *typed == setting) {
            return encryption::from_file(setting, flag, path);
        }
        if let Some(value) = self.environment.value(setting)? {
            return Ok(value);
        }
        let in_file = self.job.and_then(|job| job.get(setting)).or_else(|| self.common.get(setting));
        Ok(in_file.cloned().unwrap_or_else(|| Value {
            written: Written::Text(setting.default.into()),
            origin: Origin::Default,
            key: setting.key,
        }))
    }

    /// The value, unless it is set nowhere and has no default.
    fn some(&self, setting: &'static Setting) -> Result<Option<Value>> {
        Ok(Some(self.value(setting)?)
            .filter(|value| value.origin != Origin::Default || !setting.default.is_empty()))
    }
}

fn job(name: &str, layers: Layers<'_>) -> Result<Job> {
    let truth = |setting| layers.value(setting)?.read(parse::truth);
    let on_miss = |setting| {
        layers
            .value(setting)?
            .read(|text| parse::word(text, &[("warn", OnMiss::Warn), ("fail", OnMiss::Fail)]))
    };
    let path = |setting| layers.some(setting)?.map(|value| value.path()).transpose();
    let keep = meaning::keep(&layers.value(&setting::KEEP)?)?;
    let pattern: Pattern = layers
        .value(&setting::NAME)?
        .read(|text| Pattern::new(text, name).map_err(|error| error.to_string()))?;
    let latest_link = layers
        .some(&setting::LATEST_LINK)?
        .map(|value| meaning::latest_link(&value, &pattern))
        .transpose()?;
    let unchanged = meaning::unchanged(&layers.value(&setting::UNCHANGED)?, &pattern)?;

    let mut shown_settings = Vec::new();
    for setting in SETTINGS.into_iter().filter(|setting| setting.of_job) {
        shown_settings.push(shown(setting, &layers.value(setting)?));
    }
    let threads = match layers.some(&setting::THREADS)? {
        Some(value) => value.read(parse::threads)?,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    if let Some(shown) = shown_settings.iter_mut().find(|shown| shown.setting == &setting::THREADS) {
        shown.value = threads.to_string();
    }
    if let Some(shown) = shown_settings.iter_mut().find(|shown| shown.setting == &setting::KEEP) {
        shown.value = keep.to_string();
    }
    let (recipients, keys) = encryption::read(|setting| layers.some(setting))?;
    Ok(Job {
        name: name.to_owned(),
        sources: meaning::sources(&layers.value(&setting::SOURCE)?)?,
        exclude: meaning::patterns(&layers.value(&setting::EXCLUDE)?)?,
        exclude_from: layers
            .some(&setting::EXCLUDE_FROM)?
            .map(|value| meaning::patterns_file(&value))
            .transpose()?,
        exclude_caches: truth(&setting::EXCLUDE_CACHES)?,
        exclude_if_present: meaning::file_names(&layers.value(&setting::EXCLUDE_IF_PRESENT)?)?,
        one_file_system: truth(&setting::ONE_FILE_SYSTEM)?,
        destination: meaning::destination(&layers.value(&setting::DESTINATION)?)?,
        state: path(&setting::STATE)?,
        require_mount: meaning::require_mount(&layers.value(&setting::REQUIRE_MOUNT)?)?,
        schedule: layers.value(&setting::SCHEDULE)?.parse()?,
        zone: layers.value(&setting::TIMEZONE)?.read(parse::zone)?,
        on_start: layers.value(&setting::ON_START)?.parse()?,
        catch_up: layers.value(&setting::CATCH_UP)?.read(parse::duration_or_off)?,
        pattern,
        latest_link,
        codec: layers.value(&setting::CODEC)?.parse()?,
        keep,
        verify: layers.value(&setting::VERIFY)?.parse()?,
        change_detection: layers.value(&setting::CHANGE_DETECTION)?.read(|text| {
            let words = [
                ("strict", ChangeDetection::Strict),
                ("mtime", ChangeDetection::Mtime),
                ("content", ChangeDetection::Content),
            ];
            parse::word(text, &words)
        })?,
        full_every: layers.value(&setting::FULL_EVERY)?.read(parse::duration_or_off)?,
        unchanged,
        share: truth(&setting::SHARE)?,
        recipients,
        keys,
        mode: layers.value(&setting::MODE)?.read(parse::mode)?,
        owner: layers.some(&setting::OWNER)?.map(|value| value.read(parse::owner)).transpose()?,
        on_skipped: on_miss(&setting::ON_SKIPPED)?,
        on_changed: on_miss(&setting::ON_CHANGED)?,
        services_down: meaning::services(&layers.value(&setting::SERVICES_DOWN)?)?,
        allow_reset: truth(&setting::ALLOW_RESET)?,
        nice: layers.value(&setting::NICE)?.read(parse::nice)?,
        threads,
        shown: shown_settings,
    })
}
