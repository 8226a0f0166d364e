//! What a recorder gets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, set_default_local_recorder,
};

use futures::future::join_all;

use super::{
    connected,
    events::send,
    next,
    server::{Reply, Server},
    to, until,
};

const LIST: &str = "GET /channels";

/// Keeps what was recorded, by name and labels.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, f64>>>);

/// One metric of them.
struct One(Kept, String);

impl Kept {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        Arc::new(One(
            self.clone(),
            format!("{} {}", key.name(), labels.join(" "))
                .trim()
                .to_owned(),
        ))
    }

    fn get(&self, metric: &str) -> f64 {
        self.0.lock().unwrap().get(metric).copied().unwrap_or(0.0)
    }

    #[track_caller]
    fn has(&self, metric: &str, value: f64) {
        let all = self.0.lock().unwrap().clone();
        assert!(
            (all.get(metric).copied().unwrap_or(0.0) - value).abs() < 1e-9,
            "{metric} is not {value}: {all:#?}"
        );
    }
}

impl One {
    fn add(&self, value: f64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.add(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for One {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {}
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.one(key).into()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.one(key).into()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.one(key).into()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_operation_and_outcome_and_never_by_id() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let (ari, server) = connected().await;
    let channel = ari.channels().handle("secret-id");
    let answer = "POST /channels/secret-id/answer";
    for reply in [
        Reply::Answer("204 No Content", ""),
        Reply::Answer("404 Not Found", r#"{"message":"Channel not found"}"#),
        Reply::Answer("409 Conflict", ""),
        Reply::Cut(b""),
        Reply::Silence,
        Reply::Silence,
    ] {
        server.on(answer, reply);
    }
    channel.answer().await.unwrap();
    for _ in 0..4 {
        channel.answer().await.unwrap_err();
    }
    {
        let mut call = std::pin::pin!(channel.answer().into_future());
        tokio::select! {
            _ = &mut call => panic!("nobody answered"),
            () = server.saw(6) => {}
        }
    }
    let operation = "method=POST path=/channels/{channelId}/answer";
    for (outcome, times) in [
        ("ok", 1.0),
        ("refused", 2.0),
        ("unknown", 1.0),
        ("timed_out", 1.0),
        ("cancelled", 1.0),
    ] {
        kept.has(
            &format!("ari_native_requests_total {operation} outcome={outcome}"),
            times,
        );
    }
    kept.has(
        &format!("ari_native_request_duration_seconds {operation}"),
        10.0,
    );
    ari.close().await.unwrap();
    ari.channels().list().await.unwrap_err();
    assert!(!format!("{kept:?}").contains("secret"), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_count_while_they_are_open() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let (http, websocket) = (
        "ari_native_connections_open kind=http",
        "ari_native_connections_open kind=websocket",
    );
    let (ari, mut server) = connected().await;
    kept.has(http, 1.0);
    kept.has(websocket, 1.0);
    drop(server.socket().await);
    let _socket = server.socket().await;
    until("it is back", || {
        kept.get("ari_native_reconnects_total") > 0.5
    })
    .await;
    kept.has("ari_native_reconnects_total", 1.0);
    kept.has(websocket, 1.0);
    drop(ari);
    until("all are closed", || kept.get(http).abs() < 0.5).await;
    until("all are closed", || kept.get(websocket).abs() < 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn events_gaps_and_drops_are_counted() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let mut server = Server::new();
    let ari = to(&server).connect().await.unwrap();
    let mut socket = server.socket().await;
    let mut few = ari.events_with_room(2).await.unwrap();
    for _ in 0..5 {
        send(&mut socket, r#"{"type":"Many"}"#).await;
    }
    send(&mut socket, "nonsense").await;
    until("all came", || {
        kept.get("ari_native_events_received_total") > 5.5
    })
    .await;
    assert_eq!(next(&mut few).await, "Many");
    assert_eq!(next(&mut few).await, "Many");
    assert_eq!(next(&mut few).await, "Gap Overflow Some(3)");
    assert_eq!(next(&mut few).await, "Gap Undecodable Some(1)");
    kept.has("ari_native_events_received_total", 6.0);
    kept.has("ari_core_events_dropped_total", 3.0);
    kept.has("ari_core_gaps_total cause=overflow", 1.0);
    kept.has("ari_core_gaps_total cause=undecodable", 1.0);
    drop(socket);
    assert_eq!(next(&mut few).await, "Gap Reconnected None");
    kept.has("ari_core_gaps_total cause=reconnected", 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_sent_again_is_one_request() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let (ari, server) = connected().await;
    server
        .on(LIST, Reply::Cut(b""))
        .on(LIST, Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    kept.has(
        "ari_native_requests_total method=GET path=/channels outcome=ok",
        1.0,
    );
}

/// Asterisk serves 100 in all, those of other programs and every `WebSocket` among them.
#[tokio::test(start_paused = true)]
async fn a_client_leaves_connections_to_others_unless_told_otherwise() {
    const CALLS: usize = 150;
    let (ari, server) = connected().await;
    for _ in 0..CALLS {
        server.on(LIST, Reply::Silence);
    }
    join_all((0..CALLS).map(|_| async { ari.channels().list().await.unwrap_err() })).await;
    assert!(
        (2..100).contains(&server.most_open()),
        "{}",
        server.most_open()
    );
}
