//! Salesforce: login, identity, names, allowances.

use domain::ports::CallError;
use error_chain::chain;
use salesforce_auth::AuthError;
use salesforce_rest::{Finding, Limit};

use super::host::reach;
use super::rows::Rows;
use crate::connect::Systems;

const LOGIN: &str = "salesforce login";
const IDENTITY: &str = "salesforce identity";
const NAMES: &str = "salesforce names";
const ALLOWANCE: &str = "salesforce allowance";

/// Returns the organisation when it can be used.
pub(super) async fn check(rows: &mut Rows, systems: &Systems) -> Option<String> {
    let auth = systems.tokens.config();
    let checks = ["salesforce reachable", "salesforce clock"];
    let (url, ca) = (auth.login.base(), auth.ca_file.as_deref());
    if !reach(rows, checks, "SF_LOGIN_URL", url, ca).await {
        rows.skip_all(&[LOGIN, IDENTITY, NAMES, ALLOWANCE], "not reachable");
        return None;
    }
    let session = match systems.tokens.token().await {
        Ok(session) => session,
        Err(error) => {
            login_failed(rows, &error);
            rows.skip_all(&[IDENTITY, NAMES, ALLOWANCE], "not logged in");
            return None;
        }
    };
    rows.ok(LOGIN, format!("as {}", auth.username));
    match systems.salesforce.identity().await {
        Ok(identity) if !identity.active => rows.fail(
            IDENTITY,
            format!("the user {} is not active", identity.preferred_username),
            "Activate the user of SF_USERNAME",
        ),
        Ok(identity) if !same_org(&identity.organization_id, &session.org_id) => rows.fail(
            IDENTITY,
            format!(
                "the login is for org {}, its session for org {}",
                session.org_id, identity.organization_id
            ),
            "Point SF_LOGIN_URL at the My Domain of the org",
        ),
        Ok(identity)
            if !identity
                .preferred_username
                .eq_ignore_ascii_case(&auth.username) =>
        {
            rows.warn(
                IDENTITY,
                format!("the login is {}", identity.preferred_username),
                "Set SF_USERNAME to the integration user",
            );
        }
        Ok(identity) => rows.ok(IDENTITY, format!("org {}", identity.organization_id)),
        Err(error) => {
            call_failed(rows, IDENTITY, &error);
            rows.skip_all(&[NAMES, ALLOWANCE], "the session cannot be used");
            return None;
        }
    }
    names(rows, systems).await;
    allowances(rows, systems).await;
    Some(session.org_id)
}

/// The first 15 characters of an id identify it; the rest are check characters.
fn same_org(a: &str, b: &str) -> bool {
    a.get(..15) == b.get(..15)
}

fn login_failed(rows: &mut Rows, error: &AuthError) {
    match error {
        AuthError::Unreachable { .. } => rows.fail(
            LOGIN,
            chain(error).to_string(),
            "Check that SF_LOGIN_URL is the org's My Domain, and try again; the credential was not looked at",
        ),
        AuthError::Refused {
            error,
            description,
            hint,
            ..
        } => rows.fail(LOGIN, format!("{error}: {description}"), capitalised(hint)),
        AuthError::SessionRefused { .. } => rows.fail(
            LOGIN,
            chain(error).to_string(),
            "Check the app's scopes (api), policies and IP ranges, and that the user may use the API",
        ),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// An error of a call: what denied it says how to fix it.
fn call_failed(rows: &mut Rows, check: &str, error: &CallError) {
    match error {
        CallError::Denied { detail, .. } => {
            let (what, fix) = detail
                .rsplit_once(": ")
                .unwrap_or((detail, "Check the user's access"));
            rows.fail(check, what, capitalised(fix));
        }
        CallError::Refused(refusal) => rows.fail(
            check,
            refusal.detail.clone(),
            "Give the user of SF_USERNAME the permission set of deploy/salesforce",
        ),
        error => rows.fail(
            check,
            chain(error).to_string(),
            "Check that the org is up (status.salesforce.com), and try again",
        ),
    }
}

async fn names(rows: &mut Rows, systems: &Systems) {
    match systems.salesforce.inspect_schema().await {
        Err(error) => call_failed(rows, NAMES, &error),
        Ok(findings) if findings.is_empty() => {
            rows.ok(
                NAMES,
                "every field and value exists, with access, type and length",
            );
        }
        Ok(findings) => {
            for finding in findings {
                let broken = finding.is_broken();
                let Finding {
                    name, problem, fix, ..
                } = finding;
                let detail = format!("{name} {problem}");
                match broken {
                    true => rows.fail(NAMES, detail, fix),
                    false => rows.warn(NAMES, detail, fix),
                }
            }
        }
    }
}

async fn allowances(rows: &mut Rows, systems: &Systems) {
    let limits = match systems.salesforce.limits().await {
        Ok(limits) => limits,
        Err(error) => return call_failed(rows, ALLOWANCE, &error),
    };
    let mut all_left = true;
    for (name, what, fix) in [
        (
            "DailyApiRequests",
            "API calls",
            "Find the program that uses them (Setup, API Usage), or buy more; the bridge leaves the last tenth to jobs in progress",
        ),
        (
            "DailyDeliveredPlatformEvents",
            "event deliveries",
            "Find the other subscribers of platform events (Setup, Event Manager), or buy more",
        ),
    ] {
        let Some(Limit { max, remaining }) = limits.get(name).copied() else {
            continue;
        };
        let text = format!("{remaining} of {max} {what} of the day are left");
        if remaining <= 0 {
            all_left = false;
            rows.fail(ALLOWANCE, text, fix);
        } else if remaining.saturating_mul(10) < max {
            all_left = false;
            rows.warn(ALLOWANCE, text, fix);
        }
    }
    if all_left {
        rows.ok(
            ALLOWANCE,
            "more than a tenth of API calls and event deliveries is left",
        );
    }
}
