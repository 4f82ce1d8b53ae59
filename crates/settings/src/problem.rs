//! Problems with settings.

use std::borrow::Cow;
use std::fmt;

/// Exit code for wrong configuration, in a flag or in the environment (`EX_USAGE`).
pub const EXIT_CONFIG: u8 = 64;

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}. {fix}")]
pub struct Problem {
    /// The setting, by its environment name.
    pub name: Cow<'static, str>,
    /// What is wrong. Never contains the value of a secret.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

impl Problem {
    /// A problem with this setting.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            fix: fix.into(),
        }
    }
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
    pub fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Problem::new(name, what, fix));
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

    /// The value; absent adds a problem.
    pub fn required<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(name, "required but not set", format!("Set {name}"));
        }
        value
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
