//! Until the real ones arrive.
use crate::error::{Error, Result};
use std::str::FromStr;
/// stand-in
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule(String);
impl FromStr for Schedule {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(text.into()))
    }
}
/// stand-in
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);
impl Pattern {
    /// stand-in
    pub fn new(text: &str, _job: &str) -> Result<Self> {
        Ok(Self(text.into()))
    }
}
