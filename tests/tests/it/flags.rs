//! Settings of the programs, as a user gives them.

use std::time::Duration;

/// Nobody waits here for alerts to be judged.
pub(crate) const PACE: monitoring::Pace = monitoring::Pace {
    every: Duration::from_millis(500),
    lease: Duration::from_secs(3),
};

/// Settings as environment variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// These settings with others in place of those that have the same name.
pub(crate) fn with(mut settings: Settings, more: &[(&'static str, &str)]) -> Settings {
    settings.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let more = more
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    settings.extend(more);
    settings
}

/// Settings as command-line flags: each variable's twin.
pub(crate) fn flags(program: &str, settings: &Settings) -> Vec<String> {
    let flag = |name: &str| format!("--{}", name.to_ascii_lowercase().replace('_', "-"));
    let pairs = settings
        .iter()
        .flat_map(|(name, value)| [flag(name), value.clone()]);
    std::iter::once(program.to_owned()).chain(pairs).collect()
}
