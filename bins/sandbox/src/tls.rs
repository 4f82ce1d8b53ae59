//! The certificate of the sandbox.

use std::path::Path;

use anyhow::Context;
use simulators::{Certificate, Listen};

use crate::{Config, files};

/// Where the simulators listen. With TLS, the file of `SANDBOX_CA_OUT` has the certificate that
/// clients must trust.
pub(crate) fn listen(config: &Config) -> anyhow::Result<Listen> {
    let mut listen = Listen::plain(config.bind);
    if let Some(host) = &config.host {
        listen = listen.named(host);
    }
    if !config.uses_tls() {
        return Ok(listen);
    }
    let (certificate, trusted) = match (&config.tls_cert, &config.tls_key) {
        (Some(chain), Some(key)) => {
            let chain = read("SANDBOX_TLS_CERT", chain)?;
            let key = read("SANDBOX_TLS_KEY", key)?;
            let certificate = Certificate::from_pem(&chain, &key)
                .context("SANDBOX_TLS_CERT and SANDBOX_TLS_KEY cannot be used")?;
            (certificate, chain)
        }
        _ => Certificate::for_names(&names(config, &listen))?,
    };
    files::write("SANDBOX_CA_OUT", &config.ca_out, &trusted, false)?;
    Ok(listen.with_tls(&certificate)?)
}

/// Every name under which clients of this machine may call.
fn names(config: &Config, listen: &Listen) -> Vec<String> {
    let host = listen.host.trim_matches(['[', ']']);
    let bind = (!config.bind.is_unspecified()).then(|| config.bind.to_string());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1", host]
        .map(str::to_owned)
        .into_iter()
        .chain(bind)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn read(setting: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("{setting}: cannot read {}", path.display()))
}
