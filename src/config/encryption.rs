//! The settings of encryption. Three of them are secrets: nothing of them is in any message.

use std::path::Path;

use super::environment::contents;
use super::setting::{AGE_IDENTITY, AGE_IDENTITY_PASSPHRASE, AGE_PASSPHRASE, AGE_RECIPIENTS, Setting};
use super::value::{Origin, Value, Written};
use crate::encryption::{Keys, Recipients};
use crate::error::{Error, Result};

/// A value that stands in a file that this place, a flag or a key, names.
pub fn from_file(setting: &'static Setting, place: &str, path: &Path) -> Result<Value> {
    let written = contents(path).map_err(|cause| Error::usage(format!("{place}: {cause}")))?;
    let origin = Origin::VariableFile(place.into(), path.into());
    let value = Value { written: Written::Text(written), origin, key: setting.key };
    match &value.written {
        Written::Text(text) if text.as_encoded_bytes().trim_ascii().is_empty() => {
            Err(value.wrong("the file is empty"))
        }
        _ => Ok(value),
    }
}

/// Whom archives are encrypted to, if they are, and what opens them.
pub fn read(value: impl Fn(&'static Setting) -> Result<Option<Value>>) -> Result<(Option<Recipients>, Keys)> {
    let mut keys = Keys::default();
    let protection = value(&AGE_IDENTITY_PASSPHRASE)?;
    if let Some(value) = value(&AGE_IDENTITY)? {
        let protection = protection.as_ref().map(Value::secret).transpose()?;
        let found = Keys::identities(value.secret()?, protection).map_err(|why| value.wrong(why))?;
        keys = keys.and(&found);
    }
    let to_keys = value(&AGE_RECIPIENTS)?;
    let to_passphrase = value(&AGE_PASSPHRASE)?;
    if let (Some(recipients), Some(passphrase)) = (&to_keys, &to_passphrase) {
        let (one, other) = (said(recipients), said(passphrase));
        return Err(Error::usage(format!(
            "{one} and {other} are both set, and age encrypts to recipients or with a passphrase, never both; remove \
             one of them"
        )));
    }
    let recipients = match (&to_keys, &to_passphrase) {
        (Some(value), _) => {
            let texts = recipients(value)?;
            Some(Recipients::keys(&texts).map_err(|why| value.wrong(why))?)
        }
        (None, Some(value)) => {
            let text = value.secret()?;
            let wrong = |why: String| value.wrong(why);
            keys = keys.and(&Keys::passphrase(text).map_err(wrong)?);
            Some(Recipients::passphrase(text).map_err(wrong)?)
        }
        (None, None) => None,
    };
    Ok((recipients, keys))
}

/// Where a value stands, with its key where the place has several.
fn said(value: &Value) -> String {
    match &value.origin {
        Origin::File(..) => format!("{}: {}", value.origin, value.key),
        origin => origin.to_string(),
    }
}

/// One a line, or with commas between them, as everywhere; a line that begins with # is none, as in files for
/// `age --recipients-file`.
fn recipients(value: &Value) -> Result<Vec<String>> {
    let Written::Text(text) = &value.written else { return value.texts() };
    // Not shown where it is no text: what was meant for another setting may stand here.
    let text = text.to_str().ok_or_else(|| value.wrong("not UTF-8"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let items = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}
