//! The optional configuration file (`ORDERBRIDGE_CONFIG`, TOML).

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::Problems;

const NAME: &str = "ORDERBRIDGE_CONFIG";
/// Every known table. Each program reads its own tables and ignores the others, so that all
/// programs of an install can share one file.
const TABLES: [&str; 3] = ["salesforce", "whmcs", "products"];

/// The file's tables; empty if there is no file.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    path: String,
    tables: Table,
}

impl ConfigFile {
    /// Reads the file and records problems of the file as a whole.
    pub fn read(path: Option<&Path>, problems: &mut Problems) -> Option<Self> {
        let Some(path) = path else {
            return Some(Self::default());
        };
        let shown = path.display().to_string();
        let shown = shown.as_str();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("`{shown}` cannot be read: {error}");
                problems.add(NAME, what, "Use the path of a readable TOML file");
                return None;
            }
        };
        let tables: Table = match toml::from_str(&text) {
            Ok(tables) => tables,
            Err(error) => {
                add_problem(shown, error.message(), problems);
                return None;
            }
        };
        for unknown in tables
            .keys()
            .filter(|name| !TABLES.contains(&name.as_str()))
        {
            let what = format!("`{unknown}` is not a known table ({})", TABLES.join(", "));
            add_problem(shown, &what, problems);
        }
        Some(Self {
            path: shown.to_owned(),
            tables,
        })
    }

    /// Reads a table, or the defaults if it is missing.
    pub fn table<T: DeserializeOwned + Default>(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        let Some(table) = self.tables.get(name) else {
            return Some(T::default());
        };
        match Value::try_into(table.clone()) {
            Ok(table) => Some(table),
            Err(error) => {
                let what = format!("{name}: {}", error.message());
                add_problem(&self.path, &what, problems);
                None
            }
        }
    }
}

fn add_problem(path: &str, what: &str, problems: &mut Problems) {
    problems.add(
        NAME,
        format!("`{path}` is not valid: {}", what.trim()),
        "Correct that line of the file",
    );
}
