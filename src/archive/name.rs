//! What archives are called: a pattern makes names from local times, and knows its own names again.
//!
//! Pure: what is in a folder is the destination's business.

mod field;

use std::fmt::{self, Write as _};

use chrono::NaiveDateTime;
use field::{Field, Values, instant};

use crate::error::{Error, Result};

/// The pattern where none is given: a folder a day, a file a run.
pub const DEFAULT: &str = "%Y-%m-%d/%H-%M-%S";

/// Every ending that an archive of any version has. None of them ends with another, so a name has one at most.
pub const ENDINGS: [&str; 8] =
    [".tar.gz", ".tar", ".tar.zst", ".tar.bz2", ".tar.gz.age", ".tar.age", ".tar.zst.age", ".tar.bz2.age"];

/// The ending of an archive that is encrypted: that of the plain one, and `.age`.
pub fn encrypted(ending: &'static str) -> &'static str {
    ENDINGS.into_iter().find(|known| known.strip_suffix(".age") == Some(ending)).unwrap_or(ending)
}

/// File systems end a name at 255 bytes; number and ending come behind.
const LONGEST_PART: usize = 200;

/// How archives are called: [`DEFAULT`], or one of its kind.
///
/// Its language is a part of strftime's in which every field has a fixed width, so that a name can be read back:
/// `%Y %y %m %d %j %H %M %S`, `%%` for a percent sign, and `{job}` for the job's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Between the slashes.
    parts: Vec<Vec<Token>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    Field(Field),
}

/// The name of one archive below its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// The local time that the name says, as exactly as the pattern says it.
    pub local: NaiveDateTime,
    /// 1, or what stands behind the time where an earlier archive had the name already.
    pub number: u32,
    stem: String,
    ending: &'static str,
}

impl ArchiveName {
    /// What is tried when this name is taken: the same with the next number.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { number: self.number.saturating_add(1), ..self.clone() }
    }

    /// The name without its ending: `2026-11-20/01-00-00`, `2026-11-20/01-00-00-2`. People type this.
    pub fn short(&self) -> String {
        if self.number < 2 { self.stem.clone() } else { format!("{}-{}", self.stem, self.number) }
    }

    /// `.tar.gz`, or another of [`ENDINGS`].
    pub fn ending(&self) -> &'static str {
        self.ending
    }
}

/// The path below the destination.
impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.short(), self.ending)
    }
}

