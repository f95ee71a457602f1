//! Restoring what has no index: read through once to verify it and to see what is in it, and again to extract it.

use std::path::PathBuf;

use super::{Part, Plan, place_of};
use crate::archive::reader::Unindexed;
use crate::archive::stream::{Input, Member, Stream};
use crate::archive::verify::verify_entries;
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::entry::{Kind, is_below};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::{Choice as _, ENTRIES_MAX, clean, extract_stream};
use crate::job;
use crate::printable::{human_bytes, printable_path};
use crate::progress::Progress;
use crate::restore::paths::Paths;
use crate::restore::{Amount, Names, Selection};
use crate::stop::Stop;

/// How many times its size an archive that is not trusted may decompress to. deflate's limit is 1,032.
const RATIO_MAX: u64 = 200;
/// What any archive may decompress to.
const ALWAYS: u64 = 1 << 30;

/// An archive that is read as a stream.
struct Streamed<'a> {
    unindexed: &'a Unindexed,
    trusted: bool,
    stop: &'a Stop,
}

/// A place that entries may go to, and what the first reading found of it.
struct Goal {
    target: PathBuf,
    /// What names begin with that go there.
    prefix: Vec<u8>,
    /// Whether the entry of just that name is a folder, if there is one.
    root: Option<bool>,
    /// Whether there is one that may not stand there: a link of an archive that is not trusted would lead the next restore
    /// to another place.
    refused: bool,
    amount: Amount,
}

/// Restore an archive without a usable index.
///
/// # Errors
/// If anything is wrong with what was asked for, with the archive, or with the target.
pub fn run(plan: Plan, unindexed: &Unindexed) -> Result<Exit> {
    let Plan { args, config, stop, .. } = plan;
    let archive = printable_path(&unindexed.path);
    if let Some(damage) = &unindexed.damage {
        log::warn!("archive {archive}: {damage}; it is read from its beginning to its end instead");
    }
    // Ours is believed with its index, and no less without it.
    let marked = Streamed { unindexed, trusted: true, stop }.is_marked()?;
    let trusted = args.trust || !args.untrusted && (unindexed.ours || marked);
    let plan = Plan { trusted, threads: 1, ..plan };
    let streamed = Streamed { unindexed, trusted, stop };
    let mut goals = goals(args, config)?;
    plan.unused(goals.iter().map(|goal| &goal.target))?;
    let mut names = Names::new(Paths::new(&args.paths));
    streamed.look(args, &mut names, &mut goals)?;
    names.check()?;
    let mut parts = Vec::new();
    for goal in goals {
        let mut part = goal.part(&names);
        if !names.all() {
            let selection = std::slice::from_ref(&part.selection);
            part.amount = streamed.amounts(selection)?.first().map_or_else(Amount::default, |it| it.0);
        }
        if part.amount.entries > 0 {
            part.require_whole(args)?;
            parts.extend(part.divided(|selections| streamed.amounts(selections))?);
        }
    }
    if parts.is_empty() {
        return Err(Error::usage(match &args.to {
            Some(_) => format!("archive {archive} is empty"),
            None => format!(
                "nothing of that in the archive {archive} came from what this job backs up: say where it goes with --to \
                 FOLDER"
            ),
        }));
    }
    let whose = match (&unindexed.damage, trusted) {
        _ if args.untrusted => "which is not trusted",
        (Some(_), _) => "whose index is damaged",
        (None, _) if unindexed.ours => "which is armored: its index cannot be reached",
        (None, true) if marked => "which was made without an index",
        (None, true) => "which has no index, and is trusted",
        (None, false) => "which has no index: anybody may have made it",
    };
    let heading = format!("archive {archive}, {whose}");
    let extracted = plan.carry_out(&heading, &parts, |part, root, hands| {
        let place = |name: &[u8]| part.selection.place(name);
        extract_stream(&|| streamed.input(), &unindexed.path, root, &place, hands)
    })?;
    let Some(extracted) = extracted else { return Ok(Exit::Complete) };
    let remedy = if trusted { "run as root to have them" } else { "run as root with --trust to have them" };
    plan.done(&parts, &extracted, remedy)
}

/// Where things may go: one folder, or back to the sources of the job.
fn goals(args: &RestoreArgs, config: &Config) -> Result<Vec<Goal>> {
    let goal =
        |target, prefix| Goal { target, prefix, root: None, refused: false, amount: Amount::default() };
    if let Some(folder) = &args.to {
        return Ok(vec![goal(folder.clone(), Vec::new())]);
    }
    let [job] = config.jobs.as_slice() else {
        return Err(Error::usage(
            "which job's data is it? choose one with --job, or say where it goes with --to FOLDER",
        ));
    };
    Ok(job::sources(job)?.into_iter().map(|source| goal(source.path, source.name)).collect())
}

