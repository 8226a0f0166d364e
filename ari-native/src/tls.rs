//! Whom to trust, and as whom to appear.

use std::sync::Arc;

use ari_core::{Error, Source};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretSlice};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What TLS is made with; all of it in PEM.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Certificate authorities beside those of the system.
    pub(crate) authorities: Vec<Vec<u8>>,
    pub(crate) client: Option<OwnCertificate>,
}

/// A certificate to be shown, and its key.
#[derive(Clone, Debug)]
pub(crate) struct OwnCertificate {
    chain: Vec<u8>,
    key: SecretSlice<u8>,
}

impl OwnCertificate {
    pub(crate) fn new(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            chain: chain.into(),
            key: SecretSlice::from(key.into()),
        }
    }

    fn read(
        &self,
        name: &str,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let what = &format!(
            "the {name} certificate cannot be read: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----"
        );
        let mut chain = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&self.chain) {
            chain.push(certificate.map_err(|error| because(what, error))?);
        }
        if chain.is_empty() {
            return Err(wrong(what));
        }
        // The cause is left out: it may repeat a part of the key.
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret()).map_err(|_| {
            wrong(&format!(
                "the key of the {name} certificate cannot be read: it has to be PEM without a passphrase"
            ))
        })?;
        Ok((chain, key))
    }
}

/// Makes TLS connections that trust the system's certificate authorities and those given.
///
/// It reads files: call it where blocking is allowed.
pub(crate) fn connector(trust: &Trust) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    for pem in &trust.authorities {
        add(&mut roots, pem)?;
    }
    if roots.is_empty() {
        let reason = "this system has no certificate authorities, so no certificate can be checked: give the \
                      one of Asterisk's certificate as root certificate";
        return Err(wrong(reason));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| because("TLS cannot be set up", error))?
        .with_root_certificates(roots);
    let config = match &trust.client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let (chain, key) = client.read("client")?;
            config.with_client_auth_cert(chain, key).map_err(|error| {
                because(
                    "the client certificate cannot be used: is the key its own, and of a usual kind?",
                    error,
                )
            })?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes TLS connections with this certificate.
pub(crate) fn acceptor(certificate: &OwnCertificate) -> Result<TlsAcceptor, Error> {
    let (chain, key) = certificate.read("server's")?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| because("TLS cannot be set up", error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            because(
                "the server's certificate cannot be used: is the key its own, and of a usual kind?",
                error,
            )
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), Error> {
    let what = "a root certificate cannot be read: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----";
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| because(what, error))?;
        roots
            .add(certificate)
            .map_err(|error| because(what, error))?;
    }
    if roots.len() == before {
        Err(wrong(what))
    } else {
        Ok(())
    }
}

fn wrong(reason: &str) -> Error {
    Error::Connect {
        reason: reason.to_owned(),
        source: None,
    }
}

fn because(reason: &str, source: impl Into<Source>) -> Error {
    Error::Connect {
        reason: reason.to_owned(),
        source: Some(source.into()),
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
            let trust = Trust {
                authorities: vec![pem.to_vec()],
                client: None,
            };
            let error = connector(&trust).map(|_| ()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("a root certificate cannot be read"),
                "{error}"
            );
        }
    }
}
