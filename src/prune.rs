//! The one place where archives are deleted. [`crate::retention`] decides, this looks again and does.
//!
//! A file goes only if its name is one that the job's pattern makes, its index, or the record of an encrypted one or a link,
//! says that it is the job's own, and it is at that moment the very file that was decided about. Everything else stays, and is named once.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use serde::Serialize;

use crate::archive::name::Pattern;
use crate::destination::{Identity, Local, Lock, OWN_FOLDER, Place};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::inventory::{self, Item, Whose};
use crate::printable::{counted, human_bytes, printable, printable_path};
use crate::retention::{self, Decision, Held, Keep};
use crate::state::Folder;
use crate::stop::Stop;
use crate::sys::failpoint;
use crate::zone::Tz;

/// The archives there are, and what is to become of each.
#[derive(Debug)]
pub struct Plan {
    /// What the pattern could have made, newest name first.
    pub items: Vec<Item>,
    /// A decision for each that is ours; none for what is not, and stays.
    pub decisions: Vec<Option<Decision>>,
    /// Why nothing may be deleted now, and what to do about it.
    pub held: Option<String>,
    /// Up to when incomplete and suspect archives are accepted.
    pub accepted: Option<DateTime<Utc>>,
}

/// By what is decided.
#[derive(Debug, Clone)]
pub struct Policy<'a> {
    /// How the job's archives are called.
    pub pattern: &'a Pattern,
    /// The name of the job, which its archives' indexes say.
    pub job: &'a str,
    /// What it archives, as [`source::said`](../source/fn.said.html) has it; empty for whatever it is.
    pub sources: Vec<String>,
    /// What is kept.
    pub keep: &'a Keep,
    /// Where days begin.
    pub zone: Tz,
    /// Where it stands what is known of encrypted archives and links, and what was accepted.
    pub state: Folder,
}

impl Policy<'_> {
    fn whose(&self) -> Whose {
        Whose { job: self.job.into(), sources: self.sources.clone() }
    }
}

/// Look at every archive and decide.
///
/// With `accept`, the incomplete and suspect archives that there are count as accepted, besides those that were before.
///
/// # Errors
/// If the destination cannot be listed; if `stop` asks.
pub fn plan(
    destination: &Local,
    policy: &Policy<'_>,
    accept: bool,
    now: DateTime<Utc>,
    stop: &Stop,
) -> Result<Plan> {
    let items = inventory::take(destination, policy.pattern, &policy.whose(), &policy.state, stop)?;
    let (places, own): (Vec<usize>, Vec<retention::Archive>) = items
        .iter()
        .enumerate()
        .filter_map(|(place, item)| item.own.as_ref().ok().map(|own| (place, *own)))
        .unzip();
    let mut decisions = vec![None; items.len()];
    for (place, decision) in places.iter().zip(retention::decide(&own, policy.keep, policy.zone, now)) {
        decisions[*place] = Some(decision);
    }
    let newest = own.iter().map(|own| own.instant).max();
    let accepted = match policy.keep {
        // Nothing is to be held.
        Keep::All => None,
        // No later than now, should the newest be of a time to come: that would accept all until then.
        Keep::Rules(_) if accept => newest.map(|newest| newest.min(now)),
        Keep::Rules(_) => policy.state.load(policy.job).accepted,
    };
    let held = retention::held(&own, policy.keep, policy.zone, accepted, now).map(|held| {
        let of = |at: usize| (items[places[at]].stored.name.to_string(), own[at].instant);
        why_held(held, of, |at| why_suspect(&items, &own, &places, at), policy.zone, now)
    });
    Ok(Plan { items, decisions, held, accepted })
}

