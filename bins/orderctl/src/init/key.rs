//! The key that signs logins to Salesforce, and its certificate.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use settings::Secret;

use crate::screen::Stop;

/// How long the certificate is valid.
const VALID: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// For a Salesforce whose clock is behind ours.
const BACKDATED: Duration = Duration::from_secs(3600);

/// A private key.
pub(super) struct Key {
    pem: Secret,
    certificate: Option<String>,
}

impl Key {
    /// A new RSA key with a self-signed certificate.
    pub(super) fn generate() -> Result<Self, Stop> {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "orderbridge");
        let now = SystemTime::now();
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + VALID).into();
        Ok(Self {
            pem: Secret::new(pair.serialize_pem()),
            certificate: Some(params.self_signed(&pair)?.pem()),
        })
    }

    /// The sandbox's key: its simulated org knows the certificate already.
    pub(super) fn of_sandbox(pem: Secret) -> Option<Self> {
        Some(Self {
            pem,
            certificate: None,
        })
    }

    /// The key, PKCS#8 in PEM.
    pub(super) fn pem(&self) -> &str {
        self.pem.expose()
    }

    /// The certificate in PEM.
    pub(super) fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}
