//! Trusted certificate authorities.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use settings::Invalid;

/// The trusted certificate authorities: those of the system, or a bundled set if the system has
/// none, plus the customer's own.
#[derive(Clone, Debug)]
pub struct Roots(Vec<CertificateDer<'static>>);

/// A certificate file is not usable.
#[derive(Debug, thiserror::Error)]
#[error("certificates in `{path}` cannot be read: {reason}")]
pub struct RootsError {
    path: String,
    reason: String,
}

impl Roots {
    /// Loads the system's roots (or the bundled ones if it has none), plus the certificates in
    /// `extra`, a PEM file.
    ///
    /// # Errors
    /// `extra` cannot be read or contains no certificate.
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

/// Parses the setting that names an extra certificate file.
///
/// # Errors
/// It cannot be read or contains no certificate.
pub fn ca_file(text: &str) -> Result<PathBuf, Invalid> {
    let path = PathBuf::from(text.trim());
    read_pem(&path).map(|_| ()).map_err(|error| {
        Invalid::because(
            error.to_string(),
            "Use a readable file with PEM certificates",
        )
    })?;
    Ok(path)
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
        return Err(error("it contains no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Installs aws-lc-rs as the process's crypto provider. Call it first in `main`; a second call
/// changes nothing.
pub fn install_crypto_provider() {
    // An error only means that one is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
