//! A base that is damaged, missing, foreign or of another kind costs nothing but time.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::SegmentKind;
use tarkeep::archive::verify::{Depth, Options, verify};
use tarkeep::job::Made;
use tarkeep::progress::Progress;
use tarkeep::stop::Stop;

use crate::common::made;
use crate::nights::{Nights, archive, compressed, noise};

/// Small files in several groups, and a large one.
fn nights() -> Option<Nights> {
    let nights = Nights::new()?;
    for number in 0..60 {
        fs::write(nights.source().join(format!("small-{number:02}")), noise(50_000, number)).unwrap();
    }
    fs::write(nights.source().join("large"), noise(1 << 20, 99)).unwrap();
    fs::hard_link(nights.source().join("small-03"), nights.source().join("small-04-link")).unwrap();
    Some(nights)
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn assert_sound(nights: &Nights, made: &Made) {
    let options = Options { depth: Depth::Full, threads: 1 };
    let path = made.path.as_ref().unwrap();
    assert!(verify(path, options, &Stop::default(), &Progress::default()).unwrap().sound());
    nights.assert_as_in_full(made);
}

#[test]
fn a_flipped_byte_in_any_segment_is_never_carried_on() {
    let Some(mut nights) = nights() else { return };
    let first = nights.next();
    let segments: Vec<_> = archive(&first).segments().map(Result::unwrap).collect();
    assert!(segments.len() > 6, "{}", segments.len());
    for segment in segments {
        // The end of the tar stream, and headers of large files, are made anew.
        let used = matches!(segment.record.kind, SegmentKind::Group(_) | SegmentKind::Piece);
        let base = nights.next();
        flip(
            base.path.as_ref().unwrap(),
            archive(&base).segment(segment.number).unwrap().offset + 20.min(segment.record.stored - 1),
        );
        let made = nights.next();
        let warned =
            made.report.warnings.iter().filter(|w| w.text.contains("the last archive is damaged")).count();
        assert_eq!(warned, usize::from(used), "segment {}: {:?}", segment.number, made.report.warnings);
        assert!(made.report.complete(), "what is damaged is the old archive");
        assert_eq!(compressed(&made), 2 + u64::from(used), "segment {}", segment.number);
        assert_sound(&nights, &made);
    }
}

#[test]
fn a_flipped_byte_in_the_index_means_reading() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    for back in [10, 200, 400, 600, 1000, 1500] {
        let base = nights.next();
        let path = base.path.unwrap();
        let length = fs::metadata(&path).unwrap().len();
        flip(&path, length - back);
        let made = nights.next();
        assert!(made.report.complete());
        assert_sound(&nights, &made);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_base_that_lost_its_end_is_passed_over() {
    let Some(mut nights) = nights() else { return };
    let base = nights.next();
    let path = base.path.unwrap();
    let length = fs::metadata(&path).unwrap().len();
    for left in [length - 1, length / 2, 20, 0] {
        File::options().write(true).open(&path).unwrap().set_len(left).unwrap();
        let made = nights.next();
        assert!(made.report.reused.is_nothing() && made.report.warnings.is_empty());
        assert_sound(&nights, &made);
        fs::remove_file(made.path.unwrap()).unwrap();
    }
}

#[test]
fn an_archive_of_another_level_is_no_base_and_one_of_other_files_gives_nothing() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    let mut other = nights.with("TARKEEP_CODEC", "gzip:1");
    let made = other.next();
    assert!(made.report.reused.is_nothing());
    assert_eq!(compressed(&other.next()), 2);
    // One of other files that was put under the name of the newest: nothing in it is ours, and it had more bytes.
    let made = other.next();
    let path = made.path.as_ref().unwrap();
    let foreign = made::archive(made::assortment(), Codec::Gzip(1));
    fs::write(path, &foreign).unwrap();
    let made = other.next();
    assert!(made.report.warnings.iter().all(|warning| warning.text.contains("shrunk")), "{:?}", made.report);
    assert_sound(&other, &made);
}

#[test]
fn an_archive_that_reads_everything_is_asked_for_with_full() {
    let Some(mut nights) = nights() else { return };
    nights.next();
    let mut tarkeep = crate::common::program::command(&["backup", "--full", "--json", "--source"]);
    tarkeep.arg(nights.source()).arg("--destination").arg(nights.destination());
    let output = tarkeep.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", crate::common::program::stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["report"].get("reused"), None);
}
