//! Which certificate authorities are trusted.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The certificate authorities that connections are checked against: those of the system,
/// or a bundled set where the system has none, and the customer's own.
#[derive(Clone, Debug)]
pub struct Roots(Vec<CertificateDer<'static>>);

/// A file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("certificates in `{path}` cannot be read: {reason}")]
pub struct RootsError {
    path: String,
    reason: String,
}

impl Roots {
    /// The system's roots (or the bundled ones where it has none), plus the certificates in
    /// `extra`, a PEM file.
    ///
    /// # Errors
    /// `extra` cannot be read or holds no certificate.
    pub fn load(extra: Option<&Path>) -> Result<Self, RootsError> {
        let mut certificates = rustls_native_certs::load_native_certs().certs;
        if certificates.is_empty() {
            certificates.extend(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        if let Some(path) = extra {
            certificates.extend(read_pem(path)?);
        }
        Ok(Self(certificates))
    }

    /// The certificates, DER.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let error = |reason: String| RootsError {
        path: path.display().to_string(),
        reason,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|cause| error(cause.to_string()))?
        .collect::<Result<_, _>>()
        .map_err(|cause| error(cause.to_string()))?;
    if certificates.is_empty() {
        return Err(error("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Makes aws-lc-rs the process's one crypto provider. Call it first thing in `main`; a
/// second call changes nothing.
pub fn install_crypto_provider() {
    // An error only says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
