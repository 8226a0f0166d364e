//! Faults of events.

use ari_sim::Fault;
use serde_json::Value;

use super::client::{inject, kind, socket, start, text};

#[tokio::test]
async fn an_event_comes_twice_or_not_at_all() {
    let (simulator, server) = start().await;
    let (mut one, mut other) = (socket(&server, "one").await, socket(&server, "other").await);
    let rules = [
        Fault::EventTwice.once().on_event("A"),
        Fault::EventLost.rule().on_application("other"),
    ];
    for rule in rules {
        simulator.inject(rule).unwrap();
    }
    for kind in ["A", "B"] {
        inject(&simulator, "one", kind);
        inject(&simulator, "other", kind);
    }
    for expected in ["A", "A", "B"] {
        assert_eq!(kind(&mut one).await, expected);
    }
    simulator.clear_faults();
    inject(&simulator, "other", "C");
    assert_eq!(kind(&mut other).await, "C");
}

#[tokio::test]
async fn an_event_is_damaged() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    for fault in [
        Fault::EventMalformed,
        Fault::EventTruncated,
        Fault::EventUnknown,
    ] {
        simulator.inject(fault.once()).unwrap();
        inject(&simulator, "a", "A");
    }
    for _ in 0..2 {
        let damaged = text(&mut socket).await.unwrap();
        assert!(damaged.starts_with('{') && serde_json::from_str::<Value>(&damaged).is_err());
    }
    let unknown: Value = serde_json::from_str(&text(&mut socket).await.unwrap()).unwrap();
    assert_eq!(unknown["type"], "SimulatedUnknown");
    assert_eq!(unknown["number"], 1);
    inject(&simulator, "a", "A");
    assert_eq!(kind(&mut socket).await, "A");
}

#[tokio::test]
async fn events_change_places() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let rule = Fault::EventsReordered { window: 3 }.once();
    simulator.inject(rule).unwrap();
    let sent = ["A", "B", "C", "D"];
    for kind in sent {
        inject(&simulator, "a", kind);
    }
    let mut seen = Vec::new();
    for _ in sent {
        seen.push(kind(&mut socket).await);
    }
    assert_ne!(seen, sent);
    assert_eq!(seen[3], "D");
    seen.sort();
    assert_eq!(seen, sent);
    // What finds nothing to change places with comes a little later.
    let rule = Fault::EventsReordered { window: 3 }.once();
    simulator.inject(rule).unwrap();
    inject(&simulator, "a", "Alone");
    assert_eq!(kind(&mut socket).await, "Alone");
}
