//! What somebody probably meant.

use crate::zone::Tz;

/// The known name most like `name`, if one is like it at all. That variables begin with `TARKEEP_` makes none like another.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let own = |name: &str| {
        let lower = name.to_lowercase();
        lower.strip_prefix("tarkeep_").map_or(lower.clone(), str::to_owned)
    };
    let name = own(name);
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name, &own(known)), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// `; did you mean X?`, or nothing.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

/// Up to three time zones like `name`: those of that city first (`berlin`), then the most alike.
pub fn nearest_zones(name: &str) -> Vec<&'static str> {
    let wanted = name.trim().to_lowercase().replace(' ', "_");
    let likeness = |zone: &str| {
        let zone = zone.to_lowercase();
        let city = zone.rsplit('/').next().unwrap_or(&zone);
        let same = zone == wanted || city == wanted.rsplit('/').next().unwrap_or(&wanted);
        let alike = strsim::normalized_damerau_levenshtein(&zone, &wanted)
            .max(strsim::normalized_damerau_levenshtein(city, &wanted));
        if same { 1.0 + alike } else { alike }
    };
    let mut zones: Vec<_> = Tz::names().map(|zone| (likeness(zone), zone)).collect();
    zones.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    zones.into_iter().take(3).filter(|(likeness, _)| *likeness > 0.5).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_nonsense_has_none() {
        let known = ["TARKEEP_CODEC", "TARKEEP_SCHEDULE"];
        assert_eq!(nearest("TARKEEP_SHEDULE", known), Some("TARKEEP_SCHEDULE"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("TARKEEP_HEALTH", ["TARKEEP_STATE", "TARKEEP_SHARE"]), None);
    }

    #[test]
    fn zones_are_found_by_city_case_and_misspelling() {
        for (typed, first) in [
            ("berlin", "Europe/Berlin"),
            ("Europe/Berln", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("New York", "America/New_York"),
            ("utc", "UTC"),
            ("Asia/Berlin", "Europe/Berlin"),
        ] {
            let zones = nearest_zones(typed);
            assert!(zones.contains(&first), "{typed}: {zones:?}");
        }
    }
}
