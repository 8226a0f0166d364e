//! The opening of a WebSocket by a client.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use super::{
    listener::Connection,
    rest::Answer,
    socket::{self, SessionGuard},
};
use crate::{simulator::Runtime, wire::Handshake};

/// Accepts a WebSocket of one or more applications, and carries it on.
pub(crate) fn upgrade(
    runtime: &Arc<Runtime>,
    connection: &Connection,
    headers: &HeaderMap,
    handshake: Handshake,
    upgrade: OnUpgrade,
) -> Answer {
    let mut answer = Answer::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.map_or(b"", HeaderValue::as_bytes));
    let fields = answer.headers_mut();
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = handshake.protocol() {
        let protocol = HeaderValue::from_static(protocol);
        fields.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    // The session is there before the client hears that it is connected: what it does next is seen.
    let link = Arc::clone(&connection.link);
    let (guard, mut queue) = SessionGuard::open(runtime, handshake, &link);
    runtime.tracker.spawn(async move {
        match upgrade.await {
            Ok(stream) => {
                let config = Some(socket::config());
                let stream = TokioIo::new(stream);
                let stream = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
                socket::carry(stream, Role::Server, &mut queue, &guard, &link).await;
            }
            Err(error) => tracing::debug!(%error, "a WebSocket was not opened"),
        }
    });
    answer
}
