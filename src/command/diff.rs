//! `diff`: what is not the same in two archives, or in an archive and a folder.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::zone::Tz;
use chrono::DateTime;
use serde::Serialize;

use super::list::line::{json_time, kind_word, push_name, push_time, text};
use super::which::{Bytes, which};
use crate::archive::reader::{self, Archive, Opened};
use crate::archive::stream::Input;
use crate::cli::DiffArgs;
use crate::command::output::Output;
use crate::compare::{Change, Difference, Side, What, Whole, compare};
use crate::config::Config;
use crate::entry::{Kind, Timestamp, is_below};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job;
use crate::printable::{counted, printable, printable_path};
use crate::restore::paths::{Paths, clean, no_entry};
use crate::source::{Options, Source};
use crate::stop::Stop;

/// Show what differs, one line a name.
///
/// # Errors
/// If anything cannot be compared; it ends with 2, since 1 means that something differs.
pub fn run(args: &DiffArgs, config: &Config, stop: &Stop) -> Result<Exit> {
    let trouble = |error: Error| match error.exit() {
        Exit::Signal(_) => error,
        _ => error.with_exit(Exit::Usage),
    };
    let mut show = Show { json: args.json, zone: config.jobs[0].zone, output: Output::new(), any: false };
    let folder = Path::new(&args.second);
    let compared = if folder.is_dir() {
        with_folder(args, folder, config, stop, &mut show)
    } else {
        with_archive(args, config, stop, &mut show)
    };
    show.output.finish().map_err(trouble)?;
    let troubles = compared.map_err(trouble)?;
    for cause in troubles.iter().take(10) {
        log::warn!("not compared: {cause}");
    }
    if !troubles.is_empty() {
        let count = counted(troubles.len() as u64, "entry", "entries");
        return Err(Error::usage(format!("{count} could not be compared")));
    }
    Ok(if show.any { Exit::Different } else { Exit::Complete })
}

/// An archive that is open, or has been read.
enum Read {
    Indexed(Box<Archive>),
    Streamed(Whole),
}

impl Read {
    fn open(word: &OsStr, config: &Config, stop: &Stop) -> Result<Self> {
        let which = which(word, config, stop)?;
        let input = match which.bytes(&config.keys(), stop)? {
            Bytes::Store(store) => match reader::from_store(store, &which.path)? {
                Opened::Indexed(archive) => return Ok(Read::Indexed(archive)),
                Opened::Unindexed(unindexed) => {
                    if let Some(damage) = &unindexed.damage {
                        log::warn!("archive {}: {damage}; it is read through", printable_path(&which.path));
                    }
                    Input::of(&unindexed.store, &which.path, stop)?
                }
            },
            Bytes::Pipe(reader) => Input::new(reader, &which.path, stop)?,
        };
        Whole::read(input, &which.path, stop).map(Read::Streamed)
    }

    fn side(&self) -> Side<'_> {
        match self {
            Read::Indexed(archive) => Side::indexed(archive),
            Read::Streamed(whole) => Side::streamed(whole),
        }
    }
}

fn with_archive(args: &DiffArgs, config: &Config, stop: &Stop, show: &mut Show) -> Result<Vec<String>> {
    if args.first == "-" && args.second == "-" {
        return Err(Error::usage("standard input can be one of the two, not both"));
    }
    let first = Read::open(&args.first, config, stop).map_err(|error| match error.exit() {
        Exit::Failed if Path::new(&args.first).is_dir() => {
            Error::usage(format!("{error}; a folder to compare with comes second"))
        }
        _ => error,
    })?;
    let second = Read::open(&args.second, config, stop)?;
    if args.paths.is_empty() {
        return compare(first.side(), second.side(), stop, &mut |difference| show.one(&difference));
    }
    let (mut one, mut two) = (Paths::new(&args.paths), Paths::new(&args.paths));
    let troubles = compare(
        first.side().only(|name, folder| one.fit(name, folder)),
        second.side().only(|name, folder| two.fit(name, folder)),
        stop,
        &mut |difference| show.one(&difference),
    )?;
    one.or(&two).all_used(Path::new(&args.first))?;
    Ok(troubles)
}

