//! `SECURITY.md` names tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

fn collect_tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1);
            found.extend(functions.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = BTreeSet::new();
    for folder in ["crates", "bins", "tests"] {
        collect_tests(&root.join(folder), &mut tests);
    }
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let is_test = |code: &&str| {
        code.matches('_').count() >= 3
            && code
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    // Every second part of a line lies between backticks.
    let named = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let named: Vec<_> = named.filter(is_test).collect();
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} do not exist");
}
