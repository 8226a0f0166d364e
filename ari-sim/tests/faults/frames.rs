//! Faults of requests that come over the event socket.

use std::time::{Duration, Instant};

use ari_sim::{Fault, Server, Simulator};
use futures::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::client::{Socket, inject, is_quiet, kind, socket, start, text, until};

const BRIDGE: &str = "/bridges/{bridgeId}";

async fn ask(socket: &mut Socket, id: &str, method: &str, uri: &str) {
    let request =
        json!({"type": "RESTRequest", "transaction_id": id, "method": method, "uri": uri});
    let request = Message::text(request.to_string());
    socket.send(request).await.unwrap();
}

/// The answer that comes next; nothing else is told here.
async fn answer(socket: &mut Socket) -> Value {
    let text = text(socket).await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["type"], "RESTResponse");
    answer
}

async fn ping(socket: &mut Socket) {
    ask(socket, "ping", "GET", "asterisk/ping").await;
    let answer = answer(socket).await;
    assert_eq!(
        (&answer["transaction_id"], &answer["status_code"]),
        (&json!("ping"), &json!(200))
    );
}

fn bridges(simulator: &Simulator) -> usize {
    simulator.with_world(|world, _| world.bridge_count())
}

/// A socket whose first request for a bridge is struck, and no other one.
async fn struck_once(fault: Fault) -> (Simulator, Server, Socket) {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let rule = fault.once().on("POST", BRIDGE);
    simulator.inject(rule).unwrap();
    ping(&mut socket).await;
    ask(&mut socket, "1", "POST", "bridges/b?name=own").await;
    (simulator, server, socket)
}

#[tokio::test]
async fn what_is_refused_is_not_done() {
    for (fault, body) in [
        (Fault::status(503), "{\"message\":\"Simulated fault\"}"),
        (Fault::HtmlPage { code: 503 }, "<!DOCTYPE html>"),
    ] {
        let (simulator, _server, mut socket) = struck_once(fault).await;
        let refused = answer(&mut socket).await;
        assert_eq!(refused["status_code"], 503);
        assert_eq!(
            (&refused["transaction_id"], &refused["uri"]),
            (&json!("1"), &json!("bridges/b"))
        );
        let told = refused["message_body"].as_str().unwrap();
        assert!(told.starts_with(body), "{told}");
        assert_eq!(bridges(&simulator), 0);
        ping(&mut socket).await;
    }
}

#[tokio::test]
async fn what_is_answered_late_is_done_at_once_and_holds_the_next_one_back() {
    let delay = Duration::from_millis(200);
    let begun = Instant::now();
    let (simulator, _server, mut socket) = struck_once(Fault::slow_answers(delay)).await;
    ask(&mut socket, "2", "GET", "asterisk/ping").await;
    until(|| async { bridges(&simulator) == 1 }).await;
    // Events do not wait.
    inject(&simulator, "a", "A");
    assert_eq!(kind(&mut socket).await, "A");
    for id in ["1", "2"] {
        let answer = answer(&mut socket).await;
        assert_eq!(
            (&answer["transaction_id"], &answer["status_code"]),
            (&json!(id), &json!(200))
        );
    }
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn an_answer_that_does_not_come_comes_when_the_fault_is_cleared() {
    let (simulator, _server, mut socket) = struck_once(Fault::NoAnswer).await;
    until(|| async { bridges(&simulator) == 1 }).await;
    assert!(is_quiet(&mut socket).await);
    simulator.clear_faults();
    assert_eq!(answer(&mut socket).await["status_code"], 200);
}

#[tokio::test]
async fn a_reset_ends_the_socket_and_leaves_the_operation_done() {
    let (simulator, _server, mut socket) = struck_once(Fault::Reset).await;
    assert!(text(&mut socket).await.is_none());
    assert_eq!(bridges(&simulator), 1);
}

#[tokio::test]
async fn the_body_or_the_frame_is_no_json() {
    let (simulator, _server, mut socket) = struck_once(Fault::MalformedJson).await;
    assert_eq!(answer(&mut socket).await["message_body"], "{garbage");

    let rule = Fault::TruncatedJson { honest: true }.once();
    simulator.inject(rule).unwrap();
    ask(&mut socket, "2", "GET", "bridges/b").await;
    let half = answer(&mut socket).await;
    let half = half["message_body"].as_str().unwrap();
    assert!(half.starts_with("{\"id\":\"b\""), "{half}");
    assert!(serde_json::from_str::<Value>(half).is_err(), "{half}");

    let rule = Fault::TruncatedJson { honest: false }.once();
    simulator.inject(rule).unwrap();
    ask(&mut socket, "3", "GET", "bridges/b").await;
    let half = text(&mut socket).await.unwrap();
    assert!(half.starts_with("{\"type\":\"RESTResponse\""), "{half}");
    assert!(serde_json::from_str::<Value>(&half).is_err(), "{half}");
    ping(&mut socket).await;
}

#[tokio::test]
async fn a_dead_socket_does_nothing_and_a_stalled_one_does_it_later() {
    for (fault, done) in [(Fault::HalfOpen, 0), (Fault::StallReads, 1)] {
        let (simulator, server) = start().await;
        let mut socket = socket(&server, "a").await;
        simulator.inject(fault).unwrap();
        ask(&mut socket, "1", "POST", "bridges/b").await;
        assert!(is_quiet(&mut socket).await);
        assert_eq!(bridges(&simulator), 0);
        simulator.clear_faults();
        let answered = text(&mut socket).await.is_some();
        assert_eq!((answered, bridges(&simulator)), (done == 1, done));
    }
}

#[tokio::test]
async fn a_request_brings_an_act_about() {
    let (simulator, _server, mut socket) = struck_once(Fault::DropSockets).await;
    assert!(text(&mut socket).await.is_none());
    assert_eq!(simulator.faults()[0].struck, 1);
}