/// What an archive says of itself, and which ones have what it may not have.
fn why_suspect(items: &[Item], own: &[retention::Archive], places: &[usize], suspect: usize) -> String {
    let name = |at: usize| items[places[at]].stored.name.to_string();
    let said = items[places[suspect]].about.as_ref().map_or(Vec::new(), |about| {
        let warnings = about.report.warnings.iter().filter(|warning| warning.suspect);
        warnings.map(|warning| visible(&warning.text)).collect()
    });
    // Nothing can be read in an encrypted one, and this is all that can make one suspect.
    let said = if said.is_empty() { "the source had shrunk to under half".into() } else { said.join("; ") };
    let mut older: Vec<usize> =
        (0..own.len()).filter(|at| own[*at].instant < own[suspect].instant && !own[*at].damaged).collect();
    older.sort_by_key(|at| Reverse(own[*at].instant));
    let who = match older.split_first() {
        None => "no archive is older than it".into(),
        Some((newest, [])) => format!("what was there before is in {}", name(*newest)),
        Some((newest, rest)) => {
            let more = counted(rest.len() as u64, "older one", "older ones");
            format!("what was there before is in {}, and {more}", name(*newest))
        }
    };
    format!(
        "archive {}: {said}; {who}: when you need nothing of that any more, say `tarkeep prune --accept`",
        name(suspect)
    )
}

/// The text is out of an archive, and has printable names in it.
fn visible(text: &str) -> String {
    text.split('\\').map(|part| printable(part.as_bytes())).collect::<Vec<_>>().join("\\")
}

fn why_held(
    held: Held,
    of: impl Fn(usize) -> (String, DateTime<Utc>),
    suspect: impl FnOnce(usize) -> String,
    zone: Tz,
    now: DateTime<Utc>,
) -> String {
    let when = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %:z").to_string();
    match held {
        Held::Clock(at) => {
            let (name, instant) = of(at);
            format!(
                "the clock stands at {}, before the newest archive, {name}, which is of {}; set the clock, or move that \
                 archive away",
                when(now),
                when(instant)
            )
        }
        Held::Pause { before, after } => {
            let ((old_name, old), (new_name, new)) = (of(before), of(after));
            let pause = new - old;
            let length = match pause.num_days() {
                0..2 => counted(pause.num_hours() as u64, "hour", "hours"),
                days => counted(days as u64, "day", "days"),
            };
            format!(
                "between {old_name}, of {}, and {new_name}, of {}, no archive was made for {length}, and too much of what \
                 `within` kept from before would go for that alone; if it was a pause and they may go, say `tarkeep prune --accept`; \
                 if the clock was wrong, move away what has a wrong time; `last`, `hourly`, `daily` and the others count no \
                 pauses, and never ask",
                when(old),
                when(new)
            )
        }
        Held::Suspect(at) => suspect(at),
        Held::Incomplete(at) => format!(
            "the newest archive, {}, is incomplete; mend or exclude what could not be read, or say \
             `tarkeep prune --accept`",
            of(at).0
        ),
    }
}

/// An archive that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Its name below the destination.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What came of pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// What was deleted, oldest first.
    pub deleted: Vec<Deleted>,
    /// Bytes that the disk has back: of a file with other names, none.
    pub freed: u64,
    /// What stays although it should go, each with the reason.
    pub failed: Vec<String>,
}

impl Pruned {
    /// One line for people.
    pub fn summary(&self) -> String {
        let count = counted(self.deleted.len() as u64, "archive", "archives");
        format!("{count} deleted, {} freed", human_bytes(self.freed))
    }

    /// What went wrong, if something did.
    pub fn error(&self) -> Option<String> {
        let first = self.failed.first()?;
        Some(match self.failed.len() - 1 {
            0 => format!("prune: {first}"),
            more => format!("prune: {first}; and {more} more"),
        })
    }
}

