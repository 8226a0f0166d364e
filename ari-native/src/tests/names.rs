//! Requests over the event socket are answered in the name of its first application, which another program may take.

use std::{future::pending, time::Duration};

use ari_core::{Ari, ConnectionState};
use futures::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{rest::Far, server::Server, to};

async fn connected() -> (Ari, Server, Far) {
    let mut server = Server::new();
    let builder = to(&server).application("other").rest_over_websocket();
    let greeting = async {
        let mut far = Far(server.socket().await);
        far.greet().await;
        far
    };
    let (ari, far) = tokio::join!(builder.connect(), greeting);
    (ari.unwrap(), server, far)
}

/// Another instance of the program connects with the same two applications: Asterisk tells of each by itself, a
/// moment apart.
#[tokio::test(start_paused = true)]
async fn a_client_that_yields_takes_nothing_back_from_who_takes_all_of_its_applications() {
    let (_ari, mut server, mut far) = connected().await;
    far.say(r#"{"type":"ApplicationReplaced","application":"demo"}"#)
        .await;
    sleep(Duration::from_millis(1)).await;
    let Far(mut socket) = far;
    let told = r#"{"type":"ApplicationReplaced","application":"other"}"#;
    let told = Message::text(told);
    // It may be gone already.
    let _ = socket.send(told).await;
    let again = timeout(Duration::from_mins(1), server.socket()).await;
    assert!(
        again.is_err(),
        "it connects again: {}",
        server.upgrade().line
    );
}

/// The other program takes the second application while a request is under way for which the first one's socket is kept.
#[tokio::test(start_paused = true)]
async fn requests_go_on_where_nothing_is_left_to_connect_as() {
    let (ari, _server, mut far) = connected().await;
    let list = || ari.channels().list().into_future();
    let script = async {
        let slow = far.asked().await;
        far.say(r#"{"type":"ApplicationReplaced","application":"demo"}"#)
            .await;
        sleep(Duration::from_secs(2)).await;
        far.say(r#"{"type":"ApplicationReplaced","application":"other"}"#)
            .await;
        sleep(Duration::from_secs(1)).await;
        far.answer(&slow, 200, "[]").await;
    };
    let (slow, ()) = tokio::join!(list(), script);
    slow.unwrap();
    assert_eq!(ari.state(), ConnectionState::Replaced);
    let next = async { tokio::join!(list(), far.serve(200, "[]")).0 };
    let next = timeout(Duration::from_mins(1), next).await;
    next.expect("it is not sent").unwrap();
}

/// There is always a request that waits for its turn.
#[tokio::test(start_paused = true)]
async fn a_busy_client_leaves_the_name_that_is_another_programs() {
    let (ari, mut server, mut far) = connected().await;
    let tasks = TaskTracker::new();
    let mut callers = Vec::new();
    for _ in 0..3 {
        let ari = ari.clone();
        let caller = async move {
            loop {
                if ari.channels().list().await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        };
        callers.push(AbortOnDropHandle::new(tasks.spawn(caller)));
    }
    let left = async {
        for turn in 0..100 {
            if turn == 10 {
                far.say(r#"{"type":"ApplicationReplaced","application":"demo"}"#)
                    .await;
            }
            sleep(Duration::from_millis(10)).await;
            far.serve(200, "[]").await;
        }
        // The other program is gone: Asterisk does the requests, and answers none of them.
        while matches!(far.0.next().await, Some(Ok(_))) {}
        pending::<()>().await;
    };
    let connected_again = async {
        tokio::select! {
            () = left => unreachable!(),
            again = server.socket() => again,
        }
    };
    let again = timeout(Duration::from_hours(1), connected_again).await;
    assert!(again.is_ok(), "it never connects under another name");
}

/// The word of the takeover came over a socket that was lost before Asterisk had said who it is; the next one has
/// another name already.
#[tokio::test(start_paused = true)]
async fn a_socket_under_the_right_name_is_kept() {
    let (_ari, mut server, far) = connected().await;
    drop(far);
    let mut far = Far(server.socket().await);
    far.say(r#"{"type":"ApplicationReplaced","application":"demo"}"#)
        .await;
    far.asked().await;
    drop(far);
    let mut far = Far(server.socket().await);
    far.greet().await;
    assert!(server.upgrade().line.ends_with("app=other"));
    let lost = async {
        while let Some(Ok(message)) = far.0.next().await {
            if let Message::Text(text) = message {
                let asked = serde_json::from_str(&text).unwrap();
                far.answer(&asked, 200, "[]").await;
            }
        }
    };
    let lost = timeout(Duration::from_mins(1), lost).await;
    assert!(lost.is_err(), "it is left");
}
