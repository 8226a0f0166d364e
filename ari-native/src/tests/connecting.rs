//! What connecting says when it fails.

use std::time::Duration;

use ari_core::{ConnectionState, Error};
use futures::StreamExt;
use tokio::{net::TcpListener, time::Instant};

use super::{
    URL, connected,
    server::{Reply, Server},
    to,
};
use crate::{Builder, builder};

async fn failure(builder: Builder) -> String {
    let error = builder.connect().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("dXNlcjpzZWNyZXQ"),
        "{shown}"
    );
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_connection_knows_who_is_there() {
    let (ari, server) = connected().await;
    assert_eq!(ari.state(), ConnectionState::Connected);
    assert_eq!(ari.identity().application.as_deref(), Some("demo"));
    assert_eq!(
        ari.identity().asterisk_id.as_deref(),
        Some("02:00:00:00:00:01")
    );
    let upgrade = server.upgrade();
    assert_eq!(upgrade.line, "GET /ari/events?app=demo");
    assert_eq!(upgrade.headers["authorization"], "Basic dXNlcjpzZWNyZXQ=");
    let shown = format!("{ari:?} {:?}", ari.client());
    assert!(
        shown.contains("pbx:8088") && !shown.contains("secret") && !shown.contains("dXNlc"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn several_applications_share_a_socket() {
    let server = Server::new();
    let ari = to(&server)
        .application("other")
        .subscribe_all(true)
        .connect()
        .await
        .unwrap();
    assert_eq!(
        server.upgrade().line,
        "GET /ari/events?app=demo%2Cother&subscribeAll=true"
    );
    assert_eq!(ari.identity().application.as_deref(), Some("demo"));
}

#[tokio::test(start_paused = true)]
async fn credentials_of_the_url_serve_and_those_set_come_first() {
    let server = Server::new();
    let url = "http://user:secret@pbx:8088/ari/";
    let in_url = builder(url)
        .application("demo")
        .connector(server.connector());
    assert!(!format!("{in_url:?}").contains("secret"));
    let _ari = in_url.clone().connect().await.unwrap();
    assert_eq!(
        server.upgrade().headers["authorization"],
        "Basic dXNlcjpzZWNyZXQ="
    );
    let set = in_url
        .credentials("other", "secret")
        .websocket_url("ws://user:secret@pbx/ari/ws");
    assert!(!format!("{set:?}").contains("secret"));
    server.on("GET /ws", Reply::Answer("404 Not Found", ""));
    assert_eq!(
        failure(set).await,
        "Asterisk at pbx:80 has no WebSocket at /ari/ws (404): is res_http_websocket loaded, and is the URL right?"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_right_is_said_before_anything_is_sent() {
    let server = Server::new();
    let plain = |url: &str| builder(url).connector(server.connector());
    let complete = |url: &str| plain(url).application("demo").credentials("user", "secret");
    assert!(
        failure(complete("pbx/ari"))
            .await
            .starts_with("the URL of ARI cannot be read")
    );
    assert!(
        failure(complete("ftp://pbx/ari"))
            .await
            .starts_with("the URL of ARI is neither http nor https")
    );
    let wrong_socket = complete(URL).websocket_url("mqtt://pbx");
    assert!(
        failure(wrong_socket)
            .await
            .starts_with("the URL of the WebSocket is neither ws nor wss")
    );
    assert!(
        failure(plain(URL).credentials("user", "secret"))
            .await
            .starts_with("there is no application")
    );
    assert!(
        failure(plain(URL).application("demo"))
            .await
            .starts_with("there are no credentials")
    );
    assert!(
        failure(complete(URL).application("a,b"))
            .await
            .contains("has a comma")
    );
    let pem = builder("https://pbx/ari")
        .application("demo")
        .credentials("user", "secret")
        .root_certificate("nonsense");
    assert!(
        failure(pem)
            .await
            .starts_with("a root certificate cannot be read")
    );
    for name in ["my app", "demo.*", ">", "a..b", ""] {
        let error = to(&server).application(name).connect().await.unwrap_err();
        assert!(matches!(error, Error::InvalidName(_)), "{error}");
    }
    assert_eq!(server.dialed(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_refusal_says_what_to_do() {
    let info = "GET /asterisk/info";
    let cases = [
        (
            info,
            "401 Unauthorized",
            "Asterisk at pbx:8088 refused the user name or password (401): check ari.conf",
        ),
        (
            info,
            "403 Forbidden",
            "Asterisk at pbx:8088 does not let this user in (403): check its rights in ari.conf",
        ),
        (
            info,
            "404 Not Found",
            "no ARI at this URL of pbx:8088 (404): is it enabled in ari.conf, and does the path end in /ari?",
        ),
        (
            info,
            "503 Not Yet",
            "Asterisk at pbx:8088 is still starting (503): try again in a moment",
        ),
        (
            info,
            "200 OK",
            "what answers at pbx:8088 is not ARI: is the URL right? it said: hello",
        ),
        (
            "GET /events",
            "404 Not Found",
            "Asterisk at pbx:8088 has no WebSocket at /ari/events (404): is res_http_websocket loaded, and is the URL right?",
        ),
        (
            "GET /events",
            "401 Unauthorized",
            "Asterisk at pbx:8088 refused the user name or password for the WebSocket (401): check ari.conf",
        ),
        (
            "GET /events",
            "400 Bad Request",
            "Asterisk at pbx:8088 refused the WebSocket at /ari/events with 400 Bad Request: are the application names right?",
        ),
    ];
    for (request, status, said) in cases {
        let server = Server::new();
        server.on(request, Reply::Answer(status, "hello"));
        assert_eq!(failure(to(&server)).await, said);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_or_is_not_http_is_told_apart() {
    let server = Server::new();
    assert!(
        failure(to(server.refuse(1)))
            .await
            .starts_with("nobody listens at pbx:8088: is Asterisk running")
    );
    let start = Instant::now();
    server.on("GET /asterisk/info", Reply::Silence);
    let said = failure(to(&server).connect_timeout(Duration::from_secs(4))).await;
    assert!(
        said.starts_with("no answer from pbx:8088 within 4s"),
        "{said}"
    );
    server.on("GET /events", Reply::Silence);
    let said = failure(to(&server).connect_timeout(Duration::from_secs(4))).await;
    assert!(
        said.starts_with("the WebSocket of Asterisk at pbx:8088 does not open within 4s"),
        "{said}"
    );
    assert_eq!(start.elapsed().as_secs(), 8);
    server.on(
        "GET /asterisk/info",
        Reply::Raw(b"220 smtp.example ESMTP\r\n\r\n"),
    );
    assert_eq!(
        failure(to(&server)).await,
        "what answers at pbx:8088 is not ARI: is the URL right? it said: 220 smtp.example ESMTP    "
    );
    server
        .on("GET /asterisk/info", Reply::Cut(b""))
        .on("GET /asterisk/info", Reply::Cut(b""));
    assert!(
        failure(to(&server))
            .await
            .starts_with("pbx:8088 closes the connection without an answer")
    );
    server.on(
        "GET /events",
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    );
    assert!(
        failure(to(&server))
            .await
            .contains("refused the WebSocket at /ari/events with 200 OK")
    );
}

#[tokio::test(start_paused = true)]
async fn retrying_waits_for_asterisk_but_not_for_another_password() {
    let server = Server::new();
    server
        .refuse(5)
        .on("GET /asterisk/info", Reply::Answer("503 Not Yet", ""));
    server
        .on("GET /asterisk/info", Reply::Answer("404 Not Yet", ""))
        .on("GET /events", Reply::Answer("404 Not Yet", ""));
    let ari = to(&server).retry_connect(true).connect().await.unwrap();
    assert_eq!(ari.state(), ConnectionState::Connected);
    server
        .refuse(2)
        .on("GET /asterisk/info", Reply::Answer("401 Unauthorized", ""));
    let said = failure(to(&server).retry_connect(true)).await;
    assert!(said.contains("refused the user name or password"), "{said}");
}

#[tokio::test]
async fn real_sockets_do_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::new();
    let url = format!("http://{address}/ari");
    let serving = async {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            server.serve(Box::new(io));
        }
    };
    let connecting = crate::connect(url.clone(), "demo", "user", "secret");
    let ari = tokio::select! {
        ari = connecting => ari.unwrap(),
        () = serving => unreachable!(),
    };
    let mut socket = server.socket().await;
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    assert!(ari.channels().list().await.unwrap().items.is_empty());
    let goodbye = async { while socket.next().await.is_some() {} };
    tokio::join!(ari.close(), goodbye).0.unwrap();
    drop(listener);
    let error = crate::connect(url, "demo", "user", "secret")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("nobody listens at {address}")),
        "{error}"
    );
}
