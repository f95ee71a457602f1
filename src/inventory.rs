//! The archives in a destination, and which of them are known as this job's own: by their index, never by their name,
//! their place or the times of the file alone.

use chrono::DateTime;

use crate::archive::index::About;
use crate::archive::name::Pattern;
use crate::archive::reader::{self, Opened};
use crate::destination::{Identity, Local, Stored};
use crate::error::Result;
use crate::printable::printable;
use crate::report::Noted;
use crate::retention;

/// A file that is called like an archive, and what is known of it.
#[derive(Debug)]
pub struct Item {
    /// Where it is.
    pub stored: Stored,
    /// What its index says, without the names of what was missed; none if it has no index that can be read.
    pub about: Option<About>,
    /// What is wrong with it, as far as opening it shows.
    pub damage: Option<String>,
    /// The file that was looked at; none if it could not be opened.
    pub identity: Option<Identity>,
    /// What retention must know; or why the file is not ours, and stays whatever retention says.
    pub own: Result<retention::Archive, String>,
}

/// What this pattern could have made in the destination, newest name first.
///
/// # Errors
/// If the destination cannot be listed. A file that cannot be read is not an error: it is not known as ours.
pub fn take(destination: &Local, pattern: &Pattern, job: &str) -> Result<Vec<Item>> {
    let found = destination.archives(pattern)?;
    Ok(found.into_iter().map(|stored| item(destination, pattern, job, stored)).collect())
}

fn item(destination: &Local, pattern: &Pattern, job: &str, stored: Stored) -> Item {
    let mut item = Item { stored, about: None, damage: None, identity: None, own: Err(String::new()) };
    item.own = look(destination, &mut item)
        .and_then(|(about, identity)| own(pattern, job, &item.stored, about, identity));
    item
}

/// Open it, note what there is to see, and give back what its index says.
fn look(destination: &Local, item: &mut Item) -> Result<(About, Identity), String> {
    let cannot = |error: crate::error::Error| format!("it cannot be read: {error}");
    let place = destination.place(&item.stored.name).map_err(cannot)?;
    let opened = place.open().and_then(|(file, identity)| {
        item.identity = Some(identity);
        reader::from_file(file, &item.stored.path)
    });
    let about = match opened {
        Ok(Opened::Indexed(archive)) => archive.about(),
        Ok(Opened::Unindexed(unindexed)) => {
            item.damage = unindexed.damage;
            return Err(match &item.damage {
                Some(damage) => format!("it is damaged: {damage}"),
                None => "it has no index".into(),
            });
        }
        Err(error) => Err(error),
    };
    let mut about = about.map_err(|error| {
        item.damage = Some(error.to_string());
        cannot(error)
    })?;
    for noted in [&mut about.report.skipped, &mut about.report.changed, &mut about.report.vanished] {
        *noted = Noted { count: noted.count, names: Vec::new() };
    }
    item.about = Some(about.clone());
    item.identity.map(|identity| (about, identity)).ok_or_else(|| "it cannot be looked at".into())
}

fn own(
    pattern: &Pattern,
    job: &str,
    stored: &Stored,
    about: About,
    identity: Identity,
) -> Result<retention::Archive, String> {
    if about.job != job {
        return Err(format!("it is of the job {}", printable(about.job.as_bytes())));
    }
    let said = printable(about.instant.as_bytes());
    let Ok(instant) = DateTime::parse_from_rfc3339(&about.instant) else {
        return Err(format!("its index says no time that can be read, but {said}"));
    };
    // A run names its archive after the instant in the index, which has the offset of its zone. Whoever renamed it, or
    // copied it to another name, had a reason.
    let named = pattern.name(instant.naive_local(), stored.name.ending(), stored.name.number);
    if named.to_string() != stored.name.to_string() {
        return Err(format!("somebody renamed it: by its index it is of {said}"));
    }
    Ok(retention::Archive {
        instant: instant.to_utc(),
        number: stored.name.rank(),
        complete: about.report.complete(),
        suspect: about.report.warnings.iter().any(|warning| warning.suspect),
        file: (identity.device, identity.inode),
    })
}
