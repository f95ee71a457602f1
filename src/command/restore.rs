//! `restore`: from an archive back to files.

mod streamed;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::archive::reader::{Archive, Opened, from_file};
use crate::archive::verify::{Depth, Options, verify_file};
use crate::cli::RestoreArgs;
use crate::command::backup::bar;
use crate::command::output::Output;
use crate::command::which::which;
use crate::config::{Config, Job};
use crate::destination::Space;
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::extract::{Extracted, Fidelity, Hands, Root, extract};
use crate::job;
use crate::printable::{counted, human_bytes, printable, printable_path};
use crate::progress::Progress;
use crate::restore::{Amount, Recovered, Selection, Staging, recover, spool};
use crate::stop::Stop;
use crate::sys;

/// What goes to one folder.
struct Part {
    target: PathBuf,
    selection: Selection,
    amount: Amount,
}

/// Restore what was asked for. Nothing is touched before all is known to be there and to fit.
///
/// # Errors
/// If anything is wrong with what was asked for, with the archive, or with the target.
pub fn run(args: &RestoreArgs, config: &Config, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    let which = which(&args.archive, config)?;
    let mut file = which.open()?;
    if which.is_stdin() {
        file = kept(file, args, config, stop)?;
    }
    let archive = match from_file(file, &which.path)? {
        // Nobody is to be tricked by an index that says other things than the tar stream.
        Opened::Indexed(archive) if args.untrusted => {
            return streamed::run(args, config, &archive.into_unindexed(None), stop, began);
        }
        Opened::Indexed(archive) => archive,
        Opened::Unindexed(unindexed) => return streamed::run(args, config, &unindexed, stop, began),
    };
    let parts = match usable(args, &archive).and_then(|()| parts(args, config, &archive)) {
        Err(e) if e.exit() == Exit::Damaged => {
            let text = e.to_string();
            let front = format!("archive {}: ", printable_path(&which.path));
            let damage = text.strip_prefix(&front).unwrap_or(&text).to_string();
            return streamed::run(args, config, &archive.into_unindexed(Some(damage)), stop, began);
        }
        parts => parts?,
    };
    for part in &parts {
        if !args.dry_run {
            said(recover(&part.target)?);
        }
    }
    let threads = config.jobs[0].threads.get();
    check(args, config, &archive, &parts, stop)?;
    let heading = format!("archive {} of {}", printable_path(archive.path()), archive.about()?.instant);
    if !confirmed(args, &heading, &parts)? {
        return Ok(Exit::Complete);
    }
    let progress = Progress::default();
    progress.expect(parts.iter().map(|part| part.amount.bytes).sum());
    let hands = Hands {
        stop,
        progress: &progress,
        threads,
        fidelity: Fidelity { full: sys::is_root() },
        trusted: true,
        salvage: args.salvage,
    };
    let spare = spare(config, archive.path());
    let extracted = all(args, &parts, &spare, &progress, |number, root| {
        let selection = &parts[number].selection;
        let extracted = extract(&archive, root, selection, hands)?;
        Ok((extracted, selection.kept(&archive)))
    })?;
    done(args, &parts, &extracted, began, "run as root to have them")
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

/// Standard input as a file that can be read more than once.
fn kept(file: File, args: &RestoreArgs, config: &Config, stop: &Stop) -> Result<File> {
    let about = file.metadata().map_err(|e| Error::io("look at", "standard input", e))?;
    if about.is_file() {
        return Ok(file);
    }
    if file.is_terminal() {
        return Err(Error::usage(
            "an archive is wanted from standard input, which is a terminal: docker compose exec -T backup restore <FILE, \
             or restore FILE",
        ));
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for job in &config.jobs {
        folders.extend(job.state.clone());
        folders.extend([job.destination.join(".tarkeep"), job.destination.clone()]);
    }
    let targets = match &args.to {
        Some(to) => vec![to],
        None => config.jobs.iter().flat_map(|job| &job.sources).collect(),
    };
    for folder in targets.into_iter().flat_map(|target| target.ancestors()) {
        let here = folder.as_os_str().is_empty();
        folders.push(if here { PathBuf::from(".") } else { folder.to_path_buf() });
    }
    let mut file = file;
    spool(&mut file, &folders, stop)
}

/// What a restore removes under no circumstances, wherever it stands: the archives, what is known of the jobs, and the
/// archive at hand.
fn spare(config: &Config, archive: &Path) -> Vec<(u64, u64)> {
    let mut paths = vec![archive.to_path_buf()];
    for job in &config.jobs {
        paths.push(job.destination.clone());
        paths.extend(job.state.clone());
        // For targets within the destination.
        let archives = job::open(job).and_then(|destination| destination.archives(&job.pattern));
        paths.extend(archives.unwrap_or_default().into_iter().map(|stored| stored.path));
    }
    let ids = paths.into_iter().filter_map(|path| path.metadata().ok());
    ids.map(|about| (about.dev(), about.ino())).collect()
}

/// Refuse to empty the folder that archives are kept in, however it is called.
fn not_the_archives(target: &Path, config: &Config) -> Result<()> {
    let id = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    let Some(target_id) = id(target) else { return Ok(()) };
    if config.jobs.iter().all(|job| id(&job.destination) != Some(target_id)) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{} is where archives are kept, and --delete would remove them: restore to another folder",
        printable_path(target)
    )))
}

