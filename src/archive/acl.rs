//! POSIX ACLs: from the bytes of the extended attribute to the text that GNU tar and bsdtar restore, and back.

/// The words of an ACL as `SCHILY.acl.*` has them, `user::rwx,user:1000:r--:1000,…`, from the value of
/// `system.posix_acl_access` or `system.posix_acl_default` (`linux/posix_acl_xattr.h`, version 2). `None` if the value
/// is not of that form: it is then kept as an ordinary attribute.
pub fn text(value: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || entries.len() % 8 != 0 || entries.is_empty() {
        return None;
    }
    let words: Option<Vec<String>> = entries.chunks_exact(8).map(word).collect();
    Some(words?.join(",").into_bytes())
}

fn word(entry: &[u8]) -> Option<String> {
    let tag = u16::from_le_bytes([entry[0], entry[1]]);
    let permissions = u16::from_le_bytes([entry[2], entry[3]]);
    let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
    let letter = |bit, letter| if permissions & bit == 0 { '-' } else { letter };
    let rwx: String = [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].iter().collect();
    // The number stands where a name could, and behind the permissions again, as GNU tar writes it.
    Some(match tag {
        0x01 => format!("user::{rwx}"),
        0x02 => format!("user:{id}:{rwx}:{id}"),
        0x04 => format!("group::{rwx}"),
        0x08 => format!("group:{id}:{rwx}:{id}"),
        0x10 => format!("mask::{rwx}"),
        0x20 => format!("other::{rwx}"),
        _ => return None,
    })
}

/// The bytes of the extended attribute from the words of an ACL, in the forms that GNU tar, star and bsdtar write: a
/// number stands as a fourth field, or where the name would. `None` for words that make no sense or have a name without
/// a number, which only the system it came from could resolve.
pub fn value(words: &[u8]) -> Option<Vec<u8>> {
    let mut entries = Vec::new();
    for word in words.split(|byte| matches!(byte, b',' | b'\n')) {
        let word = std::str::from_utf8(word).ok()?.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = word.split(':').collect();
        let (&kind, &who, &rwx) = (fields.first()?, fields.get(1)?, fields.get(2)?);
        let id = if who.is_empty() {
            u32::MAX
        } else {
            fields
                .get(3)
                .copied()
                .or(Some(who))
                .and_then(|id| id.parse().ok())
                .or_else(|| who.parse().ok())?
        };
        let tag: u16 = match (kind, who.is_empty()) {
            ("user" | "u", true) => 0x01,
            ("user" | "u", false) => 0x02,
            ("group" | "g", true) => 0x04,
            ("group" | "g", false) => 0x08,
            ("mask" | "m", true) => 0x10,
            ("other" | "o", true) => 0x20,
            _ => return None,
        };
        let permissions = rwx.bytes().try_fold(0_u16, |bits, letter| match letter {
            b'r' => Some(bits | 4),
            b'w' => Some(bits | 2),
            b'x' => Some(bits | 1),
            b'-' => Some(bits),
            _ => None,
        })?;
        entries.push((tag, id, permissions));
    }
    // The kernel wants them in this order.
    entries.sort_unstable();
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, id, permissions) in &entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    (!entries.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_becomes_words() {
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (1_u16, 7_u16, u32::MAX),
            (2, 4, 1000),
            (4, 5, u32::MAX),
            (0x10, 5, u32::MAX),
            (0x20, 0, u32::MAX),
        ] {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let words = b"user::rwx,user:1000:r--:1000,group::r-x,mask::r-x,other::---";
        assert_eq!(text(&value).unwrap(), words);
        assert_eq!(text(&value[..value.len() - 1]), None);
        assert_eq!(text(&[1, 0, 0, 0]), None);
        assert_eq!(super::value(words).unwrap(), value);
        let other = b"user::rwx\nuser:1000:r--\ngroup::r-x\nmask::r-x\nother::---\n";
        assert_eq!(super::value(other).unwrap(), value);
        for bad in [&b""[..], b"user", b"user:x:r--", b"what::rwx", b"user::rwz"] {
            assert_eq!(super::value(bad), None);
        }
    }
}
