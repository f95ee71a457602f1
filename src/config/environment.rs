//! Settings from the environment, and from the files that it names.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::nearest::suggestion;
use super::setting::{
    AGE_PASSPHRASE, AGE_RECIPIENTS, BACKUPS_KEPT, CONFIG_VARIABLE, KEEP, SCHEDULE, SETTINGS, Setting,
};
use super::value::{Origin, Value, Written};

/// Where a test lets the program fail. Release builds do not know it.
const FAILPOINT: &str = "TARKEEP_FAILPOINT";
/// Second names that belong to other programs too, so that theirs with `_FILE` may mean something else.
const SHARED: [&str; 2] = ["TZ", "RUST_LOG"];
/// The most that a file named by a `_FILE` variable may hold. More is the wrong file.
const FILE_MOST: u64 = 64 * 1024;

/// The variables of the process, or of a test.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// These variables and no others.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// What a variable holds. One that holds nothing, or only blanks, counts as not set: compose files pass those on.
    fn get(&self, name: &str) -> Option<&OsStr> {
        self.raw(name).filter(|value| !value.as_bytes().trim_ascii().is_empty())
    }

    fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }

    /// The path of the configuration file, if the environment says it.
    pub fn config_path(&self) -> Option<PathBuf> {
        self.get(CONFIG_VARIABLE).map(PathBuf::from)
    }

    /// The home folder of the user, if the environment says it.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// Refuse what has a name of ours and is none, and what contradicts itself.
    pub fn check_names(&self) -> Result<()> {
        let set = |name: &str| self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some();
        if set(BACKUPS_KEPT) && set(KEEP.variable) {
            return Err(Error::usage(format!(
                "{BACKUPS_KEPT} and {} are both set, and say the same thing in two ways; remove one of them",
                KEEP.variable
            )));
        }
        let ours = SETTINGS.iter().map(|setting| setting.variable).chain([CONFIG_VARIABLE]);
        let known: Vec<&str> = ours.collect();
        for (name, _) in &self.0 {
            if !name.as_bytes().starts_with(b"TARKEEP_") || injected(name) {
                continue;
            }
            let text = name.to_string_lossy();
            let plain = text.strip_suffix("_FILE").unwrap_or(&text);
            let has_file = plain != text && plain != CONFIG_VARIABLE;
            if known.contains(&&*text) || (has_file && known.contains(&plain)) {
                continue;
            }
            if cfg!(debug_assertions) && text == FAILPOINT {
                continue;
            }
            let did_you_mean = suggestion(plain, known.iter().copied());
            return Err(Error::usage(format!("{}: no such setting{did_you_mean}", text.escape_debug())));
        }
        Ok(())
    }

    /// What the environment says about a setting, under its own name or else its second.
    pub fn value(&self, setting: &'static Setting) -> Result<Option<Value>> {
        if let Some(value) = self.named(setting, setting.variable)? {
            return Ok(Some(value));
        }
        setting.second.map_or(Ok(None), |second| self.named(setting, second))
    }

    fn named(&self, setting: &'static Setting, name: &'static str) -> Result<Option<Value>> {
        let value = |text: OsString, origin| Value { written: Written::Text(text), origin, key: setting.key };
        let file_name = format!("{name}_FILE");
        let file = if SHARED.contains(&name) { None } else { self.get(&file_name) };
        match (self.get(name), file) {
            (Some(_), Some(_)) => {
                Err(Error::usage(format!("{name} and {file_name} are both set; remove one of them")))
            }
            (Some(text), None) => Ok(Some(value(text.into(), Origin::Variable(name)))),
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                let text = contents(&path).map_err(|cause| Error::usage(format!("{file_name}: {cause}")))?;
                let value = value(text, Origin::VariableFile(file_name, path.clone()));
                match &value.written {
                    Written::Text(text) if text.is_empty() => Err(value.wrong("the file is empty")),
                    _ => Ok(Some(value)),
                }
            }
            // "Never" and "whenever the default says" are too far apart to guess.
            (None, None) if *setting == SCHEDULE && self.raw(name).is_some() => Err(Error::usage(format!(
                "{name}: the schedule is empty; write a time such as 01:00, or off, or remove it"
            ))),
            // Nor is an archive that anybody can read what somebody meant who began to encrypt.
            (None, None)
                if [AGE_RECIPIENTS, AGE_PASSPHRASE].contains(setting)
                    && [name, &file_name].into_iter().any(|name| self.raw(name).is_some()) =>
            {
                let name = if self.raw(name).is_some() { name } else { &file_name };
                Err(Error::usage(format!(
                    "{name}: it is empty, and nothing would be encrypted; write what archives are encrypted to, or \
                     remove it"
                )))
            }
            (None, None) => Ok(None),
        }
    }
}

/// What Kubernetes puts into every container of a namespace that has a service called `tarkeep`.
fn injected(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b"TARKEEP_PORT" || name.starts_with(b"TARKEEP_PORT_") || name.starts_with(b"TARKEEP_SERVICE_")
}

/// A small file without its last line end.
pub(super) fn contents(path: &Path) -> Result<OsString> {
    let doing = "read file";
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MOST + 1).read_to_end(&mut text))
        .map_err(|cause| Error::io(doing, path, cause))?;
    if text.len() as u64 > FILE_MOST {
        return Err(Error::io(doing, path, std::io::Error::other("longer than 64 KiB")));
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(OsString::from_vec(text))
}
