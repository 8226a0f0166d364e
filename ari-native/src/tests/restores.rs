//! After a reconnect: which subscriptions and filters are restored.

use serde_json::Value;

use super::{
    connected,
    events::send,
    next,
    repairs::{APPLICATION, SUBSCRIBE, again, lines, ok, subscribe},
    server::{Reply, Server},
    to,
};

#[tokio::test(start_paused = true)]
async fn subscriptions_and_filter_are_applied_again_where_they_are_missing() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let socket = server.socket().await;
    subscribe(&ari, &server, "bridge:survives").await;
    for _ in 0..2 {
        subscribe(&ari, &server, "endpoint:PJSIP/alice").await;
    }
    let filter = r#"{"events_allowed":[{"type":"Dial"}],"events_disallowed":[],"name":"demo"}"#;
    ok(&server, "PUT /applications/demo/eventFilter", filter);
    let wanted: Value = serde_json::from_str(r#"{"allowed":[{"type":"Dial"}]}"#).unwrap();
    ari.applications()
        .filter("demo")
        .filter(wanted)
        .await
        .unwrap();
    let before = server.seen().len();
    ok(
        &server,
        APPLICATION,
        r#"{"name":"demo","bridge_ids":["survives"]}"#,
    );
    ok(&server, "PUT /applications/demo/eventFilter", filter);
    for _ in 0..2 {
        ok(&server, SUBSCRIBE, r#"{"name":"demo"}"#);
    }
    let socket = again(&mut server, socket).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    let asked = lines(&server, before);
    let subscription =
        "POST /ari/applications/demo/subscription?eventSource=endpoint%3APJSIP%2Falice";
    let restored = [
        "GET /ari/applications/demo",
        "PUT /ari/applications/demo/eventFilter",
    ];
    assert_eq!(asked[0], restored[0]);
    assert_eq!(
        asked[1], restored[1],
        "before what it is to keep away: {asked:?}"
    );
    assert_eq!(
        asked.iter().filter(|line| *line == subscription).count(),
        2,
        "{asked:?}"
    );
    assert_eq!(asked.len(), 4);
    // The next time all is there still.
    let before = server.seen().len();
    ok(
        &server,
        APPLICATION,
        r#"{"bridge_ids":["survives"],"endpoint_ids":["PJSIP/alice"],"events_allowed":[{"type":"Dial"}]}"#,
    );
    let _socket = again(&mut server, socket).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    assert_eq!(lines(&server, before), [restored[0]]);
}

#[tokio::test(start_paused = true)]
async fn the_gap_stays_until_all_is_restored() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let socket = server.socket().await;
    subscribe(&ari, &server, "bridge:b").await;
    let before = server.seen().len();
    for _ in 0..5 {
        server.on(APPLICATION, Reply::Answer("503 Not Yet", ""));
    }
    for _ in 0..2 {
        ok(&server, APPLICATION, "{}");
    }
    server.on(SUBSCRIBE, Reply::Answer("500 Oh", "no"));
    ok(&server, SUBSCRIBE, "{}");
    let mut socket = again(&mut server, socket).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    send(&mut socket, r#"{"type":"Meanwhile"}"#).await;
    assert_eq!(next(&mut all).await, "Meanwhile");
    assert_eq!(next(&mut all).await, "Resynced");
    assert_eq!(lines(&server, before).len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_gone_is_given_up() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let mut socket = server.socket().await;
    subscribe(&ari, &server, "bridge:b").await;
    ok(&server, APPLICATION, "{}");
    server.on(SUBSCRIBE, Reply::Answer("422 Unprocessable Entity", "{}"));
    for _ in 0..2 {
        socket = again(&mut server, socket).await;
        assert_eq!(next(&mut all).await, "Gap Reconnected None");
        assert_eq!(next(&mut all).await, "Resynced");
    }
    assert_eq!(
        server.seen().len(),
        3,
        "it is not asked for the second time"
    );
}

/// Asterisk has restarted, and what it has forgotten is given back before it is restored: Asterisk refuses that with
/// 422, and the program wants it no more.
#[tokio::test(start_paused = true)]
async fn what_was_given_back_before_it_was_restored_is_not_restored() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let socket = server.socket().await;
    subscribe(&ari, &server, "bridge:b").await;
    drop(socket);
    server.on(
        "DELETE /applications/demo/subscription",
        Reply::Answer(
            "422 Unprocessable Entity",
            r#"{"message":"Event source was not subscribed to"}"#,
        ),
    );
    let refused = ari.applications().unsubscribe("demo", "bridge:b").await;
    assert_eq!(refused.unwrap_err().status(), Some(422));
    let before = server.seen().len();
    ok(&server, APPLICATION, "{}");
    ok(&server, SUBSCRIBE, r#"{"name":"demo"}"#);
    let _socket = server.socket().await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    let asked = lines(&server, before);
    assert!(
        !asked.iter().any(|line| line.starts_with("POST ")),
        "{asked:?}"
    );
}

/// The repair has begun already, and has not come to what is given back.
#[tokio::test(start_paused = true)]
async fn what_was_given_back_during_the_repair_is_not_restored() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let socket = server.socket().await;
    for source in ["bridge:1", "bridge:2", "bridge:3", "bridge:4", "bridge:5"] {
        subscribe(&ari, &server, source).await;
    }
    let before = server.seen().len();
    ok(&server, APPLICATION, "{}");
    for _ in 0..4 {
        server.on(SUBSCRIBE, Reply::Silence);
    }
    let socket = again(&mut server, socket).await;
    server.saw(before + 5).await;
    server.on(
        "DELETE /applications/demo/subscription",
        Reply::Answer("422 Unprocessable Entity", "{}"),
    );
    let refused = ari.applications().unsubscribe("demo", "bridge:5").await;
    assert_eq!(refused.unwrap_err().status(), Some(422));
    let there = r#"{"bridge_ids":["1","2","3","4"]}"#;
    ok(&server, APPLICATION, there);
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    let asked = lines(&server, before);
    assert!(
        !asked
            .iter()
            .any(|line| line.starts_with("POST") && line.ends_with('5')),
        "{asked:?}"
    );
    drop(socket);
}

/// Asterisk drops what was subscribed to by `subscribeAll` with the socket, and passes over it while the application
/// is there.
#[tokio::test(start_paused = true)]
async fn all_that_is_missing_is_subscribed_to_after_each_connect() {
    let mut server = Server::new();
    ok(
        &server,
        APPLICATION,
        r#"{"channel_ids":["__AST_CHANNEL_ALL_TOPIC"],"bridge_ids":["b"]}"#,
    );
    for _ in 0..3 {
        ok(&server, SUBSCRIBE, "{}");
    }
    let all = [
        "subscription?eventSource=bridge%3A",
        "subscription?eventSource=deviceState%3A",
        "subscription?eventSource=endpoint%3A",
    ];
    let posted = |server: &Server, since| {
        let asked = lines(server, since);
        assert_eq!(asked[0], "GET /ari/applications/demo");
        let mut posted: Vec<_> = asked[1..]
            .iter()
            .map(|line| {
                line.trim_start_matches("POST /ari/applications/demo/")
                    .to_owned()
            })
            .collect();
        posted.sort();
        posted
    };
    let ari = to(&server).subscribe_all(true).connect().await.unwrap();
    assert_eq!(posted(&server, 0), all, "it is connected, and hears it");
    let mut events = ari.events().await.unwrap();
    let socket = server.socket().await;
    let before = server.seen().len();
    ok(
        &server,
        APPLICATION,
        r#"{"channel_ids":["__AST_CHANNEL_ALL_TOPIC"]}"#,
    );
    for _ in 0..3 {
        ok(&server, SUBSCRIBE, "{}");
    }
    let _socket = again(&mut server, socket).await;
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(next(&mut events).await, "Resynced");
    assert_eq!(posted(&server, before), all);
}

/// As for a user who may only read, or where the operations on applications are not loaded.
#[tokio::test(start_paused = true)]
async fn an_asterisk_that_refuses_to_tell_everything_is_connected_to() {
    const REFUSED: Reply = Reply::Answer("403 Forbidden", r#"{"message":"Write access denied"}"#);
    for may_ask in [true, false] {
        let mut server = Server::new();
        let script = |server: &Server| {
            if may_ask {
                ok(server, APPLICATION, "{}");
                (0..4).for_each(|_| {
                    server.on(SUBSCRIBE, REFUSED);
                });
            } else {
                (0..3).for_each(|_| {
                    server.on(APPLICATION, REFUSED);
                });
            }
        };
        script(&server);
        let ari = to(&server).subscribe_all(true).connect().await.unwrap();
        let requests = if may_ask { 5 } else { 3 };
        assert_eq!(lines(&server, 0).len(), requests);
        let mut events = ari.events().await.unwrap();
        let socket = server.socket().await;
        script(&server);
        let _socket = again(&mut server, socket).await;
        assert_eq!(next(&mut events).await, "Gap Reconnected None");
        assert_eq!(next(&mut events).await, "Resynced");
        let asked = lines(&server, 0);
        assert_eq!(asked.len(), 2 * requests, "it is asked anew: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_counted_in_full_although_it_was_restored_halfway() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    let socket = server.socket().await;
    for _ in 0..3 {
        subscribe(&ari, &server, "bridge:b").await;
    }
    let before = server.seen().len();
    ok(&server, APPLICATION, "{}");
    ok(&server, SUBSCRIBE, "{}");
    server.on(SUBSCRIBE, Reply::Answer("500 Oh", "no"));
    ok(&server, APPLICATION, r#"{"bridge_ids":["b"]}"#);
    for _ in 0..2 {
        ok(&server, SUBSCRIBE, "{}");
    }
    let socket = again(&mut server, socket).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    let asked = lines(&server, before);
    let subscribed = asked.iter().filter(|line| line.starts_with("POST"));
    assert_eq!(subscribed.count(), 4, "one of them failed: {asked:?}");
    // All of it is there now.
    let before = server.seen().len();
    ok(&server, APPLICATION, r#"{"bridge_ids":["b"]}"#);
    let _socket = again(&mut server, socket).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    assert_eq!(lines(&server, before), ["GET /ari/applications/demo"]);
}
