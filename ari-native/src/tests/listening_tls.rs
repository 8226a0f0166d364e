//! Asterisk connects to the program over TLS.

use std::{io, sync::Arc};

use ari_core::{Error, StreamItem};
use futures::StreamExt;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    listening::{Asterisk, builder, restored, within},
    tls::{CERTIFICATE, CLIENT, KEY},
};
use crate::{Accepted, Listener, ListenerBuilder};

pub(super) fn secured() -> ListenerBuilder {
    builder().certificate(CERTIFICATE, KEY)
}

/// Does as Asterisk does with `verify_server_cert` and this as `ca_list_file`.
pub(super) async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    authority: &[u8],
) -> io::Result<Box<TlsStream<S>>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority).unwrap();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("asterisk.test").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map(Box::new)
}

async fn dialed(listener: &Listener, authority: &[u8]) -> io::Result<Box<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(listener.local_addr()).await.unwrap();
    within(tls(stream, authority)).await
}

async fn connected(listener: &Listener) -> Asterisk<Box<TlsStream<TcpStream>>> {
    let stream = dialed(listener, CERTIFICATE).await.unwrap();
    let mut asterisk = within(Asterisk::over(stream, "demo")).await;
    asterisk.greet().await;
    asterisk
}

#[tokio::test]
async fn over_tls_a_client_works_and_outlives_its_connection() {
    let mut listener = secured().listen().await.unwrap();
    let mut asterisk = connected(&listener).await;
    let Some(Accepted::Application(ari)) = within(listener.accept()).await else {
        panic!("no application")
    };
    let channel = ari.channels().handle("c1");
    let (answered, line) = tokio::join!(channel.answer().into_future(), asterisk.serve(204, ""));
    answered.unwrap();
    assert_eq!(line, "POST channels/c1/answer");
    // Whoever does not trust the certificate gets nowhere.
    let untrusting = dialed(&listener, CLIENT).await.unwrap_err();
    assert_eq!(
        untrusting.kind(),
        io::ErrorKind::InvalidData,
        "{untrusting}"
    );

    let mut events = ari.events().await.unwrap();
    drop(asterisk);
    let gap = within(events.next()).await;
    assert!(matches!(gap, Some(StreamItem::Gap(_))), "{gap:?}");
    let mut asterisk = connected(&listener).await;
    assert_eq!(restored(&mut events).await, ["ApplicationRegistered"]);
    let (answered, _) = tokio::join!(channel.answer().into_future(), asterisk.serve(204, ""));
    answered.unwrap();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_and_its_key_never_shown() {
    let cases = [
        (
            &b"nonsense"[..],
            KEY,
            "the server's certificate cannot be read",
        ),
        (
            CERTIFICATE,
            b"secret",
            "the key of the server's certificate cannot be read",
        ),
        (
            CLIENT,
            KEY,
            "the server's certificate cannot be used: is the key its own",
        ),
    ];
    for (chain, key, said) in cases {
        let builder = builder().certificate(chain, key);
        let shown = format!("{builder:?}");
        let error = builder.listen().await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
        assert!(error.to_string().starts_with(said), "{error}");
        let shown = format!("{shown} {error:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("MIG"),
            "{shown}"
        );
    }
}
