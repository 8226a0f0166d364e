//! Faults of Asterisk itself.

use std::time::Duration;

use ari_sim::{CallScript, Fault, HangupParty};
use tokio::net::TcpStream;

use super::client::{Wire, ask, inject, is_quiet, kind, socket, start, text, until};

#[tokio::test]
async fn sockets_are_dropped_at_once_or_when_something_happens() {
    let (simulator, server) = start().await;
    let (mut one, mut other) = (socket(&server, "one").await, socket(&server, "other").await);
    let rule = Fault::DropSockets.rule().on_application("one");
    simulator.inject(rule).unwrap();
    assert!(text(&mut one).await.is_none());
    inject(&simulator, "other", "A");
    assert_eq!(kind(&mut other).await, "A");

    let rule = Fault::DropSockets.once().on("POST", "/bridges/{bridgeId}");
    simulator.inject(rule).unwrap();
    let bridge = ask(&server, "POST", "/ari/bridges/a").await.unwrap();
    assert_eq!(bridge.status(), 200);
    assert!(text(&mut other).await.is_none());

    let mut other = socket(&server, "other").await;
    let rule = Fault::DropSockets.once().on_event("StasisStart");
    simulator.inject(rule).unwrap();
    simulator.place_call(CallScript::new("other"));
    while text(&mut other).await.is_some() {}
    let mut again = socket(&server, "other").await;
    inject(&simulator, "other", "B");
    assert_eq!(kind(&mut again).await, "B");
}

#[tokio::test]
async fn somebody_else_takes_the_application() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let id = simulator.inject(Fault::ReplaceApplication).unwrap();
    assert_eq!(kind(&mut socket).await, "ApplicationReplaced");
    // It stays open, and hears nothing.
    simulator.place_call(CallScript::new("a"));
    assert!(is_quiet(&mut socket).await);
    assert!(simulator.with_world(|world, _| world.is_connected("a")));
    simulator.clear_fault(id);
    assert!(!simulator.with_world(|world, _| world.is_connected("a")));
}

#[tokio::test]
async fn a_restart_loses_everything() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    simulator.place_call(CallScript::new("a"));
    assert_eq!(kind(&mut socket).await, "StasisStart");
    let mut wire = Wire::open(&server).await;
    wire.send("POST", "/ari/bridges/kept", "").await;
    wire.receive().await.unwrap();
    wire.send("GET", "/ari/asterisk/info?only=status", "").await;
    let before = wire.receive().await.unwrap().json();

    // Long enough for a busy machine to see both.
    let fault = Fault::restart(Duration::from_millis(500), Duration::from_secs(1));
    simulator.inject(fault).unwrap();
    assert!(text(&mut socket).await.is_none());
    assert!(wire.receive().await.is_err());
    let address = server.address();
    until(|| async {
        let refused = TcpStream::connect(address).await.err();
        refused.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    })
    .await;
    // It boots, and is there.
    let target = "/ari/asterisk/info?only=status";
    until(|| async {
        let answer = ask(&server, "GET", target).await;
        answer.is_ok_and(|answer| {
            let booting = answer.status() == 503;
            if booting {
                assert_eq!(answer.json()["message"], "Asterisk not booted");
            }
            booting
        })
    })
    .await;
    until(|| async { ask(&server, "GET", target).await.unwrap().status() == 200 }).await;
    let after = ask(&server, "GET", target).await.unwrap().json();
    let startup = |info: &serde_json::Value| info["status"]["startup_time"].to_string();
    assert_ne!(startup(&before), startup(&after));
    for kind in ["bridges", "channels", "applications"] {
        let list = ask(&server, "GET", &format!("/ari/{kind}")).await.unwrap();
        assert_eq!(list.body, "[]");
    }
    let records = simulator.call_records();
    assert_eq!(records[0].hung_up_by, Some(HangupParty::Dialplan));
    assert!(records[0].ended_at_ms.is_some());
}

#[tokio::test]
async fn callers_call_on_after_a_restart() {
    let (simulator, server) = start().await;
    simulator.place_calls(CallScript::new("a"), 50, Duration::from_millis(20));
    simulator
        .inject(Fault::restart(Duration::ZERO, Duration::ZERO))
        .unwrap();
    let mut socket = socket(&server, "a").await;
    assert_eq!(kind(&mut socket).await, "StasisStart");
}

#[tokio::test]
async fn the_entity_id_changes() {
    let (simulator, server) = start().await;
    let before = simulator.asterisk_id();
    simulator.inject(Fault::change_entity_id("new")).unwrap();
    assert_ne!(simulator.asterisk_id(), before);
    assert_eq!(simulator.asterisk_id(), "new");
    until(|| async {
        let answer = ask(&server, "GET", "/ari/asterisk/ping").await;
        answer.is_ok_and(|answer| answer.json()["asterisk_id"] == "new")
    })
    .await;
}
