//! Where the simulators listen, and whether they speak TLS.
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use tokio_rustls::rustls::ServerConfig;

use crate::tls::{Certificate, TlsError};

/// Address, public name and TLS of every port of a simulator.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address to bind.
    pub bind: IpAddr,
    /// Name or address in the URLs that clients are told.
    pub host: String,
    tls: Option<Tls>,
}

#[derive(Debug, Clone)]
struct Tls {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
}

impl Default for Listen {
    fn default() -> Self {
        Self::plain(Ipv4Addr::LOCALHOST.into())
    }
}

impl Listen {
    /// Listens without TLS. An unspecified address is announced as `localhost`.
    pub fn plain(bind: IpAddr) -> Self {
        let host = match bind {
            address if address.is_unspecified() => "localhost".to_owned(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self {
            bind,
            host,
            tls: None,
        }
    }

    /// Announces this name in URLs.
    #[must_use]
    pub fn named(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Speaks TLS only, with this certificate.
    pub fn with_tls(mut self, certificate: &Certificate) -> Result<Self, TlsError> {
        self.tls = Some(Tls {
            http: Arc::new(certificate.server_config(&[b"http/1.1"])?),
            grpc: Arc::new(certificate.server_config(&[b"h2"])?),
        });
        Ok(self)
    }

    /// Whether clients must use TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The same address without TLS.
    #[must_use]
    pub fn without_tls(&self) -> Self {
        Self {
            tls: None,
            ..self.clone()
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    pub(crate) fn url(&self, port: u16) -> String {
        format!("{}://{}:{port}", self.scheme(), self.host)
    }

    pub(crate) fn http_tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.http.clone())
    }

    pub(crate) fn grpc_tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.grpc.clone())
    }
}
