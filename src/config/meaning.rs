//! What the values of those settings mean that are more than a word or a number, for which there is `parse`.

use std::path::{Path, PathBuf};

use super::value::{Origin, Value};
use super::{RequireMount, Unchanged, keep, parse, setting};
use crate::archive::name::Pattern;
use crate::error::Result;
use crate::printable::printable_path;
use crate::retention::Keep;
use crate::services::Service;
use crate::source;

/// The instant of a link is found by its name, and numbered names move.
pub(super) fn unchanged(value: &Value, pattern: &Pattern) -> Result<Unchanged> {
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
pub(super) fn latest_link(value: &Value, pattern: &Pattern) -> Result<String> {
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

pub(super) fn keep(value: &Value) -> Result<Keep> {
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

pub(super) fn sources(value: &Value) -> Result<Vec<PathBuf>> {
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

pub(super) fn destination(value: &Value) -> Result<PathBuf> {
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
pub(super) fn patterns(value: &Value) -> Result<Vec<String>> {
    let options = source::Options { exclude: value.texts()?, ..source::Options::default() };
    options.check().map_err(|error| value.wrong(error))?;
    Ok(options.exclude)
}

/// A file of such patterns. It is read again by each run.
pub(super) fn patterns_file(value: &Value) -> Result<PathBuf> {
    let path = value.path()?;
    let options = source::Options { exclude_from: vec![path.clone()], ..source::Options::default() };
    options.check().map_err(|error| value.wrong(error))?;
    Ok(path)
}

pub(super) fn file_names(value: &Value) -> Result<Vec<String>> {
    let names = value.texts()?;
    match names.iter().find(|name| name.contains('/') || *name == "." || *name == "..") {
        Some(name) => {
            Err(value.wrong(format!("{name:?}: write the name of a file, without a path, such as .nobackup")))
        }
        None => Ok(names),
    }
}

pub(super) fn services(value: &Value) -> Result<Vec<Service>> {
    value.texts()?.iter().map(|text| text.parse().map_err(|error: String| value.wrong(error))).collect()
}

pub(super) fn require_mount(value: &Value) -> Result<RequireMount> {
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
pub(super) fn filters(value: &Value) -> Result<String> {
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
