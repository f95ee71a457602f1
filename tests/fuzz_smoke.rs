//! A short, repeatable run of the fuzz targets with whatever toolchain there is: seeds, mutated at random.

mod common;
#[path = "common/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::made;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use tarkeep::archive::codec::Codec;
use tarkeep::archive::index::{self, Envelope, FOOTER_LEN, Footer, Page, PageKind};
use tarkeep::entry::{Entry, Kind};

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    /// Change some bytes in one of the ways that find the most.
    fn mutate(&mut self, data: &mut Vec<u8>) {
        const ODD: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b' '];
        for _ in 0..=self.below(4) {
            let at = self.below(data.len());
            match self.below(6) {
                _ if data.is_empty() => data.push(0),
                0 => data[at] ^= 1 << self.below(8),
                1 => data[at] = ODD[self.below(ODD.len())],
                2 => data.truncate(at),
                3 => data.insert(at, ODD[self.below(ODD.len())]),
                4 => {
                    let end = (at + self.below(20)).min(data.len());
                    data.drain(at..end);
                }
                _ => {
                    let end = (at + self.below(600)).min(data.len());
                    let copy = data[at..end].to_vec();
                    let to = self.below(data.len());
                    data.splice(to..to, copy);
                }
            }
        }
    }
}

fn throw(target: impl Fn(&[u8]), seeds: &[Vec<u8>], times: usize) {
    let mut random = Random(0x7461_726b_6565_7021);
    for seed in seeds {
        target(seed);
        for _ in 0..times {
            let mut data = seed.clone();
            random.mutate(&mut data);
            target(&data);
        }
    }
}

/// Everything small from the assortment.
fn small() -> Vec<Entry> {
    made::assortment().into_iter().filter(|entry| entry.size < 1000).collect()
}

/// A small archive in its parts: what stands before the index, and the pages of it, decompressed.
#[derive(Clone)]
struct Parts {
    envelope: Envelope,
    data: Vec<u8>,
    pages: Vec<(Page, Vec<u8>)>,
}

impl Parts {
    fn of(file: &[u8]) -> Self {
        let footer = Footer::decode(&file[file.len() - FOOTER_LEN as usize..], file.len() as u64).unwrap();
        let envelope = footer.envelope;
        let front = if envelope == Envelope::Gzip { 17 } else { 11 };
        let stored = &file[footer.start as usize + front..][..footer.length as usize];
        let inflate = |stored: &[u8], raw: u64| {
            let mut bytes = vec![0; raw as usize];
            Decompressor::new().deflate_decompress(stored, &mut bytes).unwrap();
            bytes
        };
        let table = inflate(&stored[footer.table as usize..], footer.raw.into());
        let pages = index::decode_table(&table, footer.table).unwrap().into_iter();
        let raw = |page: &Page| inflate(&stored[page.offset as usize..][..page.stored as usize], page.raw);
        let pages = pages.map(|page| (raw(&page), page)).map(|(raw, page)| (page, raw)).collect();
        Self { envelope, data: file[..footer.start as usize].to_vec(), pages }
    }

