//! TLS with a certificate of our own.

use std::{env, process::Command, sync::Arc};

use ari_core::Error;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::server::{Reply, Server};
use crate::{Builder, builder};

pub(super) const CERTIFICATE: &[u8] = include_bytes!("certificates/certificate.pem");
pub(super) const KEY: &[u8] = include_bytes!("certificates/key.pem");

pub(super) const CLIENT: &[u8] = include_bytes!("certificates/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("certificates/client-key.pem");

fn server() -> Server {
    serving(None)
}

/// A server that asks for this certificate of a client, if there is one.
fn serving(client: Option<&[u8]>) -> Server {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(client).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = config.with_single_cert(vec![certificate], key).unwrap();
    Server::with(Some(TlsAcceptor::from(Arc::new(config))))
}

fn to(server: &Server, host: &str) -> Builder {
    builder(format!("https://{host}:8089/ari"))
        .application("demo")
        .credentials("user", "secret")
        .connector(server.connector())
}

/// The client has its event socket, and its requests are answered.
async fn works(client: Builder, mut server: Server) {
    let ari = client.connect().await.unwrap();
    let _socket = server.socket().await;
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    assert!(ari.channels().list().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_certificate_of_a_given_authority_is_trusted() {
    let server = server();
    let client = to(&server, "asterisk.test").root_certificate(CERTIFICATE);
    works(client, server).await;
}

/// The environment says where the system's authorities are: this test runs itself in a process of its own.
#[tokio::test]
async fn a_certificate_of_an_authority_of_the_system_is_trusted() {
    const NAME: &str = "tests::tls::a_certificate_of_an_authority_of_the_system_is_trusted";
    const FILE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/tests/certificates/certificate.pem"
    );
    if env::var("SSL_CERT_FILE").is_ok_and(|file| file == FILE) {
        let server = server();
        return works(to(&server, "asterisk.test"), server).await;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env("SSL_CERT_FILE", FILE)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
    let server = server();
    let client = to(&server, "asterisk.test").root_certificate(CLIENT);
    let error = client.connect().await.unwrap_err();
    let said = "no TLS connection to asterisk.test:8089 can be made";
    assert!(error.to_string().starts_with(said), "{error}");
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

#[tokio::test]
async fn a_client_certificate_is_shown_to_both_http_and_websocket() {
    let server = serving(Some(CLIENT));
    let client = to(&server, "asterisk.test")
        .root_certificate(CERTIFICATE)
        .client_certificate(CLIENT, CLIENT_KEY);
    works(client, server).await;
}

#[tokio::test]
async fn a_client_certificate_that_is_wanted_is_told_of_even_when_retrying() {
    let server = serving(Some(CLIENT));
    let base = to(&server, "asterisk.test")
        .root_certificate(CERTIFICATE)
        .retry_connect(true);
    for builder in [base.clone(), base.client_certificate(CERTIFICATE, KEY)] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "what serves TLS at asterisk.test:8089 wants another client certificate: set one that it trusts as \
             client certificate"
        );
    }
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_used_is_told_and_its_key_never_shown() {
    let server = server();
    let cases = [
        (
            &b"nonsense"[..],
            CLIENT_KEY,
            "the client certificate cannot be read",
        ),
        (
            CLIENT,
            b"secret",
            "the key of the client certificate cannot be read",
        ),
        (
            CLIENT,
            CLIENT,
            "the key of the client certificate cannot be read",
        ),
        (
            CLIENT,
            KEY,
            "the client certificate cannot be used: is the key its own",
        ),
    ];
    for (chain, key, said) in cases {
        let builder = to(&server, "asterisk.test").client_certificate(chain, key);
        let shown = format!("{builder:?}");
        let error = builder.connect().await.unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
        let shown = format!("{shown} {error:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("MIG"),
            "{shown}"
        );
    }
    assert_eq!(server.dialed(), 0);
}
