//! Why an archive was not opened, in words that say what to do.

use std::path::Path;

use age::DecryptError;

use super::keys::Keys;
use super::locked;
use crate::error::Error;
use crate::printable::printable_path;

/// What to say of an archive that was not opened with these keys.
pub(super) fn refused(error: &DecryptError, keys: &Keys, by_passphrase: bool, path: &Path) -> Error {
    let damaged =
        |what: &str| -> Error { Error::damaged(format!("archive {}: {what}", printable_path(path))) };
    match error {
        DecryptError::Io(e) if e.raw_os_error().is_some() => Error::io(
            "read archive",
            path,
            std::io::Error::from_raw_os_error(e.raw_os_error().unwrap_or_default()),
        ),
        DecryptError::ExcessiveWork { required, .. } => locked(
            path,
            &format!(
                "asks for so much work for the passphrase (2^{required}) that it was refused; if it is to be trusted, \
                 decrypt it with age -d first"
            ),
        ),
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            locked(path, why(keys, by_passphrase))
        }
        DecryptError::UnknownFormat => {
            damaged("it is encrypted with another version of age, or its first line is damaged")
        }
        DecryptError::InvalidMac => damaged("its header, before what is encrypted, is damaged"),
        _ => damaged("its header, before what is encrypted, is damaged or incomplete"),
    }
}

fn why(keys: &Keys, by_passphrase: bool) -> &'static str {
    match (by_passphrase, keys.has_passphrase(), keys.has_identity()) {
        (true, false, _) => "needs a passphrase: set TARKEEP_AGE_PASSPHRASE_FILE to a file that it stands in",
        (true, true, _) => "the passphrase that is configured is not the one that it was made with",
        (false, _, false) => {
            "needs a private key: name the file with it, --identity FILE, or set TARKEEP_AGE_IDENTITY_FILE"
        }
        (false, _, true) => {
            "no private key that is configured opens it: it was made for another; name the file with that one, \
             --identity FILE"
        }
    }
}

/// A result of a system call while reading what is encrypted, or of decrypting it.
pub(super) fn io(error: std::io::Error) -> std::io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    // Of the crate's own: a chunk that does not have the sum that it should, or is not there.
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => error,
        _ => std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "what is encrypted is damaged here, or was cut",
        ),
    }
}