impl Goal {
    fn part(&self, names: &Names) -> Part {
        let root = self.root.filter(|_| !self.refused);
        let (target, base) = place_of(self.target.clone(), root == Some(false));
        let selection = Selection::new(names, self.prefix.clone(), base);
        Part { target, selection, amount: self.amount, rooted: root.is_some() }
    }

    /// Whether a name goes there when all do.
    fn has(&self, name: &[u8]) -> bool {
        is_below(name, &self.prefix)
    }
}

impl Streamed<'_> {
    fn input(&self) -> Result<Input> {
        let Unindexed { store, path, ours, .. } = self.unindexed;
        let length = store.length();
        let mut input = Input::of(store, path, self.stop)?;
        if *ours {
            input = input.only_data();
        }
        if self.trusted {
            return Ok(input);
        }
        let most = length.saturating_mul(RATIO_MAX).max(ALWAYS);
        Ok(input.at_most(
            most,
            format!(
                "archive {} has {} and decompresses to more than {}: a bomb, it seems; nothing was touched; --trust \
                 restores it all the same",
                printable_path(path),
                human_bytes(length),
                human_bytes(most)
            ),
        ))
    }

    /// Whether its first entry says that tarkeep made it.
    fn is_marked(&self) -> Result<bool> {
        // What is wrong with it will be said.
        let first = Stream::new(self.input()?).next_member();
        self.stop.check()?;
        Ok(first.is_ok_and(|first| first.is_some_and(|first| first.marked)))
    }

    /// Read it through: verify it, see its names, and count what goes where.
    fn look(&self, args: &RestoreArgs, names: &mut Names, goals: &mut [Goal]) -> Result<()> {
        let path = printable_path(&self.unindexed.path);
        let mut entries = 0;
        let verified = verify_entries(self.input()?, self.stop, &Progress::default(), &mut |member| {
            entries += 1;
            if entries > ENTRIES_MAX && !self.trusted {
                return Err(Error::failed(format!(
                    "archive {path} has more than {ENTRIES_MAX} entries: a bomb, it seems; nothing was touched; \
                     --trust restores it all the same"
                )));
            }
            let Ok(name) = clean(&member.name) else {
                // Counted, so that it will be said what is wrong with it.
                if let Some(goal) = goals.iter_mut().find(|goal| goal.has(&member.name)) {
                    goal.amount.entries += 1;
                }
                return Ok(());
            };
            let folder = member.kind == Kind::Directory;
            names.see(&name, folder);
            for goal in goals.iter_mut().filter(|goal| goal.has(&name)) {
                count(&mut goal.amount, member);
                // The folder of --to is one, whatever an archive says that it is.
                if name == goal.prefix && !name.is_empty() {
                    goal.root = Some(folder);
                    let file = folder || matches!(member.kind, Kind::File | Kind::Hardlink(_));
                    goal.refused |= !file && !self.trusted;
                }
            }
            Ok(())
        })?;
        for note in &verified.notes {
            log::warn!("archive {path}: {note}");
        }
        let Some(problem) = verified.problems.first() else { return Ok(()) };
        if args.no_verify || args.salvage {
            log::warn!("archive {path}: {problem}");
            return Ok(());
        }
        let remedy = match verified.entries {
            0 => "",
            _ => "; --salvage restores what stands before the damage",
        };
        Err(Error::damaged(format!("archive {path}: {problem}; nothing was touched{remedy}")))
    }

    /// How much each of these is, and whether the entry that it begins with is a folder.
    fn amounts(&self, selections: &[Selection]) -> Result<Vec<(Amount, Option<bool>)>> {
        let mut amounts = vec![(Amount::default(), None); selections.len()];
        let mut stream = Stream::new(self.input()?);
        // Where it is damaged was said before.
        while let Ok(Some(member)) = stream.next_member() {
            let Ok(name) = clean(&member.name) else { continue };
            for (selection, (amount, root)) in selections.iter().zip(&mut amounts) {
                if selection.place(&name).is_some() {
                    count(amount, &member);
                }
                if name == selection.prefix() {
                    *root = Some(member.kind == Kind::Directory);
                }
            }
        }
        self.stop.check()?;
        Ok(amounts)
    }
}

fn count(amount: &mut Amount, member: &Member) {
    amount.entries += 1;
    if member.kind == Kind::File {
        amount.bytes = amount.bytes.saturating_add(member.stored);
    }
}
