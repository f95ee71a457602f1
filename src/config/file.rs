//! Settings from the configuration file, in TOML.
//!
//! A key that stands above all jobs holds for every job that does not have its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};
use crate::printable::printable_path;

use super::nearest::suggestion;
use super::setting::{DESTINATION, MODE, SETTINGS, SOURCE, Setting};
use super::value::{Origin, Value, Written};

/// What the file says.
#[derive(Debug, Default)]
pub struct FromFile {
    /// Above all jobs.
    pub common: Values,
    /// The jobs, in the order of the file. None: one job, with what stands in `common`.
    pub jobs: Vec<FileJob>,
}

/// A `[[job]]`.
#[derive(Debug)]
pub struct FileJob {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its settings.
    pub values: Values,
}

/// Values by the key of their setting.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// The value of a setting.
    pub fn get(&self, setting: &Setting) -> Option<&Value> {
        self.0.get(setting.key)
    }

    fn read(table: toml::Table, origin: &Origin) -> Result<Self> {
        let in_job = matches!(origin, Origin::File(_, Some(_)));
        let mut values = BTreeMap::new();
        let known = |key: &str| SETTINGS.iter().find(|setting| setting.key == key);
        for (key, value) in table {
            let in_file = || key.strip_suffix("-file").and_then(known);
            let Some(setting) = known(&key).or_else(in_file) else {
                let known = SETTINGS.iter().map(|setting| setting.key).chain(["job", "name"]);
                return Err(Error::usage(format!(
                    "{origin}: {key:?}: no such key{}",
                    suggestion(&key, known)
                )));
            };
            if in_job && !setting.of_job {
                return Err(Error::usage(format!(
                    "{origin}: {key}: holds for all jobs; write it above the first job"
                )));
            }
            let wrong = |what: &str| Error::usage(format!("{origin}: {key}: {what}"));
            if setting.key != key {
                let value = named(setting, &format!("{origin}: {key}"), value)?;
                if values.insert(setting.key, value).is_some() {
                    return Err(wrong(&format!("{} is set too; remove one of them", setting.key)));
                }
                continue;
            }
            if **setting == MODE && value.is_integer() {
                // 640 would be read as a decimal number, and 0o640 arrives here as 416.
                return Err(wrong("write it in quotes, such as \"0640\""));
            }
            let written = if **setting == SOURCE || **setting == DESTINATION {
                places(value).map_err(|what| wrong(&what))?
            } else {
                written(value).map_err(wrong)?
            };
            let value = Value { written, origin: origin.clone(), key: setting.key };
            if matches!(&value.written, Written::Text(text) if text.as_encoded_bytes().trim_ascii().is_empty())
            {
                return Err(wrong("empty; write a value, or remove the line"));
            }
            if values.insert(setting.key, value).is_some() {
                return Err(wrong(&format!("{key}-file is set too; remove one of them")));
            }
        }
        Ok(Self(values))
    }
}

/// Read the file. `None`: it is missing.
pub fn read(path: &Path) -> Result<Option<FromFile>> {
    let doing = "read configuration file";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(Error::io(doing, path, cause).with_exit(crate::exit::Exit::Usage));
        }
    };
    parse(path, &text).map(Some)
}

fn parse(path: &Path, text: &str) -> Result<FromFile> {
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        // Its words can go on for lines, the first of which says it.
        let words = error.message().lines().next().unwrap_or_default();
        Error::usage(format!("{}: line {line}: not TOML: {words}", printable_path(path)))
    })?;
    let jobs = match table.remove("job") {
        None => Vec::new(),
        Some(toml::Value::Array(jobs)) => {
            let jobs: Vec<_> = jobs.into_iter().map(|job| file_job(path, job)).collect();
            jobs.into_iter().collect::<Result<_>>()?
        }
        Some(_) => return Err(Error::usage(format!("{}: job: write [[job]]", printable_path(path)))),
    };
    Ok(FromFile { common: Values::read(table, &Origin::File(path.into(), None))?, jobs })
}

fn file_job(path: &Path, job: toml::Value) -> Result<FileJob> {
    let toml::Value::Table(mut table) = job else {
        return Err(Error::usage(format!("{}: job: write [[job]]", printable_path(path))));
    };
    let name = match table.remove("name") {
        None => None,
        Some(toml::Value::String(name)) => Some(name),
        Some(_) => {
            return Err(Error::usage(format!("{}: job: name: write it in quotes", printable_path(path))));
        }
    };
    let shown = name.clone().unwrap_or_else(|| super::DEFAULT_JOB.to_owned());
    Ok(FileJob { name, values: Values::read(table, &Origin::File(path.into(), Some(shown)))? })
}

/// The value in the file that a key with `-file` behind it names.
fn named(setting: &'static Setting, place: &str, value: toml::Value) -> Result<Value> {
    let toml::Value::String(path) = value else {
        return Err(Error::usage(format!("{place}: write the path of a file in quotes")));
    };
    super::encryption::from_file(setting, place, Path::new(&path))
}

/// Text, a number, true or false, or a list of texts.
fn written(value: toml::Value) -> Result<Written, &'static str> {
    match value {
        toml::Value::String(text) => Ok(Written::Text(text.into())),
        toml::Value::Integer(number) => Ok(Written::Text(number.to_string().into())),
        toml::Value::Boolean(truth) => Ok(Written::Text(truth.to_string().into())),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                toml::Value::String(text) if !text.is_empty() => Ok(OsString::from(text)),
                _ => Err("every item of a list is a text in quotes, and not empty"),
            })
            .collect::<Result<_, _>>()
            .map(Written::Items),
        _ => Err("write the value in quotes"),
    }
}

/// Sources or destinations: text or a list as everywhere, or tables with a `path` each (`[[job.source]]`).
fn places(value: toml::Value) -> Result<Written, String> {
    let tables = match value {
        toml::Value::Table(table) => vec![toml::Value::Table(table)],
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => items,
        other => return written(other).map_err(str::to_owned),
    };
    tables.into_iter().map(place).collect::<Result<_, _>>().map(Written::Items)
}

fn place(table: toml::Value) -> Result<OsString, String> {
    let toml::Value::Table(mut table) = table else {
        return Err("write either texts or tables with a path, not both".into());
    };
    let path = table.remove("path");
    if let Some(key) = table.keys().next() {
        return Err(format!(
            "{key:?}: not in this version, which knows only path here{}",
            suggestion(key, ["path"])
        ));
    }
    match path {
        Some(toml::Value::String(path)) if !path.is_empty() => Ok(path.into()),
        _ => Err("path is missing; write path = \"/a/folder\"".into()),
    }
}
