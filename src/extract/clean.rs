//! Names and link targets of archives that anybody may have written: what is taken, and what is refused.

use crate::entry::is_restore_folder;

/// Bytes of a name at most.
const NAME_MAX: usize = 64 << 10;
/// Folders that a name leads through at most: each is held open by what walks down to it.
const DEPTH_MAX: usize = 256;

/// A name as it is used: relative, without `.` and doubled slashes; the empty name is the folder that is extracted into.
/// Slashes at its beginning are dropped, as every tar does.
///
/// # Errors
/// Why the name is refused.
pub fn clean(name: &[u8]) -> Result<Vec<u8>, &'static str> {
    if name.is_empty() {
        return Err("it has no name");
    }
    if name.contains(&0) {
        return Err("a zero byte is in its name");
    }
    if name.len() > NAME_MAX {
        return Err("its name is too long");
    }
    let parts: Vec<_> = parts(name).collect();
    if parts.contains(&&b".."[..]) {
        return Err("its name leads upwards with ..");
    }
    if parts.iter().any(|part| is_restore_folder(part)) {
        return Err("it is in a folder that is named as those are that restores work in");
    }
    if parts.len() > DEPTH_MAX {
        return Err("it is in too many folders");
    }
    Ok(parts.join(&b'/'))
}

/// Whether a symbolic link in this folder leads nowhere outside, whatever else the archive makes.
///
/// A target may begin with as many `..` as there are folders above the link, and have none behind a name: what that name
/// is may be a link itself, so that no counting could tell where `..` behind it leads (CVE-2025-4517 was such a count).
/// Each link by itself stays inside then, and so do all of them after each other.
///
/// # Errors
/// Why the target is refused.
pub fn check_link(folder: &[u8], target: &[u8]) -> Result<(), &'static str> {
    if target.starts_with(b"/") {
        return Err("a link to an absolute path");
    }
    let up = parts(target).take_while(|part| *part == b"..").count();
    if up > parts(folder).count() {
        return Err("a link that leads outside");
    }
    if parts(target).skip(up).any(|part| part == b"..") {
        return Err("a link whose target has .. behind a name");
    }
    Ok(())
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        for (name, cleaned) in [
            ("a/b", "a/b"),
            ("/a//b/", "a/b"),
            ("./a/./b", "a/b"),
            ("///etc/x", "etc/x"),
            (".", ""),
            ("./", ""),
            ("/", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(clean(name.as_bytes()), Ok(cleaned.as_bytes().to_vec()), "{name}");
        }
        for name in ["", "..", "../a", "a/..", "a/../b", "/..", "./..", "a\0b"] {
            assert!(clean(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(clean("a/".repeat(257).as_bytes()).is_err());
        assert!(clean(&vec![b'a'; 100_000]).is_err());
    }

    #[test]
    fn links_stay_inside() {
        for (folder, target) in
            [("", "a"), ("", "."), ("a", ".."), ("a", "../b"), ("a/b", "../../c"), ("a", "x/y"), ("", "..a")]
        {
            assert_eq!(check_link(folder.as_bytes(), target.as_bytes()), Ok(()), "{folder} {target}");
        }
        for (folder, target) in [
            ("", "/"),
            ("a", "/etc"),
            ("", ".."),
            ("a", "../.."),
            ("a", ".././.."),
            ("a", "x/.."),
            ("a", "../x/.."),
        ] {
            assert!(check_link(folder.as_bytes(), target.as_bytes()).is_err(), "{folder} {target}");
        }
    }
}
