//! `restore`: from an archive back to files.

mod indexed;
mod input;
mod streamed;
mod target;
mod tell;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{IsTerminal as _, stderr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::archive::reader::{Opened, Unindexed, from_store};
use crate::archive::store::Store;
use crate::cli::RestoreArgs;
use crate::command::backup::bar;
use crate::command::services;
use crate::command::which::which;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::{Choice as _, Extracted, Fidelity, Hands, Root};
use crate::printable::printable_path;
use crate::progress::Progress;
use crate::restore::{Amount, Delete, Selection, Staging, Wish, recover};
use crate::stop::Stop;
use crate::sys;

pub(super) use tell::recovered;

/// What goes to one folder.
#[derive(Clone)]
struct Part {
    target: PathBuf,
    selection: Selection,
    amount: Amount,
    /// Whether the folder itself is in the archive; otherwise the target keeps the metadata that it has.
    rooted: bool,
}

/// Where a source is restored to, and what names begin with there: one that is a single file goes into the folder around
/// it.
fn place_of(source: PathBuf, single: bool) -> (PathBuf, Vec<u8>) {
    match (single, source.parent(), source.file_name()) {
        (true, Some(folder), Some(name)) => (folder.to_path_buf(), name.as_bytes().to_vec()),
        _ => (source, Vec::new()),
    }
}

impl Part {
    /// Refuse to delete in a source of which the archive has only a part: what came to it was never archived.
    fn require_whole(&self, args: &RestoreArgs) -> Result<()> {
        if !args.delete || args.to.is_some() || self.rooted || self.selection.extent().is_some() {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{} is not in the archive as a whole, and --delete would remove what it was not made of: say which PATH of it, or \
             leave --delete out",
            printable_path(&self.target)
        )))
    }

    /// The part as mounts divide it: nothing can be renamed into what is mounted in the target from around it. `look`
    /// counts what is in selections, and says of the entry that each begins with whether it is a folder.
    fn divided(
        self,
        look: impl Fn(&[Selection]) -> Result<Vec<(Amount, Option<bool>)>>,
    ) -> Result<Vec<Self>> {
        let mounts: Vec<_> = sys::mounts_below(&self.target)
            .into_iter()
            .map(|mount| mount.into_os_string().into_encoded_bytes())
            .collect();
        if mounts.is_empty()
            || self.selection.place(self.selection.prefix()).is_some_and(|base| !base.is_empty())
        {
            return Ok(vec![self]);
        }
        let looked = look(&self.selection.divided(&mounts).0)?;
        // What is a file in the archive has no place there, and that will be said.
        let (mounts, looked): (Vec<_>, Vec<_>) =
            mounts.into_iter().zip(looked).filter(|(_, (_, folder))| *folder != Some(false)).unzip();
        let (inner, around) = self.selection.divided(&mounts);
        let mut amount = self.amount;
        let mut parts = Vec::new();
        for ((mount, selection), (within, folder)) in mounts.iter().zip(inner).zip(looked) {
            amount.entries = amount.entries.saturating_sub(within.entries);
            amount.bytes = amount.bytes.saturating_sub(within.bytes);
            // The mere folder may stand for what was not archived.
            if within.entries > u64::from(folder.is_some()) {
                let target = self.target.join(OsStr::from_bytes(mount));
                parts.push(Self { target, selection, amount: within, rooted: folder.is_some() });
            }
        }
        if amount.entries > 0 {
            parts.insert(0, Self { selection: around, amount, ..self });
        }
        Ok(parts)
    }
}

/// Restore what was asked for. Nothing is touched before all is known to be there and to fit.
///
/// # Errors
/// If anything is wrong with what was asked for, with the archive, or with the target.
pub fn run(args: &RestoreArgs, config: &Config, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    let which = which(&args.archive, config, stop)?;
    let mut file = which.open()?;
    if which.is_stdin() {
        file = input::kept(file, args, config, stop)?;
    }
    let store = Store::open(file, &which.path, &config.keys())?;
    let threads = config.jobs[0].threads.get();
    let plan = Plan { args, config, archive: &which.path, trusted: true, threads, stop, began };
    let streamed = |unindexed: &Unindexed| {
        // What may have been cut on its way here can be sent again. A file is what there is.
        if let Some(damage) = &unindexed.damage
            && which.is_stdin()
            && !args.no_verify
            && !args.salvage
        {
            return Err(Error::damaged(format!(
                "archive {}: {damage}; nothing was touched; --no-verify restores it if all else is whole",
                printable_path(&which.path)
            )));
        }
        streamed::run(plan, unindexed)
    };
    let archive = match from_store(store, &which.path)? {
        // Nobody is to be tricked by an index that says other things than the tar stream.
        Opened::Indexed(archive) if args.untrusted => return streamed(&archive.into_foreign()),
        Opened::Indexed(archive) => archive,
        Opened::Unindexed(unindexed) => return streamed(&unindexed),
    };
    match indexed::parts(args, config, &archive) {
        Err(e) if e.exit() == Exit::Damaged => {
            let text = e.to_string();
            let front = format!("archive {}: ", printable_path(&which.path));
            let damage = text.strip_prefix(&front).unwrap_or(&text).to_string();
            streamed(&archive.into_unindexed(damage))
        }
        parts => indexed::run(&plan, &archive, parts?),
    }
}

