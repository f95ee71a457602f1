//! What a run must not be silent about: a source that is empty, or that has lost much since the last archive.

use crate::error::{Error, Result};
use crate::printable::{counted, human_bytes};
use crate::report::{Report, Warning};

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
            "the source has shrunk to under half since the last archive: {}; if that is as it should be, the next \
             run is measured by this one, and `tarkeep prune --accept` lets old archives go again",
            what.join(" and ")
        ),
        suspect: true,
    })
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
}
