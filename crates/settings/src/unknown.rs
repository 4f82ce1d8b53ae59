//! Environment variables that look like settings and are none.

/// The variables of every program, so that programs can share an environment. Generated from their
/// definitions: `UPDATE_DOCS=1 cargo nextest run -p e2e settings` regenerates it.
const KNOWN: &str = include_str!("known.txt");

/// Prefixes of our settings' names.
const PREFIXES: [&str; 10] = [
    "SF_",
    "WHMCS_",
    "WORKER_",
    "PORTAL_",
    "OPS_",
    "ALERT_",
    "RECONCILE_",
    "SUBSCRIBER_",
    "ORDERBRIDGE_",
    "PROBE_",
];

/// Below this similarity (0 to 1) a name is not a misspelling of another.
const SIMILAR: f64 = 0.75;

/// The variables among `names` that carry a prefix of our settings but are not one of any program,
/// each with the most similar setting, if one is similar.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<(String, Option<String>)> {
    let known: Vec<&str> = KNOWN.lines().collect();
    let mut unknown: Vec<_> = names
        .into_iter()
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| {
            let nearest = known
                .iter()
                .map(|known| (strsim::normalized_damerau_levenshtein(&name, known), known))
                .filter(|(similarity, _)| *similarity >= SIMILAR)
                .max_by(|(a, _), (b, _)| a.total_cmp(b))
                .map(|(_, known)| (*known).to_owned());
            (name, nearest)
        })
        .collect();
    unknown.sort();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_setting_is_found_with_the_nearest_name() {
        let names = [
            "WHMCS_TIMEOT",
            "WHMCS_TIMEOUT",
            "OPS_TOKEN_FILE",
            "SF_PRIVATE_KEY_FIEL",
            "ORDERBRIDGE_ZZZ",
            "PATH",
            "WORKERS",
        ];
        let found = unknown_variables(names.map(str::to_owned));
        let found: Vec<_> = found
            .iter()
            .map(|(name, nearest)| (name.as_str(), nearest.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                ("ORDERBRIDGE_ZZZ", None),
                ("SF_PRIVATE_KEY_FIEL", Some("SF_PRIVATE_KEY_FILE")),
                ("WHMCS_TIMEOT", Some("WHMCS_TIMEOUT")),
            ]
        );
    }
}
