//! The connection, and what goes along with every call.

use std::time::Duration;

use domain::ports::StreamError;
use outbound::Roots;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use salesforce_auth::Session;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::Config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A channel that connects when it is first used, and again whenever it broke.
pub(crate) fn channel(config: &Config, roots: &Roots) -> Result<Channel, tonic::transport::Error> {
    // A connection that a firewall forgot gives no error; only pings find out.
    let mut endpoint = Endpoint::from_shared(config.endpoint.base().to_owned())?
        .user_agent(concat!("orderbridge/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(config.ping_every)
        .keep_alive_timeout(config.ping_timeout)
        .keep_alive_while_idle(true);
    if config.endpoint.is_tls() {
        let mut store = RootCertStore::empty();
        // System stores hold the odd certificate that nobody can parse.
        store.add_parsable_certificates(
            roots
                .iter()
                .map(|der| CertificateDer::from(der).into_owned()),
        );
        endpoint = endpoint.tls_config(ClientTlsConfig::new().trust_anchors(store.roots))?;
    }
    Ok(endpoint.connect_lazy())
}

/// A request with the three headers of the service and an id of its own.
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
        // The error would show the value.
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| {
            crate::failure::disconnected(format!("the login's {name} cannot go into a header"))
        })?;
        value.set_sensitive(name == "accesstoken");
        request.metadata_mut().insert(name, value);
    }
    Ok(request)
}

/// The service wants the long form.
fn tenant(org: &str) -> String {
    domain::id::OrgId::parse(org).map_or_else(|_| org.to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PubSubArgs;
    use settings::Problems;

    #[tokio::test]
    async fn the_real_endpoint_can_be_set_up_with_the_systems_roots() {
        let config = PubSubArgs::default().check(&mut Problems::new()).unwrap();
        assert!(config.endpoint.is_tls());
        channel(&config, &Roots::load(None).unwrap()).unwrap();
    }

    #[test]
    fn the_tenant_is_named_in_its_long_form() {
        assert_eq!(tenant("00D000000000001"), "00D000000000001EAA");
        assert_eq!(tenant("00D000000000001EAA"), "00D000000000001EAA");
    }
}
