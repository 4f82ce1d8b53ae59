//! The files of `deploy` name settings and programs that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use settings::Setting;

/// Variables of the system, of images and of other programs.
const OTHERS: [&str; 3] = ["HTTPS_PROXY", "NO_PROXY", "POSTGRES_PASSWORD_FILE"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(path: &str) -> String {
    let path = deploy().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Every variable that a program may be given, of one program or of all.
fn known(program: &str) -> BTreeSet<String> {
    let all = [
        ("subscriber", subscriber::Args::command()),
        ("worker", worker::Args::command()),
        ("portal", portal::Args::command()),
    ];
    let mut names = BTreeSet::new();
    for (name, command) in all {
        if !["", name].contains(&program) {
            continue;
        }
        for setting in Setting::all_of(&command) {
            if setting.is_secret {
                names.insert(format!("{}_FILE", setting.name));
            }
            names.insert(setting.name);
        }
    }
    names
}

/// The names that look like variables and are followed by `=` or `:`.
fn variables(text: &str, separator: char) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start_matches(['#', ' ', '-']);
        let (name, _) = line.split_once(separator)?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        (name.contains('_') && name.chars().all(is_name)).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

fn assert_known(file: &str, used: BTreeSet<String>, program: &str) {
    let known = known(program);
    assert!(!used.is_empty(), "{file} sets nothing");
    for name in used {
        assert!(
            known.contains(&name) || OTHERS.contains(&name.as_str()),
            "{file}: {name} is not a setting of {program}"
        );
    }
}

#[test]
fn environment_files_set_known_variables() {
    for file in [
        "debian/orderbridge.env",
        "docker/orderbridge.env",
        "kubernetes/orderbridge.env",
    ] {
        assert_known(file, variables(&read(file), '='), "");
    }
    let compose = variables(&read("docker/compose.yaml"), ':');
    let postgres = ["POSTGRES_DB", "POSTGRES_USER"];
    let ours = compose
        .into_iter()
        .filter(|name| !postgres.contains(&name.as_str()));
    assert_known("docker/compose.yaml", ours.collect(), "");
}

#[test]
fn every_program_has_a_unit_and_a_deployment_with_its_own_settings() {
    for program in ["subscriber", "worker", "portal"] {
        let unit = read(&format!("systemd/orderbridge-{program}.service"));
        assert!(unit.contains(&format!("ExecStart=/usr/lib/orderbridge/{program}\n")));
        let manifest = read(&format!("kubernetes/{program}.yaml"));
        assert!(manifest.contains(&format!("args: [{program}]")));
        let names: BTreeSet<_> = manifest
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- name: "))
            .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .map(str::to_owned)
            .collect();
        assert_known(program, names, program);
        for path in ["/livez", "/readyz"] {
            assert!(manifest.contains(path), "{program}: {path}");
        }
    }
}

/// A service is stopped only after its drain.
#[test]
fn stopping_takes_longer_than_the_drain() {
    let drain = Setting::all_of(&worker::Args::command())
        .into_iter()
        .find(|setting| setting.name == "WORKER_DRAIN");
    let drain = drain.and_then(|setting| setting.default).unwrap();
    let drain = settings::duration(&drain).unwrap().as_secs();
    let after = |text: &str, name: &str| -> u64 {
        let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("{name}"));
        let digits: String = rest
            .trim()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap()
    };
    let compose = read("docker/compose.yaml");
    let (_, of_worker) = compose.split_once("\n  worker:").unwrap();
    for limit in [
        after(
            &read("systemd/orderbridge-worker.service"),
            "TimeoutStopSec=",
        ),
        after(of_worker, "stop_grace_period: "),
        after(
            &read("kubernetes/worker.yaml"),
            "terminationGracePeriodSeconds: ",
        ),
    ] {
        assert!(limit > drain + 5, "{limit} s for a drain of {drain} s");
    }
}
