//! The results of the checks.

use serde_json::json;

use crate::screen::Table;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// It works, and something should be looked at.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be checked.
    Skip,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    check: String,
    status: Status,
    detail: String,
    fix: String,
}

/// The results so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, check: &str, status: Status, detail: String, fix: String) {
        self.0.push(Row {
            check: check.to_owned(),
            status,
            detail,
            fix,
        });
    }

    pub(crate) fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.add(check, Status::Ok, detail.into(), String::new());
    }

    pub(crate) fn warn(&mut self, check: &str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Status::Warn, detail.into(), fix.into());
    }

    pub(crate) fn fail(&mut self, check: &str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Status::Fail, detail.into(), fix.into());
    }

    pub(crate) fn skip(&mut self, check: &str, why: impl Into<String>) {
        self.add(check, Status::Skip, why.into(), String::new());
    }

    pub(crate) fn skip_all(&mut self, checks: &[&str], why: &str) {
        for check in checks {
            self.skip(check, why);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.iter().any(|row| row.status == Status::Fail)
    }

    pub(crate) fn into_table(self) -> Table {
        let rows = self.0.into_iter().map(|row| {
            let Row {
                check,
                status,
                detail,
                fix,
            } = row;
            let json = json!({
                "check": check,
                "status": status.name(),
                "ok": status != Status::Fail,
                "detail": detail,
                "fix": Some(&fix).filter(|fix| !fix.is_empty()),
            });
            let cells = vec![status.name().to_owned(), check, detail, fix];
            (cells, json)
        });
        Table {
            columns: &["", "CHECK", "RESULT", "FIX"],
            rows: rows.collect(),
        }
    }
}
