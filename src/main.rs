//! The binary: parse, log, run, exit.

fn main() {}
