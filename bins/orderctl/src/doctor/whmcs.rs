//! WHMCS: reachable, credential, address, the role's rights, gateway, currencies.

use app::SystemArgs;
use domain::ports::CallError;
use error_chain::chain;
use settings::Endpoint;
use whmcs::{DeniedBy, PROBES};

use super::host::reach;
use super::rows::Rows;
use crate::connect::Systems;

const CREDENTIAL: &str = "whmcs credential";
const ADDRESS: &str = "whmcs address";
const GATEWAY: &str = "whmcs payment method";
const CURRENCY: &str = "whmcs currency";
const VERSION: &str = "whmcs version";
const ROLE: &str = "whmcs role";

/// Returns whether WHMCS answers us.
pub(super) async fn check(rows: &mut Rows, args: &SystemArgs, systems: &Systems) -> bool {
    let rest = [CREDENTIAL, ADDRESS, ROLE, GATEWAY, CURRENCY, VERSION];
    let url = args.whmcs.whmcs_url.as_ref().map_or("", Endpoint::base);
    let checks = ["whmcs reachable", "whmcs clock"];
    let ca = args.whmcs.whmcs_ca_file.as_deref();
    if !reach(rows, checks, "WHMCS_URL", url, ca).await {
        rows.skip_all(&rest, "not reachable");
        return false;
    }
    let (first, parameter) = PROBES[0];
    let answer = systems.whmcs.probe_action(first, parameter).await;
    if let Some((check, detail, fix)) = denied(&answer) {
        rows.fail(check, detail, fix);
        let others: Vec<_> = rest.into_iter().filter(|other| *other != check).collect();
        rows.skip_all(&others, "WHMCS does not answer us");
        return false;
    }
    rows.ok(CREDENTIAL, "accepted");
    rows.ok(ADDRESS, "allowed");
    role(rows, systems).await;
    gateway(rows, systems).await;
    currency(rows, args, systems).await;
    match systems.whmcs.version().await {
        Ok(version) => rows.ok(VERSION, version),
        Err(_) => rows.skip(
            VERSION,
            "the role may not read it (WhmcsDetails), which is fine",
        ),
    }
    true
}

/// What keeps WHMCS from answering us at all, as (check, cause, fix).
fn denied(answer: &Result<(), CallError>) -> Option<(&'static str, String, &'static str)> {
    let Err(error) = answer else { return None };
    let text = match error {
        CallError::Denied { detail, .. } => detail.split("; ").next().unwrap_or(detail).to_owned(),
        CallError::Refused(_) => return None,
        error => chain(error).to_string(),
    };
    Some(match DeniedBy::of(error) {
        Some(DeniedBy::Role) => return None,
        Some(DeniedBy::Address) => (
            ADDRESS,
            text,
            "Add the address that WHMCS names to its allow-list (General Settings, Security, API IP Access Restriction); behind a proxy set WHMCS's Trusted Proxies",
        ),
        Some(DeniedBy::Credential) => (
            CREDENTIAL,
            text,
            "Check WHMCS_IDENTIFIER and WHMCS_SECRET, and that the admin user behind them is active and has API Access",
        ),
        Some(DeniedBy::Url) => (
            "whmcs url",
            text,
            "Set WHMCS_URL to the base of the installation, with its folder and without a redirect",
        ),
        Some(DeniedBy::Barrier) => (
            "whmcs firewall",
            text,
            "Let this machine through the firewall or web server in front of WHMCS",
        ),
        None => (
            "whmcs answer",
            text,
            "Check that WHMCS is up and not in maintenance, and what stands in front of it",
        ),
    })
}

async fn role(rows: &mut Rows, systems: &Systems) {
    let mut allowed = Vec::new();
    for (action, parameter) in PROBES {
        match systems.whmcs.probe_action(action, parameter).await {
            Ok(()) | Err(CallError::Refused(_)) => allowed.push(action),
            Err(error) if DeniedBy::of(&error) == Some(DeniedBy::Role) => rows.fail(
                ROLE,
                format!("the role of the credential lacks {action}"),
                format!("Allow {action} in the API role of WHMCS_IDENTIFIER"),
            ),
            Err(error) => rows.fail(
                ROLE,
                format!("{action}: {}", chain(&error)),
                "Check that WHMCS is up, and its version",
            ),
        }
    }
    if allowed.len() == PROBES.len() {
        rows.ok(ROLE, format!("allows {}", allowed.join(", ")));
    }
}

async fn gateway(rows: &mut Rows, systems: &Systems) {
    let ours = systems.whmcs.payment_method();
    match systems.whmcs.payment_methods().await {
        Ok(known) if known.iter().any(|one| one == ours) => rows.ok(GATEWAY, ours),
        Ok(known) => rows.fail(
            GATEWAY,
            format!("WHMCS has no gateway `{ours}`"),
            format!("Set WHMCS_PAYMENT_METHOD to one of {}", known.join(", ")),
        ),
        Err(error) if DeniedBy::of(&error) == Some(DeniedBy::Role) => rows.skip(
            GATEWAY,
            "the role may not read it (GetPaymentMethods); AddOrder tells",
        ),
        Err(error) => rows.fail(GATEWAY, chain(&error).to_string(), "Check that WHMCS is up"),
    }
}

async fn currency(rows: &mut Rows, args: &SystemArgs, systems: &Systems) {
    if args.whmcs.whmcs_prices != whmcs::Prices::Salesforce {
        return rows.skip(CURRENCY, "prices come from WHMCS (WHMCS_PRICES)");
    }
    match systems.whmcs.currencies().await {
        Ok(codes) => rows.ok(CURRENCY, codes.join(", ")),
        Err(error) if DeniedBy::of(&error) == Some(DeniedBy::Role) => rows.warn(
            CURRENCY,
            "the role lacks GetCurrencies, so that prices may be sent in a currency that is not the client's",
            "Allow GetCurrencies in the API role of WHMCS_IDENTIFIER",
        ),
        Err(error) => rows.fail(CURRENCY, chain(&error).to_string(), "Check that WHMCS is up"),
    }
}
