//! The WebSocket: opening it, and taking one frame after another.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use bytestring::ByteString;
use futures::{Sink, Stream, StreamExt};
use http::{HeaderValue, header::AUTHORIZATION};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use url::Url;

use crate::{
    address::Peer,
    connector::{BoxIo, Dialer},
    desk::Seat,
    error::Trouble,
    meter::Open,
    upgrade::{NotOpened, upgrade},
};

/// Longest event that is taken; a longer one costs the connection, unless answers may be as long.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// How much is read at once: some fifty events. More would only push what they are for out of the processor's cache,
/// and all of it is filled with zeros before each reading.
const READ_BYTES: usize = 32 * 1024;

/// An open WebSocket.
pub(crate) struct Socket {
    stream: Box<WebSocketStream<BoxIo>>,
    /// A ping is to be sent.
    ping: bool,
    /// Something was written that may not be out yet.
    flush: bool,
    /// Why nothing can be written any more.
    unwritable: Option<String>,
    /// Where requests come from that go over it.
    seat: Option<Seat>,
    _open: Open,
    /// Its place among those that Asterisk may open.
    _permit: Option<OwnedSemaphorePermit>,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A text.
    Text(ByteString),
    /// Bytes that are no text, which ARI never sends.
    Binary(usize),
    /// A ping, or the answer to one.
    Alive,
}

/// Why nothing comes any more.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) reason: String,
    /// The other side said that it is done. Asterisk says so at the end of a call; after pongs that it missed, and after
    /// errors, it gives another code, and connects again.
    pub(crate) is_goodbye: bool,
}

impl Broken {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_goodbye: false,
        }
    }

    fn closed(frame: Option<CloseFrame>) -> Self {
        let is_goodbye = frame
            .as_ref()
            .is_none_or(|frame| frame.code == CloseCode::Normal);
        let reason = match frame {
            Some(CloseFrame { code, reason }) => {
                format!("Asterisk closed it with code {code}: {reason}")
            }
            None => "Asterisk closed it".to_owned(),
        };
        Self { reason, is_goodbye }
    }
}

impl Socket {
    /// Opens the WebSocket.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub(crate) async fn open(
        dialer: &Dialer,
        peer: &Peer,
        url: &Url,
        authorization: &HeaderValue,
        max_answer: Option<usize>,
    ) -> Result<Self, Trouble> {
        let io = dialer
            .dial(peer)
            .await
            .map_err(|error| Trouble::dial(peer, error))?;
        let mut request = url.as_str().into_client_request().map_err(|error| {
            Trouble::lasting("the URL of the WebSocket cannot be used").because(error)
        })?;
        request
            .headers_mut()
            .insert(AUTHORIZATION, authorization.clone());
        let stream = upgrade(io, request, config(max_answer))
            .await
            .map_err(|error| refused(peer, url, error))?;
        Ok(Self::new(stream, None))
    }

    /// One that Asterisk opened.
    pub(crate) fn accepted(stream: WebSocketStream<BoxIo>, permit: OwnedSemaphorePermit) -> Self {
        Self::new(stream, Some(permit))
    }

    fn new(stream: WebSocketStream<BoxIo>, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            stream: Box::new(stream),
            ping: false,
            flush: false,
            unwritable: None,
            seat: None,
            _open: Open::websocket(),
            _permit: permit,
        }
    }

    /// The same with the requests of this seat.
    pub(crate) fn with_requests(mut self, seat: Option<Seat>) -> Self {
        self.seat = seat;
        self
    }

    /// Has a ping sent by the next call of [`next`](Self::next).
    pub(crate) const fn ping(&mut self) {
        self.ping = true;
    }

    /// Waits for the next frame; meanwhile sends what is to be sent, without waiting for it to be out.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Frame, Broken> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame, Broken>> {
        // A socket that takes nothing is read all the same: what has come counts, and the deadline of the ping
        // decides about it.
        if self.unwritable.is_none()
            && let Err(error) = self.write(context)
        {
            self.unwritable = Some(error.to_string());
        }
        let message = match ready!(Pin::new(&mut *self.stream).poll_next(context)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(Err(self.broken(error.to_string()))),
            None => return Poll::Ready(Err(self.broken("it was closed".to_owned()))),
        };
        Poll::Ready(match message {
            // The text is a part of the read buffer, which an event that somebody keeps must not keep.
            Message::Text(text) => Ok(Frame::Text(text.as_str().into())),
            Message::Binary(bytes) => Ok(Frame::Binary(bytes.len())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Frame::Alive),
            Message::Close(frame) => Err(Broken::closed(frame)),
        })
    }

    /// The end of the socket, for the first reason that there was.
    fn broken(&mut self, reason: String) -> Broken {
        Broken::new(self.unwritable.take().unwrap_or(reason))
    }

    /// Sends what is to be sent, as far as the socket takes it.
    fn write(&mut self, context: &mut Context<'_>) -> Result<(), WsError> {
        let mut stream = Pin::new(&mut *self.stream);
        if self.ping && stream.as_mut().poll_ready(context)?.is_ready() {
            stream.as_mut().start_send(Message::Ping(Bytes::new()))?;
            (self.ping, self.flush) = (false, true);
        }
        if let Some(seat) = &mut self.seat
            && seat.poll_wants_to_write(context)
            && stream.as_mut().poll_ready(context)?.is_ready()
            && let Some(text) = seat.take()
        {
            stream.as_mut().start_send(Message::text(text))?;
            self.flush = true;
        }
        if self.flush && stream.as_mut().poll_flush(context)?.is_ready() {
            self.flush = false;
        }
        Ok(())
    }

    /// Says goodbye and waits a while for the other side to do so.
    pub(crate) async fn close(mut self, limit: Duration) {
        let goodbye = async {
            let frame = CloseFrame {
                code: CloseCode::Normal,
                reason: "".into(),
            };
            self.stream.close(Some(frame)).await?;
            while let Some(message) = self.stream.next().await {
                if message?.is_close() {
                    break;
                }
            }
            Ok::<(), WsError>(())
        };
        match timeout(limit, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "the WebSocket broke while it was being closed");
            }
            Err(_) => tracing::debug!(?limit, "the other side did not close the WebSocket in time"),
        }
    }
}

/// What is taken of a WebSocket, over which answers may come of so many bytes: as a text within JSON they are longer.
pub(crate) fn config(max_answer: Option<usize>) -> WebSocketConfig {
    let answer = max_answer.map_or(0, |bytes| bytes.saturating_mul(2));
    let longest = Some(MAX_EVENT_BYTES.max(answer));
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(longest)
        .max_frame_size(longest)
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

/// Why the handshake failed.
fn refused(peer: &Peer, url: &Url, error: NotOpened) -> Trouble {
    let path = url.path();
    let NotOpened::Refused(status) = error else {
        let reason = format!(
            "the WebSocket of Asterisk at {peer} cannot be opened at {path}: is the URL right?"
        );
        return Trouble::broken(peer, error, || Trouble::passing(reason));
    };
    match status.as_u16() {
        401 => Trouble::lasting(format!(
            "Asterisk at {peer} refused the user name or password for the WebSocket (401): check ari.conf"
        )),
        403 => Trouble::lasting(format!(
            "Asterisk at {peer} does not let this user open the WebSocket (403): check its rights in ari.conf"
        )),
        404 => Trouble::passing(format!(
            "Asterisk at {peer} has no WebSocket at {path} (404): is res_http_websocket loaded, and is the URL right?"
        )),
        _ => Trouble::passing(format!(
            "Asterisk at {peer} refused the WebSocket at {path} with {status}: are the application names right?"
        )),
    }
}
