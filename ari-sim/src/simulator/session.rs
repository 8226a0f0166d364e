//! Where the events of a session go.

use std::sync::Arc;

use ari_core::{Event, local::LocalEvents};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The receiving side of a session.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// A WebSocket.
    Socket(SocketSink),
    /// A client in process.
    Local(Arc<LocalEvents>),
}

/// The way to the task of a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct SocketSink {
    pub(crate) events: mpsc::Sender<Bytes>,
    /// Cuts the connection without a close frame.
    pub(crate) cut: CancellationToken,
}

impl Sink {
    /// Hands an event on; never waits. A WebSocket that does not keep up is cut, as Asterisk does it.
    pub(crate) fn send(&self, event: Bytes) {
        match self {
            Self::Socket(socket) => {
                if socket.events.try_send(event).is_err() {
                    tracing::debug!("a WebSocket does not keep up with its events");
                    socket.cut.cancel();
                }
            }
            Self::Local(events) => match Event::parse(event) {
                Ok(event) => events.deliver(&event),
                Err(error) => tracing::warn!(%error, "an event that was injected cannot be read"),
            },
        }
    }
}
