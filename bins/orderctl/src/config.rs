//! `orderctl config`.

use serde_json::json;
use settings::EffectiveSetting;

use crate::cli::ConfigVerb;
use crate::screen::{Exit, Screen, Stop, Table};

/// Every setting of the programs, as these flags and the environment give it.
fn settings(given: &[(String, String)]) -> Result<Vec<EffectiveSetting>, Stop> {
    let programs = [
        settings::origins::<subscriber::Args>(given)?,
        settings::origins::<worker::Args>(given)?,
        settings::origins::<portal::Args>(given)?,
    ];
    let mut found = Vec::<EffectiveSetting>::new();
    for setting in programs.iter().flat_map(settings::Origins::iter) {
        if !found.iter().any(|other| other.name == setting.name) {
            found.push(setting.clone());
        }
    }
    Ok(found)
}

pub(crate) fn run(verb: ConfigVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    let ConfigVerb::Show(args) = verb;
    let rows = settings(&args.given.0)?.into_iter().map(|setting| {
        let EffectiveSetting {
            name,
            value,
            origin,
        } = setting;
        let cell = value.clone().unwrap_or_else(|| "-".to_owned());
        let json = json!({"name": name, "value": value, "origin": origin});
        (vec![name, cell, origin.to_owned()], json)
    });
    screen.list(Table {
        columns: &["SETTING", "VALUE", "ORIGIN"],
        rows: rows.collect(),
    })?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_every_program_are_shown_once() {
        let given = [
            ("WHMCS_URL".to_owned(), "https://flag.example".to_owned()),
            ("WHMCS_SECRET".to_owned(), "hunter2".to_owned()),
        ];
        let settings = settings(&given).unwrap();
        let shown = |name: &str| {
            let mut found = settings.iter().filter(|setting| setting.name == name);
            let setting = found.next().unwrap();
            assert!(found.next().is_none(), "{name}");
            (setting.value.as_deref(), setting.origin)
        };
        assert_eq!(shown("WHMCS_URL"), (Some("https://flag.example"), "flag"));
        assert_eq!(shown("WHMCS_SECRET"), (Some("set"), "flag"));
        assert_eq!(shown("OPS_TOKEN"), (Some("unset"), "default"));
        assert_eq!(shown("WORKER_LEASE"), (Some("15s"), "default"));
        assert_eq!(shown("SUBSCRIBER_LEASE"), (Some("10s"), "default"));
    }
}
