//! The server's side of the handshake with an Asterisk that opens the WebSocket.

use std::{hint::black_box, net::SocketAddr, sync::Arc, time::Duration};

use ari_core::Event;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{sync::Semaphore, time::Instant};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::handshake::server::{ErrorResponse, Request, Response},
};

use crate::{
    address::Peer,
    connector::BoxIo,
    desk::Desk,
    door::Arrival,
    frame::ANSWER,
    greeting::greet_over,
    socket::{self, Broken, Frame, Socket},
};

/// The subprotocol of ARI.
const PROTOCOL: &str = "ari";

/// Longest answer; a frame of more than twice as much costs the connection.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that may come before Asterisk says who it is: it keeps what happens while it has no socket.
const MAX_EARLY_BYTES: usize = 64 * 1024 * 1024;

/// How many times as long as it was given Asterisk may still be at a request before its silence counts: its socket
/// cannot be made again from here, and a call whose socket is given up has nobody.
const OVERTIME: u32 = 6;

/// Who may open a WebSocket, and how.
pub(crate) struct Entrance {
    /// `Authorization` that is asked for.
    pub(crate) authorization: HeaderValue,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// A socket whose other end has said who it is.
pub(crate) struct Introduced {
    /// The application in whose name requests are answered: the first one of the socket.
    pub(crate) application: Arc<str>,
    pub(crate) arrival: Arrival,
    /// Where requests have waited so far that go over the socket.
    pub(crate) desk: Arc<Desk>,
}

impl Entrance {
    /// Takes a connection up to the open WebSocket, if it has the credentials and there is room.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub(crate) async fn admit(&self, io: BoxIo, room: &Arc<Semaphore>) -> Result<Socket, String> {
        let io: BoxIo = match &self.tls {
            None => io,
            Some(tls) => {
                let stream = tls.accept(io).await;
                Box::new(stream.map_err(|error| format!("no TLS connection: {error}"))?)
            }
        };
        let (mut place, mut is_full) = (None, false);
        #[expect(clippy::result_large_err, reason = "the WebSocket library wants it so")]
        let check = |request: &Request, response: Response| {
            let response = self.check(request, response)?;
            place = Arc::clone(room).try_acquire_owned().ok();
            is_full = place.is_none();
            if is_full {
                return Err(refusal(StatusCode::SERVICE_UNAVAILABLE));
            }
            Ok(response)
        };
        let config = socket::config(Some(MAX_ANSWER_BYTES));
        let opened = accept_hdr_async_with_config(io, check, Some(config)).await;
        match (opened, place) {
            (Ok(stream), Some(place)) => Ok(Socket::accepted(stream, place)),
            _ if is_full => Err("there are too many".to_owned()),
            (Ok(_), None) => Err("nobody has asked for its credentials".to_owned()),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    #[expect(clippy::result_large_err, reason = "the WebSocket library wants it so")]
    fn check(&self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        if !self.knows(request.headers()) {
            let mut refusal = refusal(StatusCode::UNAUTHORIZED);
            let challenge = HeaderValue::from_static("Basic realm=\"ari\", charset=\"UTF-8\"");
            refusal
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            return Err(refusal);
        }
        let protocols = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offers = |value: &HeaderValue| {
            let names = value.to_str().unwrap_or_default().split(',');
            names.map(str::trim).any(|name| name == PROTOCOL)
        };
        if !protocols.iter().any(offers) {
            return Err(refusal(StatusCode::BAD_REQUEST));
        }
        let protocol = HeaderValue::from_static(PROTOCOL);
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        Ok(response)
    }

    /// Whether the credentials are right.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return false;
        };
        let token = |value: &HeaderValue| {
            let (scheme, token) = value.as_bytes().split_at_checked(6)?;
            let is_basic = scheme.eq_ignore_ascii_case(b"basic ");
            is_basic.then(|| token.trim_ascii().to_vec())
        };
        match (token(given), token(&self.authorization)) {
            (Some(given), Some(wanted)) => same(&given, &wanted),
            _ => false,
        }
    }
}

/// Compares in a time that depends on what was given only.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let mut differs = u8::from(given.len() != wanted.len());
    for (place, byte) in given.iter().enumerate() {
        let other = wanted.get(place % wanted.len().max(1));
        differs |= black_box(byte ^ other.unwrap_or(&0));
    }
    black_box(differs) == 0
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = status;
    let none = HeaderValue::from_static("0");
    refusal.headers_mut().insert(header::CONTENT_LENGTH, none);
    refusal
}

/// Asks who is at the other end of a socket; nothing that comes before the answer is lost.
///
/// It is the answer that tells the application. Asterisk does not say of every one that it is registered, and
/// not always in the same order, but answers in the name of the first one of `apps` in `ari.conf`.
///
/// # Errors
/// Why nobody knows, for the log.
pub(crate) async fn introduced(
    socket: Socket,
    peer: &Peer,
    limit: Duration,
    deadline: Instant,
) -> Result<Introduced, (Socket, String)> {
    let desk = Desk::new(MAX_ANSWER_BYTES, OVERTIME);
    let mut socket = socket.with_requests(Some(desk.open()));
    let (mut early, mut bytes, mut application) = (Vec::new(), 0, None);
    let keep = |frame: Frame| {
        match &frame {
            Frame::Text(text) => {
                if let Ok(event) = Event::parse_text(text.clone())
                    && event.kind() == ANSWER
                {
                    application = event.application().map(Arc::from);
                    desk.answer(event.raw());
                    return Ok(());
                }
                bytes += size_of::<Frame>() + text.len();
            }
            Frame::Binary(length) => bytes += size_of::<Frame>() + length,
            Frame::Alive => return Ok(()),
        }
        early.push(frame);
        if bytes > MAX_EARLY_BYTES {
            return Err(Broken::new("too much came before the first answer"));
        }
        Ok(())
    };
    let greeting = greet_over(&mut socket, &desk, peer, limit, deadline, keep).await;
    let named = application.filter(|name: &Arc<str>| !name.is_empty());
    match (greeting, named) {
        (Ok(greeting), Some(application)) => Ok(Introduced {
            application,
            arrival: Arrival {
                socket,
                greeting,
                early,
            },
            desk,
        }),
        (Ok(_), None) => {
            let reason = "its answer does not say for which application it is";
            Err((socket, reason.to_owned()))
        }
        (Err(trouble), _) => Err((socket, trouble.reason)),
    }
}

/// The other end, for the log.
pub(crate) fn peer(address: SocketAddr, tls: bool) -> Peer {
    Peer {
        host: address.ip().to_string(),
        port: address.port(),
        tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_is_the_same() {
        assert!(same(b"abc", b"abc"));
        for other in [&b""[..], b"ab", b"abd", b"abcabc", b"abcd"] {
            assert!(!same(other, b"abc"));
        }
        assert!(!same(b"a", b""));
    }
}
