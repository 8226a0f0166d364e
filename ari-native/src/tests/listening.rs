//! Asterisk connects to the program.

use std::{net::SocketAddr, time::Duration};

use ari_core::{Ari, ConnectionState, End, Error, Events, StreamItem};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};
use tokio_util::task::TaskTracker;

use crate::{Accepted, Listener, ListenerBuilder, listen};

const PATIENCE: Duration = Duration::from_secs(10);
const ID: &str = "02:00:00:00:00:01";

pub(super) fn builder() -> ListenerBuilder {
    listen(SocketAddr::from(([127, 0, 0, 1], 0))).credentials("user", "secret")
}

pub(super) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// An Asterisk that has connected.
pub(super) struct Asterisk<S = TcpStream> {
    socket: WebSocketStream<S>,
    /// In whose name it answers.
    application: String,
}

impl Asterisk {
    async fn connect(address: SocketAddr, application: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over(stream, application).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Asterisk<S> {
    async fn handshake(
        stream: S,
        headers: &[(&'static str, String)],
    ) -> Result<Self, tungstenite::Error> {
        let mut request = "ws://program/ari".into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, answer) = client_async(request, stream).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], "ari");
        let application = String::new();
        Ok(Self {
            socket,
            application,
        })
    }

    /// Opens the WebSocket over a connection.
    pub(super) async fn over(stream: S, application: &str) -> Self {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode("user:secret"));
        let headers = [
            ("authorization", authorization),
            ("sec-websocket-protocol", "chat, ari".to_owned()),
        ];
        let mut asterisk = Self::handshake(stream, &headers).await.unwrap();
        application.clone_into(&mut asterisk.application);
        asterisk
            .tell(application, "ApplicationRegistered", json!({}))
            .await;
        asterisk
    }

    pub(super) async fn tell(&mut self, application: &str, kind: &str, more: Value) {
        let mut event = json!({"type": kind, "application": application, "asterisk_id": ID});
        let members = event.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let message = Message::text(event.to_string());
        self.socket.send(message).await.unwrap();
    }

    pub(super) async fn serve(&mut self, status: u16, body: &str) -> String {
        let message = within(self.socket.next()).await.unwrap().unwrap();
        let asked: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        let answer = json!({
            "type": "RESTResponse",
            "transaction_id": asked["transaction_id"],
            "status_code": status,
            "message_body": body,
            "application": self.application,
        });
        let message = Message::text(answer.to_string());
        self.socket.send(message).await.unwrap();
        format!("{} {}", asked["method"], asked["uri"]).replace('"', "")
    }

    /// Waits until the other side ends it; gives how long that took.
    pub(super) async fn until_closed(&mut self) -> Duration {
        let start = Instant::now();
        let end = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(60 * PATIENCE, end)
            .await
            .expect("it is never closed");
        start.elapsed()
    }

    /// Says goodbye with this code.
    pub(super) async fn close(&mut self, code: u16) {
        let reason = tungstenite::Utf8Bytes::from_static("");
        let frame = tungstenite::protocol::CloseFrame {
            code: code.into(),
            reason,
        };
        self.socket.close(Some(frame)).await.unwrap();
    }

