//! What a log shows, and what it must not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::{connected, server::Reply};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A life with calls, a retry and a lost WebSocket, as it is logged at a level.
async fn life(level: Level) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(level)
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let (ari, mut server) = connected().await;
    server
        .on("GET /channels/chan-7", Reply::Cut(b""))
        .on("GET /channels/chan-7", Reply::Answer("500 Oh no", ""))
        .on(
            "GET /channels/chan-7/variable",
            Reply::Answer("500 Oh no", ""),
        );
    ari.channels().get("chan-7").await.unwrap_err();
    let channel = ari.channels().handle("chan-7");
    channel.variable("private").await.unwrap_err();
    drop(server.socket().await);
    let _socket = server.socket().await;
    super::until("it is back", || {
        log.text().contains("the WebSocket is back")
    })
    .await;
    ari.close().await.unwrap();
    log.text()
}

#[tokio::test(start_paused = true)]
async fn a_log_at_info_has_templates_and_neither_ids_nor_secrets() {
    let log = life(Level::INFO).await;
    for said in [
        "INFO ari_native::link: connected",
        "WARN ari.call{op=",
        "method=\"GET\" path=\"/channels/{channelId}\"",
        "attempt=2",
        "sent again",
        "WARN ari_native::link: the WebSocket is lost",
        "INFO ari_native::link: the WebSocket is back",
        "INFO ari_native::link: closed",
    ] {
        assert!(log.contains(said), "{said} is missing:\n{log}");
    }
    for unsaid in ["chan-7", "private", "secret", "dXNlcj"] {
        assert!(!log.contains(unsaid), "{unsaid}:\n{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_at_debug_has_ids_but_neither_parameters_nor_secrets() {
    let log = life(Level::DEBUG).await;
    assert!(log.contains("/channels/chan-7"), "{log}");
    for unsaid in ["private", "secret", "dXNlcj"] {
        assert!(!log.contains(unsaid), "{unsaid}:\n{log}");
    }
}
