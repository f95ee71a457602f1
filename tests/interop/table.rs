//! The tables of `docs/readers.md`, held against what was seen.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::common;

const VERSION: &str = "version";

/// With this in the environment the page is written instead of compared.
const WRITE: &str = "WRITE_READERS";

/// One table: between two comments in the page.
pub struct Table {
    name: &'static str,
    columns: Vec<String>,
    /// What stands there, by row and column.
    old: HashMap<(String, usize), String>,
    rows: Vec<(String, Vec<String>)>,
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/readers.md")
}

fn marks(name: &str) -> (String, String) {
    (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"))
}

fn writes() -> bool {
    std::env::var_os(WRITE).is_some()
}

impl Table {
    /// The table of this name as it stands in the page, and the columns that it should have.
    pub fn read(name: &'static str, columns: &[&str]) -> Self {
        let page = fs::read_to_string(page()).unwrap();
        let (begin, end) = marks(name);
        let text = page.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).expect("a table").0;
        let mut old = HashMap::new();
        for line in text.lines().skip(2) {
            let cells: Vec<_> =
                line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            for (column, cell) in cells[1..].iter().enumerate() {
                old.insert((cells[0].clone(), column), cell.clone());
            }
        }
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        Self { name, old, rows: vec![(VERSION.into(), vec![String::new(); columns.len()])], columns }
    }

    /// Whether this column can be filled: the reader is here, in the version that the page speaks of.
    pub fn knows(&mut self, column: usize, version: Option<String>) -> bool {
        let known = self.old.get(&(VERSION.into(), column)).cloned().unwrap_or_default();
        let is_here = version.is_some();
        let version = version.filter(|version| writes() || *version == known);
        if version.is_none() {
            let other = if is_here { ", and not another version" } else { "" };
            common::skip(&format!("{} {known}{other}", self.columns[column]));
        }
        let knows = version.is_some();
        self.rows[0].1[column] = version.unwrap_or(known);
        knows
    }

    /// The next row; what is not given stays as it stands in the page.
    pub fn row(&mut self, label: &str, cells: impl Iterator<Item = (usize, String)>) {
        let old = |column| self.old.get(&(label.to_owned(), column)).cloned().unwrap_or_default();
        let mut row: Vec<_> = (0..self.columns.len()).map(old).collect();
        for (column, cell) in cells {
            row[column] = cell;
        }
        self.rows.push((label.to_owned(), row));
    }

    /// Hold it against the page, or write it there.
    pub fn finish(self) {
        let mut text =
            format!("| | {} |\n|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len() + 1));
        for (label, cells) in &self.rows {
            writeln!(text, "| {label} | {} |", cells.join(" | ")).unwrap();
        }
        let (begin, end) = marks(self.name);
        // Each test writes its table; they may run at the same time.
        let lock = File::open(page()).unwrap();
        lock.lock().unwrap();
        let page_text = fs::read_to_string(page()).unwrap();
        let (before, rest) = page_text.split_once(&begin).unwrap();
        let (was, after) = rest.split_once(&end).unwrap();
        if was == text {
            return;
        }
        if writes() {
            fs::write(page(), [before, &begin, &text, &end, after].concat()).unwrap();
            return;
        }
        let differs: Vec<_> = text.lines().filter(|line| !was.lines().any(|old| old == *line)).collect();
        panic!(
            "docs/readers.md says otherwise; seen:\n{}\n\nIf that is right: {WRITE}=1 cargo test --test interop",
            differs.join("\n")
        );
    }
}
