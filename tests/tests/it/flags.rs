//! Settings as environment variables and as flags.

use std::time::Duration;

/// Interval and lease of alert evaluation, short for tests.
pub(crate) const INTERVALS: monitoring::Schedule = monitoring::Schedule {
    every: Duration::from_millis(500),
    lease: Duration::from_secs(3),
};

/// Settings as environment variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// The settings with `more` added or replaced.
pub(crate) fn with(mut settings: Settings, more: &[(&'static str, &str)]) -> Settings {
    settings.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let more = more
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    settings.extend(more);
    settings
}

/// The settings as command-line flags.
pub(crate) fn flags(program: &str, settings: &Settings) -> Vec<String> {
    let flag = |name: &str| format!("--{}", name.to_ascii_lowercase().replace('_', "-"));
    let pairs = settings
        .iter()
        .flat_map(|(name, value)| [flag(name), value.clone()]);
    std::iter::once(program.to_owned()).chain(pairs).collect()
}
