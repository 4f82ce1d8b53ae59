//! The environment file, as systemd and shells read it.

use settings::Problem;

use crate::screen::Stop;

/// Settings by the name of their variable, each once.
pub(super) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(super) fn new(given: Vec<(String, String)>) -> Self {
        let mut settings = Self(Vec::new());
        for (name, value) in given {
            settings.set(&name, value);
        }
        settings
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value.into()));
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Whether the setting, or the file of a secret, is given.
    pub(super) fn has(&self, name: &str) -> bool {
        let file = format!("{name}_FILE");
        self.0
            .iter()
            .any(|(other, _)| other == name || *other == file)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The lines of the file.
    pub(super) fn render(&self) -> Result<String, Stop> {
        let mut text = String::from(
            "# Settings of orderbridge: docs/SETTINGS.md. This file may hold secrets.\n",
        );
        for (name, value) in &self.0 {
            let is_path = name.ends_with("_FILE") || name == "ORDERBRIDGE_CONFIG";
            let value = match is_path {
                true => quoted(name, &std::path::absolute(value)?.display().to_string())?,
                false => quoted(name, value)?,
            };
            text.push_str(&format!("{name}={value}\n"));
        }
        Ok(text)
    }
}

/// The value as both systemd and a shell read it.
fn quoted(name: &str, value: &str) -> Result<String, Problem> {
    if value.contains(char::is_control) {
        let fix = "Remove them, or put the value into a file where the setting has one";
        return Err(Problem::new(
            name.to_owned(),
            "contains control characters",
            fix,
        ));
    }
    Ok(settings::quoted(value))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn shell_reads_every_value_as_it_was_given() {
        for value in ["plain", "a b", "$HOME `id` \\ \" ' !", "#x;y&z?a=b", "ü"] {
            let mut settings = Settings::new(Vec::new());
            settings.set("WHMCS_SECRET", value);
            let script = format!("{}printf %s \"$WHMCS_SECRET\"", settings.render().unwrap());
            let read = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(read.stdout).unwrap(), value);
        }
        assert!(quoted("WHMCS_SECRET", "a\nb").is_err());
    }
}
