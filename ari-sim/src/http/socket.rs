//! An open event socket: events and answers to the one side, requests from the other.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    faults::truncated,
    simulator::{Link, Outcome, Runtime, Sink, SocketSink},
    wire::{FrameOutcome, Handshake, MAX_FRAME},
    world::SessionId,
};

/// Events that go out in one write, at most.
const BATCH: usize = 64;

/// How a WebSocket reads: what is larger than a frame may be is refused here, once it was read.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_frame_size(Some(MAX_FRAME))
        .max_message_size(Some(MAX_FRAME))
}

/// The session of a socket. Closes it when the socket is gone, whether it came to be or not.
#[derive(Debug)]
pub(crate) struct SessionGuard {
    runtime: Arc<Runtime>,
    session: SessionId,
    handshake: Arc<Handshake>,
}

impl SessionGuard {
    pub(crate) fn new(runtime: &Arc<Runtime>, session: SessionId, handshake: Handshake) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            session,
            handshake: Arc::new(handshake),
        }
    }

    /// Opens the session; gives what is to be sent, too.
    pub(crate) fn open(
        runtime: &Arc<Runtime>,
        handshake: Handshake,
        link: &Link,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (events, queue) = mpsc::channel(runtime.limits.socket_queue);
        link.carries_events();
        let session = runtime.open_session(
            Sink::Socket(SocketSink::new(events, link)),
            handshake.applications(),
            handshake.subscribes_to_all(),
        );
        (Self::new(runtime, session, handshake), queue)
    }

    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// The applications that the socket was opened for.
    pub(crate) fn applications(&self) -> &[String] {
        self.handshake.applications()
    }

    /// Reads a request, does it, and gives the frame of its answer; `None`: there is none.
    fn request(&self, frame: &[u8], link: &Arc<Link>) -> BoxFuture<'static, Option<Bytes>> {
        let runtime = Arc::clone(&self.runtime);
        let handshake = Arc::clone(&self.handshake);
        let link = Arc::clone(link);
        let outcome = runtime.config.read_frame(&handshake, frame);
        async move {
            let mut breaks_off = false;
            let mut answer = match outcome {
                FrameOutcome::Answer(answer) => answer,
                FrameOutcome::Operation(operation) => {
                    let response = match runtime.face(operation.request()).await {
                        Outcome::Answer(response) => response,
                        Outcome::BreaksOff(response) => {
                            breaks_off = true;
                            response
                        }
                        Outcome::Reset => {
                            link.reset();
                            return None;
                        }
                        Outcome::Ended => return None,
                    };
                    operation.answer(response)
                }
            };
            if answer.status == 204 {
                answer.body = Bytes::new();
            }
            let frame = runtime.frame(&answer, handshake.application())?;
            Some(if breaks_off { truncated(&frame) } else { frame })
        }
        .boxed()
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.runtime.close_session(self.session);
    }
}

/// Carries a socket until either side ends it, or the other one does not keep up.
///
/// Requests are done one after the other. As long as one is being done nothing is read, not even a ping.
///
/// # Cancel safety
/// When the future is dropped the socket is dropped without a close frame; events that were taken from
/// the queue are lost.
pub(crate) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    role: Role,
    queue: &mut mpsc::Receiver<Bytes>,
    guard: &SessionGuard,
    link: &Arc<Link>,
) {
    let cut = &link.cut;
    let limit = guard.runtime.limits.write_timeout;
    let largest = MAX_FRAME - header_length(role);
    let (mut outgoing, mut incoming) = socket.split();
    let mut batch = Vec::with_capacity(BATCH);
    let mut request: Option<BoxFuture<'static, Option<Bytes>>> = None;
    loop {
        let idle = request.is_none();
        let requested = async {
            match request.as_mut() {
                Some(request) => request.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cut.cancelled() => return,
            count = queue.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    // The session is over.
                    let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
                    let _ = timeout(limit, outgoing.send(Message::Close(Some(frame)))).await;
                    return;
                }
            }
            answer = requested => {
                request = None;
                batch.extend(answer);
            }
            message = incoming.next(), if idle => match message {
                Some(Ok(Message::Text(text))) if text.len() <= largest => {
                    request = Some(guard.request(text.as_bytes(), link));
                    continue;
                }
                Some(Ok(Message::Text(_)) | Err(tungstenite::Error::Capacity(_))) => {
                    let frame = CloseFrame { code: CloseCode::Size, reason: Utf8Bytes::default() };
                    let _ = timeout(limit, outgoing.send(Message::Close(Some(frame)))).await;
                    return;
                }
                // Frames of other kinds are not read; the WebSocket has an answer to a ping.
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) => {
                    // The answer to it goes out with the next write.
                    let _ = timeout(limit, outgoing.close()).await;
                    return;
                }
                Some(Err(_)) | None => return,
            },
        }
        let write = async {
            for event in batch.drain(..) {
                let text = Utf8Bytes::try_from(event).unwrap_or_default();
                outgoing.feed(Message::Text(text)).await?;
            }
            outgoing.flush().await
        };
        tokio::select! {
            () = cut.cancelled() => return,
            written = timeout(limit, write) => {
                if !matches!(written, Ok(Ok(()))) {
                    tracing::debug!("a WebSocket does not read, or is gone");
                    cut.cancel();
                    return;
                }
            }
        }
    }
}

/// The header of the largest frame that the other side may send, which counts as well.
const fn header_length(role: Role) -> usize {
    match role {
        // A client masks what it sends.
        Role::Server => 8,
        Role::Client => 4,
    }
}
