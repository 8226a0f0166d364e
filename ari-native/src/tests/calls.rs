//! Requests and what becomes of them.

use std::{sync::Arc, time::Duration};

use ari_core::{AriClient, Error, Operation, Request, registry};
use futures::future::join_all;
use tokio::time::{Instant, advance};

use super::{
    connected, next,
    server::{Reply, Server},
    to, until,
};

const ANSWER: &str = "POST /channels/c1/answer";
const LIST: &str = "GET /channels";
const PING: &str = "GET /asterisk/ping";

#[tokio::test(start_paused = true)]
async fn a_request_goes_out_as_ari_wants_it() {
    let (ari, server) = connected().await;
    server.on(
        "POST /channels/c%2F1/answer",
        Reply::Answer("204 No Content", ""),
    );
    ari.channels().handle("c/1").answer().await.unwrap();
    let seen = server.seen().remove(0);
    assert_eq!(seen.line, "POST /ari/channels/c%2F1/answer");
    assert_eq!(seen.headers["host"], "pbx:8088");
    assert_eq!(seen.headers["authorization"], "Basic dXNlcjpzZWNyZXQ=");
    assert!(!seen.headers.contains_key("content-type"));

    server.on(
        "POST /channels/c1/variables",
        Reply::Answer("204 No Content", ""),
    );
    let operation = registry::OPERATIONS
        .iter()
        .find(|spec| spec.to_string() == "POST /channels/{channelId}/variables");
    let request = Request::new(operation.unwrap(), ari.identity())
        .with("channelId", "c1")
        .with("variables", serde_json::json!({"a": "b"}));
    let response = ari.request(request).await.unwrap();
    assert_eq!((response.status, &*response.reason), (204, "No Content"));
    assert_eq!(response.source, ari.identity());
    let seen = server.seen().remove(1);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.body, r#"{"variables":{"a":"b"}}"#);
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_one_request_after_another() {
    let (ari, server) = connected().await;
    let dialed = server.dialed();
    for _ in 0..5 {
        server.on(LIST, Reply::Answer("200 OK", "[]"));
        ari.channels().list().await.unwrap();
    }
    assert_eq!(server.dialed(), dialed);
    advance(Duration::from_secs(11)).await;
    server.on(LIST, Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    assert_eq!(
        server.dialed(),
        dialed + 1,
        "a connection that was idle for too long is not used"
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_keep_status_and_message() {
    let (ari, server) = connected().await;
    server.on(
        ANSWER,
        Reply::Answer("404 Not Found", r#"{"message":"Channel not found"}"#),
    );
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "POST /channels/{channelId}/answer was refused: 404 Not Found: Channel not found"
    );
    for (status, code) in [
        ("500 Oh no", 500),
        ("302 Found", 302),
        ("503 Service Unavailable", 503),
        ("418 Teapot", 418),
    ] {
        server.on(
            ANSWER,
            Reply::Answer(status, "<html><body>Something</body></html>"),
        );
        let error = ari.channels().handle("c1").answer().await.unwrap_err();
        assert_eq!(error.status(), Some(code));
        let said = format!("{status}, and this: <html><body>Something</body></html>");
        assert!(error.to_string().ends_with(&said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_json_is_an_error_and_the_connection_goes_on() {
    let (ari, server) = connected().await;
    server
        .on(PING, Reply::Answer("200 OK", "<html>surprise"))
        .on(PING, Reply::Answer("200 OK", r#"{"asterisk_id":"x"}"#));
    let error = ari.asterisk().ping().await.unwrap_err();
    assert!(
        matches!(&error, Error::Decode { sample, .. } if sample == "<html>surprise"),
        "{error}"
    );
    ari.asterisk().ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let (ari, server) = connected().await;
    server
        .on(ANSWER, Reply::Silence)
        .on(ANSWER, Reply::Silence)
        .on(ANSWER, Reply::Answer("204 No Content", ""));
    let channel = ari.channels().handle("c1");
    let start = Instant::now();
    let error = channel.answer().await.unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { after, .. } if after == Duration::from_secs(10)),
        "{error}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    let error = channel
        .answer()
        .timeout_after(Duration::from_secs(3))
        .await
        .unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!(start.elapsed().as_secs(), 13);
    let dialed = server.dialed();
    channel.answer().await.unwrap();
    assert_eq!(
        server.dialed(),
        dialed + 1,
        "what nobody waits for must not answer the next request"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_operation_ran_leaves_the_outcome_unknown() {
    let (ari, server) = connected().await;
    server.on(ANSWER, Reply::Cut(b""));
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert!(matches!(&error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(
        error.to_string().contains("Asterisk at pbx:8088"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1, "it is not sent again");

    server.on(
        ANSWER,
        Reply::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":"),
    );
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert!(matches!(&error, Error::OutcomeUnknown { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn only_a_get_is_sent_again_and_only_once() {
    let (ari, server) = connected().await;
    server
        .on(LIST, Reply::Cut(b""))
        .on(LIST, Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    assert_eq!(server.seen().len(), 2);
    // That it cannot be sent again does not undo that it was sent.
    server.on(LIST, Reply::Cut(b""));
    server.refuse(1);
    let error = ari.channels().list().await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    server.on(LIST, Reply::Cut(b"")).on(LIST, Reply::Cut(b""));
    let error = ari.channels().list().await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_means_not_sent() {
    let server = Server::new();
    let ari = to(&server).max_connections(1).connect().await.unwrap();
    advance(Duration::from_secs(11)).await;
    server.refuse(1);
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "POST /channels/{channelId}/answer was not sent: no connection to Asterisk at pbx:8088: nobody listens there"
    );
    assert!(error.is_retryable());
    // The only connection is busy until the deadline of the one that waits for it.
    server.on(LIST, Reply::Silence);
    let (first, second) = tokio::join!(
        ari.channels().list(),
        ari.channels()
            .handle("c1")
            .answer()
            .timeout_after(Duration::from_secs(2))
    );
    assert!(matches!(first, Err(Error::TimedOut { .. })));
    let second = second.unwrap_err();
    assert!(
        matches!(second, Error::NotSent { .. })
            && second.to_string().contains("could be had within 2s"),
        "{second}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_an_error_and_the_next_request_is_answered() {
    let (ari, server) = connected().await;
    for garbage in [
        &b"\x00\x01\x02\x03garbage\r\n\r\n"[..],
        b"NOPE/9 what\r\n\r\n",
        b"HTTP/1.1 99999 x\r\n\r\n",
    ] {
        server
            .on(ANSWER, Reply::Raw(garbage))
            .on(ANSWER, Reply::Answer("204 No Content", ""));
        let error = ari.channels().handle("c1").answer().await.unwrap_err();
        let said = format!(
            "what Asterisk at pbx:8088 answered is not HTTP; it began with: {}",
            ari_core::sample(garbage)
        );
        assert!(error.to_string().ends_with(&said), "{error}");
        ari.channels().handle("c1").answer().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_answers_nothing_else() {
    let (ari, server) = connected().await;
    let twice =
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Surprise\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..10 {
        server
            .on(ANSWER, Reply::Raw(twice))
            .on(LIST, Reply::Answer("200 OK", "[]"));
        ari.channels().handle("c1").answer().await.unwrap();
        ari.channels().list().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_cut_off() {
    let server = Server::new();
    let ari = to(&server).max_answer_bytes(100).connect().await.unwrap();
    server.on(
        LIST,
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"),
    );
    let error = ari.channels().list().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it is longer than 100 bytes; it began with: HTTP/1.1 200 OK"),
        "{error}"
    );
    server.on(
        LIST,
        Reply::Cut(
            b"HTTP/1.1 200 OK\r\n\r\n[0123456789,0123456789,0123456789,0123456789,0123456789,\
            0123456789,0123456789,0123456789,0123456789,0123456789]",
        ),
    );
    let error = ari.channels().list().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("GET /channels: it is longer than 100 bytes; it began with: "),
        "{error}"
    );
    server.on(LIST, Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_closes_its_connection() {
    let (ari, server) = connected().await;
    server.on(ANSWER, Reply::Silence);
    let open = server.open();
    let mut call = ari.channels().handle("c1").answer().into_future();
    tokio::select! {
        _ = &mut call => panic!("nobody answered"),
        () = server.saw(1) => {}
    }
    drop(call);
    until("the server sees the end", || server.open() < open).await;
    server.on(ANSWER, Reply::Answer("204 No Content", ""));
    let dialed = server.dialed();
    ari.channels().handle("c1").answer().await.unwrap();
    assert_eq!(server.dialed(), dialed + 1);
}

#[tokio::test(start_paused = true)]
async fn calls_share_a_bounded_number_of_connections() {
    let server = Server::new();
    let ari = to(&server).max_connections(3).connect().await.unwrap();
    for _ in 0..50 {
        server.on(LIST, Reply::Answer("200 OK", "[]"));
    }
    let calls = join_all((0..50).map(|_| ari.channels().list().into_future())).await;
    assert!(calls.iter().all(Result::is_ok));
    assert!(server.most_open() <= 3, "{}", server.most_open());
}

#[tokio::test(start_paused = true)]
async fn a_request_for_another_asterisk_is_not_sent_to_this_one() {
    let (ari, server) = connected().await;
    let elsewhere = ari.for_node("02:00:00:00:00:99").unwrap();
    let error = elsewhere
        .channels()
        .handle("c1")
        .answer()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error}");
    assert!(server.seen().is_empty());
    let here = ari.for_node("02:00:00:00:00:01").unwrap();
    server.on(ANSWER, Reply::Answer("204 No Content", ""));
    here.channels().handle("c1").answer().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn asking_everybody_is_asking_the_one() {
    let server = Server::new();
    let client: Arc<dyn AriClient> = to(&server).build_client().await.unwrap();
    let operation = registry::OPERATIONS
        .iter()
        .find(|spec| spec.to_string() == LIST)
        .unwrap();
    let request = Request::new(operation, client.identity());
    server
        .on(LIST, Reply::Answer("200 OK", "[]"))
        .on(LIST, Reply::Cut(b""))
        .on(LIST, Reply::Cut(b""));
    let gathered = client.gather(request.clone()).await.unwrap();
    assert_eq!((gathered.items.len(), gathered.is_complete()), (1, true));
    assert!(client.gather(request).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn commands_bind_a_dialog_before_they_are_sent() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let dialog = ari.dialog("order-1").unwrap();
    let mut events = dialog.events().await.unwrap();
    server.on(ANSWER, Reply::Silence);
    let mut call = dialog.channels().handle("c1").answer().into_future();
    tokio::select! {
        _ = &mut call => panic!("nobody answered"),
        () = server.saw(1) => {}
    }
    super::events::send(
        &mut socket,
        r#"{"type":"ChannelStateChange","channel":{"id":"c2"}}"#,
    )
    .await;
    super::events::send(
        &mut socket,
        r#"{"type":"ChannelDtmfReceived","channel":{"id":"c1"}}"#,
    )
    .await;
    assert_eq!(next(&mut events).await, "ChannelDtmfReceived");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_do_not_outlive_the_websocket() {
    let (ari, mut server) = connected().await;
    server.on(LIST, Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    let dialed = server.dialed();
    drop(server.socket().await);
    let _socket = server.socket().await;
    assert_eq!(server.dialed(), dialed + 2, "one for HTTP, too");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_end_is_cut() {
    let (ari, server) = connected().await;
    let body = format!(r#"{{"message":"Oh{}"}}"#, "!".repeat(100_000));
    server.on(ANSWER, Reply::Answer("409 Conflict", body.leak()));
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("409 Conflict: Oh!!!") && said.len() < 500,
        "{said}"
    );
}

/// Asterisk takes 4,096 bytes of a request line, and reads every parameter in a body as well.
#[tokio::test(start_paused = true)]
async fn no_request_line_is_longer_than_asterisk_takes() {
    let (ari, server) = connected().await;
    server.on(
        "GET /channels/c1/variables",
        Reply::Answer("200 OK", r#"{"variables":{}}"#),
    );
    let names = (0..120).map(|number| format!("VERY_LONG_NAME_OF_A_VARIABLE_{number:03}"));
    let names: Vec<_> = names.collect();
    ari.channels().handle("c1").variables(names).await.unwrap();
    let line = server.seen().remove(0).line;
    assert!(line.len() < 4_096, "{} bytes", line.len());
}