fn with_folder(
    args: &DiffArgs,
    folder: &Path,
    config: &Config,
    stop: &Stop,
    show: &mut Show,
) -> Result<Vec<String>> {
    let asked = match args.paths.as_slice() {
        [] => None,
        [path] => Some(clean(path.as_bytes())),
        _ => return Err(Error::usage("with a folder there is one PATH: the entry that it is compared with")),
    };
    let first = Read::open(&args.first, config, stop)?;
    let path = Source::new(folder)?.path;
    // A source is compared under the name that it has in the archive, without what its job leaves out.
    let of_job = config.jobs.iter().find_map(|job| {
        let sources: Vec<_> = job.sources.iter().filter_map(|path| Source::new(path).ok()).collect();
        let source = sources.into_iter().find(|source| source.path == path)?;
        Some((source.name, job::options(job, None)))
    });
    let mut tops = BTreeSet::new();
    let mut names = BTreeSet::new();
    for name in first.side().names() {
        let name = name?;
        if tops.len() < 3 && !tops.iter().any(|top: &Vec<u8>| is_below(&name, top)) {
            tops.insert(name.clone());
        }
        if Some(&name) == asked.as_ref() || of_job.as_ref().is_some_and(|(source, _)| *source == name) {
            names.insert(name);
        }
    }
    let archive = printable(args.first.as_bytes());
    let (root, options) = match (asked, of_job) {
        (Some(asked), of_job) if asked.is_empty() || names.contains(&asked) => {
            let options = of_job.filter(|(name, _)| *name == asked).map(|(_, options)| options);
            (asked, options.unwrap_or_default())
        }
        (Some(asked), _) => {
            let none = no_entry(&printable(&asked), tops.first().map(Vec::as_slice));
            return Err(Error::failed(format!("archive {archive}: {none}")));
        }
        (None, Some((name, options))) if names.contains(&name) => (name, options),
        (None, _) => match tops.iter().collect::<Vec<_>>().as_slice() {
            [top] => ((*top).clone(), Options::default()),
            _ => {
                return Err(Error::usage(format!(
                    "archive {archive} has no one folder that all is in: say with a PATH what {} is to be compared \
                     with, . for all of it",
                    printable_path(folder)
                )));
            }
        },
    };
    let known = first.side().names().next().transpose()?.is_some_and(|name| name == root);
    let scanned = match &first {
        Read::Indexed(archive) => DateTime::parse_from_rfc3339(&archive.about()?.began).ok(),
        Read::Streamed(_) => None,
    };
    let live = Side::live(folder, &root, &options, scanned.map(|began| began.timestamp()))?;
    compare(
        first.side().only(|name, _| is_below(name, &root)),
        live.only(|name, _| known || !name.is_empty()),
        stop,
        &mut |difference| show.one(&difference),
    )
}

/// Makes the lines.
struct Show {
    json: bool,
    zone: Tz,
    output: Output,
    any: bool,
}

/// One line of JSON. What it was and what it is stand in lists of two.
#[derive(Default, Serialize)]
struct Json<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
    change: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<[&'static str; 2]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    content: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<[Cow<'a, str>; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[(u32, u32); 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<[String; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<[(u64, u64); 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<[String; 2]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
}

impl Show {
    fn one(&mut self, difference: &Difference) -> Result<()> {
        self.any = true;
        if self.json {
            return self.output.json(&json(difference));
        }
        let (sign, kind) = match &difference.what {
            What::Added(kind) => ('+', Some(kind)),
            What::Removed(kind) => ('-', Some(kind)),
            What::Changed(_) => ('~', None),
        };
        let mut line = format!("{sign} ");
        // Other tools call the folder that they were in `.`.
        push_name(&mut line, if difference.name.is_empty() { b"." } else { &difference.name });
        if kind == Some(&Kind::Directory) {
            line.push('/');
        }
        if let What::Changed(changes) = &difference.what {
            let words: Vec<_> = changes.iter().map(|change| self.words(change)).collect();
            let _ = write!(line, " ({})", words.join(", "));
        }
        self.output.line(line)
    }

    fn words(&self, change: &Change) -> String {
        match change {
            Change::Content(..) => "content".into(),
            Change::Type(one, other) => format!("{} → {}", kind_word(one), kind_word(other)),
            Change::Target(one, other) => format!("target {} → {}", printable(one), printable(other)),
            Change::Device(one, other) => format!("device {},{} → {},{}", one.0, one.1, other.0, other.1),
            Change::Mode(one, other) => format!("mode {one:o} → {other:o}"),
            Change::Owner(one, other) => format!("owner {}:{} → {}:{}", one.0, one.1, other.0, other.1),
            Change::Mtime(one, other) => {
                let fraction = one.seconds == other.seconds;
                format!("mtime {} → {}", self.time(*one, fraction), self.time(*other, fraction))
            }
            Change::Attributes(names) => {
                let names: Vec<_> = names.iter().map(|name| printable(name)).collect();
                names.join(", ")
            }
        }
    }

    fn time(&self, time: Timestamp, fraction: bool) -> String {
        let mut text = String::new();
        push_time(&mut text, self.zone, time);
        if fraction {
            let _ = write!(text, ".{:09}", time.nanos);
        }
        text
    }
}

fn json(difference: &Difference) -> Json<'_> {
    let (name, name_hex) = text(&difference.name);
    let mut json = Json { name, name_hex, ..Json::default() };
    let changes = match &difference.what {
        What::Added(_) => {
            json.change = "added";
            return json;
        }
        What::Removed(_) => {
            json.change = "removed";
            return json;
        }
        What::Changed(changes) => changes,
    };
    json.change = "changed";
    for change in changes {
        match change {
            Change::Content(one, other) => {
                json.content = true;
                json.size = Some([*one, *other]);
            }
            Change::Type(one, other) => json.kind = Some([kind_word(one), kind_word(other)]),
            Change::Target(one, other) => json.target = Some([text(one).0, text(other).0]),
            Change::Device(one, other) => json.device = Some([*one, *other]),
            Change::Mode(one, other) => json.mode = Some([one, other].map(|mode| format!("{mode:04o}"))),
            Change::Owner(one, other) => json.owner = Some([*one, *other]),
            Change::Mtime(one, other) => json.mtime = Some([json_time(*one), json_time(*other)]),
            Change::Attributes(names) => json.attributes = names.iter().map(|name| printable(name)).collect(),
        }
    }
    json
}
