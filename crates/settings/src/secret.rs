//! Secrets: given directly or in a file, never shown.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::{Problem, Problems};

/// A secret text. `Debug` does not show it, and it is wiped on drop.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text, for the code that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A secret setting and its `_FILE` variant, as given.
#[derive(Clone, Debug)]
pub struct SecretArgs<'a> {
    /// The setting's environment name.
    pub name: &'static str,
    /// The environment name of the `_FILE` variant.
    pub file_name: &'static str,
    /// The secret itself.
    pub value: Option<&'a str>,
    /// A file with the secret.
    pub file: Option<&'a str>,
}

impl SecretArgs<'_> {
    /// Reads the secret; `None` when neither is set. A trailing newline is dropped.
    ///
    /// # Errors
    /// Both are set, or the file cannot be read or is empty.
    pub fn read(&self) -> Result<Option<Secret>, Problem> {
        let present = |text: Option<&str>| {
            text.filter(|text| !text.trim().is_empty())
                .map(str::to_owned)
        };
        let text = match (present(self.value), self.path()) {
            (Some(_), Some(_)) => {
                return Err(Problem {
                    name: self.name,
                    what: format!("set together with {}", self.file_name),
                    fix: "Set only one of the two".to_owned(),
                });
            }
            (Some(text), None) => text,
            (None, None) => return Ok(None),
            (None, Some(path)) => return Self::read_file(self.file_name, &path).map(Some),
        };
        Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
    }

    /// Reads the secret from the file of this setting.
    pub(crate) fn read_file(name: &'static str, path: &Path) -> Result<Secret, Problem> {
        let text = std::fs::read_to_string(path).map_err(|error| Problem {
            name,
            what: format!("`{}` cannot be read: {error}", path.display()),
            fix: "Use a file that this program can read".to_owned(),
        })?;
        if text.trim().is_empty() {
            return Err(Problem {
                name,
                what: format!("`{}` is empty", path.display()),
                fix: "Write the secret to it".to_owned(),
            });
        }
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }

    /// The secret; collects a problem when it could not be read or is not set.
    pub fn required<T>(
        &self,
        read: Result<Option<T>, Problem>,
        problems: &mut Problems,
    ) -> Option<T> {
        problems.take(read.and_then(|secret| {
            secret.ok_or_else(|| Problem {
                name: self.name,
                what: "required but not set".to_owned(),
                fix: format!("Set {} or {}", self.name, self.file_name),
            })
        }))
    }

    /// The file, if given: for secrets that are read again when it changes.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.file
            .filter(|path| !path.trim().is_empty())
            .map(PathBuf::from)
    }
}
