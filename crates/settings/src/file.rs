//! The optional configuration file (`ORDERBRIDGE_CONFIG`, TOML).

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::Problems;

const NAME: &str = "ORDERBRIDGE_CONFIG";
/// Every table there is. Each program reads those that concern it and accepts the others, so
/// that all programs of an install can share one file.
const TABLES: [&str; 3] = ["salesforce", "whmcs", "products"];

/// The file's tables; empty where no file is named.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    path: String,
    tables: Table,
}

impl ConfigFile {
    /// Reads the file, noting what is wrong with it as a whole.
    pub fn read(path: Option<&str>, problems: &mut Problems) -> Option<Self> {
        let Some(path) = path.map(str::trim).filter(|path| !path.is_empty()) else {
            return Some(Self::default());
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("`{path}` cannot be read: {error}");
                problems.add(NAME, what, "Name a TOML file");
                return None;
            }
        };
        let tables: Table = match toml::from_str(&text) {
            Ok(tables) => tables,
            Err(error) => {
                not_understood(path, error.message(), problems);
                return None;
            }
        };
        for unknown in tables
            .keys()
            .filter(|name| !TABLES.contains(&name.as_str()))
        {
            let what = format!("`{unknown}` is none of {}", TABLES.join(", "));
            not_understood(path, &what, problems);
        }
        Some(Self {
            path: path.to_owned(),
            tables,
        })
    }

    /// One of its tables, or the defaults where it is missing.
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
                not_understood(&self.path, &what, problems);
                None
            }
        }
    }
}

fn not_understood(path: &str, what: &str, problems: &mut Problems) {
    problems.add(
        NAME,
        format!("`{path}` is not understood: {}", what.trim()),
        "Correct that line of the file",
    );
}
