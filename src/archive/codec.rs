//! What an archive is compressed with.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A codec and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// gzip with libdeflate's levels, 1 (fastest) to 12 (smallest).
    Gzip(u8),
    /// A plain tar, without compression and without an index.
    None,
}

impl Codec {
    /// What the codec adds to an archive's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Gzip(_) => ".tar.gz",
            Self::None => ".tar",
        }
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
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::usage(format!("codec {text:?}: {what}; use gzip, gzip:1 to gzip:12, or none"))
        };
        match text.split_once(':') {
            None if text == "gzip" => Ok(Self::default()),
            None if text == "none" => Ok(Self::None),
            Some(("gzip", level)) => match level.parse() {
                Ok(level @ 1..=12) if !text.contains('+') => Ok(Self::Gzip(level)),
                _ => Err(wrong("a gzip level is a number from 1 to 12")),
            },
            _ => Err(wrong("not a codec of this version")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_wrong_ones_are_refused() {
        for good in ["gzip:1", "gzip:6", "gzip:12", "none"] {
            assert_eq!(good.parse::<Codec>().unwrap().to_string(), good);
        }
        assert_eq!("gzip".parse::<Codec>().unwrap(), Codec::Gzip(6));
        for bad in ["", "gzip:0", "gzip:13", "gzip:", "gzip:+6", "GZIP", "zstd:3", "none:1", "gzip:6 "] {
            assert!(bad.parse::<Codec>().unwrap_err().to_string().contains("codec"), "{bad}");
        }
    }
}
