//! Whom to trust.

use std::sync::Arc;

use ari_core::Error;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

/// Makes TLS connections that trust the system's certificate authorities and those given here as PEM.
///
/// It reads files: call it where blocking is allowed.
pub(crate) fn connector(authorities: &[Vec<u8>]) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    for pem in authorities {
        add(&mut roots, pem)?;
    }
    if roots.is_empty() {
        let reason = "this system has no certificate authorities, so no certificate can be checked: give the \
                      one of Asterisk's certificate as root certificate";
        return Err(Error::Connect {
            reason: reason.into(),
            source: None,
        });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Connect {
            reason: "TLS cannot be set up".into(),
            source: Some(error.into()),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), Error> {
    let wrong = |source: Option<ari_core::Source>| {
        Error::Connect {
        reason: "a root certificate cannot be read: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----".into(),
        source,
    }
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(Some(error.into())))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(Some(error.into())))?;
    }
    if roots.len() == before {
        Err(wrong(None))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in [
            &b""[..],
            b"secret",
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            let error = connector(&[pem.to_vec()]).map(|_| ()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("a root certificate cannot be read"),
                "{error}"
            );
        }
    }
}
