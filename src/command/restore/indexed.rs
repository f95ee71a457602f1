//! Restoring what has an index: it says beforehand what is there and where, so that only what is wanted is read.

use std::path::PathBuf;

use chrono::DateTime;

use super::{Part, Plan, place_of};
use crate::archive::reader::{Archive, from_store};
use crate::archive::verify::{Depth, Options, verify_opened};
use crate::cli::RestoreArgs;
use crate::config::{Config, Job};
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::extract;
use crate::job;
use crate::printable::{printable, printable_path};
use crate::progress::Progress;
use crate::restore::paths::Paths;
use crate::restore::{Amount, Names, Selection};
use crate::stop::Stop;

/// What goes where. An error of damage here says that the index is of no use.
///
/// # Errors
/// If the index is damaged, or what was asked for is not there.
pub fn parts(args: &RestoreArgs, config: &Config, archive: &Archive) -> Result<Vec<Part>> {
    usable(args, archive)?;
    chosen(args, config, archive)
}

/// Restore these parts.
///
/// # Errors
/// If anything is wrong with the archive or with the target.
pub fn run(plan: &Plan, archive: &Archive, parts: Vec<Part>) -> Result<Exit> {
    let Plan { args, config, stop, .. } = *plan;
    plan.unused(parts.iter().map(|part| &part.target))?;
    if !args.no_verify && !args.salvage && args.paths.is_empty() {
        verify(archive, config, stop)?;
    }
    if parts.iter().any(|part| part.amount.entries == 0) {
        return Err(Error::usage("nothing in the archive was asked for"));
    }
    let parts = parts.into_iter().map(|part| part.divided(|selections| look(archive, selections)));
    let parts = parts.collect::<Result<Vec<_>>>()?.concat();
    let instant = job::instant(&config.jobs, archive.path(), archive.length(), archive.about()?.instant);
    let when = DateTime::parse_from_rfc3339(&instant)
        .map_or_else(|_| printable(instant.as_bytes()), |at| at.format("%Y-%m-%d %H:%M:%S %:z").to_string());
    let heading = format!("archive {} of {when}", printable_path(archive.path()));
    let extracted =
        plan.carry_out(&heading, &parts, |part, root, hands| extract(archive, root, &part.selection, hands))?;
    extracted
        .map_or(Ok(Exit::Complete), |extracted| plan.done(&parts, &extracted, "run as root to have them"))
}

/// How much each is, and whether the entry that it begins with is a folder.
fn look(archive: &Archive, selections: &[Selection]) -> Result<Vec<(Amount, Option<bool>)>> {
    let one = |selection: &Selection| {
        let root = archive.find(selection.prefix())?;
        Ok((selection.amount(archive)?, root.map(|root| root.kind == Kind::Directory)))
    };
    selections.iter().map(one).collect()
}

/// Whether the index can be followed to its end, where all of it is needed.
fn usable(args: &RestoreArgs, archive: &Archive) -> Result<()> {
    archive.about()?;
    if args.paths.is_empty() || args.salvage {
        archive.segments().try_for_each(|it| it.map(|_| ()))
    } else {
        Ok(())
    }
}

/// Where everything goes: below one folder, or back to the sources of the job.
fn chosen(args: &RestoreArgs, config: &Config, archive: &Archive) -> Result<Vec<Part>> {
    let names = Names::of(archive, Paths::new(&args.paths))?;
    let part = |target: PathBuf, prefix, base, rooted| -> Result<Part> {
        let selection = Selection::new(&names, prefix, base);
        let amount = selection.amount(archive)?;
        Ok(Part { target, selection, amount, rooted })
    };
    if let Some(folder) = &args.to {
        return Ok(vec![part(folder.clone(), Vec::new(), Vec::new(), false)?]);
    }
    let job = job_of(config, archive)?;
    let mut parts = Vec::new();
    for source in job::sources(job)? {
        let root = archive.find(&source.name)?;
        let rooted = root.is_some();
        let (target, base) = place_of(source.path, root.is_some_and(|root| root.kind != Kind::Directory));
        let part = part(target, source.name, base, rooted)?;
        if part.amount.entries > 0 {
            part.require_whole(args)?;
            parts.push(part);
        }
    }
    if parts.is_empty() {
        let sources: Vec<_> = job.sources.iter().map(|source| printable_path(source)).collect();
        return Err(Error::usage(format!(
            "nothing of that in the archive came from {}: say where it goes with --to FOLDER",
            sources.join(" or ")
        )));
    }
    Ok(parts)
}

/// The job that made the archive, or the only one there is.
fn job_of<'a>(config: &'a Config, archive: &Archive) -> Result<&'a Job> {
    let about = archive.about()?;
    config.jobs.iter().find(|job| job.name == about.job).or(match config.jobs.as_slice() {
        [job] => Some(job),
        _ => None,
    }).ok_or_else(|| {
        Error::usage(format!(
            "the archive is of the job {}, which is not configured here: name another with --job, or say where it goes \
             with --to FOLDER",
            printable(about.job.as_bytes())
        ))
    })
}

fn verify(archive: &Archive, config: &Config, stop: &Stop) -> Result<()> {
    let opened = from_store(archive.store().clone(), archive.path())?;
    let options = Options { depth: Depth::Full, threads: config.jobs[0].threads.get() };
    let verified = verify_opened(opened, archive.path(), options, stop, &Progress::default())?;
    verified.problems.first().map_or(Ok(()), |problem| {
        Err(Error::damaged(format!(
            "archive {}: {problem}; nothing was touched; `tarkeep verify` says all that is wrong, --salvage restores what \
             can be read",
            printable_path(archive.path())
        )))
    })
}
