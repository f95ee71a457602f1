//! The layers put together, and each value given its type.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::archive::name::Pattern;
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::retention::Keep;
use crate::services::Service;
use crate::source;

use super::encryption;
use super::environment::Environment;
use super::file::{self, FileJob, FromFile, Values};
use super::nearest::suggestion;
use super::setting::{self, CONFIG_DEFAULT, CONFIG_VARIABLE, SETTINGS, Setting};

use super::value::{Origin, Value, Written};
use super::{
    ChangeDetection, Config, DEFAULT_JOB, Job, LogFormat, OnMiss, RequireMount, Shown, Typed, Unchanged,
    keep, parse,
};

pub fn load(typed: &Typed, environment: &Environment) -> Result<Config> {
    environment.check_names()?;
    let (path, from_file) = read_file(typed, environment)?;
    let layers = Layers { typed, environment, common: &from_file.common, job: None };

    let unnamed = [FileJob { name: None, values: Values::default() }];
    let declared = if from_file.jobs.is_empty() { &unnamed[..] } else { &from_file.jobs[..] };
    let file_name = path.as_deref().map_or_else(String::new, |path| printable_path(path) + ": ");
    let names = job_names(declared, &file_name)?;
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
    one_job_for_places(typed, environment, declared.len(), names.iter().filter(|name| wanted(name)).count())?;

    // All jobs are read, so that a mistake in one is found whichever is wanted.
    let mut jobs = Vec::new();
    for (name, file_job) in names.iter().zip(declared) {
        jobs.push(job(name, Layers { job: Some(&file_job.values), ..layers })?);
    }
    no_two_in_one_place(&jobs, &file_name)?;
    jobs.retain(|job| wanted(&job.name));

    let log = layers.value(&setting::LOG)?;
    let log_format = layers.value(&setting::LOG_FORMAT)?;
    let filters = filters(&log)?;
    // What is in force: parts of RUST_LOG may concern other programs only.
    let shown_log = Shown { value: filters.clone(), ..shown(&setting::LOG, &log) };
    Ok(Config {
        jobs,
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

/// The name of each declared job: good ones, and no two the same.
fn job_names(declared: &[FileJob], file_name: &str) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for job in declared {
        let name = job.name.clone().unwrap_or_else(|| DEFAULT_JOB.to_owned());
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let plain =
            name.bytes().all(letters) && name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !plain || name.len() > 64 {
            return Err(Error::usage(format!(
                "{file_name}job {name:?}: not a name; write up to 64 letters, digits, dots, underscores and hyphens, \
                 with a letter or digit first"
            )));
        }
        if !seen.insert(name.clone()) {
            return Err(Error::usage(format!(
                "{file_name}two jobs are called {name:?}; give each [[job]] a name of its own"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// One source or destination for several jobs is a mistake: which of them was meant?
fn one_job_for_places(
    typed: &Typed,
    environment: &Environment,
    declared: usize,
    wanted: usize,
) -> Result<()> {
    for place in [&setting::SOURCE, &setting::DESTINATION] {
        if let Some((_, value)) = typed.values.iter().find(|(setting, _)| *setting == place)
            && wanted > 1
        {
            return Err(value.wrong(format!("there are {wanted} jobs; name the one that is meant")));
        }
        if let Some(value) = environment.value(place)?
            && declared > 1
        {
            let what = format!(
                "the file has {declared} jobs; remove this, and write it in the [[job]] that is meant"
            );
            return Err(value.wrong(what));
        }
    }
    Ok(())
}

fn no_two_in_one_place(jobs: &[Job], file_name: &str) -> Result<()> {
    for (index, job) in jobs.iter().enumerate() {
        // By whatever name: links are followed, and where there is nothing yet the letters count.
        let place = |job: &Job| {
            let path = &job.destination;
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.clone())
        };
        let names = |job: &Job| place(job).join(job.pattern.split().0);
        let same =
            |other: &&Job| names(other) == names(job) && other.pattern.split().1 == job.pattern.split().1;
        if let Some(other) = jobs[..index].iter().find(same) {
            return Err(Error::usage(format!(
                "{file_name}jobs {:?} and {:?} have the same destination {} and the same archive-name; \
                 their archives could not be told apart, so give each a destination of its own",
                other.name,
                job.name,
                printable_path(&job.destination),
            )));
        }
        let linked = |other: &&Job| {
            job.latest_link.is_some() && other.latest_link == job.latest_link && place(other) == place(job)
        };
        if let Some(other) = jobs[..index].iter().find(linked) {
            return Err(Error::usage(format!(
                "{file_name}jobs {:?} and {:?} have the same destination {} and the same latest-link; give each a name \
                 of its own",
                other.name,
                job.name,
                printable_path(&job.destination),
            )));
        }
    }
    Ok(())
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
    let keep = keep(&layers.value(&setting::KEEP)?)?;
    let pattern: Pattern = layers
        .value(&setting::NAME)?
        .read(|text| Pattern::new(text, name).map_err(|error| error.to_string()))?;
    let latest_link =
        layers.some(&setting::LATEST_LINK)?.map(|value| latest_link(&value, &pattern)).transpose()?;
    let unchanged = unchanged(&layers.value(&setting::UNCHANGED)?, &pattern)?;

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
        sources: sources(&layers.value(&setting::SOURCE)?)?,
        exclude: patterns(&layers.value(&setting::EXCLUDE)?)?,
        exclude_from: layers.some(&setting::EXCLUDE_FROM)?.map(|value| patterns_file(&value)).transpose()?,
        exclude_caches: truth(&setting::EXCLUDE_CACHES)?,
        exclude_if_present: file_names(&layers.value(&setting::EXCLUDE_IF_PRESENT)?)?,
        one_file_system: truth(&setting::ONE_FILE_SYSTEM)?,
        destination: destination(&layers.value(&setting::DESTINATION)?)?,
        state: path(&setting::STATE)?,
        require_mount: require_mount(&layers.value(&setting::REQUIRE_MOUNT)?)?,
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
        services_down: services(&layers.value(&setting::SERVICES_DOWN)?)?,
        allow_reset: truth(&setting::ALLOW_RESET)?,
        nice: layers.value(&setting::NICE)?.read(parse::nice)?,
        threads,
        shown: shown_settings,
    })
}

/// The instant of a link is found by its name, and numbered names move.
fn unchanged(value: &Value, pattern: &Pattern) -> Result<Unchanged> {
    let words = [("copy", Unchanged::Copy), ("link", Unchanged::Link)];
    let unchanged = value.read(|text| parse::word(text, &words))?;
    if unchanged == Unchanged::Link && pattern.is_versioned() {
        return Err(value.wrong(
            "\"link\": when a link was made is known by its name, and names with {version} move; write a name with a \
             date, or copy",
        ));
    }
    Ok(unchanged)
}

/// The name of a link in the destination itself, which no archive or folder of archives can have.
fn latest_link(value: &Value, pattern: &Pattern) -> Result<String> {
    let name = value.text()?;
    let plain = !name.contains('/') && !name.contains(char::is_control) && !matches!(name, "." | "..");
    if !plain || name.len() > 255 || name.starts_with(".tarkeep") {
        return Err(value.wrong(format!(
            "{name:?}: not the name of a link; write one without a path, such as latest.tar.gz"
        )));
    }
    if pattern.parse(name).is_some() || pattern.is_folder(name) {
        return Err(value.wrong(format!(
            "{name:?}: an archive, or a folder of archives, may be called so; write another name, such as latest.tar.gz"
        )));
    }
    Ok(name.to_owned())
}

fn keep(value: &Value) -> Result<Keep> {
    let second = match &value.origin {
        Origin::Variable(name) => *name == setting::BACKUPS_KEPT,
        Origin::VariableFile(name, _) => name.starts_with(setting::BACKUPS_KEPT),
        _ => false,
    };
    value.read(if second { keep::backups_kept } else { keep::keep })
}

/// What is a URL, or one of these words, means something that only later versions have.
fn only_paths(value: &Value, path: &Path, words: &[&str]) -> Result<()> {
    let text = path.to_string_lossy();
    if text.contains("://") {
        return Err(
            value.wrong(format!("{text:?}: URLs are not in this version; write the path of a folder"))
        );
    }
    if words.contains(&&*text) {
        return Err(value.wrong(format!(
            "{text:?}: not in this version; write the path of a folder (./{text} if that is its name)"
        )));
    }
    Ok(())
}

fn sources(value: &Value) -> Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = value.items().into_iter().map(PathBuf::from).collect();
    if paths.is_empty() {
        return Err(value.wrong("no source; write the path of a folder"));
    }
    for (index, path) in paths.iter().enumerate() {
        only_paths(value, path, &["postgres", "elasticsearch", "bucket"])?;
        if paths[..index].contains(path) {
            return Err(value.wrong(format!("{}: given twice", printable_path(path))));
        }
    }
    Ok(paths)
}

fn destination(value: &Value) -> Result<PathBuf> {
    let paths: Vec<PathBuf> = value.items().into_iter().map(PathBuf::from).collect();
    for path in &paths {
        only_paths(value, path, &["s3"])?;
    }
    match <[PathBuf; 1]>::try_from(paths) {
        Ok([path]) => Ok(path),
        Err(paths) if paths.is_empty() => Err(value.wrong("no destination; write the path of a folder")),
        Err(_) => Err(value.wrong(format!(
            "{:?}: several destinations are not in this version; write one folder (a comma in its name as \\,)",
            value.shown()
        ))),
    }
}

/// Patterns that can be understood.
fn patterns(value: &Value) -> Result<Vec<String>> {
    let options = source::Options { exclude: value.texts()?, ..source::Options::default() };
    options.check().map_err(|error| value.wrong(error))?;
    Ok(options.exclude)
}

/// A file of such patterns. It is read again by each run.
fn patterns_file(value: &Value) -> Result<PathBuf> {
    let path = value.path()?;
    let options = source::Options { exclude_from: vec![path.clone()], ..source::Options::default() };
    options.check().map_err(|error| value.wrong(error))?;
    Ok(path)
}

fn file_names(value: &Value) -> Result<Vec<String>> {
    let names = value.texts()?;
    match names.iter().find(|name| name.contains('/') || *name == "." || *name == "..") {
        Some(name) => {
            Err(value.wrong(format!("{name:?}: write the name of a file, without a path, such as .nobackup")))
        }
        None => Ok(names),
    }
}

fn services(value: &Value) -> Result<Vec<Service>> {
    value.texts()?.iter().map(|text| text.parse().map_err(|error: String| value.wrong(error))).collect()
}

fn require_mount(value: &Value) -> Result<RequireMount> {
    let mut require = RequireMount::default();
    for text in value.texts()? {
        let source = parse::word(&text, &[("source", true), ("destination", false)]);
        if source.map_err(|what| value.wrong(what))? {
            require.source = true;
        } else {
            require.destination = true;
        }
    }
    Ok(require)
}

/// `debug`, or `info,tarkeep::source=trace`. From `RUST_LOG`, which other programs read too, what does not concern us
/// is left out.
fn filters(value: &Value) -> Result<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = value.text()?;
    let level = |text: &str| LEVELS.contains(&text.to_ascii_lowercase().as_str());
    let good = |filter: &&str| match filter.split_once('=') {
        Some((target, text)) => !target.is_empty() && level(text),
        None => level(filter) || filter.starts_with("tarkeep"),
    };
    let filters = || text.split(',').map(str::trim).filter(|filter| !filter.is_empty());
    if value.origin != Origin::Variable("RUST_LOG")
        && let Some(bad) = filters().find(|filter| !good(filter))
    {
        return Err(value.wrong(format!("{bad:?}: not a level; write {}", parse::alternatives(&LEVELS))));
    }
    let good: Vec<_> = filters().filter(good).collect();
    Ok(if good.is_empty() { setting::LOG.default.to_owned() } else { good.join(",") })
}
