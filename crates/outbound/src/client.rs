//! Construction of HTTP clients.

use std::time::Duration;

use crate::{Proxy, Roots};

/// Options of an HTTP client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Timeout for establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout of a whole call, unless the call sets its own.
    pub timeout: Duration,
    /// How long an idle connection is kept. Less than the server's keep-alive, so that a
    /// reused connection is not reset under a write.
    pub pool_idle: Duration,
}

/// Builds a client: explicit roots, the environment's proxy, no redirects, a fixed user agent.
///
/// # Errors
/// The TLS library rejects a certificate.
pub fn build(options: &ClientOptions, roots: &Roots) -> Result<reqwest::Client, reqwest::Error> {
    let certificates = roots
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok())
        .collect::<Vec<_>>();
    let client = reqwest::Client::builder()
        .user_agent(concat!("orderbridge/", env!("CARGO_PKG_VERSION")))
        .tls_certs_only(certificates)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .pool_idle_timeout(options.pool_idle);
    Proxy::from_env().apply(client)?.build()
}
