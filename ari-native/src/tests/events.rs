//! The WebSocket: what comes, what is lost, and what is told of it.

use std::{sync::Arc, time::Duration};

use ari_core::{Ari, AriClient, ConnectionState, Operation, StreamItem};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::TaskTracker;

use super::{
    connected, next,
    server::{Reply, Server, ServerSocket},
    to, until,
};

pub(super) async fn send(socket: &mut ServerSocket, event: &str) {
    socket.send(Message::text(event)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_come_as_they_were_sent() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let raw =
        r#"{"channel":{"id":"c1"},"type":"ChannelDtmfReceived","digit":"5","unheard":[null]}"#;
    send(&mut socket, raw).await;
    let Some(StreamItem::Event(event)) = events.next().await else {
        panic!("no event")
    };
    assert_eq!(event.raw(), raw);
    send(&mut socket, r#"{"type":"NobodyKnowsThis"}"#).await;
    send(
        &mut socket,
        r#"{"type":"ApplicationReplaced","application":"demo"}"#,
    )
    .await;
    assert_eq!(next(&mut events).await, "NobodyKnowsThis");
    assert_eq!(next(&mut events).await, "ApplicationReplaced");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_keeps_up_misses_nothing_of_a_burst() {
    const BURST: usize = 20_000;
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let sender = TaskTracker::new().spawn(async move {
        for _ in 0..BURST {
            socket
                .feed(Message::text(r#"{"type":"Burst"}"#))
                .await
                .unwrap();
        }
        socket.flush().await.unwrap();
        socket
    });
    for number in 0..BURST {
        assert_eq!(next(&mut events).await, "Burst", "{number}");
    }
    sender.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn new_calls_come_with_their_events() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut calls = ari.calls().await.unwrap();
    let start = r#"{"type":"StasisStart","application":"demo","args":[],"channel":{"id":"c1"}}"#;
    send(&mut socket, start).await;
    let call = calls.next().await.unwrap();
    assert_eq!(call.channel().id(), "c1");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_understood_is_a_gap_and_the_stream_goes_on() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    for text in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"type":7}"#,
        "null",
        r#"{"type":"Cut"#,
    ] {
        send(&mut socket, text).await;
        send(&mut socket, r#"{"type":"Next"}"#).await;
        assert_eq!(next(&mut events).await, "Gap Undecodable Some(1)", "{text}");
        assert_eq!(next(&mut events).await, "Next");
    }
    socket
        .send(Message::binary(&b"\x00\x01"[..]))
        .await
        .unwrap();
    send(&mut socket, r#"{"type":"Next"}"#).await;
    assert_eq!(next(&mut events).await, "Gap Undecodable Some(1)");
    assert_eq!(next(&mut events).await, "Next");
    assert_eq!(ari.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_lost_socket_is_a_gap_at_once_and_resynced_when_it_is_back() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    send(&mut socket, r#"{"type":"Before"}"#).await;
    server.refuse(3);
    drop(socket);
    assert_eq!(next(&mut events).await, "Before");
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(ari.state(), ConnectionState::Connecting);
    let mut socket = server.socket().await;
    send(&mut socket, r#"{"type":"After"}"#).await;
    assert_eq!(next(&mut events).await, "Resynced");
    assert_eq!(ari.state(), ConnectionState::Connected);
    assert_eq!(next(&mut events).await, "After");
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_while_the_socket_is_down() {
    let (ari, mut server) = connected().await;
    drop(server.socket().await);
    for _ in 0..100 {
        server.on("GET /events", Reply::Answer("503 Not Yet", ""));
    }
    until("the loss is seen", || {
        ari.state() == ConnectionState::Connecting
    })
    .await;
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    ari.channels().list().await.unwrap();
    assert_eq!(ari.state(), ConnectionState::Connecting);
}

#[tokio::test(start_paused = true)]
async fn the_socket_is_made_again_although_calls_hold_every_connection() {
    let mut server = Server::new();
    let ari = to(&server).max_connections(1).connect().await.unwrap();
    let socket = server.socket().await;
    server.on("GET /channels", Reply::Silence);
    let mut call = ari
        .channels()
        .list()
        .timeout_after(Duration::from_hours(24))
        .into_future();
    tokio::select! {
        _ = &mut call => panic!("nobody answered"),
        () = server.saw(1) => {}
    }
    drop(socket);
    let _socket = server.socket().await;
    until("it is connected", || {
        ari.state() == ConnectionState::Connected
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_socket_it_is_made_again() {
    let (ari, mut server) = connected().await;
    let mut events = ari.events().await.unwrap();
    let ways: [&[u8]; 6] = [
        &[0x88, 0x02, 0x03, 0xe9],
        &[0x88, 0x00],
        &[0x81, 127, 0, 0, 0, 0, 2, 0, 0, 0],
        &[0x81, 0x02, 0xff, 0xfe],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x81, 0x05, b'{'],
    ];
    for way in ways {
        let mut socket = server.socket().await;
        socket.get_mut().write_all(way).await.unwrap();
        if way.len() == 3 {
            drop(socket);
        }
        assert_eq!(next(&mut events).await, "Gap Reconnected None", "{way:x?}");
        assert_eq!(next(&mut events).await, "Resynced");
    }
    let mut socket = server.socket().await;
    send(&mut socket, r#"{"type":"After"}"#).await;
    assert_eq!(next(&mut events).await, "After");
}

#[tokio::test(start_paused = true)]
async fn another_asterisk_at_the_address_changes_the_identity() {
    let (ari, mut server) = connected().await;
    server.rename("02:00:00:00:00:02");
    drop(server.socket().await);
    let _socket = server.socket().await;
    until("it is connected again", || {
        ari.state() == ConnectionState::Connected
    })
    .await;
    assert_eq!(
        ari.identity().asterisk_id.as_deref(),
        Some("02:00:00:00:00:02")
    );
}

#[tokio::test(start_paused = true)]
async fn a_half_open_socket_is_found_by_its_silence() {
    let (ari, mut server) = connected().await;
    let mut events = ari.events().await.unwrap();
    let start = Instant::now();
    // It is open and nobody reads it or writes to it.
    let _silent = server.socket().await;
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(start.elapsed().as_secs(), 15);
    let mut socket = server.socket().await;
    send(&mut socket, r#"{"type":"After"}"#).await;
    assert_eq!(next(&mut events).await, "Resynced");
    assert_eq!(next(&mut events).await, "After");
    assert!(start.elapsed() < Duration::from_secs(16));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_found_as_well() {
    let (ari, mut server) = connected().await;
    let mut events = ari.events().await.unwrap();
    let mut socket = server.socket().await;
    // Every ping of the server wants a pong, which nobody takes: the pipe fills up.
    for _ in 0..2_000 {
        socket
            .send(Message::Ping(vec![0; 125].into()))
            .await
            .unwrap();
    }
    send(&mut socket, r#"{"type":"Before"}"#).await;
    assert_eq!(next(&mut events).await, "Before");
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
}

#[tokio::test(start_paused = true)]
async fn pings_keep_a_quiet_socket_and_pongs_only_answer() {
    let (ari, mut server) = connected().await;
    let mut events = ari.events().await.unwrap();
    let mut socket = server.socket().await;
    let mut came = Vec::new();
    let quiet = async {
        while let Some(Ok(message)) = socket.next().await {
            came.push(message);
        }
    };
    assert!(
        timeout(Duration::from_secs(100), quiet).await.is_err(),
        "it stays open"
    );
    assert_eq!(came.len(), 9, "a ping every 10 s");
    assert!(came.iter().all(Message::is_ping), "{came:?}");
    socket.send(Message::Ping("marco".into())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("marco".into())
    );
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_late_stops_nobody() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut late = ari.events().await.unwrap();
    for _ in 0..5_000 {
        send(&mut socket, r#"{"type":"Many","channel":{"id":"c1"}}"#).await;
    }
    send(&mut socket, r#"{"type":"Last"}"#).await;
    let mut counts = (0, String::new());
    while counts.1.is_empty() {
        match next(&mut late).await {
            many if many == "Many" => counts.0 += 1,
            other => counts.1 = other,
        }
    }
    assert!(counts.0 >= 1_000, "{counts:?}");
    assert!(counts.1.starts_with("Gap Overflow Some("), "{counts:?}");
    assert_eq!(ari.state(), ConnectionState::Connected);
}

/// The members of an object have no order: the channel that a call replaces may be named first.
#[tokio::test(start_paused = true)]
async fn a_call_is_the_channel_that_entered_and_not_the_one_that_it_replaces() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut calls = ari.calls().await.unwrap();
    let start = r#"{"replace_channel":{"id":"old"},"channel":{"id":"new"},"args":[],"type":"StasisStart","application":"demo"}"#;
    send(&mut socket, start).await;
    assert_eq!(calls.next().await.unwrap().channel().id(), "new");
}

/// Else whoever is given the same id later is taken for part of the dialog.
#[tokio::test(start_paused = true)]
async fn what_was_not_created_is_of_no_dialog() {
    let mut server = Server::new();
    let client = Arc::new(to(&server).open().await.unwrap());
    let ari = Ari::new(Arc::clone(&client) as Arc<dyn AriClient>);
    let mut socket = server.socket().await;
    let dialog = ari.dialog("order-1").unwrap();
    let mut events = dialog.events().await.unwrap();
    server
        .on("POST /channels", Reply::Answer("500 Oh", "{}"))
        .on(
            "POST /channels",
            Reply::Answer("200 OK", r#"{"id":"made"}"#),
        );
    let originate = |id: &str| dialog.channels().originate("PJSIP/alice").channel_id(id);
    originate("refused").await.unwrap_err();
    assert_eq!(client.link().events.bindings(), 0);
    let _made = originate("made").await.unwrap();
    for id in ["refused", "made"] {
        let event = format!(r#"{{"type":"Of_{id}","channel":{{"id":"{id}"}}}}"#);
        send(&mut socket, &event).await;
    }
    assert_eq!(next(&mut events).await, "Of_made");
}
