//! `prune`: what retention says, with reasons, and done.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::cli::PruneArgs;
use crate::clock::Clock;
use crate::command::list::age;
use crate::command::output::Output;
use crate::command::state_folder;
use crate::config::{Config, Job};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::inventory::{self, Item};
use crate::job;
use crate::printable::{counted, human_bytes, printable};
use crate::prune::{self, Plan, Pruned};
use crate::retention::{Decision, Keep};
use crate::stop::Stop;

/// Prune the jobs, one after the other, and print a line for each archive; the worst end counts.
///
/// # Errors
/// If a destination cannot be read, or another run has it.
pub fn run(args: &PruneArgs, config: &Config, clock: &dyn Clock, stop: &Stop) -> Result<Exit> {
    let mut output = Output::until(stop)?;
    let mut worst = Exit::Complete;
    for job in &config.jobs {
        stop.check()?;
        if config.jobs.len() > 1 && !args.json {
            output.line(format_args!("{}:", job.name))?;
        }
        let exit = match one(args, job, clock, stop, &mut output) {
            Err(error) if config.jobs.len() > 1 && stop.asked().is_none() => {
                log::error!("job {}: {error}", job.name);
                error.exit()
            }
            exit => exit?,
        };
        worst = exit.worse(worst);
        output.flush()?;
    }
    output.finish()?;
    Ok(worst)
}

fn one(args: &PruneArgs, job: &Job, clock: &dyn Clock, stop: &Stop, output: &mut Output) -> Result<Exit> {
    let destination = job::open(job)?;
    let now = clock.now();
    if args.dry_run {
        let plan = prune::plan(&destination, &job::policy(job), args.accept, now, stop)?;
        show(args, job, &plan, None, now, output)?;
        return Ok(Exit::Complete);
    }
    // What keeps us from deleting is a later step that failed, whatever it is, but for another run.
    let later = |error: Error| {
        if error.exit() == Exit::Failed { error.with_exit(Exit::LaterStep) } else { error }
    };
    let lock = destination.lock(&format!("prune {}", job.name), &now.to_rfc3339()).map_err(later)?;
    let plan = prune::plan(&destination, &job::policy(job), args.accept, now, stop)?;
    if args.accept {
        // What is remembered is what was seen, and not what a run publishes tomorrow.
        let accepted = plan.accepted;
        state_folder(job).update(&job.name, |state| state.accepted = accepted).map_err(later)?;
    }
    let pruned = prune::apply(&plan, &destination, &job.pattern, &lock, stop);
    job::forget(job, &destination, &lock, Some(&pruned), now);
    let held = plan.held.clone();
    if state_folder(job).load(&job.name).held != held {
        state_folder(job).update(&job.name, |state| state.held = held).map_err(later)?;
    }
    show(args, job, &plan, Some(&pruned), now, output)?;
    if stop.asked().is_some() {
        output.flush()?;
    }
    stop.check()?;
    match (&plan.held, pruned.error()) {
        (Some(held), _) => Err(Error::failed(format!("nothing is pruned: {held}"))),
        (None, Some(error)) => Err(Error::failed(error).with_exit(Exit::LaterStep)),
        (None, None) => Ok(Exit::Complete),
    }
}

/// A line for each archive: what it is called, how old and how large it is, what keeps it, or that it goes.
fn show(
    args: &PruneArgs,
    job: &Job,
    plan: &Plan,
    pruned: Option<&Pruned>,
    now: DateTime<Utc>,
    output: &mut Output,
) -> Result<()> {
    let rows = rows(plan, job);
    let going: Vec<&Row> = rows.iter().filter(|row| row.verdict == Verdict::Deleted).collect();
    if args.json {
        let archives: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "instant": row.instant.map(|at| at.with_timezone(&job.zone).to_rfc3339()),
                    "bytes": row.bytes,
                    "decision": row.verdict.word(),
                    "reasons": row.why,
                })
            })
            .collect();
        return output.json(&json!({
            "job": job.name,
            "keep": job.keep.to_string(),
            "dry_run": args.dry_run,
            "held": plan.held,
            "frees": frees(plan),
            "archives": archives,
            "pruned": pruned,
        }));
    }
    let gone: BTreeSet<String> = pruned
        .iter()
        .flat_map(|pruned| &pruned.deleted)
        .map(|deleted| printable(deleted.name.as_bytes()))
        .collect();
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    for Row { name, instant, bytes, verdict, why } in &rows {
        let age = instant.map_or("-".into(), |then| age(now, then));
        let size = human_bytes(*bytes);
        let why = match verdict {
            Verdict::Kept => format!("kept: {}", why.join(", ")),
            Verdict::Deleted if args.dry_run || plan.held.is_some() => "would be deleted".into(),
            Verdict::Deleted if gone.contains(name) => "deleted".into(),
            Verdict::Deleted => "should be deleted, and stays".into(),
            Verdict::Foreign => format!("not ours, stays: {}", why.join(", ")),
        };
        output.line(format_args!("{name:width$}  {age:>16}  {size:>10}  {why}"))?;
    }
    let kept = counted((rows.len() - going.len()) as u64, "archive stays", "archives stay");
    let frees = human_bytes(frees(plan));
    let gone = match pruned.filter(|_| plan.held.is_none()) {
        Some(pruned) => pruned.summary(),
        None => {
            format!("{} would be deleted, {frees}", counted(going.len() as u64, "archive", "archives"))
        }
    };
    output.line(format_args!("keep {}: {gone}; {kept}", job.keep))?;
    if args.dry_run && job.keep == Keep::All {
        return output
            .line(format_args!("nothing is ever pruned: TARKEEP_KEEP says what is kept, and is all"));
    }
    match plan.held.as_ref().filter(|_| args.dry_run) {
        Some(held) => output.line(format_args!("but nothing is pruned now: {held}")),
        None => Ok(()),
    }
}

/// How many bytes the disk has back if all goes that the plan says.
fn frees(plan: &Plan) -> u64 {
    let going = plan.items.iter().zip(&plan.decisions);
    inventory::freed(
        going.filter(|(_, decision)| **decision == Some(Decision::Deleted)).map(|(item, _)| item),
    )
}

/// In the order of `list`: the newest first.
fn rows(plan: &Plan, job: &Job) -> Vec<Row> {
    let row = |(item, decision): (&Item, &Option<Decision>)| {
        let name = printable(item.stored.name.to_string().as_bytes());
        let instant = item.own.as_ref().ok().map(|own| own.instant);
        let (verdict, why) = match (decision, &item.own) {
            (Some(Decision::Deleted), _) => (Verdict::Deleted, Vec::new()),
            (Some(kept), _) => (Verdict::Kept, kept.reasons()),
            (None, own) => (Verdict::Foreign, own.as_ref().err().cloned().into_iter().collect()),
        };
        Row { name, instant, bytes: item.stored.bytes, verdict, why }
    };
    let mut all: Vec<_> = plan.items.iter().zip(&plan.decisions).collect();
    if !job.pattern.is_versioned() {
        // Names say what clocks on walls said.
        all.sort_by_key(|(item, _)| Reverse(item.time(job.zone)));
    }
    all.into_iter().map(row).collect()
}

struct Row {
    name: String,
    instant: Option<DateTime<Utc>>,
    bytes: u64,
    verdict: Verdict,
    why: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Kept,
    Deleted,
    Foreign,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Deleted => "deleted",
            Self::Foreign => "foreign",
        }
    }
}
