//! How little is compressed again when little has changed: counted, not timed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use tarkeep::job::Made;

use crate::nights::{Nights, compressed, noise};

/// Bytes of the tar stream that were not taken over.
fn anew(made: &Made) -> u64 {
    made.report.raw - made.report.reused.raw
}

#[test]
fn one_small_file_among_many_costs_less_than_four_mib() {
    let Some(nights) = Nights::new() else { return };
    let mut nights = nights.with("TARKEEP_CODEC", "gzip:1");
    let source = nights.source();
    for number in 0..3000_u64 {
        fs::write(source.join(format!("{number:04}")), noise(10_000, number)).unwrap();
    }
    nights.next();
    let mut costs = Vec::new();
    let mut cost = |nights: &mut Nights| costs.push(anew(&nights.next()));
    for place in [0, 1500, 2999] {
        let name = source.join(format!("{place:04}"));
        fs::write(source.join(format!("{place:04}-added")), b"added").unwrap();
        cost(&mut nights);
        fs::remove_file(source.join(format!("{place:04}-added"))).unwrap();
        cost(&mut nights);
        fs::rename(&name, source.join(format!("{place:04}-renamed"))).unwrap();
        cost(&mut nights);
    }
    assert!(costs.iter().all(|cost| *cost > 0 && *cost < 4 << 20), "{costs:?}");
    let made = nights.next();
    nights.assert_as_in_full(&made);
}

#[test]
fn a_hundredth_of_the_pages_of_a_database_costs_less_than_a_third_of_its_pieces() {
    const PAGE: usize = 8192;
    let Some(mut nights) = Nights::new() else { return };
    let path = nights.source().join("db");
    let pages = 16 * 1024_u64;
    // Pages that compress well, so that the test is not about compressing.
    let file = File::create(&path).unwrap();
    for page in 0..pages {
        let mut bytes = vec![page as u8; PAGE];
        bytes[..64].copy_from_slice(&noise(64, page));
        file.write_all_at(&bytes, page * PAGE as u64).unwrap();
    }
    drop(file);
    let first = nights.next();
    let pieces = compressed(&first) - 3;
    assert_eq!(pieces, pages * PAGE as u64 / (256 * 1024));
    let file = File::options().write(true).open(&path).unwrap();
    for (number, random) in noise((pages / 100) as usize * 8, 7).chunks(8).enumerate() {
        let page = u64::from_le_bytes(random.try_into().unwrap()) % pages;
        file.write_all_at(&noise(64, pages + number as u64), page * PAGE as u64).unwrap();
    }
    drop(file);
    let second = nights.next();
    // Besides the pieces: the folder, the header of the file, the end; and the last piece is not different for them.
    let again = compressed(&second) - 3;
    assert!(again > 0 && again * 100 < pieces * 30, "{again} of {pieces} pieces");
    nights.assert_as_in_full(&second);
}
