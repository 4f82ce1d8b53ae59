//! Every setting is defined once: `docs/SETTINGS.md` and the list of known variables are derived
//! from the programs' definitions.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use settings::Setting;

/// A setting and the programs that have it.
struct Entry {
    setting: Setting,
    programs: Vec<String>,
}

/// Every setting, in the order of the programs' help.
fn entries() -> Vec<Entry> {
    let programs: [Command; 3] = [
        subscriber::Args::command(),
        worker::Args::command(),
        portal::Args::command(),
    ];
    let mut entries = Vec::<Entry>::new();
    for program in &programs {
        for setting in Setting::all_of(program) {
            let name = program.get_name().to_owned();
            match entries
                .iter_mut()
                .find(|entry| entry.setting.name == setting.name)
            {
                Some(entry) => entry.programs.push(name),
                None => entries.push(Entry {
                    setting,
                    programs: vec![name],
                }),
            }
        }
    }
    entries
}

/// The help without its `[default: …]`, which describes a default that depends on other settings.
fn split_default(help: &str) -> (&str, Option<&str>) {
    match help.split_once(" [default: ") {
        Some((text, default)) => (text, default.strip_suffix(']')),
        None => (help, None),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Settings\n\nEvery setting is a flag (`--worker-lease`) and an environment variable (`WORKER_LEASE`). A secret is never a flag: it is an environment variable, or in a file named by `…_FILE`; its value is never shown.\nGenerated from the programs' definitions: `UPDATE_DOCS=1 cargo nextest run -p e2e settings` regenerates it.\n\n| setting | default | programs | meaning |\n|---|---|---|---|\n",
    );
    for Entry { setting, programs } in entries() {
        let (help, described) = split_default(&setting.help);
        let default = match (setting.name.as_str(), &setting.default) {
            ("HTTP_ADDR", _) => "`127.0.0.1:9101`, `9102`, `8080`".to_owned(),
            (_, Some(default)) => format!("`{default}`"),
            (_, None) => described.unwrap_or("–").to_owned(),
        };
        let secret = if setting.is_secret { " (secret)" } else { "" };
        let values = match setting.values.as_slice() {
            [] => String::new(),
            values => format!(": {}", values.join(", ")),
        };
        writeln!(
            page,
            "| `{}`{secret} | {default} | {} | {}{values} |",
            setting.name,
            programs.join(", "),
            help.replace('|', "\\|").replace('\n', " ")
        )
        .unwrap();
    }
    page.push_str(PROXY);
    page
}

/// Variables that are conventions of the system, not settings of ours.
const PROXY: &str = "\n## Proxy\n\nConnections over TLS to Salesforce (REST and Pub/Sub), WHMCS, the JWKS URL and the alert webhook go through the HTTP proxy of `HTTPS_PROXY`, else `ALL_PROXY` (`http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`), in CONNECT tunnels; TLS is end to end. `NO_PROXY` lists hosts, domains and networks that are reached directly (`*` is all). The lower-case names work too. Loopback addresses are reached directly unless `PROXY_LOOPBACK=true`. Credentials of the proxy are never shown.\n";

/// The variables that a program may be given.
fn variables() -> String {
    let mut names = Vec::new();
    for Entry { setting, .. } in entries() {
        if setting.is_secret {
            names.push(format!("{}_FILE\n", setting.name));
        }
        names.push(format!("{}\n", setting.name));
    }
    names.sort();
    names.concat()
}

#[test]
fn generated_files_match_definitions() {
    for (path, content) in [
        ("../docs/SETTINGS.md", page()),
        ("../crates/settings/src/known.txt", variables()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &content).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}
