//! What stands in for encryption where it was not built in: settings are refused, and no archive is opened.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use super::locked;
use crate::error::Result;
use crate::uncached::Shared;

const WHY: &str = "this tarkeep was built without age: use one that has it, or remove the setting";

/// There are none.
#[derive(Debug, Clone)]
pub struct Recipients(Infallible);

impl Recipients {
    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn keys(_: &[String]) -> Result<Self, String> {
        Err(WHY.into())
    }

    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn passphrase(_: &str) -> Result<Self, String> {
        Err(WHY.into())
    }

    /// Never asked.
    pub fn is_passphrase(&self) -> bool {
        match self.0 {}
    }

    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub fn seal<'a>(&self, _: &'a mut (dyn Write + Send)) -> io::Result<Sealed<'a>> {
        match self.0 {}
    }
}

impl fmt::Display for Recipients {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

/// There is none.
pub struct Sealed<'a>(Infallible, std::marker::PhantomData<&'a ()>);

impl Sealed<'_> {
    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub fn finish(self) -> io::Result<(u64, blake3::Hash)> {
        match self.0 {}
    }
}

impl Write for Sealed<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}

/// There are none.
#[derive(Debug, Clone, Default)]
pub struct Keys(());

impl Keys {
    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn identities(_: &str, _: Option<&str>) -> Result<Self, String> {
        Err(WHY.into())
    }

    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn passphrase(_: &str) -> Result<Self, String> {
        Err(WHY.into())
    }

    /// None and none.
    #[must_use]
    pub fn and(self, _: &Self) -> Self {
        self
    }

    /// It is so.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// There is none.
    pub fn has_identity(&self) -> bool {
        false
    }

    /// There is none.
    pub fn has_passphrase(&self) -> bool {
        false
    }

    /// They do not.
    pub fn fit(&self, recipients: &Recipients) -> bool {
        match recipients.0 {}
    }

    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn decrypt(&self, _: impl Read + 'static, path: &Path) -> Result<Box<dyn Read>> {
        Err(cannot(path))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no key")
    }
}

/// There is none.
#[derive(Debug)]
pub struct Opened(Infallible);

impl Opened {
    /// Refused.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: impl Into<Shared>, path: &Path, _: &Keys) -> Result<Self> {
        Err(cannot(path))
    }

    /// Never asked.
    pub fn length(&self) -> Option<u64> {
        match self.0 {}
    }

    /// Never asked.
    pub fn stored(&self) -> u64 {
        match self.0 {}
    }

    /// Never asked.
    pub fn is_cut(&self) -> bool {
        match self.0 {}
    }

    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        match self.0 {}
    }

    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub fn reader(&self) -> io::Result<io::Empty> {
        match self.0 {}
    }
}

fn cannot(path: &Path) -> crate::error::Error {
    locked(path, "this tarkeep was built without age: decrypt it with age -d first")
}
