//! Secrets: given directly or by a file, never shown.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::{Problem, Problems};

/// A secret text. `Debug` shows nothing of it, and it is wiped on drop.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A secret setting and its `_FILE` twin, as they were given.
#[derive(Clone, Debug)]
pub struct SecretArgs<'a> {
    /// The setting's environment name.
    pub name: &'static str,
    /// The twin's environment name.
    pub file_name: &'static str,
    /// The secret itself.
    pub value: Option<&'a str>,
    /// A file that holds it.
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
                    what: format!("it is set together with {}", self.file_name),
                    fix: "Set only one of the two".to_owned(),
                });
            }
            (Some(text), None) => text,
            (None, None) => return Ok(None),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(&path).map_err(|error| Problem {
                    name: self.file_name,
                    what: format!("`{}` cannot be read: {error}", path.display()),
                    fix: "Name a file that this program may read".to_owned(),
                })?;
                if text.trim().is_empty() {
                    return Err(Problem {
                        name: self.file_name,
                        what: format!("`{}` is empty", path.display()),
                        fix: "Put the secret into it".to_owned(),
                    });
                }
                text
            }
        };
        Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
    }

    /// Reads a secret that must be there, noting the problem otherwise.
    pub fn required(&self, problems: &mut Problems) -> Option<Secret> {
        let read = self.read().and_then(|secret| {
            secret.ok_or_else(|| Problem {
                name: self.name,
                what: "it is required and not set".to_owned(),
                fix: format!("Set {} or {}", self.name, self.file_name),
            })
        });
        problems.take(read)
    }

    /// The file, where one was named: for secrets that are read again when it changes.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.file
            .filter(|path| !path.trim().is_empty())
            .map(PathBuf::from)
    }
}
