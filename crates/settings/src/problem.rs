//! Problems with settings.

use std::fmt;

/// Exit code for wrong configuration, in a flag or in the environment (`EX_USAGE`).
pub const EXIT_CONFIG: u8 = 64;

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}. {fix}")]
pub struct Problem {
    /// The setting, by its environment name.
    pub name: &'static str,
    /// What is wrong. Never contains the value of a secret.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

/// A collection of problems, so that one start reports all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Creates an empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn add(&mut self, name: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Problem {
            name,
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// The value; `None` adds the problem.
    pub fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.0.push(problem);
                None
            }
        }
    }

    /// The setting's text; absent or blank adds a problem.
    pub fn required(&mut self, name: &'static str, value: Option<&str>) -> Option<String> {
        let value = value.map(str::trim).filter(|text| !text.is_empty());
        if value.is_none() {
            self.add(name, "required but not set", format!("Set {name}"));
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
            self.add(name, format!("`{text}` is not valid"), fix);
        }
        parsed
    }

    /// Parses a duration such as `250ms`, `90s`, `5m` or `2h`.
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
            "Use a duration such as 250ms, 90s, 5m or 2h",
            crate::duration,
        )
    }

    /// Parses a duration within a range, both ends included.
    pub fn duration_within(
        &mut self,
        name: &'static str,
        value: Option<&str>,
        default: &str,
        range: (&str, &str),
    ) -> Option<std::time::Duration> {
        let (least, most) = range;
        let fix = format!("Use a duration from {least} to {most}, such as {default}");
        self.parse(name, value, default, &fix, |text| {
            let duration = crate::duration(text)?;
            let within = crate::duration(least)? <= duration && duration <= crate::duration(most)?;
            within.then_some(duration)
        })
    }

    /// Parses `true` or `false`.
    pub fn flag(&mut self, name: &'static str, value: Option<&str>, default: &str) -> Option<bool> {
        self.parse(name, value, default, "Use true or false", |text| match text
            .to_ascii_lowercase()
            .as_str()
        {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// The value, if there are no problems.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Whether there are no problems.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order they were found.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_outside_its_range_is_refused_with_the_range() {
        for (text, accepted) in [
            ("1s", true),
            ("5m", true),
            ("", true),
            ("0", false),
            ("999ms", false),
            ("1h", false),
            ("5", false),
        ] {
            let mut problems = Problems::new();
            let range = ("1s", "5m");
            let parsed = problems.duration_within("A_LEASE", Some(text), "10s", range);
            assert_eq!(parsed.is_some(), accepted, "{text}");
            let shown = problems.to_string();
            let names_range = shown.contains("A_LEASE") && shown.contains("from 1s to 5m");
            assert_eq!(names_range, !accepted, "{shown}");
        }
    }
}
