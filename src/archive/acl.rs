//! POSIX ACLs: from the bytes of the extended attribute to the text that GNU tar and bsdtar restore.

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
    }
}
