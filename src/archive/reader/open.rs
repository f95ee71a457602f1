//! Opening a file, and finding the footer, the table of pages and the pages in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use libdeflater::Decompressor;

use super::{Archive, Opened, Unindexed};
use crate::archive::codec::zstd;
use crate::archive::index::{self, Envelope, FOOTER_LEN, Footer, Page, PageKind};
use crate::archive::store::Store;
use crate::error::{Error, Result};
use crate::printable::printable_path;

/// Open an archive of any kind.
///
/// # Errors
/// If the file cannot be opened or read. A damaged index is not an error: see [`Unindexed::damage`].
pub fn open(path: &Path) -> Result<Opened> {
    let file = File::open(path).map_err(|e| Error::io("open archive", path, e))?;
    from_file(file, path)
}

/// [`open`] for a file that is open already; the path is for messages.
///
/// # Errors
/// If it cannot be read, or is no regular file.
pub fn from_file(file: File, path: &Path) -> Result<Opened> {
    let metadata = file.metadata().map_err(|e| Error::io("open archive", path, e))?;
    if !metadata.is_file() {
        return Err(Error::usage(format!("archive {} is not a regular file", printable_path(path))));
    }
    from_store(Store::plain(file).map_err(|e| Error::io("open archive", path, e))?, path)
}

/// [`open`] for bytes that are at hand; the path is for messages.
///
/// # Errors
/// If they cannot be read.
pub fn from_store(store: Store, path: &Path) -> Result<Opened> {
    let path = path.to_path_buf();
    if !store.is_seekable() {
        let ours = begins_as_ours(&store, &path)?;
        let damage = if ours { store.damage().map(str::to_string) } else { None };
        return Ok(Opened::Unindexed(Unindexed { store, path, damage, ours }));
    }
    let mut start = vec![0; Envelope::START_MAX.min(store.length()) as usize];
    let ours = read_at(&store, &path, &mut start, 0)?.is_ok() && Envelope::of(&start).is_some();
    let damage = match footer(&store, &path)? {
        Ok(footer) if footer.envelope == Envelope::Zstd && !zstd::BUILT => {
            let shown = printable_path(&path);
            return Err(Error::failed(format!("archive {shown}: this tarkeep was built without zstd")));
        }
        Ok(footer) => match table(&store, &path, &footer)? {
            Ok(pages) => {
                return Ok(Opened::Indexed(Box::new(Archive::new(store, path, footer, pages))));
            }
            Err(damage) => Some(damage),
        },
        Err(damage) => ours.then_some(damage),
    };
    let ours = damage.is_some();
    Ok(Opened::Unindexed(Unindexed { store, path, damage, ours }))
}

fn begins_as_ours(store: &Store, path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    match store.reader().and_then(|reader| reader.take(Envelope::START_MAX).read_to_end(&mut start)) {
        Ok(_) => Ok(Envelope::of(&start).is_some()),
        Err(e) if e.raw_os_error().is_some() => Err(Error::io("read archive", path, e)),
        Err(_) => Ok(false),
    }
}

/// The inner result says what is wrong with the footer.
fn footer(store: &Store, path: &Path) -> Result<Result<Footer, String>> {
    let length = store.length();
    let Some(at) = length.checked_sub(FOOTER_LEN) else {
        return Ok(Err("the end of the archive is missing: it is shorter than a footer".into()));
    };
    let mut member = [0; FOOTER_LEN as usize];
    if let Err(damage) = read_at(store, path, &mut member, at)? {
        return Ok(Err(format!("the end of the archive {damage}")));
    }
    Ok(Footer::decode(&member, length)
        .map_err(|e| format!("the end of the archive is damaged or missing: the footer at offset {at} {e}")))
}

fn table(store: &Store, path: &Path, footer: &Footer) -> Result<Result<Vec<Page>, String>> {
    let page = Page {
        offset: footer.table,
        stored: footer.stored.into(),
        raw: footer.raw.into(),
        hash: footer.hash,
        count: 1,
        kind: PageKind::About,
    };
    if page.raw > index::TABLE_MAX || page.stored > 2 * page.raw + 64 {
        return Ok(Err("the table of pages has an impossible size".into()));
    }
    let table = read_page(store, path, footer, &page)?;
    Ok(table
        .and_then(|raw| index::decode_table(&raw, footer.table).map_err(|e| e.0))
        .map_err(|e| format!("the table of pages of the index {e}")))
}

fn read_at(store: &Store, path: &Path, buffer: &mut [u8], at: u64) -> Result<Result<(), &'static str>> {
    match store.read_exact_at(buffer, at) {
        Ok(()) => Ok(Ok(())),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Err(UNDECRYPTED)),
        Err(e) => Err(Error::io("read archive", path, e)),
    }
}

/// Of bytes that were encrypted and are not what they were.
const UNDECRYPTED: &str = "cannot be decrypted";

/// The decompressed bytes of a page, or what is wrong with it.
pub(super) fn read_page(
    store: &Store,
    path: &Path,
    footer: &Footer,
    page: &Page,
) -> Result<Result<Vec<u8>, &'static str>> {
    // The table's own bounds are checked with the footer, a page's with the table: both end within the index.
    let bytes = match index_bytes(store, footer, page.offset, page.stored) {
        Ok(bytes) => bytes,
        Err(e) if store.is_encrypted() && e.kind() == io::ErrorKind::InvalidData => {
            return Ok(Err(UNDECRYPTED));
        }
        Err(e) => return Err(Error::io("read index of archive", path, e)),
    };
    if index::hash(&bytes) != page.hash {
        return Ok(Err("does not have the hash it should"));
    }
    // No deflate stream grows to more than 1,032 times its length (zlib's technical notes).
    if page.raw > page.stored.saturating_mul(1032) {
        return Ok(Err("has an impossible size"));
    }
    let mut raw = vec![0; page.raw as usize];
    match Decompressor::new().deflate_decompress(&bytes, &mut raw) {
        Ok(length) if length == raw.len() => Ok(Ok(raw)),
        _ => Ok(Err("cannot be decompressed")),
    }
}

/// Bytes of the index, taken out of the members that carry them.
fn index_bytes(store: &Store, footer: &Footer, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let outside = || io::Error::new(io::ErrorKind::InvalidData, "outside the index");
    let last =
        at.checked_add(length).filter(|end| *end <= footer.length && length > 0).ok_or_else(outside)? - 1;
    let envelope = footer.envelope;
    let position = |at| envelope.position(at).and_then(|p| p.checked_add(footer.start)).ok_or_else(outside);
    let (first, last) = (position(at)?, position(last)?);
    let mut bytes = vec![0; (last - first + 1) as usize];
    store.read_exact_at(&mut bytes, first)?;

    // Close the gaps that the members' ends and beginnings make.
    let mut kept = (index::PIECE - (at % index::PIECE as u64) as usize).min(bytes.len());
    let mut next = kept + envelope.member_len() - index::PIECE;
    while next < bytes.len() {
        let piece = index::PIECE.min(bytes.len() - next);
        bytes.copy_within(next..next + piece, kept);
        kept += piece;
        next += envelope.member_len();
    }
    bytes.truncate(kept);
    Ok(bytes)
}
