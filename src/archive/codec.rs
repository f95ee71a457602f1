//! What an archive is compressed with.

#[cfg(feature = "bzip2")]
pub(super) mod bzip2;
#[cfg(not(all(feature = "bzip2", feature = "zstd")))]
pub(super) mod without;
#[cfg(feature = "zstd")]
pub(super) mod zstd;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::index::Envelope;
use crate::error::Error;

#[cfg(not(feature = "bzip2"))]
pub(super) use without as bzip2;
#[cfg(not(feature = "zstd"))]
pub(super) use without as zstd;

/// A codec and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// gzip with libdeflate's levels, 1 (fastest) to 12 (smallest).
    Gzip(u8),
    /// zstd, levels 1 (fastest) to 19 (smallest).
    Zstd(u8),
    /// bzip2 in blocks of 900,000 bytes, without an index.
    Bzip2,
    /// A plain tar, without compression and without an index.
    None,
}

impl Codec {
    /// Each once, at its default level.
    pub const ALL: [Self; 4] = [Self::Gzip(6), Self::Zstd(3), Self::Bzip2, Self::None];

    /// What the codec adds to an archive's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Gzip(_) => ".tar.gz",
            Self::Zstd(_) => ".tar.zst",
            Self::Bzip2 => ".tar.bz2",
            Self::None => ".tar",
        }
    }

    /// The codec of a file of this name, encrypted or not, at its default level, if the name says one.
    pub fn of_name(path: &Path) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let name = path.file_name()?.as_bytes();
        let name = name.strip_suffix(b".age").unwrap_or(name);
        let endings = |codec: &Self| -> &[&[u8]] {
            match codec {
                Self::Gzip(_) => &[b".gz", b".tgz"],
                Self::Zstd(_) => &[b".zst", b".tzst"],
                Self::Bzip2 => &[b".bz2", b".tbz2", b".tbz"],
                Self::None => &[b".tar"],
            }
        };
        let ends = |codec: &Self| endings(codec).iter().any(|ending| name.ends_with(ending));
        Self::ALL.into_iter().find(ends)
    }

    /// What archives of this codec are in, if they have an index.
    pub fn envelope(self) -> Option<Envelope> {
        match self {
            Self::Gzip(_) => Some(Envelope::Gzip),
            Self::Zstd(_) => Some(Envelope::Zstd),
            Self::Bzip2 | Self::None => None,
        }
    }

    /// Whether it is in this build.
    ///
    /// # Errors
    /// If it was left out.
    pub fn built(self) -> Result<(), Error> {
        let (name, built) = match self {
            Self::Zstd(_) => ("zstd", zstd::BUILT),
            Self::Bzip2 => ("bzip2", bzip2::BUILT),
            Self::Gzip(_) | Self::None => return Ok(()),
        };
        if built { Ok(()) } else { Err(Error::usage(format!("this tarkeep was built without {name}"))) }
    }

    /// What people can choose from.
    fn choice() -> String {
        let mut choice = "gzip, gzip:1 to gzip:12, ".to_string();
        if zstd::BUILT {
            choice.push_str("zstd, zstd:1 to zstd:19, ");
        }
        if bzip2::BUILT {
            choice.push_str("bzip2, ");
        }
        choice + "or none"
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::Gzip(6)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) => write!(f, "gzip:{level}"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Bzip2 => f.write_str("bzip2"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Error::usage(format!("codec {text:?}: {what}; use {}", Self::choice()));
        let level = |level: &str, most: u8| {
            let number = level.parse().ok().filter(|level| (1..=most).contains(level));
            number.filter(|_| !level.contains('+'))
        };
        let codec = match text.split_once(':') {
            None => match text {
                "gzip" => Self::Gzip(6),
                "zstd" => Self::Zstd(3),
                "bzip2" => Self::Bzip2,
                "none" => Self::None,
                _ => return Err(wrong("not a codec of this version")),
            },
            Some(("gzip", text)) => {
                Self::Gzip(level(text, 12).ok_or_else(|| wrong("a gzip level is a number from 1 to 12"))?)
            }
            Some(("zstd", text)) => {
                Self::Zstd(level(text, 19).ok_or_else(|| wrong("a zstd level is a number from 1 to 19"))?)
            }
            Some(("bzip2" | "none", _)) => return Err(wrong("it has no levels")),
            Some(_) => return Err(wrong("not a codec of this version")),
        };
        codec.built().map_err(|e| wrong(&e.to_string()))?;
        Ok(codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_wrong_ones_are_refused() {
        let all = ["gzip:1", "gzip:6", "gzip:12", "zstd:1", "zstd:19", "bzip2", "none"];
        for name in all {
            match name.parse::<Codec>() {
                Ok(codec) => assert_eq!(codec.to_string(), name),
                Err(e) => assert!(e.to_string().contains("was built without"), "{e}"),
            }
        }
        assert_eq!("gzip".parse::<Codec>().unwrap(), Codec::Gzip(6));
        assert_eq!("zstd".parse::<Codec>().is_ok(), cfg!(feature = "zstd"));
        assert_eq!("bzip2".parse::<Codec>().is_ok(), cfg!(feature = "bzip2"));
        for bad in [
            "", "gzip:0", "gzip:13", "gzip:", "gzip:+6", "GZIP", "none:1", "gzip:6 ", "zstd:0", "zstd:20",
            "zstd:+3", "zstd:", "bzip2:9", "bz2", "xz", "xz:6",
        ] {
            assert!(bad.parse::<Codec>().unwrap_err().to_string().contains("codec"), "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_file_says_its_codec() {
        for (name, codec) in [
            ("x.tar.gz", Some(Codec::Gzip(6))),
            ("a/x.tgz", Some(Codec::Gzip(6))),
            ("x.tar.zst", Some(Codec::Zstd(3))),
            ("x.tar.bz2", Some(Codec::Bzip2)),
            ("x.tbz2", Some(Codec::Bzip2)),
            ("x.tar", Some(Codec::None)),
            ("x", None),
            ("-", None),
            ("x.tar.gz/y", None),
            ("x.gz", Some(Codec::Gzip(6))),
            ("x.zst", Some(Codec::Zstd(3))),
            ("x.tbz", Some(Codec::Bzip2)),
            ("gz", None),
        ] {
            assert_eq!(Codec::of_name(Path::new(name)), codec, "{name}");
        }
    }
}
