//! What is wrong with a setting.

use std::fmt;

/// Exit code for wrong configuration, in a flag or in the environment (`EX_USAGE`).
pub const EXIT_CONFIG: u8 = 64;

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}. {fix}")]
pub struct Problem {
    /// The setting, by its environment name.
    pub name: &'static str,
    /// What was wrong. Never the value of a secret.
    pub what: String,
    /// How to mend it.
    pub fix: String,
}

/// All problems found so far, so that one start shows every one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problems yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a problem.
    pub fn add(&mut self, name: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Problem {
            name,
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// The value, or a noted problem.
    pub fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.0.push(problem);
                None
            }
        }
    }

    /// The setting's text, or a noted problem when it is absent or blank.
    pub fn required(&mut self, name: &'static str, value: Option<&str>) -> Option<String> {
        let value = value.map(str::trim).filter(|text| !text.is_empty());
        if value.is_none() {
            self.add(name, "it is required and not set", format!("Set {name}"));
        }
        value.map(str::to_owned)
    }

    /// Parses the setting's text, or its default when it is absent or blank.
    pub fn parse<T>(
        &mut self,
        name: &'static str,
        value: Option<&str>,
        default: &str,
        fix: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = value
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .unwrap_or(default);
        let parsed = parse(text);
        if parsed.is_none() {
            self.add(name, format!("`{text}` cannot be used"), fix);
        }
        parsed
    }

    /// A duration such as `250ms`, `90s`, `5m` or `2h`.
    pub fn duration(
        &mut self,
        name: &'static str,
        value: Option<&str>,
        default: &str,
    ) -> Option<std::time::Duration> {
        self.parse(
            name,
            value,
            default,
            "Give a duration such as 250ms, 90s, 5m or 2h",
            crate::duration,
        )
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str, value: Option<&str>, default: &str) -> Option<bool> {
        self.parse(
            name,
            value,
            default,
            "Give true or false",
            |text| match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
        )
    }

    /// The value, when there was no problem at all.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Whether anything was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the sequence of their finding.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
