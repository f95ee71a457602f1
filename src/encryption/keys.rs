//! What opens what is encrypted.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Identity};
use age_core::format::{FileKey, Stanza};

use super::opened::InOurWords;
use super::recipients::Recipients;
use super::refused::refused;
use crate::error::Result;
use crate::printable::counted;

/// The most work that a file may ask for before a passphrase opens it, as scrypt's N in powers of two: 1 GiB of memory
/// and some seconds. The `age` program asks for 18.
const WORK_MOST: u8 = 20;

/// Private keys and passphrases. A clone is the same ones.
#[derive(Clone, Default)]
pub struct Keys {
    identities: Vec<Arc<dyn Identity + Send + Sync>>,
    passphrases: Vec<SecretString>,
}

impl Keys {
    /// The private keys in a text: lines as `age-keygen` writes them, and SSH keys, which this passphrase may protect.
    ///
    /// # Errors
    /// Which line is none, and why; never what stands in it.
    pub fn identities(text: &str, protection: Option<&str>) -> Result<Self, String> {
        let mut identities: Vec<Arc<dyn Identity + Send + Sync>> = Vec::new();
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why: &str| format!("line {number}: {why}");
            if line.starts_with("-----BEGIN ") {
                let mut block = format!("{line}\n");
                for (line, _) in lines.by_ref() {
                    block.push_str(line.trim_end());
                    block.push('\n');
                    if line.starts_with("-----END ") {
                        break;
                    }
                }
                identities.push(Arc::new(ssh(&block, protection).map_err(wrong)?));
                continue;
            }
            let identity: age::x25519::Identity = line.parse().map_err(|_| wrong(not_a_key(line)))?;
            identities.push(Arc::new(identity));
        }
        if identities.is_empty() {
            return Err("there is no private key in it; age-keygen makes one".into());
        }
        Ok(Self { identities, passphrases: Vec::new() })
    }

    /// A passphrase.
    ///
    /// # Errors
    /// If nobody could type it.
    pub fn passphrase(text: &str) -> Result<Self, String> {
        passphrase(text).map(|passphrase| Self { identities: Vec::new(), passphrases: vec![passphrase] })
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.identities.extend(others.identities.iter().cloned());
        self.passphrases.extend(others.passphrases.iter().cloned());
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrases.is_empty()
    }

    /// Whether there is a private key.
    pub fn has_identity(&self) -> bool {
        !self.identities.is_empty()
    }

    /// Whether there is a passphrase.
    pub fn has_passphrase(&self) -> bool {
        !self.passphrases.is_empty()
    }

    /// Whether the private keys open what is encrypted to these recipients, found out by doing so.
    pub fn fit(&self, recipients: &Recipients) -> bool {
        let mut sealed = Vec::new();
        let made = recipients.seal(&mut sealed).and_then(super::Sealed::finish);
        let keys = Self { identities: self.identities.clone(), passphrases: Vec::new() };
        made.is_ok() && keys.decrypt(std::io::Cursor::new(sealed), Path::new("a test")).is_ok()
    }

    /// What is encrypted in this reader, armored or not; the path is for messages.
    ///
    /// # Errors
    /// If no key opens it, or its beginning is damaged.
    pub fn decrypt(&self, reader: impl Read + 'static, path: &Path) -> Result<Box<dyn Read>> {
        let (reader, limit) = Limited::new(reader);
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(BufReader::new(reader)));
        let decryptor = decryptor.map_err(|e| refused(&e, self, false, path))?;
        limit.set(u64::MAX);
        let by_passphrase = decryptor.is_scrypt();
        let opening = Opening::with(self, by_passphrase);
        let opened = decryptor.decrypt(std::iter::once(&opening as _));
        opened
            .map(|reader| Box::new(InOurWords(reader)) as _)
            .map_err(|e| refused(&e, self, by_passphrase, path))
    }
}

/// For people: no secret is in it.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identities = counted(self.identities.len() as u64, "private key", "private keys");
        match (self.identities.is_empty(), self.passphrases.is_empty()) {
            (true, true) => f.write_str("no key"),
            (false, true) => f.write_str(&identities),
            (true, false) => f.write_str("a passphrase"),
            (false, false) => write!(f, "{identities} and a passphrase"),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({self})")
    }
}

/// Bytes of a file that are read for its header at most: a header of hundreds of recipients is shorter, and the time that
/// the crate takes for one grows with its square.
const HEADER_MAX: u64 = 256 << 10;

/// Fails when more is read than it may, which whoever has the other end can change.
pub(super) struct Limited<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R> Limited<R> {
    /// As much as a header may have.
    pub fn new(reader: R) -> (Self, Rc<Cell<u64>>) {
        let left = Rc::new(Cell::new(HEADER_MAX));
        (Self { reader, left: Rc::clone(&left) }, left)
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left.get()).unwrap_or(usize::MAX));
        if most == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let count = self.reader.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - count as u64);
        Ok(count)
    }
}

