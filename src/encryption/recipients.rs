//! Who can open what is encrypted.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use age::Encryptor;
use age::secrecy::SecretString;
use age::ssh::ParseRecipientKeyError as SshError;
use age::stream::StreamWriter;

use super::Hashing;
use crate::printable::{counted, printable};

/// scrypt's N is two to the power of this, as in the `age` program: 256 MiB, and about a second.
const WORK_FACTOR: u8 = 18;

/// To whom archives are encrypted: public keys, or whoever knows a passphrase.
#[derive(Clone)]
pub struct Recipients(Kind);

#[derive(Clone)]
enum Kind {
    Keys(Arc<[Key]>),
    Passphrase(SecretString),
}

enum Key {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipients {
    /// These public keys: at least one, each `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
    ///
    /// # Errors
    /// Which is none, and why.
    pub fn keys(texts: &[String]) -> Result<Self, String> {
        if texts.is_empty() {
            return Err("no recipient; write a public key, age1…, ssh-ed25519 … or ssh-rsa …".into());
        }
        let key = |(number, text): (usize, &String)| {
            key(text).map_err(|why| {
                let which = if texts.len() == 1 { String::new() } else { format!(" {}", number + 1) };
                // What is nothing like a public key may be a secret that went astray, and is not repeated.
                let public = text.starts_with("age1") || text.starts_with("ssh-");
                let text = if public { format!(" {}", printable(text.as_bytes())) } else { String::new() };
                format!("recipient{which}{text}: {why}")
            })
        };
        let keys = texts.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Kind::Keys(keys.into())))
    }

    /// Whoever knows this passphrase.
    ///
    /// # Errors
    /// If nobody could type it.
    pub fn passphrase(text: &str) -> Result<Self, String> {
        super::keys::passphrase(text).map(|passphrase| Self(Kind::Passphrase(passphrase)))
    }

    /// Whether it is a passphrase.
    pub fn is_passphrase(&self) -> bool {
        matches!(self.0, Kind::Passphrase(_))
    }

    /// Encrypt what is written from here on. With a passphrase this takes a second, and 256 MiB.
    ///
    /// # Errors
    /// If the beginning cannot be written.
    pub fn seal<'a>(&self, out: &'a mut (dyn Write + Send)) -> io::Result<Sealed<'a>> {
        let encryptor = match &self.0 {
            Kind::Keys(keys) => Encryptor::with_recipients(keys.iter().map(|key| match key {
                Key::X25519(key) => key as _,
                Key::Ssh(key) => key as _,
            })),
            Kind::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK_FACTOR);
                Encryptor::with_recipients(std::iter::once(&recipient as _))
            }
        };
        // What the crate says of its errors is in words of its own, and none is to be expected of such recipients.
        let encryptor = encryptor.map_err(|e| io::Error::other(format!("encrypt: {e:?}")))?;
        let hashing = Hashing { out, bytes: 0, hasher: blake3::Hasher::new() };
        encryptor.wrap_output(hashing).map(Sealed)
    }
}

/// For people: no secret is in it.
impl fmt::Display for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Keys(keys) => write!(f, "to {}", counted(keys.len() as u64, "recipient", "recipients")),
            Kind::Passphrase(_) => f.write_str("with a passphrase"),
        }
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({self})")
    }
}

/// Encrypts what is written to it.
pub struct Sealed<'a>(StreamWriter<Hashing<'a>>);

impl Sealed<'_> {
    /// Write the end, without which nothing of it counts: how many bytes were written in all, and their hash.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<(u64, blake3::Hash)> {
        let hashing = self.0.finish()?;
        Ok((hashing.bytes, hashing.hasher.finalize()))
    }
}

impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn key(text: &str) -> Result<Key, String> {
    if text.starts_with("age1") {
        return text.parse().map(Key::X25519).map_err(|_| {
            "not a public key of age, which is age1 and 58 letters and digits (those of plugins and hybrid ones are not \
             known here): a letter may be wrong or missing"
                .into()
        });
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
        return text.parse().map(Key::Ssh).map_err(|e| match e {
            SshError::RsaModulusTooSmall => {
                "an RSA key of less than 2,048 bits is not safe; use another".into()
            }
            SshError::RsaModulusTooLarge => "an RSA key this large is not supported; use another".into(),
            SshError::Unsupported(kind) => {
                format!(
                    "SSH keys of the kind {} cannot be used; ssh-ed25519 and ssh-rsa can",
                    printable(kind.as_bytes())
                )
            }
            _ => "not an SSH public key: a letter may be wrong or missing".into(),
        });
    }
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") || text.contains("PRIVATE KEY") {
        return Err(
            "this is a private key, and whoever has it can read the archives; write its public key, which \
                    age-keygen -y prints, and keep the private one elsewhere"
                .into(),
        );
    }
    Err("not a public key; write age1…, ssh-ed25519 … or ssh-rsa …".into())
}
