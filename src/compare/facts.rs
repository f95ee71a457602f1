//! What is said of an entry besides its body, wherever it comes from.

use std::collections::BTreeMap;

use crate::archive::acl;
use crate::archive::stream::Member;
use crate::entry::{Entry, Kind, Timestamp};

/// One thing that is not the same: what it was, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The body; with both sizes, which can be equal.
    Content(u64, u64),
    /// What it is.
    Type(Kind, Kind),
    /// Where a link leads.
    Target(Vec<u8>, Vec<u8>),
    /// The numbers of a device.
    Device((u32, u32), (u32, u32)),
    /// The permission bits.
    Mode(u32, u32),
    /// The numbers of owner and group.
    Owner((u64, u64), (u64, u64)),
    /// When the body last changed.
    Mtime(Timestamp, Timestamp),
    /// Extended attributes and ACLs with these names.
    Attributes(Vec<Vec<u8>>),
}

/// Everything but the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    /// The numbers of owner and group.
    pub owner: (u64, u64),
    /// Bytes of the body, holes included.
    pub size: u64,
    /// When the body last changed.
    pub mtime: Timestamp,
    /// Whether the time may be known to the second only.
    pub coarse: bool,
    /// Extended attributes by full name, ACLs as the attributes that the kernel has them in.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Facts {
    /// As an archive has them; in one that another tool made, a time without a fraction may have lost it.
    pub fn of_member(member: Member, foreign: bool) -> Self {
        let attributes = member.attributes;
        let acls = [("access", attributes.acl), ("default", attributes.default_acl)];
        let acls = acls.into_iter().filter_map(|(which, words)| {
            let words = words?;
            let value = acl::value(&words).unwrap_or(words);
            Some((format!("system.posix_acl_{which}").into_bytes(), value))
        });
        Self {
            kind: member.kind,
            mode: member.mode,
            owner: (member.uid, member.gid),
            size: member.size,
            mtime: member.mtime,
            coarse: foreign && member.mtime.nanos == 0,
            attributes: attributes.xattrs.into_iter().chain(acls).collect(),
        }
    }

    /// As they are on disk.
    pub fn of_entry(entry: &Entry) -> Self {
        Self {
            kind: entry.kind.clone(),
            mode: entry.mode,
            owner: (entry.uid.into(), entry.gid.into()),
            size: entry.size,
            mtime: entry.mtime,
            coarse: false,
            attributes: entry.xattrs.iter().cloned().collect(),
        }
    }

    /// What is not the same, the body aside.
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let same_type = std::mem::discriminant(&self.kind) == std::mem::discriminant(&other.kind);
        match (&self.kind, &other.kind) {
            (one, other) if !same_type => changes.push(Change::Type(one.clone(), other.clone())),
            (Kind::Symlink(one), Kind::Symlink(other)) | (Kind::Hardlink(one), Kind::Hardlink(other))
                if one != other =>
            {
                changes.push(Change::Target(one.clone(), other.clone()));
            }
            (Kind::CharDevice(a, b), Kind::CharDevice(c, d))
            | (Kind::BlockDevice(a, b), Kind::BlockDevice(c, d))
                if (a, b) != (c, d) =>
            {
                changes.push(Change::Device((*a, *b), (*c, *d)));
            }
            _ => {}
        }
        // A symbolic link has no mode of its own: tools write what they like.
        let links = matches!((&self.kind, &other.kind), (Kind::Symlink(_), Kind::Symlink(_)));
        if self.mode != other.mode && !links {
            changes.push(Change::Mode(self.mode, other.mode));
        }
        if self.owner != other.owner {
            changes.push(Change::Owner(self.owner, other.owner));
        }
        let seconds_only = self.coarse || other.coarse;
        if self.mtime.seconds != other.mtime.seconds || !seconds_only && self.mtime.nanos != other.mtime.nanos
        {
            changes.push(Change::Mtime(self.mtime, other.mtime));
        }
        let mut names: Vec<_> = self
            .attributes
            .keys()
            .chain(other.attributes.keys())
            .filter(|name| self.attributes.get(*name) != other.attributes.get(*name))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        if !names.is_empty() {
            changes.push(Change::Attributes(names));
        }
        changes
    }
}
