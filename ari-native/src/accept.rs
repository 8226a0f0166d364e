//! The server's side of the handshake with an Asterisk that opens the WebSocket.

use std::{hint::black_box, net::SocketAddr, sync::Arc};

use ari_core::Event;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::handshake::server::{ErrorResponse, Request, Response},
};

use crate::{
    connector::BoxIo,
    socket::{self, Broken, Frame, Socket},
};

/// The subprotocol of ARI.
const PROTOCOL: &str = "ari";

/// Frames that may come before Asterisk says which application it is about.
const MAX_EARLY: usize = 256;

/// Who may open a WebSocket, and how.
pub(crate) struct Entrance {
    /// `Authorization` that is asked for.
    pub(crate) authorization: HeaderValue,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// A socket whose other end has said who it is; nothing that came before is lost.
pub(crate) struct Registered {
    pub(crate) socket: Socket,
    /// The first application of the socket.
    pub(crate) application: Arc<str>,
    pub(crate) asterisk_id: Option<Arc<str>>,
}

impl Entrance {
    /// Takes a connection up to the event that says which application it is about.
    ///
    /// # Errors
    /// Why it is none, for the log.
    pub(crate) async fn admit(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
    ) -> Result<Registered, String> {
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let io: BoxIo = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let stream = tls.accept(stream).await;
                Box::new(stream.map_err(|error| format!("no TLS connection: {error}"))?)
            }
        };
        #[expect(clippy::result_large_err, reason = "the WebSocket library wants it so")]
        let check = |request: &Request, response: Response| self.check(request, response);
        let stream = accept_hdr_async_with_config(io, check, Some(socket::config()))
            .await
            .map_err(|error| error.to_string())?;
        registered(Socket::accepted(stream, permit)).await
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

/// Reads up to the event that says which application the socket is about.
async fn registered(mut socket: Socket) -> Result<Registered, String> {
    let mut early = Vec::new();
    loop {
        let frame = socket.next().await.map_err(|Broken(reason)| reason)?;
        let said = match &frame {
            Frame::Text(text) => who(text.clone()),
            Frame::Binary(_) | Frame::Alive => None,
        };
        early.push(frame);
        if let Some((application, asterisk_id)) = said {
            socket.unread(early);
            return Ok(Registered {
                socket,
                application,
                asterisk_id,
            });
        }
        if early.len() > MAX_EARLY {
            return Err("it does not say which application it is about".to_owned());
        }
    }
}

fn who(text: bytes::Bytes) -> Option<(Arc<str>, Option<Arc<str>>)> {
    let event = Event::parse(text).ok()?;
    if event.kind() != "ApplicationRegistered" {
        return None;
    }
    let application = event.application().filter(|name| !name.is_empty())?;
    Some((application.into(), event.asterisk_id().map(Arc::from)))
}

/// The other end, for the log.
pub(crate) fn peer(address: SocketAddr, tls: bool) -> crate::address::Peer {
    crate::address::Peer {
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
