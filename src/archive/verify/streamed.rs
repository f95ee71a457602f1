//! An archive without a usable index, checked as far as any reader of such files could.

use std::io::Read;

use super::{By, Verified};
use crate::archive::reader::Unindexed;
use crate::archive::stream::{Bad, Ending, Input, Member, Stream};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::progress::Progress;
use crate::stop::Stop;

/// Read it to its end.
///
/// # Errors
/// If it is of a kind that cannot be read here, the system cannot read it, or `stop` asks.
pub fn verify(unindexed: Unindexed, stop: &Stop, progress: &Progress) -> Result<Verified> {
    let Unindexed { store, path, damage, .. } = unindexed;
    let input = Input::of(&store, &path, stop)?;
    let mut verified = read(input, damage, (stop, progress), &mut |_| Ok(()))?;
    verified.stored = store.length();
    // age gives no byte out that is not as it was encrypted.
    if store.is_encrypted() {
        verified.by = By::Reading;
    }
    Ok(verified)
}

/// Read a stream to its end, of which this is known to be wrong, and show each entry.
///
/// # Errors
/// If `stop` asks, or `each` ends it, or more comes out of it than may.
pub fn read(
    input: Input,
    damage: Option<String>,
    (stop, progress): (&Stop, &Progress),
    each: &mut dyn FnMut(&Member) -> Result<()>,
) -> Result<Verified> {
    let by = if input.compression().is_some() { By::Reading } else { By::Headers };
    let mut verified = Verified::new(by, 0);
    if let Some(damage) = damage {
        verified.problem(damage);
    }
    let mut stream = Stream::new(input);
    let mut last = None;
    let mut refused = Ok(());
    let walked = walk(&mut stream, &mut verified, &mut last, progress, &mut |member| {
        refused = each(member);
        refused.is_ok()
    });
    refused?;
    let ended = match &walked {
        // What cannot be decompressed cannot be read on; a wrong header says nothing about the rest.
        Err(Bad::Read(_)) => walked,
        _ => match stream.finish() {
            Ok(ending) => {
                if walked.is_ok() {
                    end(ending, &mut verified);
                }
                walked
            }
            Err(bad) => {
                if let Err(first) = walked {
                    verified.problem(problem(&first, &stream, last.as_deref()));
                }
                Err(bad)
            }
        },
    };
    stop.check()?;
    if let Err(Bad::Read(e)) = &ended
        && Input::is_too_much(e)
    {
        return Err(Error::failed(e.to_string()));
    }
    if let Err(bad) = ended {
        if let Bad::Read(e) = &bad
            && e.raw_os_error().is_some()
        {
            verified.problem(format!("cannot be read on: {bad}"));
        } else {
            verified.problem(problem(&bad, &stream, last.as_deref()));
        }
    }
    verified.raw = stream.offset();
    verified.stored = stream.get_ref().position().unwrap_or(verified.raw);
    if let Some(trailing) = stream.get_ref().trailing() {
        if trailing.garbage {
            let what = stream.get_ref().compression().unwrap_or("tar");
            verified.problem(format!("the bytes from offset {} on are not {what}", trailing.offset));
        } else {
            verified.notes.push(format!("the bytes from offset {} on are zeros", trailing.offset));
        }
    }
    Ok(verified)
}

fn walk<R: Read>(
    stream: &mut Stream<R>,
    verified: &mut Verified,
    last: &mut Option<Vec<u8>>,
    progress: &Progress,
    each: &mut dyn FnMut(&Member) -> bool,
) -> Result<(), Bad> {
    let mut offset = 0;
    while let Some(member) = stream.next_member()? {
        verified.entries += 1;
        progress.entry();
        progress.read(stream.offset() - offset);
        offset = stream.offset();
        if !each(&member) {
            return Ok(());
        }
        *last = Some(member.name);
    }
    Ok(())
}

/// What is wrong, where in the file, and behind which entry.
fn problem(bad: &Bad, stream: &Stream<Input>, last: Option<&[u8]>) -> String {
    let place = match bad {
        Bad::Read(_) => match stream.get_ref().position() {
            Some(at) => format!("near offset {at} of the file: "),
            None => String::new(),
        },
        Bad::Tar { .. } => String::new(),
    };
    let behind = match last {
        Some(name) => format!("in or behind {}", printable(name)),
        None => "before the first entry".into(),
    };
    format!("{place}{bad} ({behind})")
}

fn end(ending: Ending, verified: &mut Verified) {
    match ending.blocks {
        0 => verified
            .problem("the zero blocks that end a tar stream are missing: it has been cut, or its writer was"),
        1 => verified.notes.push("one zero block ends the tar stream, not two".into()),
        _ => {}
    }
    if ending.trailing {
        verified.notes.push("what follows the end of the tar stream was not looked at".into());
    }
}
