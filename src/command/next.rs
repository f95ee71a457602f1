//! `next`: when runs are due.

use std::iter;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::cli::NextArgs;
use crate::command::output::Output;
use crate::config::{Config, Job};
use crate::error::Result;
use crate::exit::Exit;

/// Print the next due times of each job, one a line, in the job's zone.
pub fn run(args: &NextArgs, config: &Config, now: DateTime<Utc>) -> Result<Exit> {
    let mut output = Output::new();
    let mut jobs = Vec::new();
    for job in &config.jobs {
        let times = due(job, now).take(usize::from(args.count));
        let times: Vec<_> = times.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, false)).collect();
        if args.json {
            jobs.push(json!({ "job": job.name, "schedule": job.schedule.to_string(), "due": times }));
            continue;
        }
        if times.is_empty() {
            output.line(format_args!("never  {}  (schedule {})", job.name, job.schedule))?;
        }
        for time in times {
            output.line(format_args!("{time}  {}", job.name))?;
        }
    }
    if args.json {
        output.json(&jobs)?;
    }
    output.finish()?;
    Ok(Exit::Complete)
}

fn due(job: &Job, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<crate::zone::Tz>> {
    iter::successors(job.schedule.next_after(now.with_timezone(&job.zone)), |last| {
        job.schedule.next_after(*last)
    })
}