/// Tries all keys on a file, and keeps what opened it, so that it can be opened again without the work.
pub(super) struct Opening<'a> {
    keys: &'a Keys,
    by_passphrase: bool,
    found: RefCell<Option<FileKey>>,
}

impl<'a> Opening<'a> {
    pub fn with(keys: &'a Keys, by_passphrase: bool) -> Self {
        Self { keys, by_passphrase, found: RefCell::new(None) }
    }

    /// What opened it.
    pub fn found(self) -> Option<FileKey> {
        self.found.into_inner()
    }

    fn all(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        if self.by_passphrase {
            return first(self.keys.passphrases.iter().map(|passphrase| {
                let mut identity = age::scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(WORK_MOST);
                identity.unwrap_stanzas(stanzas)
            }));
        }
        first(self.keys.identities.iter().map(|identity| identity.unwrap_stanzas(stanzas)))
    }
}

/// The first that succeeded, or else the first error.
fn first(
    tried: impl Iterator<Item = Option<Result<FileKey, DecryptError>>>,
) -> Option<Result<FileKey, DecryptError>> {
    let mut failed = None;
    for result in tried.flatten() {
        match result {
            Ok(key) => return Some(Ok(key)),
            Err(e) => failed = failed.or(Some(Err(e))),
        }
    }
    failed
}

impl Identity for Opening<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.all(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let found = self.all(stanzas)?;
        if let Ok(key) = &found {
            *self.found.borrow_mut() = Some(copy(key));
        }
        Some(found)
    }
}

/// A file's key once more.
pub(super) fn copy(key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|copy| copy.copy_from_slice(key.expose_secret()))
}

/// A passphrase that a person can type into the `age` program.
pub(super) fn passphrase(text: &str) -> Result<SecretString, String> {
    if text.trim().is_empty() {
        return Err("the passphrase is empty, or blank".into());
    }
    if text.contains(char::is_control) {
        return Err(
            "the passphrase has a line end, or another control character, and could not be typed".into()
        );
    }
    Ok(SecretString::from(text))
}

fn ssh(block: &str, protection: Option<&str>) -> Result<age::ssh::Identity, &'static str> {
    use age::ssh::{Identity, UnsupportedKey};
    match Identity::from_buffer(block.as_bytes(), None) {
        Ok(Identity::Encrypted(key)) => {
            let passphrase = protection.ok_or(
                "an SSH key that is protected by a passphrase: set TARKEEP_AGE_IDENTITY_PASSPHRASE_FILE to a file that it \
                 stands in",
            )?;
            let key = key.decrypt(SecretString::from(passphrase));
            key.map(Identity::from).map_err(|_| {
                "the passphrase in TARKEEP_AGE_IDENTITY_PASSPHRASE is not the one that this SSH key is protected by"
            })
        }
        Ok(Identity::Unsupported(UnsupportedKey::EncryptedPem | UnsupportedKey::EncryptedSsh(_))) => Err(
            "an SSH key that is protected by a passphrase in a way that is not known here: take it off a copy, cp KEY COPY \
             and ssh-keygen -p -N '' -f COPY; or decrypt with age -d -i KEY, which asks for it",
        ),
        Ok(Identity::Unsupported(_)) => {
            Err("an SSH key of this kind cannot be used; ssh-ed25519 and ssh-rsa can")
        }
        Ok(key @ Identity::Unencrypted(_)) => Ok(key),
        Err(_) if block.starts_with("-----BEGIN AGE ENCRYPTED FILE") => Err(ENCRYPTED),
        Err(_) if block.contains("PUBLIC KEY") => Err("this is a public key; a private one is wanted here"),
        Err(_) => Err("not a private key of OpenSSH, or not all of one"),
    }
}

const ENCRYPTED: &str = "the private key is itself encrypted, which is not supported; age -d decrypts it";

/// What is wrong with a line that is none, without a word of it.
fn not_a_key(line: &str) -> &'static str {
    if line.starts_with("age1") || line.starts_with("ssh-") {
        "this is a public key; a private one is wanted here"
    } else if line.starts_with("AGE-PLUGIN-") {
        "keys of plugins are not supported"
    } else if line.starts_with("AGE-SECRET-KEY-1") {
        "not a private key of age: a letter may be wrong or missing"
    } else if line.starts_with("age-encryption.org/") {
        ENCRYPTED
    } else {
        "not a private key; AGE-SECRET-KEY-1… or an SSH key is wanted here (the path of a file stands in the setting \
         that ends with _FILE)"
    }
}
