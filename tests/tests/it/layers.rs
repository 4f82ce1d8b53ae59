//! Allowed dependencies between the crates. A new edge is a reviewed line here.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Normal dependencies of each crate on workspace crates; for `domain`, on all crates.
const TABLE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("error-chain", &[]),
    ("settings", &[]),
    ("outbound", &["settings"]),
    ("operations", &["domain"]),
    ("intake", &["domain", "error-chain", "operations", "traces"]),
    ("provisioning", &["domain", "error-chain", "traces"]),
    (
        "monitoring",
        &["domain", "error-chain", "operations", "settings"],
    ),
    ("salesforce-auth", &["error-chain", "outbound", "settings"]),
    (
        "salesforce-pubsub",
        &["domain", "outbound", "salesforce-auth", "settings"],
    ),
    (
        "salesforce-rest",
        &[
            "domain",
            "error-chain",
            "outbound",
            "salesforce-auth",
            "settings",
        ],
    ),
    ("whmcs", &["domain", "error-chain", "outbound", "settings"]),
    (
        "job-store",
        &["domain", "error-chain", "operations", "settings"],
    ),
    (
        "runtime",
        &["domain", "error-chain", "operations", "settings"],
    ),
    ("traces", &[]),
    ("test-programs", &[]),
    ("test-postgres", &["test-programs"]),
    ("test-browser", &["test-programs"]),
    ("testkit", &["domain", "operations"]),
    ("simulators", &[]),
    (
        "simulation",
        &[
            "domain",
            "intake",
            "job-store",
            "operations",
            "provisioning",
            "testkit",
            "whmcs",
        ],
    ),
    (
        "portal-web",
        &[
            "domain",
            "error-chain",
            "operations",
            "outbound",
            "settings",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "error-chain",
            "job-store",
            "monitoring",
            "operations",
            "outbound",
            "runtime",
            "salesforce-auth",
            "salesforce-rest",
            "settings",
            "whmcs",
        ],
    ),
    (
        "portal",
        &[
            "app",
            "domain",
            "error-chain",
            "monitoring",
            "operations",
            "outbound",
            "portal-web",
            "runtime",
            "settings",
            "whmcs",
        ],
    ),
    (
        "subscriber",
        &[
            "app",
            "domain",
            "intake",
            "monitoring",
            "operations",
            "outbound",
            "runtime",
            "salesforce-pubsub",
            "settings",
        ],
    ),
    (
        "orderctl",
        &[
            "app",
            "domain",
            "error-chain",
            "job-store",
            "operations",
            "outbound",
            "portal",
            "runtime",
            "salesforce-auth",
            "salesforce-pubsub",
            "salesforce-rest",
            "settings",
            "subscriber",
            "whmcs",
            "worker",
        ],
    ),
    (
        "worker",
        &[
            "app",
            "domain",
            "monitoring",
            "operations",
            "outbound",
            "provisioning",
            "runtime",
            "settings",
            "whmcs",
        ],
    ),
];

fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let normal = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            (name(package), normal.map(name).collect())
        })
        .collect()
}

#[test]
fn dependencies_only_point_down() {
    let packages = packages();
    let ours: BTreeSet<_> = packages.keys().cloned().collect();
    for (package, allowed) in TABLE {
        let inside: Vec<_> = packages[*package].intersection(&ours).cloned().collect();
        assert_eq!(inside, *allowed, "imports of `{package}`");
    }
    let listed: BTreeSet<_> = TABLE
        .iter()
        .map(|(package, _)| (*package).to_owned())
        .collect();
    let top_level = ["e2e", "sandbox", "demo"].map(str::to_owned).into();
    let unlisted: Vec<_> = ours
        .difference(&listed)
        .filter(|name| !BTreeSet::contains(&top_level, *name))
        .collect();
    assert!(
        unlisted.is_empty(),
        "packages missing in the table: {unlisted:?}"
    );
}

#[test]
fn domain_depends_only_on_allowed_crates() {
    // `mockall` is there with the feature `mocks` alone.
    let allowed: BTreeSet<_> = ["async-trait", "mockall", "thiserror"]
        .map(str::to_owned)
        .into();
    assert_eq!(packages()["domain"], allowed);
}