impl Pattern {
    /// Read a pattern; `{job}` in it stands for this job's name.
    ///
    /// # Errors
    /// If it would make names that cannot be read back, leave the destination, or are the same on two days.
    pub fn new(text: &str, job: &str) -> Result<Self> {
        let wrong = |why: String| Error::usage(format!("name pattern {text:?}: {why}"));
        let mut parts = vec![Vec::new()];
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '%' => {
                    let code =
                        rest.chars().next().ok_or_else(|| wrong("ends with a single %; write %%".into()))?;
                    rest = &rest[code.len_utf8()..];
                    if code == '%' {
                        push(&mut parts, "%");
                    } else {
                        let field = Field::of(code).ok_or_else(|| {
                            wrong(format!("%{code} is not known; use %Y %m %d %H %M %S %j %y, or %%"))
                        })?;
                        if let Some(part) = parts.last_mut() {
                            part.push(Token::Field(field));
                        }
                    }
                }
                '{' => {
                    let (word, behind) =
                        rest.split_once('}').ok_or_else(|| wrong("{ without }; use {job}".into()))?;
                    if word != "job" {
                        return Err(wrong(format!("{{{word}}} is not known; use {{job}}")));
                    }
                    if job.is_empty() || job.contains('/') {
                        return Err(wrong(format!("the job's name {job:?} cannot be a part of a file name")));
                    }
                    push(&mut parts, job);
                    rest = behind;
                }
                '/' => parts.push(Vec::new()),
                other => push(&mut parts, other.encode_utf8(&mut [0; 4])),
            }
        }
        let pattern = Self { text: text.into(), parts };
        pattern.check().map_err(wrong)?;
        Ok(pattern)
    }

    fn check(&self) -> Result<(), String> {
        let sample = self.stem(&NaiveDateTime::default());
        if sample.is_empty() {
            return Err(format!("is empty; the default is {DEFAULT}"));
        }
        if sample.starts_with('/') {
            return Err("must be relative: it is taken below the destination".into());
        }
        if sample.contains(char::is_control) {
            return Err("has a control character".into());
        }
        for part in sample.split('/') {
            match part {
                "" => return Err("has an empty part: two slashes, or one at the end".into()),
                "." | ".." => return Err(format!("must not contain {part:?} as a part")),
                _ if part.starts_with(".tarkeep") => {
                    return Err(
                        "a part must not begin with .tarkeep, which is kept for tarkeep itself".into()
                    );
                }
                _ if part.len() > LONGEST_PART => {
                    return Err(format!("a part is longer than {LONGEST_PART} bytes"));
                }
                _ => {}
            }
        }
        if let Some(ending) = ENDINGS.iter().find(|ending| sample.ends_with(*ending)) {
            return Err(format!("leave out {ending:?}: the codec adds its ending"));
        }
        let has = |field| self.parts.iter().flatten().any(|token| *token == Token::Field(field));
        let year = has(Field::Year) || has(Field::ShortYear);
        let day = has(Field::DayOfYear) || (has(Field::Month) && has(Field::Day));
        if !(year && day) {
            return Err(
                "the names of two days would be the same; it needs %Y (or %y), and %m with %d (or %j)".into(),
            );
        }
        Ok(())
    }

    /// The name of an archive. Reads back as the same for the years 0 to 9999 (with `%y` alone, 2000 to 2099).
    ///
    /// `ending` is one of [`ENDINGS`]; `number` from 2 on stands behind the time.
    pub fn name(&self, local: NaiveDateTime, ending: &'static str, number: u32) -> ArchiveName {
        let stem = self.stem(&local);
        let said = self.read(&stem).and_then(|(values, _)| instant(&values));
        ArchiveName { local: said.unwrap_or(local), number: number.max(1), stem, ending }
    }

    /// What this path below the destination is the name of: of all paths, exactly those that [`Pattern::name`] makes.
    pub fn parse(&self, path: &str) -> Option<ArchiveName> {
        let ending = ENDINGS.into_iter().find(|ending| path.ends_with(ending))?;
        let path = &path[..path.len() - ending.len()];
        let (values, behind) = self.read(path)?;
        let number = match behind.strip_prefix('-') {
            None if behind.is_empty() => 1,
            None => return None,
            Some(digits) => digits.parse().ok().filter(|n: &u32| *n >= 2 && n.to_string() == digits)?,
        };
        let local = instant(&values)?;
        let stem = self.stem(&local);
        // A field that stands twice, or a day of the year beside a date, may contradict itself.
        (stem == path[..path.len() - behind.len()]).then_some(ArchiveName { local, number, stem, ending })
    }

    /// Whether this path below the destination can be a folder on the way to an archive.
    pub fn is_folder(&self, path: &str) -> bool {
        self.read_folder(path).is_some()
    }

    /// Whether it can be, and has a time in its name: nobody but a run makes such a folder.
    pub fn is_dated_folder(&self, path: &str) -> bool {
        self.read_folder(path).is_some_and(|values| values.iter().any(Option::is_some))
    }

    fn read_folder(&self, path: &str) -> Option<Values> {
        let mut values = Values::default();
        let mut wanted = self.parts[..self.parts.len() - 1].iter();
        for part in path.split('/') {
            if !read_part(wanted.next()?, part, &mut values)?.is_empty() {
                return None;
            }
        }
        Some(values)
    }

    /// The fields of a whole name, and what stands behind it.
    fn read<'a>(&self, path: &'a str) -> Option<(Values, &'a str)> {
        let mut values = Values::default();
        let mut found = path.split('/');
        let (last, folders) = self.parts.split_last()?;
        for tokens in folders {
            if !read_part(tokens, found.next()?, &mut values)?.is_empty() {
                return None;
            }
        }
        let behind = read_part(last, found.next()?, &mut values)?;
        found.next().is_none().then_some((values, behind))
    }

    fn stem(&self, local: &NaiveDateTime) -> String {
        let mut stem = String::new();
        for (number, part) in self.parts.iter().enumerate() {
            if number > 0 {
                stem.push('/');
            }
            for token in part {
                match token {
                    Token::Literal(text) => stem.push_str(text),
                    Token::Field(field) => {
                        let _ = write!(stem, "{:0width$}", field.value(local), width = field.width());
                    }
                }
            }
        }
        stem
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new(DEFAULT, "").expect("a test reads the default")
    }
}

