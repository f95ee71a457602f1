//! `list`: the archives there are, or what is in one.

pub(in crate::command) mod line;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use self::line::Lines;
use super::which::{Bytes, Which, which};
use crate::archive::index::EntryRecord;
use crate::archive::reader::{self, Archive, Opened};
use crate::archive::stream::{Input, Stream};
use crate::cli::ListArgs;
use crate::command::output::Output;
use crate::config::{Config, Job};
use crate::encryption::Keys;
use crate::entry::{Kind, is_below, name_order};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::inventory::Item;
use crate::job;
use crate::printable::{counted, human_bytes, printable, printable_path};
use crate::prune;
use crate::report::Report;
use crate::restore::paths::{Paths, clean};
use crate::retention::{Decision, Keep};
use crate::state::Checked;
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
            which(word, config, stop).and_then(|which| listing.archive(&which, &config.keys()))
        }
        None => config.jobs.iter().try_for_each(|job| {
            if config.jobs.len() > 1 && !args.json {
                output.line(format_args!("{}:", job.name))?;
            }
            stored(job, args.json, now, stop, &mut output)
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
    /// How many of them were not in the archive before: none of a link, all of what nothing is taken over for.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_bytes: Option<u64>,
    /// The same as a share of all, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_share: Option<f64>,
    /// The oldest of the archives here that is the same file, by another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    link_to: Option<String>,
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
    /// The rules that keep it; empty for what the next pruning deletes, none for what retention does not touch.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_by: Option<Vec<String>>,
    /// When it was last read back by a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<String>,
}

fn stored(job: &Job, json: bool, now: DateTime<Utc>, stop: &Stop, output: &mut Output) -> Result<()> {
    let plan = prune::plan(&job::open(job)?, &job::policy(job), false, now, stop)?;
    if plan.items.is_empty() && !json {
        let destination = printable_path(&job.destination);
        return output.line(format_args!("no archive in {destination} yet; `tarkeep backup` makes one"));
    }
    let oldest = oldest_names(&plan.items);
    let rows = plan.items.into_iter().zip(plan.decisions).map(|(item, decision)| {
        let known = item.checked.clone();
        let then = item.time(job.zone);
        (summary(job, item, &oldest, decision.as_ref(), known.as_ref()), then, known)
    });
    let mut rows: Vec<_> = rows.collect();
    if !job.pattern.is_versioned() {
        // Names say what clocks on walls said.
        rows.sort_by_key(|(_, then, _)| Reverse(*then));
    }
    let width = rows.iter().map(|(summary, ..)| summary.name.chars().count()).max().unwrap_or(0);
    for (summary, then, known) in &rows {
        if output.closed() {
            break;
        }
        if json {
            output.json(summary)?;
            continue;
        }
        let age_of = |then| age(now, then);
        let age = then.map_or("age unknown".into(), age_of);
        let entries = summary.entries.map_or("-".into(), |entries| counted(entries, "entry", "entries"));
        let mut state = state(summary);
        // Where everything is kept, that is no news.
        if let Some(reasons) = summary.kept_by.as_ref().filter(|_| job.keep != Keep::All) {
            state += &match reasons.as_slice() {
                [] => "; no rule keeps it".into(),
                reasons => format!("; kept: {}", reasons.join(", ")),
            };
        }
        if let Some(known) = known {
            let found = if known.damage.is_some() { "found damaged" } else { "verified" };
            state += &format!("; {found} {}", age_of(known.verified));
        }
        let (name, size) = (&summary.name, human_bytes(summary.bytes));
        let new = summary.new_share.map_or("-".into(), |share| format!("{:.1}% new", 100.0 * share));
        output
            .line(format_args!("{name:width$}  {size:>10}  {new:>11}  {entries:>16}  {age:>16}  {state}"))?;
    }
    Ok(())
}

/// The oldest name of each file, by the instants.
fn oldest_names(items: &[Item]) -> HashMap<(u64, u64), String> {
    let mut oldest: HashMap<(u64, u64), (DateTime<Utc>, String)> = HashMap::new();
    for item in items {
        if let (Some(file), Ok(own)) = (item.file(), &item.own) {
            let name = || (own.instant, item.stored.name.to_string());
            let known = oldest.entry(file).or_insert_with(name);
            if own.instant < known.0 {
                *known = name();
            }
        }
    }
    oldest.into_iter().map(|(file, (_, name))| (file, name)).collect()
}

/// How many bytes of an archive were not in the one before.
fn new_bytes(item: &Item, is_link: bool) -> Option<u64> {
    if is_link || item.link.is_some() {
        return Some(0);
    }
    let bytes = item.stored.bytes;
    match (&item.about, &item.record) {
        (Some(about), _) => Some(bytes.saturating_sub(about.report.reused.stored)),
        // What is encrypted takes nothing over.
        (None, record) => record.as_ref().map(|_| bytes),
    }
}

fn summary(
    job: &Job,
    item: Item,
    oldest: &HashMap<(u64, u64), String>,
    decision: Option<&Decision>,
    known: Option<&Checked>,
) -> Summary {
    let own_name = item.stored.name.to_string();
    let link_to = item.file().and_then(|file| oldest.get(&file)).filter(|name| **name != own_name);
    let new_bytes = new_bytes(&item, link_to.is_some());
    let instant = item.instant().map(str::to_owned);
    let report = item.about.as_ref().map(|about| &about.report);
    let record = item.record.as_ref();
    let found = known.and_then(|known| known.damage.clone());
    Summary {
        job: job.name.clone(),
        name: printable(item.stored.name.to_string().as_bytes()),
        path: printable_path(&item.stored.path),
        bytes: item.stored.bytes,
        new_bytes,
        new_share: new_bytes.map(|new| share(new, item.stored.bytes)),
        link_to: link_to.map(|name| printable(name.as_bytes())),
        indexed: report.is_some(),
        encrypted: item.encrypted,
        entries: report.map(|report| report.entries).or(record.map(|record| record.entries)),
        complete: report.map(Report::complete).or(record.map(|record| record.complete)),
        skipped: report.map(|report| report.skipped.count).or(record.map(|record| record.skipped)),
        changed: report.map(|report| report.changed.count).or(record.map(|record| record.changed)),
        instant,
        damage: item.damage.or(found),
        kept_by: decision.map(Decision::reasons),
        verified: known
            .map(|known| known.verified.with_timezone(&job.zone).to_rfc3339_opts(SecondsFormat::Secs, false)),
    }
}

/// In ten-thousandths, which is as much as anybody reads.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { (10_000.0 * part as f64 / whole as f64).round() / 10_000.0 }
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
    let link = summary.link_to.as_ref().map_or(String::new(), |to| format!(", a link to {to}"));
    match summary.complete {
        Some(true) => format!("complete{misses}{encrypted}{link}"),
        Some(false) => format!("incomplete{misses}{encrypted}{link}"),
        None if summary.encrypted => "encrypted".into(),
        None => "no index".into(),
    }
}

/// How long ago, in the largest unit that is not zero.
pub(super) fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
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
