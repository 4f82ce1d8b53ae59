//! Every setting of every program is in the list of settings.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};

fn read_by(program: &Command) -> BTreeSet<String> {
    let names = program.get_arguments().filter_map(|flag| flag.get_env());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn every_setting_read_is_listed() {
    let shown: BTreeSet<_> = settings::SETTINGS.iter().map(|(name, ..)| *name).collect();
    let secret = |name: &str| {
        let known = settings::SETTINGS.iter().find(|(known, ..)| *known == name);
        known.is_some_and(|(.., secret)| *secret)
    };
    for program in [
        subscriber::Args::command(),
        worker::Args::command(),
        portal::Args::command(),
    ] {
        let names = read_by(&program);
        assert!(names.len() > 20, "{} reads {names:?}", program.get_name());
        for name in names {
            // A secret and its `_FILE` variant are one setting.
            let known = match name.strip_suffix("_FILE") {
                Some(plain) if secret(plain) => plain,
                _ => &name,
            };
            assert!(shown.contains(known), "{name} is not listed");
        }
    }
}
