//! TLS with a certificate of our own.

use std::sync::Arc;

use ari_core::Error;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use super::server::{Reply, Server};
use crate::{Builder, builder};

const CERTIFICATE: &[u8] = include_bytes!("certificates/certificate.pem");
const KEY: &[u8] = include_bytes!("certificates/key.pem");

fn server() -> Server {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Server::with(Some(TlsAcceptor::from(Arc::new(config))))
}

fn to(server: &Server, host: &str) -> Builder {
    builder(format!("https://{host}:8089/ari"))
        .application("demo")
        .credentials("user", "secret")
        .connector(server.connector())
}

#[tokio::test]
async fn a_certificate_of_a_given_authority_is_trusted() {
    let mut server = server();
    let ari = to(&server, "asterisk.test")
        .root_certificate(CERTIFICATE)
        .connect()
        .await
        .unwrap();
    let _socket = server.socket().await;
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    assert!(ari.channels().list().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_even_when_retrying() {
    let server = server();
    let builder = to(&server, "other.test")
        .root_certificate(CERTIFICATE)
        .retry_connect(true);
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }));
    assert!(
        error
            .to_string()
            .starts_with("no TLS connection to other.test:8089 can be made"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let server = Server::new();
    let error = to(&server, "asterisk.test")
        .root_certificate(CERTIFICATE)
        .connect()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no TLS connection to asterisk.test:8089 can be made"),
        "{error}"
    );
}