/// Restore every part, each beside its target first. `extract` puts one below a root, and says of which folders the target
/// keeps its own.
fn all(
    args: &RestoreArgs,
    parts: &[Part],
    spare: &[(u64, u64)],
    progress: &Progress,
    extract: impl Fn(usize, &Root) -> Result<(Extracted, Vec<Vec<u8>>)>,
) -> Result<Extracted> {
    let draw = !args.json && stderr().is_terminal();
    bar::with(draw.then_some(progress), || {
        let mut all = Extracted::default();
        for (number, part) in parts.iter().enumerate() {
            let staging = Staging::begin(&part.target)?;
            let root = Root::open(&staging.new_tree())?;
            let (extracted, kept) = extract(number, &root)?;
            if extracted.entries == 0 && extracted.refused.count + extracted.lost.count > 0 {
                let why = extracted.refused.names.iter().chain(&extracted.lost.names).next();
                return Err(Error::failed(format!(
                    "nothing could be restored, and nothing was touched: {}",
                    why.map_or("", String::as_str)
                )));
            }
            let tops = part.selection.tops();
            staging.swap(args.delete.then_some(&tops[..]), spare, kept)?;
            all.add(extracted);
        }
        Ok(all)
    })
}

fn said(recovered: Vec<Recovered>) {
    for what in recovered {
        match what {
            Recovered::Finished(folder) => {
                log::warn!("a restore had been interrupted, and was finished: {}", printable_path(&folder));
            }
            Recovered::Undone(folder) => {
                log::warn!("a restore had been interrupted, and was undone: {}", printable_path(&folder));
            }
        }
    }
}

