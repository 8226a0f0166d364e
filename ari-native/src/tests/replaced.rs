//! Another program takes the application over.

use std::time::Duration;

use ari_core::{Ari, ConnectionState, End};
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::{
    connected,
    events::send,
    next,
    server::{Reply, Server},
    to,
};
use crate::WhenReplaced;

const CHANNEL: &str = r#"{"id":"c","name":"PJSIP/a-1","state":"Up"}"#;
const REPLACED: &str = r#"{"type":"ApplicationReplaced","application":"demo"}"#;

async fn taking_back() -> (Ari, Server) {
    let server = Server::new();
    let builder = to(&server).when_replaced(WhenReplaced::TakeBack);
    (builder.connect().await.unwrap(), server)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_yields_says_so_and_still_asks() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut all = ari.events().await.unwrap();
    let mut of_channel = ari.channels().handle("c").events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    send(&mut socket, REPLACED).await;
    assert_eq!(next(&mut all).await, "ApplicationReplaced");
    for stream in [&mut all, &mut of_channel] {
        assert_eq!(next(stream).await, "Gap Replaced None");
        assert_eq!(next(stream).await, "end Some(Replaced)");
    }
    assert!(calls.next().await.is_none());
    assert_eq!(ari.state(), ConnectionState::Replaced);
    let mut late = ari.events().await.unwrap();
    assert_eq!(next(&mut late).await, "end Some(Replaced)");
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    // The end of a channel is found by asking.
    ari.channels().handle("c").until_hungup().await.unwrap();
    drop(socket);
    assert!(
        timeout(Duration::from_hours(1), server.socket())
            .await
            .is_err()
    );
    assert_eq!(ari.state(), ConnectionState::Replaced);
    ari.close().await.unwrap();
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn with_several_applications_the_others_go_on() {
    let mut server = Server::new();
    let ari = to(&server).application("other").connect().await.unwrap();
    let mut socket = server.socket().await;
    let mut all = ari.events().await.unwrap();
    send(&mut socket, REPLACED).await;
    assert_eq!(next(&mut all).await, "ApplicationReplaced");
    assert_eq!(next(&mut all).await, "Gap Replaced None");
    assert_eq!(ari.state(), ConnectionState::Connected);
    drop(socket);
    let mut socket = server.socket().await;
    assert!(
        server.upgrade().line.ends_with("/ari/events?app=other"),
        "{:?}",
        server.upgrade()
    );
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    send(
        &mut socket,
        r#"{"type":"ApplicationReplaced","application":"other"}"#,
    )
    .await;
    assert_eq!(next(&mut all).await, "ApplicationReplaced");
    assert_eq!(next(&mut all).await, "Gap Replaced None");
    assert_eq!(next(&mut all).await, "end Some(Replaced)");
    assert_eq!(all.end(), Some(End::Replaced));
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_one_of_several_applications_end() {
    let mut server = Server::new();
    let ari = to(&server).application("other").connect().await.unwrap();
    let mut socket = server.socket().await;
    let taken = ari.for_application("demo").unwrap();
    let kept = ari.for_application("other").unwrap();
    let mut calls = taken.calls().await.unwrap();
    let mut of_taken = [
        taken.events().await.unwrap(),
        taken.channels().handle("c").events().await.unwrap(),
    ];
    let mut of_kept = [
        ari.events().await.unwrap(),
        kept.events().await.unwrap(),
        kept.channels().handle("c").events().await.unwrap(),
    ];
    let mut calls_of_kept = kept.calls().await.unwrap();
    let mut of_either = ari.channels().handle("c").events().await.unwrap();
    server.on("GET /channels/c", Reply::Answer("200 OK", CHANNEL));
    send(&mut socket, REPLACED).await;
    assert!(calls.next().await.is_none());
    assert_eq!(next(&mut of_taken[0]).await, "ApplicationReplaced");
    for stream in &mut of_taken {
        assert_eq!(next(stream).await, "Gap Replaced None");
        assert_eq!(next(stream).await, "end Some(Replaced)");
    }
    let mut late = taken.events().await.unwrap();
    assert_eq!(next(&mut late).await, "end Some(Replaced)");
    assert!(taken.calls().await.unwrap().next().await.is_none());
    // Nobody knows which application this channel is of: the stream asks until it is gone.
    assert_eq!(next(&mut of_either).await, "Gap Replaced None");
    server.on("GET /channels/c", Reply::Answer("404 Not Found", "{}"));
    assert_eq!(next(&mut of_either).await, "end Some(Lost)");
    // The others go on.
    assert_eq!(next(&mut of_kept[0]).await, "ApplicationReplaced");
    for stream in &mut of_kept {
        assert_eq!(next(stream).await, "Gap Replaced None");
    }
    send(
        &mut socket,
        r#"{"type":"StasisStart","application":"other","args":[],"channel":{"id":"c"}}"#,
    )
    .await;
    for stream in &mut of_kept {
        assert_eq!(next(stream).await, "StasisStart");
    }
    assert_eq!(calls_of_kept.next().await.unwrap().channel().id(), "c");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_back_connects_again() {
    let (ari, mut server) = taking_back().await;
    let mut socket = server.socket().await;
    let mut all = ari.events().await.unwrap();
    send(&mut socket, REPLACED).await;
    let mut socket = server.socket().await;
    assert_eq!(next(&mut all).await, "ApplicationReplaced");
    assert_eq!(next(&mut all).await, "Gap Replaced None");
    assert_eq!(next(&mut all).await, "Resynced");
    send(&mut socket, r#"{"type":"After"}"#).await;
    assert_eq!(next(&mut all).await, "After");
    assert_eq!(ari.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn two_that_take_back_do_so_less_and_less() {
    let (_ari, mut server) = taking_back().await;
    let start = Instant::now();
    for _ in 0..40 {
        let mut socket = server.socket().await;
        send(&mut socket, REPLACED).await;
    }
    assert!(
        start.elapsed() > Duration::from_mins(3),
        "{:?}",
        start.elapsed()
    );
}
