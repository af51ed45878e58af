//! TLS to a broker: whom is trusted.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{Error, Result, authorities::authorities};

/// A client that trusts the authorities in the PEM file `ca`, or else the system's.
///
/// # Errors
/// [`Error::Content`] for a file that holds no certificate, [`Error::Setting`] where the system has none.
pub(super) fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let roots = match ca {
        Some(file) => named(file)?,
        None => systems()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setting(format!("TLS cannot be had: {error}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn named(file: &Path) -> Result<RootCertStore> {
    let wrong =
        |problem: String| Error::content(file, format!("{problem}; give a PEM file with the certificate of the broker's authority"));
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(roots) }
}

fn systems() -> Result<RootCertStore> {
    let found = authorities().map_err(|problem| Error::Setting(format!("{problem}, or name the broker's authority (--publish-ca)")))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found);
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        for text in ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            let error = client(Some(&file)).unwrap_err().to_string();
            assert!(error.contains("ca.pem") && error.contains("give a PEM file"), "{error}");
        }
        assert!(client(Some(&dir.path().join("none"))).unwrap_err().to_string().contains("none"));
    }
}