/// Where everything goes: below one folder, or back to the sources of the job.
fn parts(args: &RestoreArgs, config: &Config, archive: &Archive) -> Result<Vec<Part>> {
    let paths: Vec<Vec<u8>> = args.paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    let part = |target: PathBuf, prefix, base| -> Result<Part> {
        let selection = Selection::new(archive, &paths, prefix, base)?;
        let amount = selection.amount(archive)?;
        Ok(Part { target, selection, amount })
    };
    if let Some(folder) = &args.to {
        return Ok(vec![part(folder.clone(), Vec::new(), Vec::new())?]);
    }
    let job = job_of(config, archive)?;
    let mut parts = Vec::new();
    for source in job::sources(job)? {
        let root = archive.find(&source.name)?;
        let single = root.is_some_and(|root| root.kind != Kind::Directory);
        let (target, base) = match (single, source.path.parent(), source.path.file_name()) {
            (true, Some(folder), Some(name)) => (folder.to_path_buf(), name.as_bytes().to_vec()),
            _ => (source.path.clone(), Vec::new()),
        };
        let part = part(target, source.name, base)?;
        if part.amount.entries > 0 {
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

/// Everything that can be known beforehand.
fn check(args: &RestoreArgs, config: &Config, archive: &Archive, parts: &[Part], stop: &Stop) -> Result<()> {
    if !args.no_verify && !args.salvage && args.paths.is_empty() {
        let copy = archive.file().try_clone().map_err(|e| Error::io("open archive", archive.path(), e))?;
        let options = Options { depth: Depth::Full, threads: config.jobs[0].threads.get() };
        let verified = verify_file(copy, archive.path(), options, stop, &Progress::default())?;
        if let Some(problem) = verified.problems.first() {
            return Err(Error::damaged(format!(
                "archive {}: {problem}; nothing was touched; `tarkeep verify` says all that is wrong, --salvage \
                 restores what can be read",
                printable_path(archive.path())
            )));
        }
    }
    for part in parts {
        if part.amount.entries == 0 {
            return Err(Error::usage("nothing in the archive was asked for"));
        }
        target(args, config, part)?;
    }
    Ok(())
}

fn target(args: &RestoreArgs, config: &Config, part: &Part) -> Result<()> {
    if args.delete {
        not_the_archives(&part.target, config)?;
    }
    let shown = printable_path(&part.target);
    let (folder, exists) = match part.target.metadata() {
        Ok(about) if about.is_dir() => (part.target.clone(), true),
        Ok(_) => return Err(Error::usage(format!("{shown} is not a folder"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let above = part.target.parent().filter(|above| !above.as_os_str().is_empty());
            (above.unwrap_or(Path::new(".")).to_path_buf(), false)
        }
        Err(e) => return Err(Error::io("look at", &part.target, e)),
    };
    if exists && !args.force {
        let mut listing = part.target.read_dir().map_err(|e| Error::io("list", &part.target, e))?;
        if listing.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found")) {
            return Err(Error::usage(format!(
                "{shown} is not empty: --force puts the archive's files in the place of those there, --delete with it \
                 removes all others, --to FOLDER restores to another place"
            )));
        }
    }
    sys::check_writable(&folder).map_err(|e| {
        let read_only = e.cause().and_then(std::io::Error::raw_os_error) == Some(30);
        if read_only {
            Error::failed(format!(
                "{e}: it is mounted read-only, as it should be for backups; run this instead: \
                 docker compose run --rm {}restore {}",
                // A terminal of its own would stand in the way of what comes through a pipe.
                if args.archive == "-" { "-T " } else { "" },
                retyped(args)
            ))
        } else {
            e
        }
    })?;
    let space = Space::at(&folder)?;
    let lacks = |have: Option<u64>, need: u64| have.is_some_and(|have| have < need);
    if lacks(space.bytes, part.amount.bytes) || lacks(space.inodes, part.amount.entries) {
        return Err(Error::failed(format!(
            "{} has not enough space: {} in {} are to be restored, and are written before anything old is removed; \
             {} free",
            printable_path(&folder),
            human_bytes(part.amount.bytes),
            counted(part.amount.entries, "entry", "entries"),
            space.bytes.map_or("unknown".into(), human_bytes)
        )));
    }
    Ok(())
}

/// The arguments as they were typed, for a command that people can copy.
fn retyped(args: &RestoreArgs) -> String {
    let mut words = vec![printable(args.archive.as_bytes())];
    words.extend(args.paths.iter().map(|path| printable(path.as_bytes())));
    for (set, flag) in [
        (args.force, "--force"),
        (args.delete, "--delete"),
        (args.trust, "--trust"),
        (args.untrusted, "--untrusted"),
    ] {
        if set {
            words.push(flag.into());
        }
    }
    words.join(" ")
}

/// Show what will happen, and ask.
fn confirmed(args: &RestoreArgs, heading: &str, parts: &[Part]) -> Result<bool> {
    let mut text = format!("{heading}\n");
    for part in parts {
        let _ = writeln!(
            text,
            "  {}, {} to {}{}",
            counted(part.amount.entries, "entry", "entries"),
            human_bytes(part.amount.bytes),
            printable_path(&part.target),
            match (args.force, args.delete) {
                (_, true) => ", where everything else is removed",
                (true, _) => ", in the place of what has the same names there",
                _ => "",
            }
        );
    }
    let _ = stderr().write_all(text.as_bytes());
    if args.dry_run {
        return Ok(false);
    }
    if args.yes || !args.force {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        return Err(Error::usage("this replaces files, and nobody is there to ask: --yes says that it may"));
    }
    let _ = write!(stderr(), "go on? [y/N] ");
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(|e| Error::io("read", "the answer", e))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(true);
    }
    Err(Error::failed("not confirmed; nothing was touched"))
}

/// Say what came of it. `remedy` is what to do to have metadata that was not applied.
fn done(
    args: &RestoreArgs,
    parts: &[Part],
    extracted: &Extracted,
    began: Instant,
    remedy: &str,
) -> Result<Exit> {
    let took = began.elapsed();
    if args.json {
        let targets: Vec<_> = parts.iter().map(|part| printable_path(&part.target)).collect();
        let mut output = Output::new();
        output.json(&json!({ "targets": targets, "restored": extracted, "seconds": took.as_secs_f64() }))?;
        output.finish()?;
    } else {
        let text = format!(
            "restored {}, {} in {:.1} s\n",
            counted(extracted.entries, "entry", "entries"),
            human_bytes(extracted.bytes),
            took.as_secs_f64()
        );
        let _ = stderr().write_all(text.as_bytes());
    }
    if let Some(sentence) = extracted.unapplied.sentence(remedy) {
        log::warn!("{sentence}");
    }
    let mut exit = Exit::Complete;
    for (named, what, as_exit) in [
        (&extracted.refused, "refused; --trust takes it all", Exit::Incomplete),
        (&extracted.lost, "lost", Exit::Damaged),
    ] {
        if named.count == 0 {
            continue;
        }
        exit = exit.worse(as_exit);
        log::warn!("{} {what}", counted(named.count, "entry was", "entries were"));
        named.names.iter().for_each(|name| log::warn!("  {name}"));
        let more = named.count - named.names.len() as u64;
        if more > 0 {
            log::warn!("  and {more} more");
        }
    }
    Ok(exit)
}
