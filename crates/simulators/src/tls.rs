//! Certificates of the simulators: made for one run, or given as files.
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::{
    self, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It could not be made.
    #[error("a certificate for {names} cannot be made")]
    Make {
        /// The names it was to have.
        names: String,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// The text is not PEM, or lacks a certificate or a key.
    #[error("the {what} is not valid PEM")]
    Pem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// The file has no certificate.
    #[error("the certificate file has no certificate")]
    NoCertificate,
    /// Certificate and key do not belong together, or are of an unsupported type.
    #[error("certificate and private key cannot be used together")]
    Rejected(#[from] rustls::Error),
}

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Makes a certificate for these names and addresses, signed by an authority that exists only
    /// for it. Returns the authority's certificate (PEM), which clients must trust.
    pub fn for_names(names: &[String]) -> Result<(Self, String), TlsError> {
        let fail = |source| TlsError::Make {
            names: names.join(", "),
            source,
        };
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = "orderbridge sandbox authority";
        authority.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().map_err(fail)?;
        let authority = CertifiedIssuer::self_signed(authority, key).map_err(fail)?;

        let mut params = CertificateParams::new(names.to_vec()).map_err(fail)?;
        let name = "orderbridge sandbox";
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &authority).map_err(fail)?;
        let made = Self {
            chain: vec![certificate.der().clone(), authority.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        };
        Ok((made, authority.pem()))
    }

    /// A certificate chain and its key from PEM texts.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, TlsError> {
        let pem = |what| move |source| TlsError::Pem { what, source };
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem("certificate"))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(pem("private key"))?;
        let made = Self { chain, key };
        // Whether they belong together is found out before anything listens.
        made.server_config(&[])?;
        Ok(made)
    }

    pub(crate) fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}
