//! `check`: whether sources, destinations and schedules are as they should be, found out by using them. Nothing of
//! what is there is changed.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use rustix::fs::{Access, access};
use serde::Serialize;

use crate::cli::JsonArgs;
use crate::command::output::Output;
use crate::config::{Config, Job};
use crate::encryption::{Keys, Recipients};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::job;
use crate::printable::{counted, human_bytes, printable_path};
use crate::prune;
use crate::retention::{self, Keep};
use crate::schedule::Schedule;
use crate::services::{Found, look};
use crate::source;
use crate::stop::Stop;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    job: String,
    what: String,
    ok: bool,
    says: String,
}

/// Look at everything, print a line for each, and end with 1 if one of them is a problem.
pub fn run(args: &JsonArgs, config: &Config, now: DateTime<Utc>) -> Result<Exit> {
    let findings: Vec<Finding> = config.jobs.iter().flat_map(|job| findings(job, now)).collect();
    let problems = findings.iter().filter(|finding| !finding.ok).count() as u64;
    let mut output = Output::new();
    if args.json {
        output.json(&serde_json::json!({ "ok": problems == 0, "checks": findings }))?;
    } else {
        for Finding { job, what, ok, says } in &findings {
            let verdict = if *ok { "ok     " } else { "problem" };
            output.line(format_args!("{verdict}  {job}: {what}: {says}"))?;
        }
        if problems > 0 {
            output.line(counted(problems, "problem", "problems"))?;
        }
    }
    output.finish()?;
    Ok(if problems == 0 { Exit::Complete } else { Exit::Failed })
}

fn findings(job: &Job, now: DateTime<Utc>) -> Vec<Finding> {
    let finding = |what: String, says: Result<String>| {
        let ok = says.is_ok();
        let says = says.unwrap_or_else(|error| format!("{error}{}", remedy(&error)));
        Finding { job: job.name.clone(), what, ok, says }
    };
    let mut findings = Vec::new();
    for path in &job.sources {
        let alone = Job { sources: vec![path.clone()], ..job.clone() };
        findings.push(finding(format!("source {}", printable_path(path)), look_at_sources(&alone)));
    }
    if job.sources.len() > 1 && findings.iter().all(|finding| finding.ok) {
        // What each of them is not wrong with, they may be wrong with together.
        findings.push(finding("sources together".into(), look_at_sources(job)));
    }
    let destination = format!("destination {}", printable_path(&job.destination));
    findings.push(finding(destination, look_at_destination(job)));
    // What is wrong with the destination is said by its own line.
    if let Ok(there) = job::open(job)
        && let Some(says) = job::share::look(job, &there).transpose()
    {
        findings.push(finding("share".into(), says));
    }
    findings.push(finding(format!("keep {}", job.keep), look_at_retention(job, now)));
    if !job.verify.is_off() {
        findings.push(finding(format!("verify {}", job.verify), Ok(next(&job.verify, job, now))));
    }
    if let Some(recipients) = &job.recipients {
        findings.push(finding("encryption".into(), look_at_encryption(recipients, &job.keys)));
    }
    if let Some(state) = &job.state {
        findings.push(finding(format!("state {}", printable_path(state)), look_at_state(state)));
    }
    for (service, found) in job.services_down.iter().zip(look(&job.services_down)) {
        // Up is how it should be now. A name that nobody knows is a mistake, or a service that is stopped.
        let says = match found {
            Found::Up => Ok("up; while it is, restore and reset refuse".into()),
            Found::Down(why) => Ok(format!("down: {why}")),
            Found::Unknown(why) => Err(Error::failed(why)),
        };
        findings.push(finding(format!("service {service}"), says));
    }
    findings.push(finding(format!("schedule {}", job.schedule), Ok(next(&job.schedule, job, now))));
    findings
}

/// What to do about a cause that the system gave; errors of our own say it themselves.
fn remedy(error: &Error) -> &'static str {
    match error.cause().map(io::Error::kind) {
        Some(ErrorKind::PermissionDenied) => {
            "; let this user read or write there, or run as root (in a container with DAC_OVERRIDE)"
        }
        Some(ErrorKind::ReadOnlyFilesystem) => "; mount it writable",
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => "; make room there",
        _ => "",
    }
}

/// Open the sources as a run does, which finds a missing, unreadable, empty or unmounted one.
fn look_at_sources(job: &Job) -> Result<String> {
    let sources = job::sources(job)?;
    source::walk(&sources, &job::options(job, None))?;
    Ok(if job.require_mount.source { "readable, mounted" } else { "readable" }.into())
}

