//! `list`: the archives there are, or what is in one.

pub(in crate::command) mod line;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use self::line::Lines;
use super::which::{Bytes, Which, archives, which};
use crate::archive::index::EntryRecord;
use crate::archive::reader::{self, Archive, Opened};
use crate::archive::stream::{Input, Stream};
use crate::cli::ListArgs;
use crate::command::output::Output;
use crate::command::state_folder;
use crate::config::{Config, Job};
use crate::destination::Stored;
use crate::encryption::{self, Keys};
use crate::entry::{Kind, is_below, name_order};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::printable::{counted, human_bytes, printable, printable_path};
use crate::restore::paths::{Paths, clean};
use crate::state::Records;
use crate::stop::Stop;

/// List the archives of every job, newest first, or the entries of one archive.
///
/// # Errors
/// If an archive cannot be read to its end, or has nothing of a name that was asked for.
pub fn run(args: &ListArgs, config: &Config, now: DateTime<Utc>, stop: &Stop) -> Result<Exit> {
    let mut output = Output::new();
    let listed = match &args.archive {
        Some(word) => {
            let paths = Paths::new(&args.paths);
            let lines = Lines::new(config.jobs[0].zone, args.json, args.human);
            let mut listing = Listing { paths, lines, output: &mut output, stop };
            which(word, config).and_then(|which| listing.archive(&which, &config.keys()))
        }
        None => config.jobs.iter().try_for_each(|job| {
            if config.jobs.len() > 1 && !args.json {
                output.line(format_args!("{}:", job.name))?;
            }
            stored(job, args.json, now, &mut output)
        }),
    };
    // What was listed before an error is shown before it is told.
    output.finish()?;
    listed.map(|()| Exit::Complete)
}

/// One archive in a list of them.
#[derive(Debug, Serialize)]
struct Summary {
    job: String,
    name: String,
    path: String,
    bytes: u64,
    /// Whether it has an index; without one the rest is not known.
    indexed: bool,
    /// Whether it is encrypted; the rest is then known from the record that was kept of it, if there is one.
    encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<u64>,
}

fn stored(job: &Job, json: bool, now: DateTime<Utc>, output: &mut Output) -> Result<()> {
    let archives = archives(job)?;
    if archives.is_empty() && !json {
        let destination = printable_path(&job.destination);
        return output.line(format_args!("no archive in {destination} yet; `tarkeep backup` makes one"));
    }
    let records = state_folder(job).records(&job.name);
    let summaries: Vec<_> = archives
        .iter()
        .map(|stored| {
            let summary = summary(job, stored, &records);
            let said = summary.instant.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            // What has no index has its name.
            let named = || stored.name.local.and_local_timezone(job.zone).earliest();
            let then = said.map(|time| time.to_utc()).or_else(|| named().map(|time| time.to_utc()));
            (summary, then)
        })
        .collect();
    let width = summaries.iter().map(|(summary, _)| summary.name.chars().count()).max().unwrap_or(0);
    for (summary, then) in &summaries {
        if output.closed() {
            break;
        }
        if json {
            output.json(summary)?;
            continue;
        }
        let age = then.map_or("age unknown".into(), |then| age(now, then));
        let entries = summary.entries.map_or("-".into(), |entries| counted(entries, "entry", "entries"));
        let state = state(summary);
        let (name, size) = (&summary.name, human_bytes(summary.bytes));
        output.line(format_args!("{name:width$}  {size:>10}  {entries:>16}  {age:>16}  {state}"))?;
    }
    Ok(())
}

fn summary(job: &Job, stored: &Stored, records: &Records) -> Summary {
    let mut summary = Summary {
        job: job.name.clone(),
        name: printable(stored.name.to_string().as_bytes()),
        path: printable_path(&stored.path),
        bytes: stored.bytes,
        indexed: false,
        encrypted: false,
        damage: None,
        instant: None,
        entries: None,
        complete: None,
        skipped: None,
        changed: None,
    };
    if stored.name.ending().ends_with(encryption::ENDING) {
        summary.encrypted = true;
        let name = stored.name.to_string();
        if let Some(record) = records.find(&name, stored.bytes) {
            summary.instant = Some(record.instant.clone());
            summary.entries = Some(record.entries);
            summary.complete = Some(record.complete);
            summary.skipped = Some(record.skipped);
            summary.changed = Some(record.changed);
        } else if let Some(record) = records.named(&name) {
            summary.damage = Some(format!("it had {} bytes when it was written", record.bytes));
        }
        return summary;
    }
    let opened = reader::open(&stored.path).and_then(|opened| match opened {
        Opened::Indexed(archive) => archive.about().map(Some),
        Opened::Unindexed(unindexed) => match unindexed.damage {
            Some(damage) => Err(Error::damaged(damage)),
            None => Ok(None),
        },
    });
    match opened {
        Ok(Some(about)) => {
            summary.indexed = true;
            summary.instant = Some(about.instant);
            summary.entries = Some(about.report.entries);
            summary.complete = Some(about.report.complete());
            summary.skipped = Some(about.report.skipped.count);
            summary.changed = Some(about.report.changed.count);
        }
        Ok(None) => {}
        Err(error) => summary.damage = Some(error.to_string()),
    }
    summary
}

