//! What a run must not be silent about: a source that is empty, that has lost much since the last archive, or that may be
//! too large for the destination.

use std::path::Path;

use crate::archive::codec::Codec;
use crate::error::{Error, Result};
use crate::printable::{counted, human_bytes, printable_path};
use crate::report::{Report, Warning};
use crate::source::Amount;

/// A source with fewer entries and bytes than these in the last archive may shrink as it likes.
const FLOOR_ENTRIES: u64 = 20;
const FLOOR_BYTES: u64 = 1024 * 1024;

/// A source without a single file, link or device in it is most likely not mounted.
///
/// # Errors
/// If there is nothing but folders, or nothing at all: nothing is published.
pub fn empty(report: &Report, sources: &str) -> Result<()> {
    if report.entries > report.folders || report.skipped.count > 0 {
        return Ok(());
    }
    Err(Error::failed(format!(
        "archive {sources}: there is not one file in it; is it mounted? A job whose source may be empty needs \
         a file in it, .keep for example"
    )))
}

/// What has shrunk to under half since the last archive, as a warning that makes the archive suspect.
pub fn shrunk(report: &Report, last: &Report) -> Option<Warning> {
    let mut what = Vec::new();
    if last.entries >= FLOOR_ENTRIES && report.entries < last.entries / 2 {
        what.push(format!("{} instead of {}", counted(report.entries, "entry", "entries"), last.entries));
    }
    if last.bytes >= FLOOR_BYTES && report.bytes < last.bytes / 2 {
        what.push(format!("{} instead of {}", human_bytes(report.bytes), human_bytes(last.bytes)));
    }
    (!what.is_empty()).then(|| Warning {
        text: format!(
            "the source has shrunk to under half since the last archive: {}; if that is as it should be, nothing is to \
             do, the next run is measured by this one",
            what.join(" and ")
        ),
        suspect: true,
    })
}

/// Deflate makes at most 258 bytes of two bits.
const DEFLATE_MOST: u64 = 1032;
/// A header.
const ENTRY_LEAST: u64 = 512;

/// The smallest that an archive of so much can get.
pub fn least(amount: Amount, codec: Codec) -> u64 {
    let stream = amount.stored.saturating_add(amount.entries.saturating_mul(ENTRY_LEAST));
    if codec == Codec::None {
        stream
    } else if matches!(codec, Codec::Gzip(_)) {
        stream / DEFLATE_MOST
    } else {
        // Others know no limit.
        0
    }
}

/// What there is to say of a first archive, whose size nobody knows, in so much room: it may not fit.
pub fn tight(amount: Amount, free: Option<u64>, destination: &Path) -> Option<String> {
    let free = free.filter(|free| *free < amount.stored)?;
    Some(format!(
        "the source has {} and destination {} has {} free: the archive fits only if it is compressed to {:.1}%, \
         and otherwise the run fails when the disk is full",
        human_bytes(amount.stored),
        printable_path(destination),
        human_bytes(free),
        100.0 * free as f64 / amount.stored as f64
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(entries: u64, bytes: u64) -> Report {
        Report { entries, files: entries, bytes, ..Report::default() }
    }

    #[test]
    fn under_half_above_the_floor_is_suspect() {
        let last = report(1000, 100 << 20);
        assert_eq!(shrunk(&report(500, 50 << 20), &last), None);
        let warning = shrunk(&report(499, 50 << 20), &last).unwrap();
        assert!(warning.suspect && warning.text.contains("499 entries instead of 1000"), "{}", warning.text);
        assert!(
            shrunk(&report(1000, (50 << 20) - 1), &last)
                .unwrap()
                .text
                .contains("50.0 MiB instead of 100.0 MiB")
        );
        assert_eq!(shrunk(&report(1, 1), &report(19, 1000)), None);
    }

    #[test]
    fn nothing_but_folders_is_a_failure() {
        let folders = Report { entries: 3, folders: 3, ..Report::default() };
        assert!(empty(&folders, "/data").unwrap_err().to_string().contains("is it mounted?"));
        assert!(empty(&report(1, 0), "/data").is_ok());
    }

    #[test]
    fn the_least_an_archive_can_get_is_no_more_than_it_gets() {
        let amount = Amount { entries: 2, bytes: 9 << 20, stored: 1 << 20 };
        assert_eq!(least(amount, Codec::None), (1 << 20) + 1024);
        assert_eq!(least(amount, "gzip:12".parse().unwrap()), 1017);
        assert_eq!(least(Amount { stored: u64::MAX, ..amount }, Codec::None), u64::MAX);
    }

    #[test]
    fn what_may_not_fit_is_said_and_what_does_is_not() {
        let amount = Amount { entries: 1, bytes: 4 << 20, stored: 4 << 20 };
        let path = Path::new("/backup");
        assert_eq!(tight(amount, None, path), None);
        assert_eq!(tight(amount, Some(4 << 20), path), None);
        let said = tight(amount, Some(1 << 20), path).unwrap();
        assert!(
            said.contains("has 4.0 MiB and destination /backup has 1.0 MiB free") && said.contains("25.0%"),
            "{said}"
        );
    }
}
