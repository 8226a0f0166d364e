//! Several applications over one WebSocket, and the events of everything.

use ari_core::{StreamItem, events::StasisStart};
use futures::{FutureExt, StreamExt};

use super::{
    events::send,
    next,
    server::{Reply, Server},
    to,
};

fn start(application: &str, channel: &str) -> String {
    format!(
        r#"{{"type":"StasisStart","application":"{application}","args":[],"channel":{{"id":"{channel}"}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn each_application_has_its_own_calls_and_events() {
    let mut server = Server::new();
    let ari = to(&server).application("other").connect().await.unwrap();
    let mut socket = server.socket().await;
    let other = ari.for_application("other").unwrap();
    let mut all = ari.events().await.unwrap();
    let mut others = other.events().await.unwrap();
    let mut other_starts = other.events_of::<StasisStart>().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    let mut other_calls = other.calls().await.unwrap();
    for (application, channel) in [("demo", "c1"), ("other", "c2"), ("demo", "c3")] {
        send(&mut socket, &start(application, channel)).await;
    }
    send(&mut socket, r#"{"type":"Last","application":"other"}"#).await;

    for _ in 0..3 {
        assert_eq!(next(&mut all).await, "StasisStart");
    }
    assert_eq!(next(&mut all).await, "Last");
    assert_eq!(next(&mut others).await, "StasisStart");
    assert_eq!(next(&mut others).await, "Last");
    let Some(StreamItem::Event(started)) = other_starts.next().await else {
        panic!("no event")
    };
    assert_eq!(started.event().application(), Some("other"));
    for expected in ["c1", "c3"] {
        let call = calls.next().await.unwrap();
        assert_eq!(call.channel().id(), expected);
        assert_eq!(call.event().metadata().application.as_deref(), Some("demo"));
    }
    assert_eq!(other_calls.next().await.unwrap().channel().id(), "c2");
    assert!(calls.next().now_or_never().is_none());
    assert!(other_calls.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_an_application_creates_goes_to_it() {
    let mut server = Server::new();
    let ari = to(&server).application("other").connect().await.unwrap();
    let _socket = server.socket().await;
    for (client, application) in [
        (ari.clone(), "demo"),
        (ari.for_application("other").unwrap(), "other"),
    ] {
        server.on("POST /channels", Reply::Answer("500 Oh no", ""));
        let before = server.seen().len();
        let made = client.channels().originate("PJSIP/alice").await;
        assert!(made.is_err());
        let seen = server.seen().split_off(before).remove(0);
        assert!(
            format!("{} {}", seen.line, seen.body).contains(application),
            "{seen:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn subscribed_to_everything_an_event_of_nobodys_channel_comes_too() {
    let mut server = Server::new();
    let ari = to(&server).subscribe_all(true).connect().await.unwrap();
    assert_eq!(
        server.upgrade().line,
        "GET /ari/events?app=demo&subscribeAll=true"
    );
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    let mut channel = ari.channels().handle("c9").events().await.unwrap();
    send(
        &mut socket,
        r#"{"type":"ChannelCreated","application":"demo","channel":{"id":"c9"}}"#,
    )
    .await;
    assert_eq!(next(&mut events).await, "ChannelCreated");
    assert_eq!(next(&mut channel).await, "ChannelCreated");
    assert!(
        calls.next().now_or_never().is_none(),
        "only StasisStart is a call"
    );
}

#[tokio::test(start_paused = true)]
async fn all_applications_and_subscribe_all_are_asked_for_again_after_a_loss() {
    let mut server = Server::new();
    let ari = to(&server)
        .application("other")
        .subscribe_all(true)
        .connect()
        .await
        .unwrap();
    let mut others = ari
        .for_application("other")
        .unwrap()
        .events()
        .await
        .unwrap();
    drop(server.socket().await);
    let mut socket = server.socket().await;
    assert_eq!(
        server.upgrade().line,
        "GET /ari/events?app=demo%2Cother&subscribeAll=true"
    );
    assert_eq!(next(&mut others).await, "Gap Reconnected None");
    assert_eq!(next(&mut others).await, "Resynced");
    send(&mut socket, &start("demo", "c1")).await;
    send(&mut socket, &start("other", "c2")).await;
    send(&mut socket, r#"{"type":"Last","application":"other"}"#).await;
    assert_eq!(next(&mut others).await, "StasisStart");
    assert_eq!(next(&mut others).await, "Last");
}

/// What is made for, or listed of, any of the applications is heard by the client that is for all.
#[tokio::test(start_paused = true)]
async fn the_client_of_all_hears_the_entities_of_each() {
    let mut server = Server::new();
    let ari = to(&server).application("other").connect().await.unwrap();
    let mut socket = server.socket().await;
    let originate = ari.channels().originate("PJSIP/alice").app("other");
    let mut staged = originate.staged().await.unwrap();
    let id = staged.handle().id().to_owned();
    server.on("GET /channels", Reply::Answer("200 OK", r#"[{"id":"c"}]"#));
    let listed = ari.channels().list().await.unwrap().items.remove(0);
    let mut events = listed.events().await.unwrap();
    send(&mut socket, &start("other", &id)).await;
    send(&mut socket, &start("other", "c")).await;
    assert_eq!(next(staged.events()).await, "StasisStart");
    assert_eq!(next(&mut events).await, "StasisStart");
}