    pub(super) async fn greet(&mut self) {
        let info = format!(r#"{{"system":{{"version":"22.10.1","entity_id":"{ID}"}}}}"#);
        assert_eq!(self.serve(200, &info).await, "GET asterisk/info");
    }
}

async fn connected() -> (Ari, Asterisk, Listener) {
    let mut listener = builder().listen().await.unwrap();
    let mut asterisk = Asterisk::connect(listener.local_addr(), "demo").await;
    asterisk.greet().await;
    let Some(Accepted::Application(ari)) = within(listener.accept()).await else {
        panic!("no application")
    };
    (ari, asterisk, listener)
}

/// Reads up to the restored connection; gives what came, in short.
pub(super) async fn restored(events: &mut Events) -> Vec<String> {
    let mut came = Vec::new();
    loop {
        match within(events.next()).await.unwrap() {
            StreamItem::Event(event) => came.push(event.kind().to_owned()),
            StreamItem::Resynced => return came,
            _ => came.push("Gap".to_owned()),
        }
    }
}

#[tokio::test]
async fn who_has_no_credentials_or_another_protocol_stays_out() {
    let listener = builder().listen().await.unwrap();
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    let protocol = ("sec-websocket-protocol", "ari".to_owned());
    for (headers, status) in [
        (vec![protocol.clone()], 401),
        (
            vec![protocol.clone(), ("authorization", basic("user:wrong"))],
            401,
        ),
        (
            vec![
                protocol.clone(),
                ("authorization", basic("user:secretsecret")),
            ],
            401,
        ),
        (
            vec![
                protocol.clone(),
                ("authorization", "Bearer secret".to_owned()),
            ],
            401,
        ),
        (vec![protocol, ("authorization", String::new())], 401),
        (vec![("authorization", basic("user:secret"))], 400),
    ] {
        let stream = TcpStream::connect(listener.local_addr()).await.unwrap();
        let refused = Asterisk::handshake(stream, &headers).await;
        let Err(tungstenite::Error::Http(answer)) = refused.map(|_| ()) else {
            panic!("not refused")
        };
        assert_eq!(answer.status(), status);
        assert_eq!(
            answer.headers().contains_key("www-authenticate"),
            status == 401
        );
    }
    within(listener.close()).await;
    let error = listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .listen()
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("there are no credentials"),
        "{error}"
    );
    assert!(!format!("{:?}", builder()).contains("secret"));
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let listener = builder()
        .handshake_timeout(Duration::from_millis(50))
        .max_connections(1)
        .listen()
        .await
        .unwrap();
    for _ in 0..2 {
        let mut silent = TcpStream::connect(listener.local_addr()).await.unwrap();
        let mut beyond = TcpStream::connect(listener.local_addr()).await.unwrap();
        assert_eq!(within(beyond.read(&mut [0])).await.unwrap_or_default(), 0);
        assert_eq!(within(silent.read(&mut [0])).await.unwrap_or_default(), 0);
    }
}

