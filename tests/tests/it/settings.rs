//! Every setting is defined once: the list of settings, the programs' flags and
//! `docs/SETTINGS.md` agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

/// What a program's flag says about a setting.
#[derive(Default)]
struct Usage {
    programs: Vec<String>,
    help: String,
}

fn programs() -> [Command; 3] {
    [
        subscriber::Args::command(),
        worker::Args::command(),
        portal::Args::command(),
    ]
}

fn is_secret(name: &str) -> bool {
    let known = settings::SETTINGS.iter().find(|(known, ..)| *known == name);
    known.is_some_and(|(.., secret)| *secret)
}

/// The setting that an environment variable belongs to: a secret and its `_FILE` are one.
fn setting_of(name: &str) -> &str {
    match name.strip_suffix("_FILE") {
        Some(plain) if is_secret(plain) => plain,
        _ => name,
    }
}

/// Every setting that a program reads, by name.
fn usages() -> BTreeMap<String, Usage> {
    let mut usages = BTreeMap::<String, Usage>::new();
    for program in programs() {
        for flag in program.get_arguments() {
            let Some(name) = flag.get_env() else { continue };
            let name = name.to_string_lossy().into_owned();
            let setting = setting_of(&name);
            let usage = usages.entry(setting.to_owned()).or_default();
            let role = program.get_name().to_owned();
            if !usage.programs.contains(&role) {
                usage.programs.push(role);
            }
            if setting == name && usage.help.is_empty() {
                usage.help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            }
        }
    }
    usages
}

/// The text without its `[default: …]`, and that default.
fn split_default(help: &str) -> (&str, Option<&str>) {
    match help.split_once(" [default: ") {
        Some((text, default)) => (text, default.strip_suffix(']')),
        None => (help, None),
    }
}

fn page() -> String {
    let usages = usages();
    let mut page = String::from(
        "# Settings\n\nEvery setting is a flag (`--worker-lease`) and an environment variable (`WORKER_LEASE`). A secret is never a flag: it is an environment variable, or in a file named by `…_FILE`; its value is never shown.\nGenerated from the programs' definitions: `UPDATE_DOCS=1 cargo nextest run -p e2e settings` regenerates it.\n\n| setting | default | programs | meaning |\n|---|---|---|---|\n",
    );
    for (name, default, secret) in settings::SETTINGS {
        let usage = &usages[*name];
        let (help, described) = split_default(&usage.help);
        let default = match *default {
            "" => described.unwrap_or("–").to_owned(),
            default => format!("`{default}`"),
        };
        let secret = if *secret { " (secret)" } else { "" };
        writeln!(
            page,
            "| `{name}`{secret} | {default} | {} | {} |",
            usage.programs.join(", "),
            help.replace('|', "\\|").replace('\n', " ")
        )
        .unwrap();
    }
    page
}

#[test]
fn settings_page_matches_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SETTINGS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page());
}

#[test]
fn every_setting_read_is_listed_with_its_default() {
    let usages = usages();
    let read: BTreeSet<_> = usages.keys().map(String::as_str).collect();
    let listed: BTreeSet<_> = settings::SETTINGS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(read, listed);
    // A default that depends on other settings is described in words.
    let fixed = settings::SETTINGS
        .iter()
        .filter(|(_, default, _)| !default.is_empty());
    for (name, default, _) in fixed {
        if let (_, Some(shown)) = split_default(&usages[*name].help) {
            // rustdoc wants URLs in angle brackets.
            let shown = shown.trim_matches(['<', '>']);
            assert_eq!(shown, *default, "default of {name} in --help");
        }
    }
}
