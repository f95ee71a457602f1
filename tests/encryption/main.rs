//! Archives encrypted with age: by the real program, against the `age` program and OpenSSH's keys.

#[path = "../common/mod.rs"]
mod common;

#[cfg(not(feature = "age"))]
mod absent;
#[cfg(all(feature = "age", feature = "bzip2", feature = "zstd"))]
mod codecs;
#[cfg(feature = "age")]
mod damage;
#[cfg(feature = "age")]
mod known;
#[cfg(feature = "age")]
mod round;
#[cfg(feature = "age")]
mod secrets;
#[cfg(feature = "age")]
mod settings;
#[cfg(feature = "age")]
mod stock;

use std::ffi::OsStr;
use std::fs;
#[cfg(feature = "age")]
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::program::feed;
use common::skip;
use common::tree::noise;

/// A private key and its public one.
pub struct Pair {
    /// What goes to TARKEEP_AGE_RECIPIENTS.
    pub public: String,
    /// The file of the private one.
    pub private: PathBuf,
}

/// A folder with a source, a destination, and what the program is given.
pub struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    /// With a few files in `data`: some text, and what does not compress.
    pub fn with_data() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/folder")).unwrap();
        fs::create_dir(folder.path().join("backup")).unwrap();
        fs::write(folder.path().join("data/text"), "words and words\n".repeat(1000)).unwrap();
        fs::write(folder.path().join("data/folder/small"), "small\n").unwrap();
        fs::write(folder.path().join("data/noise"), noise(300_000, 3)).unwrap();
        Self { folder, environment: Vec::new() }
    }

    /// Where something in it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Give the program this variable too.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.as_ref().to_str().unwrap().into()));
        self
    }

    /// Give it that no more.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The program, with these words before it (`strace …`, or none).
    pub fn command(&self, before: &[&str], arguments: &[&str]) -> Command {
        let mut words = before.to_vec();
        words.push(env!("CARGO_BIN_EXE_tarkeep"));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("TARKEEP_CONFIG", "/dev/null").env("TARKEEP_NICE", "0");
        command.env("TARKEEP_SOURCE", "data").env("TARKEEP_DESTINATION", self.path("backup"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Run it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[], arguments).output().unwrap()
    }

    /// What it printed; it ended with 0.
    #[track_caller]
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", all(&output));
        text(&output.stdout)
    }

    /// What it complained of, wherever; it ended with this code.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", all(&output));
        all(&output)
    }

    /// Run it with this on standard input.
    pub fn piped(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(&[], arguments);
        feed(&mut command, input)
    }

    /// The archives in the destination.
    pub fn archives(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for day in fs::read_dir(self.path("backup")).unwrap().map(|day| day.unwrap().path()) {
            if day.is_dir() && !day.ends_with(".tarkeep") {
                found.extend(fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    }

    /// The only archive in the destination.
    #[track_caller]
    pub fn archive(&self) -> PathBuf {
        let found = self.archives();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }
}

/// As text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All that it said.
pub fn all(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Whether there is such a program; said where there is none.
pub fn has(program: &str, package: &str) -> bool {
    let found =
        ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        skip(&format!("{program} (package {package})"));
    }
    found
}

/// A key of age.
#[cfg(feature = "age")]
pub fn x25519(place: &Place, name: &str) -> Pair {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    let private = place.path(name);
    let mut file = fs::File::create(&private).unwrap();
    writeln!(file, "# a comment\n{}", identity.to_string().expose_secret()).unwrap();
    Pair { public: identity.to_public().to_string(), private }
}

/// A key of OpenSSH, with this passphrase.
pub fn ssh(place: &Place, kind: &[&str], passphrase: &str) -> Option<Pair> {
    if !has("ssh-keygen", "openssh-client") {
        return None;
    }
    let private = place.path(&format!("id {}", kind.join(" ")));
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-C", "somebody@somewhere", "-N", passphrase, "-t"])
        .args(kind)
        .arg("-f")
        .arg(&private);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", all(&output));
    let public = fs::read_to_string(private.with_extension("pub")).unwrap();
    Some(Pair { public, private })
}