/// Delete what the plan says, oldest first, and the dated folders that become empty. What fails is in the outcome, and
/// does not hold up the rest. A plan that is held deletes nothing, and whoever asks to stop has the rest stay.
pub fn apply(plan: &Plan, destination: &Local, pattern: &Pattern, _lock: &Lock, stop: &Stop) -> Pruned {
    let mut pruned = Pruned::default();
    if plan.held.is_some() {
        return pruned;
    }
    for item in &plan.items {
        if let Err(why) = &item.own {
            name_once(&item.stored.path, why);
        } else if let Some(damage) = item.checked.as_ref().and_then(|checked| checked.damage.as_ref()) {
            let what = "delete it when you have what you need of it";
            name_once(&item.stored.path, &format!("it was found damaged, {damage}; {what}"));
        }
    }
    let mut going: Vec<(DateTime<Utc>, &Item, Identity)> = Vec::new();
    for (item, decision) in plan.items.iter().zip(&plan.decisions) {
        if let (Some(Decision::Deleted), Ok(own), Some(identity)) = (decision, &item.own, item.identity) {
            going.push((own.instant, item, identity));
        }
    }
    going.sort_by_key(|(instant, item, _)| (*instant, item.stored.name.number));
    for (_, item, identity) in going {
        if stop.asked().is_some() {
            break;
        }
        let name = item.stored.name.to_string();
        match delete(destination, item, identity, pattern, stop) {
            Ok(Some(freed)) => {
                log::info!(
                    "deleted archive {}, {}",
                    printable_path(&item.stored.path),
                    human_bytes(identity.bytes)
                );
                pruned.freed += freed;
                pruned.deleted.push(Deleted { name, bytes: identity.bytes });
            }
            Ok(None) => {}
            Err(_) if stop.asked().is_some() => break,
            Err(error) => pruned.failed.push(error.to_string()),
        }
    }
    pruned
}

/// Delete one archive: how many bytes the disk has back. None if it is gone already.
fn delete(
    destination: &Local,
    item: &Item,
    decided_about: Identity,
    pattern: &Pattern,
    stop: &Stop,
) -> Result<Option<u64>> {
    let mut place = match destination.place(&item.stored.name) {
        Err(error) if error.cause().is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound) => {
            return Ok(None);
        }
        place => place?,
    };
    let path = place.path();
    let replaced = || {
        Error::failed(format!(
            "archive {} was changed or replaced since it was looked at; it stays",
            printable_path(&path)
        ))
    };
    failpoint("before-look");
    let mut names = match place.look()? {
        Some((now, names)) if now == decided_about => names,
        Some(_) => return Err(replaced()),
        // Renamed or removed by somebody, or a link or a folder is there now: not ours to touch.
        None => return Ok(None),
    };
    if let Some(record) = &item.record {
        let (file, opened) = place.open()?;
        if opened != decided_about {
            return Err(replaced());
        }
        let found = digest(&file, stop, |e| Error::io("read archive", &path, e), |_| {})?;
        if record.hash() != Some(found) {
            name_once(&path, "it is not what was written under this name");
            return Ok(None);
        }
        failpoint("hashed");
        // That took minutes, and names can be given to other files meanwhile.
        names = match place.look()? {
            Some((now, names)) if Some(now) == Identity::of(&file) && now == decided_about => names,
            Some(_) => return Err(replaced()),
            None => return Ok(None),
        };
    }
    failpoint("before-unlink");
    match unlinkat(place.folder(), place.file(), AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(Error::io("delete archive", path, e)),
    }
    failpoint("unlinked");
    place.sync()?;
    remove_empty_folders(&mut place, pattern)?;
    Ok(Some(if names > 1 { 0 } else { decided_about.bytes }))
}

/// Remove the folder that the archive stood in and those above it, as long as they are empty and nobody but a run makes
/// folders of such names.
fn remove_empty_folders(place: &mut Place, pattern: &Pattern) -> Result<()> {
    while pattern.is_dated_folder(&place.below()) {
        let (path, names) = (place.folder_path(), place.names()?);
        let below = place.below();
        let Some(folder) = place.up() else { break };
        match unlinkat(place.folder(), &folder, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOENT) => break,
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let ours = |name: &String| {
                    let path = format!("{below}/{name}");
                    pattern.parse(&path).is_some() || pattern.is_folder(&path) || name.starts_with(OWN_FOLDER)
                };
                if let Some(name) = names.iter().find(|name| !ours(name)) {
                    name_once(&path.join(name), "no run made it; its folder stays too");
                }
                break;
            }
            Err(e) => {
                // The archive is gone, which is what was wanted.
                log::warn!("{}", Error::io("remove empty folder", path, e));
                break;
            }
        }
        failpoint("folder-removed");
        place.sync()?;
    }
    Ok(())
}

/// Say of a file that it is not ours and stays: once a process, not with every run.
fn name_once(path: &Path, why: &str) {
    static NAMED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut named = NAMED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if named.insert(path.into()) {
        log::warn!("{} is not pruned: {}", printable_path(path), printable(why.as_bytes()));
    }
}
