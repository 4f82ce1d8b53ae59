//! Values that cannot be used.

use std::borrow::Cow;
use std::fmt;

use crate::Problem;

/// Why a value cannot be used, from its parser: [`parse`](crate::parse) names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong; `None`: the value is shown as not valid. Never contains the value of a
    /// secret.
    pub what: Option<String>,
    /// How to fix it.
    pub fix: String,
}

impl Invalid {
    /// A value that may be shown.
    pub fn new(fix: impl Into<String>) -> Self {
        Self {
            what: None,
            fix: fix.into(),
        }
    }

    /// A value that is not shown.
    pub fn because(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: Some(what.into()),
            fix: fix.into(),
        }
    }

    /// The problem of the setting with this value.
    pub fn problem(self, name: impl Into<Cow<'static, str>>, value: &str) -> Problem {
        let what = self
            .what
            .unwrap_or_else(|| format!("`{value}` is not valid"));
        Problem::new(name, what, self.fix)
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Some(what) => write!(f, "{what}. {}", self.fix),
            None => f.write_str(&self.fix),
        }
    }
}
