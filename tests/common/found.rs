//! What a walk finds, read.

use tarkeep::entry::{Content, Entry};

/// All of a body, in more pieces than one.
pub fn read(content: &mut dyn Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match content.read(&mut buffer).unwrap() {
            0 => return bytes,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

/// The body of a file.
pub fn body(entry: &mut Entry) -> Vec<u8> {
    read(entry.content.as_deref_mut().expect("a file has a body"))
}