/// What every restore has, however its archive is read.
#[derive(Clone, Copy)]
struct Plan<'a> {
    args: &'a RestoreArgs,
    config: &'a Config,
    archive: &'a Path,
    /// Whether the archive is ours, or is to be believed as if it were.
    trusted: bool,
    threads: usize,
    stop: &'a Stop,
    began: Instant,
}

impl Plan<'_> {
    /// Look at the targets, ask, and restore every part, each beside its target first; nothing comes of it where it was
    /// only to be said. `extract` puts one below a root.
    fn carry_out(
        &self,
        heading: &str,
        parts: &[Part],
        extract: impl Fn(&Part, &Root, Hands) -> Result<Extracted>,
    ) -> Result<Option<Extracted>> {
        let args = self.args;
        let mut needs = target::Needs::default();
        for part in parts {
            if !args.dry_run {
                let may = |targets: &[PathBuf]| self.unused(targets.iter());
                recover(&part.target, &may, &mut tell::recovered)?;
            }
            target::check(args, self.config, part, &mut needs)?;
        }
        if !tell::confirmed(args, heading, parts, self.stop)? {
            return Ok(None);
        }
        let progress = Progress::default();
        progress.expect(parts.iter().map(|part| part.amount.bytes).sum());
        let hands = Hands {
            stop: self.stop,
            progress: &progress,
            threads: self.threads,
            fidelity: Fidelity { full: self.trusted && sys::is_root() },
            trusted: self.trusted,
            salvage: args.salvage,
        };
        let spare = target::spare(self.config, self.archive);
        let draw = !args.json && stderr().is_terminal();
        bar::with(draw.then_some(&progress), || {
            let mut all = Extracted::default();
            let targets: Vec<_> = parts.iter().map(|part| part.target.as_path()).collect();
            // Several sources that are single files may stand in one folder, which is replaced, or made, once.
            let mut staged: Vec<(Staging, Vec<&Part>)> = Vec::new();
            for part in parts {
                match staged.iter_mut().find(|(_, same)| same[0].target == part.target) {
                    Some((_, same)) => same.push(part),
                    None => staged.push((Staging::begin(&part.target)?, vec![part])),
                }
            }
            Staging::require_alone(staged.iter().map(|(staging, _)| staging))?;
            target::not_read(self.config, &targets)?;
            for (staging, parts) in &mut staged {
                let root = staging.new_tree()?;
                let (mut delete, mut kept) = (Delete::Nothing, BTreeSet::new());
                for part in parts {
                    let extracted = extract(part, &root, hands)?;
                    let mut why = extracted.refused.names.iter().chain(&extracted.lost.names);
                    if let Some(why) = why.next().or(extracted.cut.as_ref())
                        && extracted.entries == 0
                    {
                        return Err(Error::failed(format!(
                            "nothing could be restored, and nothing was touched: {why}"
                        )));
                    }
                    if args.delete {
                        delete = delete.and(Delete::of(part.selection.extent()));
                    }
                    kept.extend(part.selection.kept(part.rooted));
                    kept.extend(extracted.implied.iter().cloned());
                    all.add(extracted);
                }
                staging.decide(&Wish { delete: &delete, spare: &spare, kept: &kept, others: &targets })?;
            }
            let staged = staged.into_iter().map(|(staging, _)| staging).collect();
            Staging::swap(staged)?;
            Ok(Some(all))
        })
    }

    /// Refuse while what is restored is in use: services are up, or a job reads it. What goes to a place of its own is
    /// nobody's yet. Before an archive is read through: that can take long.
    fn unused<'a>(&self, targets: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        let targets: Vec<&Path> = targets.map(PathBuf::as_path).collect();
        services::require_down(&targets, self.config, self.args.force)?;
        if self.args.dry_run { Ok(()) } else { target::not_read(self.config, &targets) }
    }

    /// Say what came of it. `remedy` is what to do to have metadata that was not applied.
    fn done(&self, parts: &[Part], extracted: &Extracted, remedy: &str) -> Result<Exit> {
        tell::done(self.args, parts, extracted, (self.began.elapsed(), self.stop), remedy)
    }
}
