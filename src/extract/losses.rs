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

    /// So many bytes of the body of a file of this size; none where that is not known.
    pub fn body(&mut self, place: &[u8], length: Option<u64>, size: u64, why: &str) {
        let partial = self.partial(place, size, why);
        partial.zeros += length.unwrap_or_default();
        partial.more |= length.is_none();
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
                extracted.entries -= 1;
                extracted.bytes -= partial.size;
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
        }
    }
}

impl Partial {
    fn words(&self) -> String {
        let headers = self.headers.then(|| "its owner, mode, attributes and time are lost".to_owned());
        let body = match (self.zeros, self.more) {
            (0, false) => None,
            (_, true) => Some("zeros stand for some of it".to_owned()),
            (zeros, false) => {
                Some(format!("zeros stand for {} of its {}", human_bytes(zeros), human_bytes(self.size)))
            }
        };
        let words: Vec<_> = headers.into_iter().chain(body).collect();
        format!("{}: {}", words.join(", and "), self.why)
    }
}