#[tokio::test]
async fn a_client_outlives_the_connections_of_its_asterisk() {
    let (ari, mut asterisk, listener) = connected().await;
    assert_eq!(ari.identity().application.as_deref(), Some("demo"));
    assert_eq!(ari.identity().asterisk_id.as_deref(), Some(ID));
    let mut events = ari.events().await.unwrap();
    let channel = ari.channels().handle("c1");
    let (answered, line) = tokio::join!(channel.answer().into_future(), asterisk.serve(204, ""));
    answered.unwrap();
    assert_eq!(line, "POST channels/c1/answer");
    let error = ari.recordings().get_stored_file("r1").await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");

    drop(asterisk);
    let gap = within(events.next()).await;
    assert!(matches!(gap, Some(StreamItem::Gap(_))), "{gap:?}");
    let error = channel.answer().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    let mut asterisk = Asterisk::connect(listener.local_addr(), "demo").await;
    asterisk.greet().await;
    assert_eq!(restored(&mut events).await, ["ApplicationRegistered"]);

    // Asterisk has lost it before this side notices.
    let mut next = Asterisk::connect(listener.local_addr(), "demo").await;
    next.greet().await;
    assert_eq!(
        restored(&mut events).await,
        ["Gap", "ApplicationRegistered"]
    );
    let (answered, _) = tokio::join!(channel.answer().into_future(), next.serve(204, ""));
    answered.unwrap();

    // Without a listener nothing can come back.
    within(listener.close()).await;
    drop(next);
    while within(events.next()).await.is_some() {}
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[tokio::test]
async fn a_connection_may_be_one_call() {
    let mut listener = builder().listen().await.unwrap();
    let application = "demo:PJSIP/bob-00000001";
    let mut asterisk = Asterisk::connect(listener.local_addr(), application).await;
    let start = json!({"args": ["1"], "channel": {"id": "c1"}});
    asterisk.tell(application, "StasisStart", start).await;
    asterisk.greet().await;
    let Some(Accepted::Call(ari, call)) = within(listener.accept()).await else {
        panic!("no call")
    };
    assert_eq!(ari.identity().application.as_deref(), Some(application));
    let (channel, mut events) = call.into_parts();
    assert_eq!(channel.id(), "c1");
    let (answered, _) = tokio::join!(channel.answer().into_future(), asterisk.serve(204, ""));
    answered.unwrap();
    asterisk
        .tell(application, "StasisEnd", json!({"channel": {"id": "c1"}}))
        .await;
    let end = within(events.next()).await;
    assert!(matches!(end, Some(StreamItem::Event(event)) if event.kind() == "StasisEnd"));
    // Asterisk says goodbye: it is the end, and nothing was lost.
    let mut all = ari.events().await.unwrap();
    asterisk.socket.close(None).await.unwrap();
    assert!(within(all.next()).await.is_none());
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[tokio::test]
async fn applications_and_asterisks_have_clients_of_their_own() {
    let (ari, _asterisk, mut listener) = connected().await;
    let mut other = Asterisk::connect(listener.local_addr(), "other").await;
    other.greet().await;
    let Some(Accepted::Application(second)) = within(listener.accept()).await else {
        panic!("no application")
    };
    assert_eq!(second.identity().application.as_deref(), Some("other"));
    let goodbye = async { while within(other.socket.next()).await.is_some() {} };
    let (closed, ()) = tokio::join!(second.close(), goodbye);
    closed.unwrap();
    // One that was closed is not gone on with.
    let mut other = Asterisk::connect(listener.local_addr(), "other").await;
    other.greet().await;
    assert!(matches!(
        within(listener.accept()).await,
        Some(Accepted::Application(_))
    ));
    assert_eq!(ari.state(), ConnectionState::Connected);
}

#[tokio::test]
async fn a_client_that_was_replaced_ends_with_its_socket() {
    let (ari, mut asterisk, _listener) = connected().await;
    let mut events = ari.events().await.unwrap();
    let channel = ari.channels().handle("c1");
    let wait = TaskTracker::new().spawn(async move { channel.until_hungup().await });
    assert_eq!(asterisk.serve(200, "{}").await, "GET channels/c1");
    asterisk
        .tell("demo", "ApplicationReplaced", json!({}))
        .await;
    while within(events.next()).await.is_some() {}
    assert_eq!(events.end(), Some(End::Replaced));
    drop(asterisk);
    let ended = within(wait).await.unwrap();
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[tokio::test]
async fn an_application_that_a_changed_configuration_adds_makes_a_new_client() {
    let (ari, mut asterisk, mut listener) = connected().await;
    let mut events = ari.events().await.unwrap();
    // What Asterisk says when it reads `apps=new,demo` after `apps=demo`.
    asterisk
        .tell("demo", "ApplicationRegistered", json!({}))
        .await;
    asterisk
        .tell("new", "ApplicationRegistered", json!({}))
        .await;
    asterisk
        .tell("demo", "ApplicationReplaced", json!({}))
        .await;
    asterisk.until_closed().await;
    while within(events.next()).await.is_some() {}
    assert_eq!(events.end(), Some(End::Closed));
    assert_eq!(ari.state(), ConnectionState::Closed);
    let mut asterisk = Asterisk::connect(listener.local_addr(), "new").await;
    asterisk
        .tell("demo", "ApplicationRegistered", json!({}))
        .await;
    asterisk.greet().await;
    let Some(Accepted::Application(ari)) = within(listener.accept()).await else {
        panic!("no application")
    };
    let mut calls = ari.for_application("demo").unwrap().calls().await.unwrap();
    asterisk
        .tell("demo", "StasisStart", json!({"channel": {"id": "c"}}))
        .await;
    assert_eq!(within(calls.next()).await.unwrap().channel().id(), "c");
}
