//! The settings of a running sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use error_chain::chain;
use outbound::{ClientOptions, Roots, read_capped};
use settings::{Endpoint, Secret};

use super::KEY;
use super::env_file::Settings;
use crate::screen::Stop;

/// Largest answer of the control API.
const CAP: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Adds the sandbox's settings and returns its private key. What was given for the systems is
/// dropped: a setting of a real system must not be mixed with simulated ones.
pub(super) async fn read(control: &Endpoint, settings: &mut Settings) -> Result<Secret, Stop> {
    let mut found = environment(control).await.map_err(|why| {
        Stop::failed(format!(
            "no sandbox answers at {}: {why}. Start one with `sandbox`, or name its control API with --sandbox=URL",
            control.base()
        ))
    })?;
    let Some(key) = found.remove(KEY) else {
        return Err(Stop::failed(format!(
            "{} is not the control API of a sandbox: its answer has no {KEY}",
            control.base()
        )));
    };
    settings.retain(|name| !name.starts_with("SF_") && !name.starts_with("WHMCS_"));
    for (name, value) in found {
        settings.set(&name, value);
    }
    Ok(Secret::new(key))
}

async fn environment(control: &Endpoint) -> Result<BTreeMap<String, String>, String> {
    let options = ClientOptions {
        connect_timeout: TIMEOUT,
        timeout: TIMEOUT,
        pool_idle: Duration::from_secs(1),
    };
    let text = |error: &dyn std::error::Error| chain(&error).to_string();
    let roots = Roots::load(None).map_err(|error| text(&error))?;
    let client = outbound::build(&options, &roots).map_err(|error| text(&error))?;
    let sent = client.get(control.join("environment")).send().await;
    let response = sent.map_err(|error| text(&error.without_url()))?;
    if !response.status().is_success() {
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    let body = read_capped(response, CAP).await;
    let body = body.map_err(|error| text(&error))?;
    serde_json::from_slice(&body).map_err(|_| "its answer is not its environment".to_owned())
}