fn look_at_destination(job: &Job) -> Result<String> {
    let destination = job::open(job)?;
    let is_destination =
        |source: &&PathBuf| source.canonicalize().is_ok_and(|path| path == destination.root());
    if let Some(source) = job.sources.iter().find(is_destination) {
        return Err(Error::usage(format!(
            "{} is the source and the destination; give the archives a folder of their own",
            printable_path(source)
        )));
    }
    destination.check_writable()?;
    let archives = destination.archives(&job.pattern)?;
    // The next archive will be about as large as the newest, unless most of it is shared.
    let block = if job.share { destination.shares().ok() } else { None };
    destination
        .require_space(archives.first().map_or(0, |newest| job::share::needed(newest.bytes, block)))?;
    let mounted = if job.require_mount.destination { ", mounted" } else { "" };
    let free =
        destination.space()?.bytes.map_or(String::new(), |free| format!(", {} free", human_bytes(free)));
    Ok(format!("writable{mounted}{free}, {}", counted(archives.len() as u64, "archive", "archives")))
}

/// Whether what is encrypted can be decrypted with what is at hand; the private key may well be elsewhere.
fn look_at_encryption(recipients: &Recipients, keys: &Keys) -> Result<String> {
    if recipients.is_passphrase() {
        return Ok(format!(
            "{recipients}: takes 256 MiB of memory and about a second at the beginning of each run"
        ));
    }
    if !keys.has_identity() {
        return Ok(format!(
            "{recipients}; no private key is here, and none is needed for backups: keep it where it survives this machine"
        ));
    }
    if keys.fit(recipients) {
        return Ok(format!("{recipients}; the private key that is configured opens it"));
    }
    Err(Error::failed(format!(
        "{recipients}, and the private key that is configured opens none of it: new archives cannot be read with it; \
         configure the one that belongs to a recipient, or none"
    )))
}

/// The folder is made when it is first written to, so what is there of the way to it counts.
fn look_at_state(state: &Path) -> Result<String> {
    let state = std::path::absolute(state).map_err(|e| Error::io("find state folder", state, e))?;
    let there = state.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Err(Error::failed(format!(
            "{} is not a folder; write the path of a folder that can be written to",
            printable_path(there)
        )));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| Error::io("write to", there, e))?;
    Ok(if there == state { "writable" } else { "will be made" }.into())
}

/// What pruning would do, and, where it does nothing, for how long that goes well.
fn look_at_retention(job: &Job, now: DateTime<Utc>) -> Result<String> {
    // What is wrong with the destination is said by its own line.
    let Ok(destination) = job::open(job) else { return Ok("nothing to look at".into()) };
    let ruled = job.keep != Keep::All;
    let plan = prune::plan(&destination, &job::policy(job), false, now, &Stop::default())?;
    if ruled {
        if !job::known_later(job) {
            return Err(Error::usage(format!(
                "archives of codec {} have no index and are never pruned; take gzip or zstd, or keep all",
                job.codec
            )));
        }
        if let Some(held) = plan.held {
            return Err(Error::failed(format!("nothing is pruned: {held}")));
        }
        let going = plan.decisions.iter().flatten().filter(|decision| !decision.kept()).count() as u64;
        return Ok(format!("{} that no rule keeps", counted(going, "archive", "archives")));
    }
    let mut own: Vec<_> = plan
        .items
        .iter()
        .filter_map(|item| {
            // What an archive has in common with the one before it takes no room.
            let shared = item.about.as_ref().map_or(0, |about| about.report.reused.shared);
            Some((item.own.as_ref().ok()?, item.stored.bytes.saturating_sub(shared)))
        })
        .collect();
    own.sort_by_key(|(own, _)| own.instant);
    let mut files = BTreeSet::new();
    // A later name of a file was made then, and takes no room.
    let archives: Vec<_> = own
        .into_iter()
        .map(|(own, bytes)| (own.instant, if files.insert(own.file) { bytes } else { 0 }))
        .collect();
    let growth = destination.space()?.bytes.and_then(|free| retention::growth(&archives, free));
    Ok(match growth {
        Some((rate, days)) => format!(
            "the disk is full in {} at {} a day; TARKEEP_KEEP says what may go",
            retention::days_left(days),
            human_bytes(rate as u64)
        ),
        None if archives.len() > files.len() => {
            "nothing is ever deleted, and the latest archives, links to one before, take no room".into()
        }
        None => {
            "nothing is ever deleted; after two nights of archives this says how long the disk lasts".into()
        }
    })
}

fn next(schedule: &Schedule, job: &Job, now: DateTime<Utc>) -> String {
    match schedule.next_after(now.with_timezone(&job.zone)) {
        Some(time) => format!("next at {} ({})", time.to_rfc3339_opts(SecondsFormat::Secs, false), job.zone),
        None => "never due; only `tarkeep backup` makes archives".into(),
    }
}