/// As it was typed.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn push(parts: &mut [Vec<Token>], text: &str) {
    if let Some(part) = parts.last_mut() {
        if let Some(Token::Literal(before)) = part.last_mut() {
            before.push_str(text);
        } else {
            part.push(Token::Literal(text.into()));
        }
    }
}

/// Read one part between slashes; what is left of it is returned.
fn read_part<'a>(tokens: &[Token], mut text: &'a str, values: &mut Values) -> Option<&'a str> {
    for token in tokens {
        match token {
            Token::Literal(literal) => text = text.strip_prefix(literal.as_str())?,
            Token::Field(field) => {
                let (digits, rest) = text.split_at_checked(field.width())?;
                let value =
                    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
                let earlier = values[*field as usize].replace(value);
                if !field.range().contains(&value) || earlier.is_some_and(|earlier| earlier != value) {
                    return None;
                }
                text = rest;
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
    }

    #[test]
    fn every_ending_has_one_for_what_is_encrypted() {
        for ending in ENDINGS.into_iter().filter(|ending| !ending.contains(".age")) {
            assert_eq!(encrypted(ending), format!("{ending}.age"));
        }
    }

    #[test]
    fn the_default_makes_a_folder_a_day() {
        let pattern = Pattern::default();
        let name = pattern.name(at("2026-11-20 01:02:03"), ".tar.gz", 1);
        assert_eq!(name.to_string(), "2026-11-20/01-02-03.tar.gz");
        assert_eq!(name.next().to_string(), "2026-11-20/01-02-03-2.tar.gz");
        assert_eq!(name.next().next().short(), "2026-11-20/01-02-03-3");
        assert_eq!(pattern.parse("2026-11-20/01-02-03-2.tar.gz"), Some(name.next()));
    }

    #[test]
    fn only_its_own_names_are_recognised() {
        let pattern = Pattern::default();
        for stranger in [
            "",
            ".tar.gz",
            "01-02-03.tar.gz",
            "2026-11-20/01-02-03",
            "2026-11-20/01-02-03.tgz",
            "2026-11-20/01-02-03.tar.gz.part",
            "2026-11-20/01-02-03.tar.gz.tar.gz",
            "2026-11-20/01-02-03-.tar.gz",
            "2026-11-20/01-02-03-0.tar.gz",
            "2026-11-20/01-02-03-1.tar.gz",
            "2026-11-20/01-02-03-02.tar.gz",
            "2026-11-20/01-02-03-+2.tar.gz",
            "2026-11-20/01-02-03-99999999999.tar.gz",
            "2026-11-20/01-02-03 2.tar.gz",
            "2026-11-20/24-02-03.tar.gz",
            "2026-11-20/01-60-03.tar.gz",
            "2026-11-20/1-02-03.tar.gz",
            "2026-02-30/01-02-03.tar.gz",
            "2026-11-20/x/01-02-03.tar.gz",
            "/2026-11-20/01-02-03.tar.gz",
            "2026-11-20//01-02-03.tar.gz",
            "+026-11-20/01-02-03.tar.gz",
            "2026-11-20/01-02-\u{663}\u{663}.tar.gz",
        ] {
            assert_eq!(pattern.parse(stranger), None, "{stranger}");
        }
        for ending in ENDINGS {
            let path = format!("2026-11-20/01-02-03{ending}");
            assert_eq!(pattern.parse(&path).unwrap().to_string(), path);
        }
    }

    #[test]
    fn a_name_that_contradicts_itself_is_not_ours() {
        let pattern = Pattern::new("%Y/%j/%Y-%m-%d", "").unwrap();
        assert!(pattern.parse("2026/324/2026-11-20.tar.gz").is_some());
        assert!(pattern.parse("2026/323/2026-11-20.tar.gz").is_none());
        assert!(pattern.parse("2025/324/2026-11-20.tar.gz").is_none());
    }

    #[test]
    fn folders_are_recognised_on_the_way() {
        let pattern = Pattern::new("keep/{job}/%Y/%m-%d/%H-%M-%S", "db").unwrap();
        for folder in ["keep", "keep/db", "keep/db/2026", "keep/db/2026/11-20"] {
            assert!(pattern.is_folder(folder), "{folder}");
        }
        assert!(!pattern.is_dated_folder("keep/db"));
        assert!(pattern.is_dated_folder("keep/db/2026"));
        for stranger in ["", "db", "keep/other", "keep/db/2026/13-20", "keep/db/2026/11-20/01-00-00", "keep/"]
        {
            assert!(!pattern.is_folder(stranger), "{stranger}");
        }
    }

    #[test]
    fn patterns_that_cannot_work_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("/%Y%m%d", "must be relative"),
            ("%Y%m%d/", "empty part"),
            ("%Y//%m%d", "empty part"),
            ("../%Y%m%d", "\"..\""),
            ("%Y%m%d/./%H", "\".\""),
            (".tarkeep/%Y%m%d", ".tarkeep"),
            ("%Y/.tarkeep-%m%d", ".tarkeep"),
            ("%Y%m%d\n", "control character"),
            ("%Y%m%d.tar.gz", "leave out \".tar.gz\""),
            ("nightly", "two days"),
            ("%H-%M-%S", "two days"),
            ("%Y-%m", "two days"),
            ("%Y-%d", "two days"),
            ("%Y-%m-%d-%s", "%s is not known"),
            ("%F", "%F is not known"),
            ("%Y%m%d%", "single %"),
            ("{version}-%Y%m%d", "{version} is not known"),
            ("{job-%Y%m%d", "{ without }"),
            (&format!("{}%Y%m%d", "x".repeat(199)), "longer than"),
        ] {
            let error = Pattern::new(text, "job").unwrap_err();
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
            assert_eq!(error.exit(), crate::exit::Exit::Usage);
        }
        assert!(Pattern::new("{job}/%Y%m%d", "a/b").unwrap_err().to_string().contains("a/b"));
        assert!(Pattern::new("{job}/%Y%m%d", "..").unwrap_err().to_string().contains("\"..\""));
    }

    fn times() -> impl Strategy<Value = NaiveDateTime> {
        // From the year 0 to 9999.
        (-62_167_219_200_i64..253_402_300_800)
            .prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 999).unwrap().naive_utc())
    }

    proptest! {
        #[test]
        fn names_round_trip(
            local in times(),
            number in 0_u32..2000,
            ending in prop::sample::select(ENDINGS.to_vec()),
            text in prop::sample::select(vec![
                DEFAULT, "%Y%j", "%Y%m%d%H%M%S", "{job}-%d.%m.%Y_%H%M", "100%%/%Y/%j/%y%m%d-2", "%S%M%H-%j-%Y",
            ]),
        ) {
            let pattern = Pattern::new(text, "job-7").unwrap();
            let name = pattern.name(local, ending, number);
            prop_assert_eq!(pattern.parse(&name.to_string()), Some(name.clone()));
            prop_assert!(name.local <= local);
            let folder = name.to_string();
            for (slash, _) in folder.match_indices('/') {
                prop_assert!(pattern.is_folder(&folder[..slash]));
            }
        }

        #[test]
        fn whatever_is_recognised_is_what_would_be_made(path in "[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{2}-[0-9]{2}-[0-9]{2}(-[0-9]{1,3})?\\.tar(\\.gz)?") {
            if let Some(name) = Pattern::default().parse(&path) {
                prop_assert_eq!(name.to_string(), path);
            }
        }
    }
}
