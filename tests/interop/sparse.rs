//! Files that are mostly holes.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::make::{holes, noise};
use super::{archive, command, common};

const GIB: u64 = 1 << 30;

#[test]
fn a_file_of_20_gib_that_is_mostly_holes_costs_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let path = folder.path().join("data/sparse");
    let offsets = [0, 3 * GIB + 1, 12 * GIB, 20 * GIB - 4096];
    holes(&path, 20 * GIB + 777, &offsets);
    let file = File::options().write(true).open(&path).unwrap();
    let noise = noise(1_000_000, 8);
    file.write_all_at(&noise, 15 * GIB).unwrap();
    drop(file);
    let was = path.metadata().unwrap();
    if was.blocks() * 512 > GIB {
        common::skip("a temporary folder on a file system with holes");
        return;
    }
    let to = folder.path().join("x.tar.gz");
    archive(folder.path(), "data", &to);

    // The tar stream has what is in the file, and none of its holes.
    let mut raw = Vec::new();
    flate2::read::MultiGzDecoder::new(File::open(&to).unwrap()).read_to_end(&mut raw).unwrap();
    assert!(raw.len() < 3_000_000, "{}", raw.len());

    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let output = command("tar").arg("-xzf").arg(&to).arg("-C").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let back = out.join("data/sparse");
    let is = back.metadata().unwrap();
    assert_eq!((is.len(), is.mtime_nsec()), (was.len(), was.mtime_nsec()));
    assert!(is.blocks() * 512 < 64 << 20, "{} blocks", is.blocks());
    let back = File::open(back).unwrap();
    let mut found = [0; 4];
    for offset in offsets {
        back.read_exact_at(&mut found, offset).unwrap();
        assert_eq!(&found, b"data", "at {offset}");
        back.read_exact_at(&mut found, offset + 4).unwrap();
        assert_eq!(found, [0; 4], "behind {offset}");
    }
    let mut body = vec![0; noise.len()];
    back.read_exact_at(&mut body, 15 * GIB).unwrap();
    assert!(body == noise);
}
