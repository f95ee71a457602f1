//! The names of users and groups, from `/etc/passwd` and `/etc/group` alone: no service is asked, which could block,
//! and a static binary could not load its libraries anyway.

use std::collections::HashMap;
use std::path::Path;

/// Names by number, read once.
#[derive(Debug)]
pub(super) struct Accounts {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Accounts {
    /// What this system knows; nothing where the files are missing, as in a container image without them.
    pub(super) fn of_this_system() -> Self {
        let read =
            |path: &str| std::fs::read(Path::new(path)).map_or_else(|_| HashMap::new(), |text| names(&text));
        Self { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    /// The user's name, empty where there is none.
    pub(super) fn user(&self, uid: u32) -> Vec<u8> {
        self.users.get(&uid).cloned().unwrap_or_default()
    }

    /// The group's name, empty where there is none.
    pub(super) fn group(&self, gid: u32) -> Vec<u8> {
        self.groups.get(&gid).cloned().unwrap_or_default()
    }
}

/// `name:password:number:…` a line; of several names for a number the first counts, as for `ls`.
fn names(text: &[u8]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(_), Some(number)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        // A line that begins with a sign refers to NIS and is no account.
        if name.is_empty() || matches!(name[0], b'#' | b'+' | b'-') || name.contains(&0) {
            continue;
        }
        if let Some(number) = std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok()) {
            names.entry(number).or_insert_with(|| name.to_vec());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let found = names(
            b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\nbroken\n+nis:x:7:\n#c:x:8:\nx:y:z\nu\xff:x:5:",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[&0], b"root");
        assert_eq!(found[&5], b"u\xff");
    }
}
