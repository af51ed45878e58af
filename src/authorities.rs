//! Whom TLS trusts where nobody says otherwise.

use rustls::pki_types::CertificateDer;

/// The certificates of the system's authorities; without any, why, and what to install.
pub(crate) fn authorities() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(format!("the system has no certificate authorities{why}; install the package ca-certificates"));
    }
    Ok(found.certs)
}
