//! The files in `deploy/` and the runbooks match the programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use monitoring::AlertRule;
use serde_json::Value;

/// Metrics that tests do not always see: a gauge set from a Salesforce response header that the
/// simulator may omit.
const NOT_IN_EVERY_RUN: [&str; 1] = ["orderbridge_salesforce_api_remaining_ratio"];

/// Alerts that only Prometheus can raise: they notice that the programs are gone.
const ABSENCE: [&str; 5] = [
    "SubscriberGone",
    "WorkerGone",
    "PortalGone",
    "TargetDown",
    "Watchdog",
];

/// The alerts of the programs, then those of [`ABSENCE`].
fn alert_names() -> Vec<String> {
    let ours = AlertRule::ALL.iter().map(|rule| rule.name());
    ours.chain(ABSENCE).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Metric names in a text, without the suffixes of histograms.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words
        .filter(|word| word.starts_with("orderbridge_"))
        .map(|word| {
            let suffixes = ["_bucket", "_count", "_sum"];
            let bare = suffixes.iter().find_map(|suffix| word.strip_suffix(suffix));
            bare.unwrap_or(word).to_owned()
        })
        .collect()
}

/// Metrics used by the rules and the dashboard that `exposed` lacks.
pub(crate) fn missing_from(exposed: &BTreeSet<String>) -> Vec<String> {
    let required = [
        "deploy/prometheus/orderbridge.rules.yml",
        "deploy/grafana/orderbridge.json",
    ];
    let required: BTreeSet<_> = required
        .iter()
        .flat_map(|path| metrics_in(&text(path)))
        .collect();
    assert!(required.len() > 20, "{required:?}");
    let there = |name: &String| NOT_IN_EVERY_RUN.contains(&name.as_str()) || exposed.contains(name);
    required.into_iter().filter(|name| !there(name)).collect()
}

fn names_after(text: &str, mark: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let names = lines.filter_map(|line| line.strip_prefix(mark));
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn prometheus_rules_match_alert_rules() {
    let rules = text("deploy/prometheus/orderbridge.rules.yml");
    assert_eq!(names_after(&rules, "- alert:"), alert_names());
    for name in alert_names() {
        let anchor = name.to_lowercase();
        let link = format!(
            r#"runbook_url: '{{{{ or $externalLabels.runbooks "docs/RUNBOOKS.md" }}}}#{anchor}'"#
        );
        assert_eq!(rules.matches(&link).count(), 1, "{link}");
    }
    for rule in AlertRule::ALL.iter().copied() {
        let begin = rules.find(&format!("- alert: {}\n", rule.name())).unwrap();
        let one = &rules[begin..];
        let end = one[1..].find("- alert:").map_or(one.len(), |at| at + 1);
        let one = &one[..end];
        for part in [
            format!("labels: {{severity: {}}}", rule.severity()),
            rule.summary().to_owned(),
            "description:".to_owned(),
        ] {
            assert!(one.contains(&part), "{part} is not in\n{one}");
        }
        let minutes = rule.pending_for().as_secs() / 60;
        let waits = one.contains(&format!("for: {minutes}m\n"));
        assert_eq!(waits, minutes > 0, "{one}");
    }
}

#[test]
fn every_alert_has_a_runbook_section() {
    let sections = names_after(&text("docs/RUNBOOKS.md"), "## ");
    assert_eq!(sections, alert_names());
}

#[test]
fn every_prometheus_rule_is_tested_firing_and_quiet() {
    let tests = text("deploy/prometheus/orderbridge.rules.test.yml");
    let cases: Vec<_> = tests.split("- eval_time:").skip(1).collect();
    for name in alert_names() {
        let of_rule = |case: &&&str| case.contains(&format!("alertname: {name}\n"));
        let own: Vec<_> = cases.iter().filter(of_rule).collect();
        let fires = own.iter().any(|case| case.contains("exp_alerts:"));
        let is_quiet = own.iter().any(|case| !case.contains("exp_alerts:"));
        assert!(fires, "{name} is never tested firing");
        assert!(
            is_quiet || name == "Watchdog",
            "{name} is never tested quiet"
        );
    }
}

#[test]
fn dashboard_has_expected_rows_and_variable_data_source() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/orderbridge.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (rows, panels): (Vec<_>, Vec<_>) = panels.iter().partition(|panel| panel["type"] == "row");
    let titles: Vec<_> = rows
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    let expected = [
        "Outcome",
        "Latency",
        "Events",
        "Queue",
        "WHMCS",
        "Salesforce",
        "Process",
    ];
    assert_eq!(titles, expected);
    assert!(panels.len() > 20);
    for panel in panels {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(!metrics_in(target["expr"].as_str().unwrap()).is_empty());
        }
    }
}

/// The installed `promtool`, or the one in Debian's package, unpacked without installing it.
fn promtool(folder: &Path) -> Option<PathBuf> {
    if Command::new("promtool").arg("--version").output().is_ok() {
        return Some("promtool".into());
    }
    let script = "timeout 120 apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb .";
    let got = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output();
    got.ok().filter(|got| got.status.success())?;
    let tool = folder.join("usr/bin/promtool");
    tool.exists().then_some(tool)
}

#[test]
fn promtool_accepts_rules_and_their_tests() {
    let folder = tempfile::tempdir().unwrap();
    let Some(promtool) = promtool(folder.path()) else {
        eprintln!(
            "NOT CHECKED: deploy/prometheus; install promtool with `apt-get install prometheus`"
        );
        return;
    };
    for arguments in [
        ["check", "rules", "orderbridge.rules.yml"],
        ["test", "rules", "orderbridge.rules.test.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let done = Command::new(&promtool)
            .args(arguments)
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
    }
}