fn state(summary: &Summary) -> String {
    if let Some(damage) = &summary.damage {
        return format!("damaged: {damage}");
    }
    let count = |count: Option<u64>, what| match count {
        Some(count) if count > 0 => format!(", {count} {what}"),
        _ => String::new(),
    };
    let misses = count(summary.skipped, "skipped") + &count(summary.changed, "changed");
    let encrypted = if summary.encrypted { ", encrypted" } else { "" };
    match summary.complete {
        Some(true) => format!("complete{misses}{encrypted}"),
        Some(false) => format!("incomplete{misses}{encrypted}"),
        None if summary.encrypted => "encrypted".into(),
        None => "no index".into(),
    }
}

/// How long ago, in the largest unit that is not zero.
fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    if seconds < 0 {
        return "in the future".into();
    }
    let (count, one, many) = match seconds {
        0..60 => (seconds, "second", "seconds"),
        60..3600 => (seconds / 60, "minute", "minutes"),
        3600..172_800 => (seconds / 3600, "hour", "hours"),
        _ => (seconds / 86_400, "day", "days"),
    };
    format!("{} ago", counted(count as u64, one, many))
}

/// The listing of one archive.
struct Listing<'a> {
    paths: Paths,
    lines: Lines,
    output: &'a mut Output,
    stop: &'a Stop,
}

impl Listing<'_> {
    fn archive(&mut self, which: &Which, keys: &Keys) -> Result<()> {
        let store = match which.bytes(keys, self.stop)? {
            Bytes::Store(store) => store,
            Bytes::Pipe(reader) => {
                return self.stream(Input::new(reader, &which.path, self.stop)?, &which.path);
            }
        };
        match reader::from_store(store, &which.path)? {
            Opened::Indexed(archive) => self.indexed(&archive),
            Opened::Unindexed(unindexed) => {
                if let Some(damage) = &unindexed.damage {
                    log::warn!("archive {}: {damage}; it is read through", printable_path(&unindexed.path));
                }
                self.stream(Input::of(&unindexed.store, &unindexed.path, self.stop)?, &unindexed.path)
            }
        }
    }

    fn indexed(&mut self, archive: &Archive) -> Result<()> {
        self.paths.settle(archive)?;
        if let Some(mut names) = self.paths.names() {
            names.sort_by(|a, b| name_order(a, b));
            names.dedup_by(|later, earlier| is_below(later, earlier));
            for name in names {
                archive.below(&name).try_for_each(|entry| self.record(&entry?))?;
            }
        } else {
            archive.entries().try_for_each(|entry| self.record(&entry?))?;
        }
        self.paths.all_used(archive.path())
    }

    fn record(&mut self, entry: &EntryRecord) -> Result<()> {
        if self.paths.fit(&entry.name, entry.kind == Kind::Directory) {
            self.lines.record(entry, self.output)?;
        }
        Ok(())
    }

    fn stream(&mut self, input: Input, path: &Path) -> Result<()> {
        let mut stream = Stream::new(input);
        let wrong = |stop: &Stop, bad| {
            stop.check()
                .err()
                .unwrap_or_else(|| Error::damaged(format!("archive {}: {bad}", printable_path(path))))
        };
        while !self.output.closed() {
            let member = match stream.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(bad) => return Err(wrong(self.stop, bad)),
            };
            if self.paths.fit(&clean(&member.name), member.kind == Kind::Directory) {
                self.lines.member(&member, self.output)?;
            }
        }
        if !self.output.closed() {
            stream.finish().map_err(|bad| wrong(self.stop, bad))?;
        }
        if self.output.closed() { Ok(()) } else { self.paths.all_used(path) }
    }
}
