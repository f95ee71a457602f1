//! What people write for retention.

use std::time::Duration;

use crate::retention::{Keep, Rules, TIERS};

use super::nearest::suggestion;
use super::parse;

const FORMS: &str =
    "write all, or rules such as last=30 daily=14 weekly=8 monthly=12 yearly=5 hourly=24 within=90d";
/// More periods than this is a mistake of the hand.
const PERIODS_MOST: u32 = 100_000;
/// The longest `within`; more is a mistake of unit.
const WITHIN_MOST: Duration = Duration::from_hours(100 * 366 * 24);
/// The least that `BACKUPS_KEPT` may say.
const KEPT_LEAST: u32 = 7;

/// `all`, or rules with blanks or commas between them.
pub fn keep(text: &str) -> Result<Keep, String> {
    let words: Vec<&str> = text.split([' ', '\t', '\n', ',']).filter(|word| !word.is_empty()).collect();
    if words == ["all"] {
        return Ok(Keep::All);
    }
    let mut rules = Rules::default();
    let mut seen = Vec::new();
    for word in words {
        let (key, value) = match word.split_once('=') {
            Some(parts) => parts,
            None if word == "all" => return Err("all keeps everything: write it alone, or only rules".into()),
            None => {
                let is_name = word == "within" || TIERS.into_iter().any(|tier| tier.word() == word);
                let near = if is_name { String::new() } else { nearest(word) };
                return Err(format!(
                    "{word:?}: not a rule{near}; a rule is a name, = and a number, without blanks; {FORMS}"
                ));
            }
        };
        if seen.contains(&key) {
            return Err(format!("{key}: given twice; write it once"));
        }
        seen.push(key);
        if key == "within" {
            let within =
                parse::duration_up_to(value, WITHIN_MOST).map_err(|what| format!("within: {what}"))?;
            if within.is_zero() {
                return Err(format!(
                    "within={value}: keeps nothing; leave it out, or write how long, within=90d"
                ));
            }
            rules.set_within(within);
        } else if let Some(tier) = TIERS.into_iter().find(|tier| tier.word() == key) {
            rules.set(tier, count(key, value)?);
        } else {
            return Err(format!("{key:?}: no such rule{}; {FORMS}", nearest(key)));
        }
    }
    if rules.is_empty() {
        return Err(format!("no rule at all would delete every archive; {FORMS}"));
    }
    Ok(Keep::Rules(rules))
}

fn nearest(word: &str) -> String {
    suggestion(word, TIERS.iter().map(|tier| tier.word()).chain(["within"]))
}

fn count(key: &str, value: &str) -> Result<u32, String> {
    let example = format!("write a number from 1 to {PERIODS_MOST}, {key}=14, or leave the rule out");
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u32>() {
        Ok(0) => Err(format!("{key}=0: keeps nothing; {example}")),
        Ok(count) if digits && count <= PERIODS_MOST => Ok(count),
        _ => Err(format!("{key}={value}: not a number of archives to keep; {example}")),
    }
}

/// `BACKUPS_KEPT`: how many of the newest archives are kept.
pub fn backups_kept(text: &str) -> Result<Keep, String> {
    let text = text.trim();
    let number = count("last", text)
        .map_err(|_| format!("{text:?}: write how many archives to keep, {KEPT_LEAST} to {PERIODS_MOST}"))?;
    if number < KEPT_LEAST {
        return Err(format!(
            "{number}: what is found broken after some days would be in every archive that is left; write {KEPT_LEAST} \
             or more, or TARKEEP_KEEP=last={number} if that is meant"
        ));
    }
    let mut rules = Rules::default();
    rules.set(crate::retention::Tier::Last, number);
    Ok(Keep::Rules(rules))
}

/// A table of the file as the text that says the same.
pub fn of_table(table: toml::Table) -> Result<String, String> {
    let words = table.into_iter().map(|(key, value)| match value {
        // Put into words it would be another key, or several.
        _ if !key.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            Err(format!("{key:?}: no such rule{}; {FORMS}", nearest(&key)))
        }
        toml::Value::Integer(number) => Ok(format!("{key}={number}")),
        toml::Value::String(text)
            if !text.contains(|letter: char| letter.is_whitespace() || letter == ',') =>
        {
            Ok(format!("{key}={text}"))
        }
        _ => Err(format!("{key}: write a number, or for within a text such as \"90d\"")),
    });
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    if words.is_empty() {
        return Err(format!("no rule at all would delete every archive; {FORMS}"));
    }
    Ok(words.join(" "))
}
