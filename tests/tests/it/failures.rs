//! `docs/FAILURES.md` matches the failure catalogue.

use std::fmt::Write;
use std::path::Path;

use domain::failure::Code;

fn page() -> String {
    let mut page = String::from(
        "# Failures\n\nWhy an order can fail, who can fix it, and what to do.\nMade from the catalogue in `crates/domain/src/failure.rs`: `UPDATE_DOCS=1 cargo nextest run -p e2e failures` writes it anew.\n",
    );
    for code in Code::ALL {
        let entry = code.entry();
        write!(
            page,
            "\n## `{code}`: {}\n\n{}\n\nWho can fix it: {}.\n\nWhat to do: {}\n",
            entry.title, entry.explanation, entry.fix_owner, entry.remediation
        )
        .unwrap();
    }
    page
}

#[test]
fn failures_page_matches_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FAILURES.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page());
}
