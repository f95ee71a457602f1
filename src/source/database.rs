//! Folders that look like those of a running database: files copied one after the other while a server writes them are
//! as after a power cut at best.

use std::fmt;

use super::folder::Listing;
use crate::printable::printable;

/// A folder that looks like that of a running database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The folder's name in the archive.
    pub name: Vec<u8>,
    /// Which database.
    pub kind: DatabaseKind,
}

/// A database that keeps its data in files that must not be copied while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
    /// MongoDB.
    Mongo,
}

impl fmt::Display for Database {
    /// One sentence for people: what it is, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, dump) = match self.kind {
            DatabaseKind::Postgres => ("PostgreSQL", "pg_dump"),
            DatabaseKind::Mysql => ("MySQL or MariaDB", "mysqldump --single-transaction"),
            DatabaseKind::Mongo => ("MongoDB", "mongodump"),
        };
        write!(
            f,
            "{} looks like the folder of a running {server}: this copy is as after a power cut at best, and may not start; \
             stop the service while it is archived, or archive what {dump} writes",
            printable(&self.name)
        )
    }
}

/// Which running database the names in a folder speak of. `filled` tells whether the file of this name has any bytes.
pub(super) fn recognise(names: &Listing, filled: impl Fn(&[u8]) -> bool) -> Option<DatabaseKind> {
    // Each of these is there while the server runs and removed when it stops in order; an ordinary folder costs three
    // searches in a sorted list.
    if names.has(b"PG_VERSION") && names.has(b"postmaster.pid") {
        return Some(DatabaseKind::Postgres);
    }
    if names.has(b"ibdata1") && (names.has(b"ibtmp1") || names.iter().any(|name| name.ends_with(b".pid"))) {
        return Some(DatabaseKind::Mysql);
    }
    // mongod.lock stays behind, but is emptied at an orderly end.
    if names.has(b"WiredTiger") && names.has(b"mongod.lock") && filled(b"mongod.lock") {
        return Some(DatabaseKind::Mongo);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_servers_are_recognised() {
        let kind = |names: &[&str], filled: bool| {
            let names = Listing::of(names.iter().map(|name| name.as_bytes()));
            recognise(&names, |_| filled)
        };
        assert_eq!(kind(&["PG_VERSION", "base", "postmaster.pid"], false), Some(DatabaseKind::Postgres));
        assert_eq!(kind(&["PG_VERSION", "base"], true), None);
        assert_eq!(kind(&["ibdata1", "db.pid"], false), Some(DatabaseKind::Mysql));
        assert_eq!(kind(&["ibdata1", "ibtmp1"], false), Some(DatabaseKind::Mysql));
        assert_eq!(kind(&["ibdata1", "ib_logfile0", "aria_log_control"], false), None);
        assert_eq!(kind(&["WiredTiger", "mongod.lock"], true), Some(DatabaseKind::Mongo));
        assert_eq!(kind(&["WiredTiger", "mongod.lock"], false), None);
    }
}
