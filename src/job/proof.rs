//! Whether a file that was written is what was meant to be written, read back from the disk.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crossbeam_channel::bounded;

use crate::archive::Proof;
use crate::archive::index::FOOTER_LEN;
use crate::archive::reader::{self, Archive, Decoder, Opened};
use crate::error::{Error, Result};
use crate::printable::printable_path;
use crate::stop::Stop;

/// Read everything back and hold it against its hashes, on so many threads.
///
/// # Errors
/// If a single byte differs: the disk, the memory or the file system is at fault, and nothing is published.
pub fn check(proof: &Proof, file: &File, path: &Path, threads: usize, stop: &Stop) -> Result<()> {
    match proof {
        Proof::Hash(expected) => whole(*expected, file, path, stop),
        Proof::Footer(expected) => {
            let copy = file.try_clone().map_err(|e| read_failed(path, e))?;
            let Opened::Indexed(archive) = reader::from_file(copy, path)? else {
                return Err(differs(path, "its index cannot be read"));
            };
            let mut footer = [0; FOOTER_LEN as usize];
            let at = archive.length() - FOOTER_LEN;
            file.read_exact_at(&mut footer, at).map_err(|e| read_failed(path, e))?;
            if footer[..] != expected[..] {
                return Err(differs(path, "its footer"));
            }
            segments(&archive, path, threads, stop)
        }
    }
}

fn segments(archive: &Archive, path: &Path, threads: usize, stop: &Stop) -> Result<()> {
    std::thread::scope(|scope| {
        let (work_in, work) = bounded(2 * threads);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let work = work.clone();
                scope.spawn(move || {
                    let mut decoder = Decoder::new();
                    while let Ok(segment) = work.recv() {
                        decoder.stored(archive.file(), &segment).map_err(|fault| {
                            differs(path, &format!("segment {}: {fault}", segment.number))
                        })?;
                    }
                    Ok(())
                })
            })
            .collect();
        drop(work);
        let mut result = Ok(());
        for segment in archive.segments() {
            let sent = stop.check().and(segment).map(|segment| work_in.send(segment));
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        drop(work_in);
        for worker in workers {
            result = result.and(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        result
    })
}

fn whole(expected: blake3::Hash, file: &File, path: &Path, stop: &Stop) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut file = file;
    loop {
        stop.check()?;
        match file.read(&mut buffer).map_err(|e| read_failed(path, e))? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        };
    }
    (hasher.finalize() == expected).then_some(()).ok_or_else(|| differs(path, "its bytes"))
}

fn read_failed(path: &Path, error: std::io::Error) -> Error {
    Error::io("read back archive", path, error)
}

fn differs(path: &Path, what: &str) -> Error {
    Error::failed(format!(
        "read back archive {}: not what was written: {what}; check the disk and the machine's memory",
        printable_path(path)
    ))
}
