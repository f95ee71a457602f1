//! How archives are called: a pattern, understood, and names made by it and read back.

use std::fmt::{self, Write as _};

use chrono::{DateTime, NaiveDateTime};

use super::field::{Field, Values, instant};
use super::{ArchiveName, DEFAULT, ENDINGS};
use crate::error::{Error, Result};

/// What a name says of the time that has none in it.
const NO_TIME: NaiveDateTime = DateTime::UNIX_EPOCH.naive_utc();

/// File systems end a name at 255 bytes; number and ending come behind.
const LONGEST_PART: usize = 200;

/// How archives are called: [`DEFAULT`], or one of its kind.
///
/// Its language is a part of strftime's in which every field has a fixed width, so that a name can be read back:
/// `%Y %y %m %d %j %H %M %S`, `%%` for a percent sign, and `{job}` for the job's name. Or names have no time and end in
/// `{version}`: 1 for the newest archive, 2 for the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Between the slashes.
    parts: Vec<Vec<Token>>,
    /// Whether a number stands behind all that, always.
    versioned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    Field(Field),
}

impl Pattern {
    /// Read a pattern; `{job}` in it stands for this job's name.
    ///
    /// # Errors
    /// If it would make names that cannot be read back, leave the destination, or are the same on two days.
    pub fn new(text: &str, job: &str) -> Result<Self> {
        let wrong = |why: String| Error::usage(format!("name pattern {text:?}: {why}"));
        let mut parts = vec![Vec::new()];
        let mut versioned = false;
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
                    if word == "version" {
                        if !behind.is_empty() {
                            return Err(wrong("{version} can only stand at the end".into()));
                        }
                        (versioned, rest) = (true, behind);
                        continue;
                    }
                    if word != "job" {
                        return Err(wrong(format!(
                            "{{{word}}} is not known; use {{job}}, or {{version}} at the end"
                        )));
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
        let pattern = Self { text: text.into(), parts, versioned };
        pattern.check().map_err(wrong)?;
        Ok(pattern)
    }

    fn check(&self) -> Result<(), String> {
        let mut sample = self.stem(&NaiveDateTime::default());
        if self.versioned {
            sample.push('1');
        }
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
        let timed = self.parts.iter().flatten().any(|token| matches!(token, Token::Field(_)));
        if self.versioned {
            let reason = "{version} counts from the newest archive on; leave it out, or the times";
            return if timed { Err(reason.into()) } else { Ok(()) };
        }
        let has = |field| self.parts.iter().flatten().any(|token| *token == Token::Field(field));
        let year = has(Field::Year) || has(Field::ShortYear);
        let day = has(Field::DayOfYear) || (has(Field::Month) && has(Field::Day));
        if !(year && day) {
            return Err(
                "the names of two days would be the same; it needs %Y (or %y), and %m with %d (or %j); or \
                 {version} at the end"
                    .into(),
            );
        }
        Ok(())
    }

    /// The folders that all names have in common, with a slash behind each, and what makes two patterns of the same place
    /// make the same names: one may be written `{job}/%Y…` and another with the job's name, or in a folder below.
    pub fn split(&self) -> (String, impl PartialEq + use<'_>) {
        let fixed = |part: &Vec<Token>| match part.as_slice() {
            [Token::Literal(text)] => Some(text.clone() + "/"),
            _ => None,
        };
        let folders: Vec<String> = self.parts[..self.parts.len() - 1].iter().map_while(fixed).collect();
        let rest = &self.parts[folders.len()..];
        (folders.concat(), (rest, self.versioned))
    }

    /// Whether names say how many archives are newer, and no time.
    pub fn is_versioned(&self) -> bool {
        self.versioned
    }

    /// The name of an archive. Reads back as the same for the years 0 to 9999 (with `%y` alone, 2000 to 2099).
    ///
    /// `ending` is one of [`ENDINGS`]; `number` from 2 on stands behind the time.
    pub fn name(&self, local: NaiveDateTime, ending: &'static str, number: u32) -> ArchiveName {
        let stem = self.stem(&local);
        let versioned = self.versioned;
        if versioned {
            return ArchiveName { local: NO_TIME, number: number.max(1), versioned, stem, ending };
        }
        let said = self.read(&stem).and_then(|(values, _)| instant(&values));
        ArchiveName { local: said.unwrap_or(local), number: number.max(1), versioned, stem, ending }
    }

    /// What this path below the destination is the name of: of all paths, exactly those that [`Pattern::name`] makes.
    pub fn parse(&self, path: &str) -> Option<ArchiveName> {
        let ending = ENDINGS.into_iter().find(|ending| path.ends_with(ending))?;
        let path = &path[..path.len() - ending.len()];
        let (values, behind) = self.read(path)?;
        let canonical = |digits: &str, least: u32| {
            digits.parse().ok().filter(|number: &u32| *number >= least && number.to_string() == digits)
        };
        if self.versioned {
            let number = canonical(behind, 1)?;
            let stem = path[..path.len() - behind.len()].to_owned();
            return Some(ArchiveName { local: NO_TIME, number, versioned: true, stem, ending });
        }
        let number = match behind.strip_prefix('-') {
            None if behind.is_empty() => 1,
            None => return None,
            Some(digits) => canonical(digits, 2)?,
        };
        let local = instant(&values)?;
        let stem = self.stem(&local);
        // A field that stands twice, or a day of the year beside a date, may contradict itself.
        (stem == path[..path.len() - behind.len()]).then_some(ArchiveName {
            local,
            number,
            versioned: false,
            stem,
            ending,
        })
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
