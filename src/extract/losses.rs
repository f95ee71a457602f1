//! What damage took of an archive with an index, each entry counted once.

use std::collections::BTreeMap;

use super::{Extracted, Named};
use crate::printable::{human_bytes, printable};

/// What is lost so far.
#[derive(Debug, Default)]
pub struct Losses {
    /// Entries of which nothing is there.
    gone: Named,
    /// Places of entries that are there in part.
    partial: BTreeMap<Vec<u8>, Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    /// Bytes of the body, damaged or not.
    size: u64,
    /// Whether what its headers say is lost.
    headers: bool,
    /// Bytes that zeros stand for.
    zeros: u64,
    /// Where in the body the first of them stands.
    first: Option<u64>,
    /// Whether zeros stand for more, nobody knows of what.
    more: bool,
    why: String,
}

impl Losses {
    /// An entry of which nothing is there.
    pub fn entry(&mut self, name: &[u8], why: &str) {
        self.gone.note(format!("{}: {why}", printable(name)));
    }

    /// The headers of a folder, or of a file of this size whose body stands elsewhere.
    pub fn headers(&mut self, place: &[u8], size: u64, why: &str) {
        let partial = self.partial(place, size, why);
        partial.headers = true;
    }

    /// A part of the body of a file of this size: where it begins, and how long it is. None where that is not known.
    pub fn body(&mut self, place: &[u8], part: Option<(u64, u64)>, size: u64, why: &str) {
        let partial = self.partial(place, size, why);
        match part {
            // Threads come upon them in any order.
            Some((from, length)) => {
                partial.zeros += length;
                partial.first = Some(partial.first.map_or(from, |first| first.min(from)));
            }
            None => partial.more = true,
        }
    }

    fn partial(&mut self, place: &[u8], size: u64, why: &str) -> &mut Partial {
        let partial = self.partial.entry(place.to_vec()).or_default();
        partial.size = size;
        // The first says enough.
        if partial.why.is_empty() {
            why.clone_into(&mut partial.why);
        }
        partial
    }

    /// Places of files whose whole body is lost. They count as gone: what stands there is to be taken away.
    pub fn emptied(&mut self, extracted: &mut Extracted) -> Vec<Vec<u8>> {
        let emptied =
            self.partial.extract_if(.., |_, partial| partial.size > 0 && partial.zeros >= partial.size);
        let emptied: Vec<_> = emptied.collect();
        for (place, partial) in &emptied {
            if !partial.headers {
                extracted.entries = extracted.entries.saturating_sub(1);
                extracted.bytes = extracted.bytes.saturating_sub(partial.size);
            }
            self.gone.note(format!("{}: {}", printable(place), partial.why));
        }
        emptied.into_iter().map(|(place, _)| place).collect()
    }

    /// Put it all down.
    pub fn tell(self, extracted: &mut Extracted) {
        extracted.lost.add(self.gone);
        for (place, partial) in self.partial {
            // Without its headers it was not counted yet.
            if partial.headers {
                extracted.entries += 1;
                extracted.bytes += partial.size;
            }
            extracted.bytes = extracted.bytes.saturating_sub(partial.zeros);
            extracted.partial.note(format!("{}: {}", printable(&place), partial.words()));
            if partial.headers && partial.size == 0 {
                // What the target has of that folder says more than what was made up for it.
                extracted.implied.insert(place);
            }
        }
    }
}

impl Partial {
    fn words(&self) -> String {
        let headers = self.headers.then(|| "its owner, mode, attributes and time are lost".to_owned());
        let body = match (self.first, self.more) {
            (None, false) => None,
            (_, true) => Some("zeros stand for some of it".to_owned()),
            (Some(first), false) => {
                let (zeros, size) = (human_bytes(self.zeros), human_bytes(self.size));
                Some(format!("zeros stand for {zeros} of its {size}, from byte {first} on"))
            }
        };
        let words: Vec<_> = headers.into_iter().chain(body).collect();
        format!("{}: {}", words.join(", and "), self.why)
    }
}
