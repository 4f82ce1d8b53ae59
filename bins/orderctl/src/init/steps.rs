//! The steps in Salesforce and WHMCS that only a person can do.

use std::path::Path;

use app::SystemConfig;
use whmcs::PROBES;

/// The actions of WHMCS that these settings call, for its API role.
fn actions(config: &SystemConfig) -> Vec<&'static str> {
    let mut actions: Vec<_> = PROBES.iter().map(|(action, _)| *action).collect();
    actions.push("GetPaymentMethods");
    if config.rules.create_clients {
        actions.push("AddClient");
    }
    if config.rules.override_prices {
        actions.push("GetCurrencies");
    }
    actions
}

/// What is left to do, in order.
pub(super) fn by_hand(config: &SystemConfig, certificate: Option<&Path>) -> Vec<String> {
    let auth = &config.crm.auth;
    let certificate = certificate.map_or_else(
        || "the certificate of the key".to_owned(),
        |path| path.display().to_string(),
    );
    vec![
        "In Salesforce, as an administrator (docs/SALESFORCE.md):".to_owned(),
        "  1. Deploy deploy/salesforce: sf project deploy start --source-dir force-app".to_owned(),
        format!(
            "  2. External Client App {}: enable the JWT bearer flow and upload {certificate}; scopes api and refresh_token; pre-authorise users by permission set",
            auth.client_id
        ),
        format!(
            "  3. Assign the permission set Order_Provisioning_Integration to {}, and Order_Provisioning_Operator to the people who approve and retry",
            auth.username
        ),
        "In WHMCS, as an administrator:".to_owned(),
        format!(
            "  4. Create an API role with exactly these actions: {}",
            actions(config).join(", ")
        ),
        "  5. Give that role to the API credential of these settings; its admin user needs API Access"
            .to_owned(),
        "  6. Allow this machine's address: General Settings, Security, API IP Access Restriction (the doctor names the address that WHMCS sees)"
            .to_owned(),
    ]
}

/// How to go on.
pub(super) fn next(env: &Path) -> String {
    format!(
        "To use the settings: set -a; . '{}'; set +a. Then `orderctl doctor`, `subscriber`, `worker`",
        env.display()
    )
}
