//! What the libraries below write to a log at its lowest level: none of the credentials.
//!
//! The log is that of the whole process, which is why this is a program of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use ari_native::{builder, listen};
use ari_sim::Simulator;
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing::Level;

const USER: &str = "listener-7";
const PASSWORD: &str = "Tr0ub4dor-and-3";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> String {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8(log.clone()).unwrap()
}

fn token() -> String {
    BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"))
}

/// A client that connects over HTTP and WebSocket, and one whose WebSocket is refused.
async fn connects() {
    let simulator = Simulator::builder().user(USER, PASSWORD).start();
    let server = simulator.serve(loopback()).await.unwrap();
    let to = builder(server.url())
        .application("demo")
        .credentials(USER, PASSWORD);
    let ari = to.clone().connect().await.unwrap();
    ari.channels().list().await.unwrap();
    ari.close().await.unwrap();
    let lost = to.websocket_url(format!("{}/nowhere", server.url()));
    let error = lost.connect().await.unwrap_err();
    assert!(error.to_string().contains("(404)"), "{error}");
    server.stop().await;
}

/// An Asterisk that opens the WebSocket; its request is written by hand, as a library would log it.
async fn is_connected_to() {
    let listener = listen(loopback())
        .credentials(USER, PASSWORD)
        .listen()
        .await
        .unwrap();
    for (token, status) in [(token(), "101"), (format!("{}x", token()), "401")] {
        let request = format!(
            "GET /ari HTTP/1.1\r\nHost: program\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: ari\r\nAuthorization: Basic {token}\r\n\r\n"
        );
        let mut asterisk = TcpStream::connect(listener.local_addr()).await.unwrap();
        asterisk.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        asterisk.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes());
    }
    listener.close().await;
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

#[tokio::test]
async fn a_log_of_everything_has_no_credentials() {
    // What comes through `log`, as from the WebSocket library, is written as well.
    tracing_subscriber::fmt()
        .with_writer(|| Log)
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .init();
    connects().await;
    is_connected_to().await;
    let log = log();
    for said in [
        "TRACE tungstenite::",
        "Server handshake done",
        "ari_native::link: connected",
    ] {
        assert!(log.contains(said), "{said} is missing:\n{log}");
    }
    let token = token();
    for unsaid in [PASSWORD, token.trim_end_matches('=')] {
        let line = log.lines().find(|line| line.contains(unsaid));
        assert_eq!(line, None, "a secret is in the log");
    }
}
