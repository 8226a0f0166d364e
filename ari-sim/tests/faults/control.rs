//! Faults over HTTP, and by flags.

use ari_sim::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{
    client::{ask, socket, start, tell, text},
    program::{Running, fails},
};

#[tokio::test]
async fn faults_are_injected_listed_and_cleared() {
    let (_simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let rules = json!([
        {"fault": "drop_sockets"},
        {"fault": "status", "code": 503, "times": 2, "on": {"path": "/asterisk/ping"}},
        {"fault": "slow_answers", "ms": 1, "for_ms": 60_000, "probability": 0.5},
    ]);
    let injected = tell(&server, "POST", "/sim/faults", &rules.to_string()).await;
    assert_eq!(injected.unwrap().json(), json!({"ids": [1, 2, 3]}));
    assert!(text(&mut socket).await.is_none());
    let ping = ask(&server, "GET", "/ari/asterisk/ping").await.unwrap();
    assert_eq!(ping.status(), 503);
    let listed = ask(&server, "GET", "/sim/faults").await.unwrap().json();
    assert_eq!(
        listed[1],
        json!({"id": 2, "struck": 1, "active": true, "fault": "status", "code": 503,
               "on": {"path": "/asterisk/ping"}, "times": 2})
    );
    assert_eq!(listed[0]["active"], false);
    for expected in [204, 404] {
        let cleared = ask(&server, "DELETE", "/sim/faults/2").await.unwrap();
        assert_eq!(cleared.status(), expected);
    }
    let ping = ask(&server, "GET", "/ari/asterisk/ping").await.unwrap();
    assert_eq!(ping.status(), 200);
    let cleared = ask(&server, "DELETE", "/sim/faults").await.unwrap();
    assert_eq!(cleared.status(), 204);
    let listed = ask(&server, "GET", "/sim/faults").await.unwrap();
    assert_eq!(listed.body, "[]");
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_a_whole() {
    let (simulator, server) = start().await;
    for body in [
        "",
        "7",
        "null",
        "{}",
        r#"{"fault": "status"}"#,
        r#"{"fault": "status", "code": 503, "tmes": 1}"#,
        r#"{"fault": "reset", "on": {"event": "StasisStart"}}"#,
        r#"[{"fault": "reset"}, {"fault": "rest"}]"#,
        r#"[{"fault": "reset"}, {"fault": "refuse_connections"}]"#,
    ] {
        let refused = tell(&server, "POST", "/sim/faults", body).await.unwrap();
        assert_eq!(refused.status(), 400, "{body}");
        assert!(refused.json()["message"].is_string());
    }
    assert!(simulator.faults().is_empty());
    let refused = ask(&server, "DELETE", "/sim/faults/x").await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn each_fault_can_be_injected() {
    for fault in Fault::all() {
        let (simulator, server) = start().await;
        let mut rule = serde_json::to_value(&fault).unwrap();
        if fault.kind() == FaultKind::Connection {
            rule["for_ms"] = Value::from(20);
        }
        let answer = tell(&server, "POST", "/sim/faults", &rule.to_string()).await;
        assert_eq!(answer.unwrap().status(), 200, "{rule}");
        assert_eq!(simulator.faults()[0].rule.fault, fault);
        simulator.stop().await;
    }
}

#[test]
fn the_program_takes_faults() {
    let arguments = [
        "--port",
        "0",
        "--seed",
        "3",
        "--fault",
        "status,code=500,times=1",
        "--fault",
        r#"{"fault":"event_lost","probability":0.5}"#,
    ];
    let running = Running::start(&arguments);
    let line = running.line();
    assert!(line.starts_with("ari-sim listens on"), "{line}");

    let refused = ["--port", "0", "--fault", "status,code=500,often=1"];
    let told = fails(&refused);
    assert!(told.contains("status has no member often"), "{told}");
}
