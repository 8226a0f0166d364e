//! Faults of requests and their answers.

use std::time::{Duration, Instant};

use ari_sim::{Fault, Server, Simulator};

use super::client::{Wire, ask, builder, socket, start, try_socket, until};

const PING: &str = "/ari/asterisk/ping";

async fn status(server: &Server, method: &str, target: &str) -> u16 {
    ask(server, method, target).await.unwrap().status()
}

async fn has_bridge(server: &Server, id: &str) -> bool {
    status(server, "GET", &format!("/ari/bridges/{id}")).await == 200
}

async fn struck_once(fault: Fault) -> (Simulator, Server) {
    let (simulator, server) = start().await;
    let rule = fault.once().on("POST", "/bridges/{bridgeId}");
    simulator.inject(rule).unwrap();
    assert_eq!(status(&server, "GET", PING).await, 200);
    (simulator, server)
}

#[tokio::test]
async fn a_status_refuses_what_is_not_done() {
    let (simulator, server) = struck_once(Fault::status(503)).await;
    let refused = ask(&server, "POST", "/ari/bridges/a").await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["message"], "Simulated fault");
    assert!(!has_bridge(&server, "a").await);
    assert_eq!(status(&server, "POST", "/ari/bridges/a").await, 200);
    let faults = simulator.faults();
    assert_eq!((faults[0].struck, faults[0].active), (1, false));
}

#[tokio::test]
async fn a_page_comes_instead_of_an_answer() {
    let (_simulator, server) = struck_once(Fault::HtmlPage { code: 502 }).await;
    let page = ask(&server, "POST", "/ari/bridges/a").await.unwrap();
    assert_eq!(page.status(), 502);
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert!(page.body.starts_with("<!DOCTYPE html>"), "{}", page.body);
    assert!(!has_bridge(&server, "a").await);
}

#[tokio::test]
async fn a_reset_leaves_the_operation_done() {
    let (_simulator, server) = struck_once(Fault::Reset).await;
    let error = ask(&server, "POST", "/ari/bridges/a").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(has_bridge(&server, "a").await);
}

#[tokio::test]
async fn json_is_malformed_or_breaks_off() {
    let (_simulator, server) = struck_once(Fault::MalformedJson).await;
    let answer = ask(&server, "POST", "/ari/bridges/a").await.unwrap();
    assert_eq!((answer.status(), &*answer.body), (200, "{garbage"));
    assert!(has_bridge(&server, "a").await);

    let (simulator, server) = struck_once(Fault::TruncatedJson { honest: true }).await;
    let answer = ask(&server, "POST", "/ari/bridges/a").await.unwrap();
    assert!(!answer.short && answer.body.starts_with("{\"id\":\"a\""));
    assert!(!answer.body.ends_with('}'), "{}", answer.body);
    assert!(has_bridge(&server, "a").await);

    let rule = Fault::TruncatedJson { honest: false }.once();
    simulator.inject(rule).unwrap();
    let answer = ask(&server, "GET", "/ari/bridges/a").await.unwrap();
    assert!(answer.short && answer.body.starts_with("{\"id\":\"a\""));
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), announced / 2);
}

#[tokio::test]
async fn answers_are_slow() {
    let (simulator, server) = start().await;
    let delay = Duration::from_millis(120);
    simulator.inject(Fault::slow_answers(delay).once()).unwrap();
    let begun = Instant::now();
    let mut wire = Wire::open(&server).await;
    wire.send("POST", "/ari/bridges/a", "").await;
    // It is done long before its answer comes.
    until(|| has_bridge(&server, "a")).await;
    assert_eq!(wire.receive().await.unwrap().status(), 200);
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn an_answer_that_does_not_come_comes_when_the_fault_is_cleared() {
    let (simulator, server) = struck_once(Fault::NoAnswer).await;
    let mut wire = Wire::open(&server).await;
    wire.send("POST", "/ari/bridges/a", "").await;
    until(|| has_bridge(&server, "a")).await;
    assert!(wire.is_quiet().await);
    simulator.clear_faults();
    assert_eq!(wire.receive().await.unwrap().status(), 200);

    // Or when its time is over.
    let rule = Fault::NoAnswer.rule().lasting(Duration::from_millis(50));
    simulator.inject(rule).unwrap();
    assert_eq!(status(&server, "GET", PING).await, 200);
}

#[tokio::test]
async fn a_websocket_does_not_open() {
    let (simulator, server) = start().await;
    for fault in [
        Fault::status(503),
        Fault::HtmlPage { code: 502 },
        Fault::Reset,
        Fault::MalformedJson,
    ] {
        simulator.inject(fault.once().on("GET", "/events")).unwrap();
        assert!(try_socket(&server, "a").await.is_err());
    }
    until(|| async { simulator.websocket_count() == 0 }).await;
    socket(&server, "a").await;
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    let run = async |seed| {
        let rule = Fault::status(500).rule().probability(0.5);
        let simulator = builder().seed(seed).fault(rule).unwrap().start();
        let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
        let mut wire = Wire::open(&server).await;
        let mut found = Vec::new();
        for _ in 0..20 {
            wire.send("GET", PING, "").await;
            found.push(wire.receive().await.unwrap().status());
        }
        found
    };
    let first = run(5).await;
    assert!(first.contains(&200) && first.contains(&500));
    assert_eq!(first, run(5).await);
    assert_ne!(first, run(6).await);
}
