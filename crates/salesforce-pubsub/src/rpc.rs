//! The connection and the headers of every call.

use std::time::Duration;

use domain::ports::StreamError;
use outbound::{Proxy, Roots};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use salesforce_auth::Session;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::Config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A channel that connects on first use and reconnects when it breaks.
pub(crate) fn channel(config: &Config, roots: &Roots) -> Result<Channel, tonic::transport::Error> {
    // A connection dropped by a firewall yields no error; only pings detect it.
    let mut endpoint = Endpoint::from_shared(config.endpoint.base().to_owned())?
        .user_agent(concat!("orderbridge/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(config.ping_every)
        .keep_alive_timeout(config.ping_timeout)
        .keep_alive_while_idle(true);
    if config.endpoint.is_tls() {
        let mut store = RootCertStore::empty();
        // System stores may contain certificates that cannot be parsed.
        store.add_parsable_certificates(
            roots
                .iter()
                .map(|der| CertificateDer::from(der).into_owned()),
        );
        endpoint = endpoint.tls_config(ClientTlsConfig::new().trust_anchors(store.roots))?;
    }
    Ok(match Proxy::from_env().tunnel(endpoint.uri()) {
        Some(tunnel) => endpoint.connect_with_connector_lazy(tunnel),
        None => endpoint.connect_lazy(),
    })
}

/// A request with the service's three headers and a trace id.
pub(crate) fn request<T>(message: T, session: &Session) -> Result<Request<T>, StreamError> {
    let mut request = Request::new(message);
    let tenant = tenant(&session.org_id);
    let trace = uuid::Uuid::new_v4().to_string();
    for (name, value) in [
        ("accesstoken", session.access_token.expose()),
        ("instanceurl", session.instance_url.base()),
        ("tenantid", tenant.as_str()),
        ("x-client-trace-id", trace.as_str()),
    ] {
        // The original error would show the value.
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| {
            crate::error::disconnected(format!("the login's {name} is not a valid header value"))
        })?;
        value.set_sensitive(name == "accesstoken");
        request.metadata_mut().insert(name, value);
    }
    Ok(request)
}

/// The service requires the 18-character form.
fn tenant(org: &str) -> String {
    domain::id::OrgId::parse(org).map_or_else(|_| org.to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn default_endpoint_works_with_system_roots() {
        let config: Config = settings::defaults().unwrap();
        assert!(config.endpoint.is_tls());
        channel(&config, &Roots::load(None).unwrap()).unwrap();
    }

    #[test]
    fn tenant_uses_the_18_character_id() {
        assert_eq!(tenant("00D000000000001"), "00D000000000001EAA");
        assert_eq!(tenant("00D000000000001EAA"), "00D000000000001EAA");
    }
}
