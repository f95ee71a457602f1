//! Names from outside, made safe to print: no control character and no invalid byte reaches a terminal or a log.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A name with its control characters and invalid bytes as `\n`, `\x1b`, and so on, and `\` doubled.
pub fn printable(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                // Unicode's overrides of direction can make one name look like another on a screen.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    let _ = write!(text, "{}", letter.escape_unicode());
                }
                control if control.is_control() => {
                    for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// [`printable`] for a path.
pub fn printable_path(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

/// A word as it can be pasted into a shell, which takes nothing in it for a glob or an end.
pub fn shell_word(word: &[u8]) -> String {
    let text = printable(word);
    if text.as_bytes() != word {
        // bash, zsh and others understand the same escapes of bytes.
        let byte = |byte: &u8| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).into(),
            _ => format!("\\x{byte:02x}"),
        };
        return format!("$'{}'", word.iter().map(byte).collect::<String>());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte) || !byte.is_ascii();
    if !word.is_empty() && word.iter().copied().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A number of bytes for people: `0 B`, `1.5 KiB`, `61.4 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with the right form of its noun: `1 entry`, `2 entries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_pass() {
        assert_eq!(printable(b"a\nb\x1b[31m\\\xff\xc3\xa9"), "a\\nb\\x1b[31m\\\\\\xff\u{e9}");
        assert_eq!(printable("x\u{202e}gpj".as_bytes()), "x\\u{202e}gpj");
    }

    #[test]
    fn a_shell_reads_words_as_they_were() {
        for (word, typed) in [
            (&b"data/a-b_c.conf"[..], "data/a-b_c.conf"),
            ("\u{fc}".as_bytes(), "\u{fc}"),
            (b"-", "-"),
            (b"*.conf", "'*.conf'"),
            (b"my photos", "'my photos'"),
            (b"it's", r"'it'\''s'"),
            (b"", "''"),
            (b"it's\n\xff", r"$'it\'s\x0a\xff'"),
            (b"a\\b", r"$'a\\b'"),
            ("a\\x\u{202e}gpj".as_bytes(), r"$'a\\x\xe2\x80\xaegpj'"),
        ] {
            assert_eq!(shell_word(word), typed);
            let said =
                std::process::Command::new("bash").args(["-c", &format!("printf %s {typed}")]).output();
            // Where there is no bash the expectation has to do.
            assert!(said.is_err() || said.is_ok_and(|said| said.stdout == word), "{typed}");
        }
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(human_bytes(u64::MAX), "16.0 EiB");
    }
}
