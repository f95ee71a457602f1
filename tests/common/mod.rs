//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

/// Say that a test cannot run here, and why; `./test` counts these lines.
pub fn skip(reason: &str) {
    eprintln!("skipped: needs {reason}");
}

pub mod backups;
pub mod disk;
pub mod found;
pub mod made;
pub mod program;
pub mod trace;
pub mod tree;
