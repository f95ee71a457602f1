//! What differs between two archives, or an archive and a folder: both are gone through in the order of names, once.
//!
//! Where both have an index, hashes decide: an entry whose header and body stand in segments with equal hashes, at the
//! same place, is the same to the last bit, and is not read. What the hashes leave open is read and compared really.

mod facts;
mod reader;
mod side;

use std::cmp::Ordering;

pub use facts::{Change, Facts};
use side::Item;
pub use side::{Side, Whole};

use crate::entry::{Kind, is_below, name_order};
use crate::error::Result;
use crate::printable::printable;
use crate::stop::Stop;

/// One name that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name in the archive.
    pub name: Vec<u8>,
    /// In which way.
    pub what: What,
}

/// In which way something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Only the second has it.
    Added(Kind),
    /// Only the first has it.
    Removed(Kind),
    /// Both have it, and these are not the same; there is at least one.
    Changed(Vec<Change>),
}

/// Compare, telling each difference in the order of names. What could not be compared comes back, in words; it may be
/// the same or not.
///
/// # Errors
/// If an archive cannot be read or is damaged, `tell` fails, or `stop` asks.
pub fn compare(
    mut first: Side,
    mut second: Side,
    stop: &Stop,
    tell: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<Vec<String>> {
    let mut troubles = Vec::new();
    // What is below a folder that could not be listed is not gone.
    let mut unknown: Option<Vec<u8>> = None;
    let (mut left, mut right) = (first.next()?, second.next()?);
    loop {
        stop.check()?;
        let order = match (&left, &right) {
            (None, None) => return Ok(troubles),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => name_order(left.name(), right.name()),
        };
        if order.is_ge()
            && let Some(Item::Missed(missed)) = &right
        {
            troubles.push(format!("{}: {}", printable(&missed.name), missed.cause));
            unknown = Some(missed.name.clone());
            right = second.next()?;
            continue;
        }
        match (order, left.take(), right.take()) {
            (Ordering::Less, Some(item), other) => {
                let hidden = unknown.as_ref().is_some_and(|folder| is_below(item.name(), folder));
                if !hidden && let Some(kind) = item.kind() {
                    tell(Difference { name: item.name().to_vec(), what: What::Removed(kind.clone()) })?;
                }
                (left, right) = (first.next()?, other);
            }
            (Ordering::Greater, other, Some(item)) => {
                if let Some(kind) = item.kind() {
                    tell(Difference { name: item.name().to_vec(), what: What::Added(kind.clone()) })?;
                }
                (left, right) = (other, second.next()?);
            }
            (_, Some(one), Some(mut other)) => {
                let name = one.name().to_vec();
                match both(&mut first, one, &mut second, &mut other, stop) {
                    Ok(changes) if changes.is_empty() => {}
                    Ok(changes) => tell(Difference { name, what: What::Changed(changes) })?,
                    Err(side::Failure::Unread(cause)) => {
                        troubles.push(format!("{}: {cause}", printable(&name)));
                    }
                    Err(side::Failure::Fatal(error)) => return Err(error),
                }
                (left, right) = (first.next()?, second.next()?);
            }
            _ => return Ok(troubles),
        }
    }
}

/// One name that both have.
fn both(
    first: &mut Side,
    mut one: Item,
    second: &mut Side,
    other: &mut Item,
    stop: &Stop,
) -> Result<Vec<Change>, side::Failure> {
    if first.surely_same(&one, second, other)? {
        return Ok(Vec::new());
    }
    let (facts, others) = (first.facts(&one)?, second.facts(other)?);
    let mut changes = facts.changes(&others);
    let files = |kind: &Kind| matches!(kind, Kind::File | Kind::Hardlink(_));
    let linked = |kind: &Kind| matches!(kind, Kind::Hardlink(_));
    // Links to the same file have its body, which is compared under the file's own name.
    let same_link = linked(&facts.kind) && facts.kind == others.kind;
    if files(&facts.kind) && files(&others.kind) && !same_link {
        let sizes = facts.kind == Kind::File && others.kind == Kind::File && facts.size != others.size;
        let same = !sizes
            && match first.same_body(&one, second, other)? {
                Some(same) => same,
                None => first.digest(&mut one, stop)? == second.digest(other, stop)?,
            };
        if !same {
            changes.insert(0, Change::Content(facts.size, others.size));
        }
    }
    Ok(changes)
}
