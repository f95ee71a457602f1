//! Several jobs beside each other.

use std::collections::BTreeSet;

use super::environment::Environment;
use super::file::FileJob;
use super::setting;
use super::{DEFAULT_JOB, Job, Typed};
use crate::error::{Error, Result};
use crate::printable::printable_path;

/// The name of each declared job: good ones, and no two the same.
pub(super) fn names(declared: &[FileJob], file_name: &str) -> Result<Vec<String>> {
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
pub(super) fn one_for_places(
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

/// No archive of one job can be taken for another one's.
pub(super) fn no_two_in_one_place(jobs: &[Job], file_name: &str) -> Result<()> {
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
