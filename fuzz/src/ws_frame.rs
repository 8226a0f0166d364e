//! Frames that a native client receives over its event socket.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ari_core::{Ari, End, Event, Events, GapCause, StreamItem};
use ari_native::{Builder, builder, fuzzing};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    runtime,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// More than anything here takes, in virtual time.
const LONG: Duration = Duration::from_hours(1);

/// Frames that are given to the client; fewer than its streams hold.
const MAX_FRAMES: usize = 512;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// Frames that a native client with REST over WebSocket receives, one on each line, while two requests wait for
/// their answers. Each event is in its stream, each frame that is none is a gap there, and each request ends.
///
/// # Panics
/// It is not so.
pub fn ws_frame(data: &[u8]) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    if let Ok(runtime) = runtime {
        let ended = runtime.block_on(async { timeout(LONG, converse(data)).await });
        assert!(ended.is_ok(), "the client waits for ever");
    }
}

/// What the client is to have seen.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Types of the events.
    events: Vec<String>,
    undecodable: u64,
    /// Another program took the application over, which ends the stream.
    replaced: bool,
}

async fn converse(data: &[u8]) {
    let Some((ari, mut far)) = connected().await else {
        return;
    };
    let Ok(mut events) = ari.events().await else {
        return;
    };
    let channels = ari.channels();
    let calls = async {
        // The answer to one begins the other.
        let first = channels.get("c").await;
        (first, channels.list().await)
    };
    let told = async {
        let asked = asked(&mut far).await;
        assert!(asked.is_some(), "the request was not sent");
        tell(far, data).await
    };
    let read = read(&mut events);
    let (calls, told, read) = tokio::join!(calls, told, read);
    let operations = ["GET /channels/{channelId}", "GET /channels"];
    let errors = [calls.0.err(), calls.1.err()];
    for (operation, error) in operations.into_iter().zip(errors) {
        match error {
            Some(error) => assert!(error.to_string().contains(operation), "{error}"),
            None => assert!(may_answer(data), "nobody answered {operation}"),
        }
    }
    if let Some(told) = told {
        assert_eq!(read, told);
    }
    assert!(ari.close().await.is_ok());
    while let Some(item) = events.next().await {
        assert!(!matches!(item, StreamItem::Event(_)));
    }
}

/// A client that has been greeted, and the server's side of its socket.
async fn connected() -> Option<(Ari, WebSocketStream<DuplexStream>)> {
    let (near, far) = duplex(1 << 16);
    let near = Arc::new(Mutex::new(Some(near)));
    let client = fuzzing::over(client(), move || {
        near.lock().unwrap_or_else(PoisonError::into_inner).take()
    });
    let greet = async {
        let mut far = accept_async(far).await.ok()?;
        let asked = asked(&mut far).await?;
        let info = r#"{"system":{"version":"22.10.1","entity_id":"02:00:00:00:00:01"}}"#;
        let answer = json!({
            "type": "RESTResponse",
            "transaction_id": asked["transaction_id"],
            "status_code": 200,
            "reason_phrase": "OK",
            "message_body": info,
        });
        far.send(Message::text(answer.to_string())).await.ok()?;
        Some(far)
    };
    let (ari, far) = tokio::join!(client.connect(), greet);
    assert!(ari.is_ok() && far.is_some(), "no connection: {ari:?}");
    Some((ari.ok()?, far?))
}

fn client() -> Builder {
    builder("http://pbx:8088/ari")
        .application("a")
        .credentials("demo", "secret")
        .rest_over_websocket()
}

/// The next request that comes over the socket.
async fn asked(far: &mut WebSocketStream<DuplexStream>) -> Option<Value> {
    loop {
        if let Message::Text(text) = far.next().await?.ok()? {
            return serde_json::from_str(&text).ok();
        }
    }
}

/// The frames: what kind they are of, or none where they are bytes as they are, and what they carry.
fn frames(data: &[u8]) -> impl Iterator<Item = (Option<u8>, &[u8])> {
    let lines = data.split(|byte| *byte == b'\n').take(MAX_FRAMES);
    lines.map(|line| match line {
        [b'%', b'b', rest @ ..] => (Some(BINARY), rest),
        [b'%', b'r', rest @ ..] => (None, rest),
        [b'%', b'%', ..] => (Some(TEXT), &line[1..]),
        _ => (Some(TEXT), line),
    })
}

/// Whether there is an answer among the frames, or bytes that may be one.
fn may_answer(data: &[u8]) -> bool {
    frames(data).any(|(kind, payload)| {
        let answers = || Event::parse(payload.to_vec()).is_ok_and(|it| it.kind() == "RESTResponse");
        kind.is_none() || (kind == Some(TEXT) && answers())
    })
}

/// Sends the frames and drops the connection; gives what the client has to make of them, if they are all frames.
async fn tell(mut far: WebSocketStream<DuplexStream>, data: &[u8]) -> Option<Seen> {
    let mut seen = Some(Seen::default());
    for (kind, payload) in frames(data) {
        seen = seen.and_then(|seen| expect(seen, kind, payload));
        let frame = kind.map_or_else(|| payload.to_vec(), |kind| frame(kind, payload));
        // What the client wrote is of no interest, and it need not go on reading.
        if far.get_mut().write_all(&frame).await.is_err() {
            break;
        }
    }
    seen
}

fn expect(mut seen: Seen, kind: Option<u8>, payload: &[u8]) -> Option<Seen> {
    match kind? {
        // It breaks the connection.
        TEXT if std::str::from_utf8(payload).is_err() => return None,
        _ if seen.replaced => {}
        TEXT => match Event::parse(payload.to_vec()) {
            Ok(event) if event.kind() == "RESTResponse" => {}
            Ok(event) => {
                let replaced = event.kind() == "ApplicationReplaced";
                seen.replaced = replaced && matches!(event.application(), None | Some("a"));
                seen.events.push(event.kind().to_owned());
            }
            Err(_) => seen.undecodable += 1,
        },
        _ => seen.undecodable += 1,
    }
    Some(seen)
}

/// A frame as a server sends it.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// Reads up to the loss of the connection.
async fn read(events: &mut Events) -> Seen {
    let mut seen = Seen::default();
    while let Some(item) = events.next().await {
        match item {
            StreamItem::Event(event) => {
                seen.events.push(event.kind().to_owned());
            }
            StreamItem::Gap(gap) if gap.cause == GapCause::Undecodable => {
                seen.undecodable += gap.missed.unwrap_or_default();
            }
            StreamItem::Gap(gap) if gap.cause == GapCause::Reconnected => break,
            _ => {}
        }
    }
    seen.replaced = events.end() == Some(End::Replaced);
    seen
}