    /// The archive with these pages, and with hashes that are right: somebody meant it so.
    fn sealed(&self, change_table: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut index = Vec::new();
        let mut table = Vec::new();
        varint(&mut table, self.pages.len() as u64);
        for (page, raw) in &self.pages {
            let stored = deflate(raw);
            table.push(match page.kind {
                PageKind::Segments { .. } => b'S',
                PageKind::Entries(_) => b'E',
                PageKind::About => b'M',
            });
            varint(&mut table, stored.len() as u64);
            varint(&mut table, raw.len() as u64);
            table.extend_from_slice(&index::hash(&stored));
            varint(&mut table, page.count as u64);
            match &page.kind {
                PageKind::Segments { stored, raw } => {
                    varint(&mut table, *stored);
                    varint(&mut table, *raw);
                }
                PageKind::Entries(first) => {
                    varint(&mut table, first.len() as u64);
                    table.extend_from_slice(first);
                }
                PageKind::About => {}
            }
            index.extend_from_slice(&stored);
        }
        change_table(&mut table);
        let stored = deflate(&table);
        let footer = Footer {
            envelope: self.envelope,
            start: self.data.len() as u64,
            length: (index.len() + stored.len()) as u64,
            table: index.len() as u64,
            stored: stored.len() as u32,
            raw: table.len() as u32,
            hash: index::hash(&stored),
        };
        index.extend_from_slice(&stored);
        let mut file = self.data.clone();
        index.chunks(4064).for_each(|piece| self.envelope.put_piece(&mut file, piece));
        file.extend_from_slice(&footer.encode());
        file
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn deflate(raw: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut out = vec![0; compressor.deflate_compress_bound(raw.len())];
    let length = compressor.deflate_compress(raw, &mut out).unwrap();
    out.truncate(length);
    out
}

#[test]
fn pages_of_an_index() {
    let parts = Parts::of(&made::archive(small(), Codec::Gzip(6)));
    let mut seeds: Vec<Vec<u8>> =
        parts.pages.iter().map(|(page, raw)| [&[page.count as u8], raw.as_slice()].concat()).collect();
    seeds.push(vec![0xff; 300]);
    throw(targets::index, &seeds, 3000);
}

#[test]
fn archives_whose_index_lies_with_the_right_hashes() {
    for codec in made::indexed() {
        lies(&Parts::of(&made::archive(small(), codec)));
    }
}

fn lies(parts: &Parts) {
    let whole = parts.sealed(|_| ());
    targets::archive(&whole);
    let mut random = Random(7);
    for round in 0..1500 {
        let mut parts = parts.clone();
        if round % 5 == 0 {
            targets::archive(&parts.sealed(|table| random.mutate(table)));
            continue;
        }
        let number = random.below(parts.pages.len());
        let (page, raw) = &mut parts.pages[number];
        random.mutate(raw);
        if round % 7 == 0 {
            page.count = random.below(2000);
        }
        targets::archive(&parts.sealed(|_| ()));
    }
}

#[test]
fn archives_with_damage_of_any_kind() {
    let seeds: Vec<_> = made::codecs().into_iter().map(|codec| made::archive(small(), codec)).collect();
    throw(targets::archive, &seeds, 700);
}

#[test]
fn tar_streams() {
    let mut entries = small();
    let name = [b"data/long-".as_slice(), &[b'o'; 300]].concat();
    entries.push(made::entry(&name, Kind::Symlink(vec![b'l'; 200])));
    let gnu = gnu_long_name();
    throw(
        targets::tar,
        &[made::archive(entries, Codec::None), gnu, made::archive(small(), Codec::Gzip(1))],
        3000,
    );
    let packed: Vec<_> = made::codecs().into_iter().map(|codec| made::archive(small(), codec)).collect();
    throw(targets::packed, &packed, 700);
}

/// A long name as GNU tar writes it, and a sparse file in its old format.
fn gnu_long_name() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_cksum();
    builder.append_data(&mut header, "x/".repeat(200), &b"body"[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_is_extended(true);
    gnu.realsize.copy_from_slice(b"00001000000\0");
    header.set_cksum();
    let mut out = builder.into_inner().unwrap();
    out.truncate(out.len() - 1024);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&[0; 512 + 1024]);
    out
}

#[test]
fn configurations() {
    let seed = b"[[job]]\nname = \"data\"\nsource = [\"/data\", \"/more\"]\nschedule = \"01:00, 13:30\"\n\
        timezone = \"Europe/Berlin\"\nname-pattern = \"%Y-%m-%d/%H\"\ncodec = \"gzip:6\"\ncatch-up = \"12h\"\n";
    let words = b"every 15m\n30 2,3 * * 1-5\n%Y/%m/%d/{job}-%H%M%S\n";
    throw(targets::config, &[seed.to_vec(), words.to_vec()], 400);
}

/// `cargo fuzz` resolves by a lock file of its own: what it runs is what is tested here.
#[test]
fn the_fuzz_targets_are_built_of_the_same_packages() {
    let read = |path: &str| -> toml::Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let packages = |lock: &toml::Table| -> Vec<toml::Value> { lock["package"].as_array().unwrap().clone() };
    let named = |package: &toml::Value| (text(&package["name"]), text(&package["version"]));
    let (ours, theirs) = (packages(&read("Cargo.lock")), packages(&read("fuzz/Cargo.lock")));

    let tarkeep = theirs.iter().find(|package| text(&package["name"]) == "tarkeep").unwrap();
    let needs: Vec<_> = tarkeep["dependencies"].as_array().unwrap().iter().map(text).collect();
    for wanted in read("Cargo.toml")["dependencies"].as_table().unwrap().keys() {
        let has = needs.iter().any(|need| need.split(' ').next() == Some(wanted));
        assert!(has, "fuzz/Cargo.lock knows of no {wanted}: run cargo metadata in fuzz");
    }
    let ours: BTreeSet<_> = ours.iter().map(named).collect();
    for (name, version) in theirs.iter().map(named) {
        let same =
            ours.contains(&(name.clone(), version.clone())) || ours.iter().all(|(our, _)| *our != name);
        assert!(same, "fuzz/Cargo.lock has {name} {version}, and Cargo.lock has not");
    }
}
