//! Events over a WebSocket.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{
        ConnectInfo, FromRequestParts, State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http,
    response::IntoResponse,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::{sync::mpsc, time::timeout};

use super::{
    auth::{self, Access},
    listener::Connection,
    rest::{self, Answer, decode_form},
};
use crate::{
    simulator::{Fault, Runtime, Sink, SocketSink},
    world::SessionId,
};

/// Events that go out in one write, at most.
const BATCH: usize = 64;

/// Largest frame that Asterisk takes.
const MAX_FRAME: usize = 65_535;

/// Opens the WebSocket of one or more applications.
pub(crate) async fn upgrade(
    State(runtime): State<Arc<Runtime>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: http::Request<Body>,
) -> Answer {
    if request.method() != http::Method::GET {
        return rest::handle(State(runtime), ConnectInfo(connection), request).await;
    }
    match runtime.faults.take() {
        None => {}
        Some(Fault::Status(status)) => return rest::simulated(status),
        Some(Fault::Garbage) => return rest::garbage(),
        Some(Fault::Reset) => {
            connection.cut.cancel();
            return rest::garbage();
        }
    }
    let (mut parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if !parts.headers.contains_key(http::header::UPGRADE) {
        return rest::page(426, "Upgrade Required", "");
    }
    if auth::access(&runtime.users, &parts.headers, &query) == Access::Nothing {
        return rest::unauthorized();
    }
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name))
            .map(|(_, value)| decode_form(value))
    };
    let applications = value("app").unwrap_or_default();
    let applications: Vec<_> = applications
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if applications.is_empty() {
        return rest::page(400, "Bad Request", "HTTP request is missing param: [app]");
    }
    let all = value("subscribeAll")
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "1"));
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let (events, queue) = mpsc::channel(runtime.limits.socket_queue);
    let sink = SocketSink {
        events,
        cut: connection.cut,
    };
    let upgrade = upgrade
        .protocols(["ari"])
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_FRAME);
    // The session is there before the client hears that it is connected: what it does next is seen.
    let session = runtime.open_session(Sink::Socket(sink.clone()), &applications, all);
    let guard = SessionGuard { runtime, session };
    upgrade.on_upgrade(move |socket| async move {
        run(socket, queue, sink, guard).await;
    })
}

/// Closes a session when its WebSocket is gone, whether it came to be or not.
struct SessionGuard {
    runtime: Arc<Runtime>,
    session: SessionId,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.runtime.close_session(self.session);
    }
}

/// Carries events to the client until either side ends it, or the client does not keep up.
async fn run(
    socket: WebSocket,
    mut queue: mpsc::Receiver<Bytes>,
    sink: SocketSink,
    guard: SessionGuard,
) {
    let limit = guard.runtime.limits.write_timeout;
    let (mut outgoing, mut incoming) = socket.split();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            () = sink.cut.cancelled() => return,
            count = queue.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                let write = async {
                    for event in batch.drain(..) {
                        let text = Utf8Bytes::try_from(event).unwrap_or_default();
                        outgoing.feed(Message::Text(text)).await?;
                    }
                    outgoing.flush().await
                };
                tokio::select! {
                    () = sink.cut.cancelled() => return,
                    written = timeout(limit, write) => {
                        if !matches!(written, Ok(Ok(()))) {
                            tracing::debug!("a WebSocket does not read, or is gone");
                            sink.cut.cancel();
                            return;
                        }
                    }
                }
            }
            message = incoming.next() => match message {
                // Pings are answered by the WebSocket itself; REST over WebSocket is not offered.
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                    if timeout(limit, outgoing.flush()).await.is_err() {
                        sink.cut.cancel();
                        return;
                    }
                }
                Some(Ok(Message::Close(_))) => {
                    // The answer to it goes out with the next write.
                    let _ = timeout(limit, outgoing.close()).await;
                    return;
                }
                Some(Err(_)) | None => return,
            },
        }
    }
}
