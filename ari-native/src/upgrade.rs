//! The opening handshake of a WebSocket (RFC 6455, section 4.1).
//!
//! It is done with hyper: that of tungstenite writes the request, with the credentials in it, to the log.

use std::pin::pin;

use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    header::{
        CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        UPGRADE,
    },
};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        error::{ProtocolError, SubProtocolError},
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::connector::BoxIo;

/// Longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The answer is another one than that the protocol changes.
    #[error("HTTP error: {0}")]
    Refused(StatusCode),
    /// It is answered, but not as RFC 6455 wants it.
    #[error("WebSocket protocol error: {0}")]
    Wrong(#[from] ProtocolError),
    /// The connection broke, or what came is not HTTP.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The request cannot be sent.
    #[error(transparent)]
    Invalid(#[from] http::Error),
}

/// Makes a connection a WebSocket by a request that has all that RFC 6455 asks for, and its URL in full.
///
/// # Cancel safety
/// Dropping the future drops the connection.
pub(crate) async fn upgrade(
    io: BoxIo,
    request: Request<()>,
    config: WebSocketConfig,
) -> Result<WebSocketStream<BoxIo>, NotOpened> {
    let request = to_origin(request)?;
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.map_or(&[], |key| key.as_bytes()));
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(MAX_HEAD_BYTES)
        .title_case_headers(true)
        .handshake(TokioIo::new(io))
        .await?;
    let mut connection = pin!(connection.without_shutdown());
    let mut answering = pin!(sender.send_request(request));
    // The connection is at its end once the protocol changes, which may be before the answer is taken.
    let (answer, ended) = tokio::select! {
        biased;
        answer = &mut answering => (answer?, None),
        ended = &mut connection => (answering.await?, Some(ended)),
    };
    check(&answer, &accept)?;
    let parts = match ended {
        Some(parts) => parts?,
        None => connection.await?,
    };
    let (io, begun) = (parts.io.into_inner(), parts.read_buf.into());
    Ok(WebSocketStream::from_partially_read(io, begun, Role::Client, Some(config)).await)
}

/// The same request with nothing but path and query in its first line.
fn to_origin(request: Request<()>) -> Result<Request<Empty<Bytes>>, http::Error> {
    let (mut parts, ()) = request.into_parts();
    let mut target = http::uri::Parts::default();
    target.path_and_query = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from_parts(target)?;
    Ok(Request::from_parts(parts, Empty::new()))
}

/// Whether an answer opens the WebSocket that was asked for with a key, which it has to accept so.
fn check<B>(answer: &Response<B>, accept: &str) -> Result<(), NotOpened> {
    if answer.version() < Version::HTTP_11 {
        return Err(ProtocolError::WrongHttpVersion.into());
    }
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(NotOpened::Refused(answer.status()));
    }
    let headers = answer.headers();
    let wrong = if !says(headers, &UPGRADE, "websocket") {
        ProtocolError::MissingUpgradeWebSocketHeader
    } else if !says(headers, &CONNECTION, "upgrade") {
        ProtocolError::MissingConnectionUpgradeHeader
    } else if headers
        .get(SEC_WEBSOCKET_ACCEPT)
        .is_none_or(|given| given != accept)
    {
        ProtocolError::SecWebSocketAcceptKeyMismatch
    } else if headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::ServerSentSubProtocolNoneRequested,
        )
    } else {
        return Ok(());
    };
    Err(wrong.into())
}

fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let value = headers.get(name);
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    use super::*;

    /// What is answered with the key that was accepted in place of `{accept}`.
    const OPEN: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nUPGRADE: WebSocket\r\n\
                        Sec-WebSocket-Accept: {accept}\r\n\r\n";

    fn pipe() -> (BoxIo, DuplexStream) {
        let (ours, theirs) = duplex(4096);
        (Box::new(ours), theirs)
    }

    async fn open(url: &str, io: BoxIo) -> Result<WebSocketStream<BoxIo>, NotOpened> {
        let request = url.into_client_request().unwrap();
        upgrade(io, request, WebSocketConfig::default()).await
    }

    /// Reads a request up to its end; gives its lines without the key, and how the key is accepted.
    async fn asked(server: &mut DuplexStream) -> (Vec<String>, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(server.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let is_key = |line: &str| line.to_ascii_lowercase().starts_with("sec-websocket-key: ");
        let (keys, mut lines): (Vec<&str>, Vec<&str>) =
            head.trim_end().split("\r\n").partition(|line| is_key(line));
        lines[1..].sort_unstable();
        let accept = derive_accept_key(&keys[0].as_bytes()[19..]);
        (lines.into_iter().map(str::to_owned).collect(), accept)
    }

    /// What comes of an answer.
    async fn answered(answer: &str) -> Result<WebSocketStream<BoxIo>, NotOpened> {
        let (io, mut server) = pipe();
        let serving = async {
            let (_, accept) = asked(&mut server).await;
            let answer = answer.replace("{accept}", &accept);
            server.write_all(answer.as_bytes()).await.unwrap();
            server
        };
        tokio::join!(open("ws://pbx:8088/ari/events", io), serving).0
    }

    #[tokio::test]
    async fn the_request_is_that_of_the_rfc() {
        for (url, host) in [
            ("ws://pbx:8088/ari/events?app=a%2Cb", "pbx:8088"),
            ("ws://pbx/ari/events?app=a%2Cb", "pbx"),
            ("wss://[::1]:8089/ari/events?app=a%2Cb", "[::1]:8089"),
        ] {
            let (io, mut server) = pipe();
            let (lines, _) = tokio::select! {
                _ = open(url, io) => unreachable!(),
                asked = asked(&mut server) => asked,
            };
            let host = format!("Host: {host}");
            let wanted = [
                "GET /ari/events?app=a%2Cb HTTP/1.1",
                "Connection: Upgrade",
                &host,
                "Sec-Websocket-Version: 13",
                "Upgrade: websocket",
            ];
            assert_eq!(lines, wanted);
            // The future is dropped, and the connection with it.
            assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn what_comes_with_the_answer_is_the_first_of_the_websocket() {
        let (io, mut server) = pipe();
        let serving = async {
            let (_, accept) = asked(&mut server).await;
            let mut answer = OPEN.replace("{accept}", &accept).into_bytes();
            answer.extend_from_slice(b"\x81\x02hi");
            server.write_all(&answer).await.unwrap();
            server.write_all(b"\x81\x03you").await.unwrap();
        };
        let (socket, ()) = tokio::join!(open("ws://pbx/", io), serving);
        let texts = socket.unwrap().map(|message| message.unwrap().to_string());
        assert_eq!(texts.take(2).collect::<Vec<_>>().await, ["hi", "you"]);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_open_it_says_why() {
        assert!(answered(OPEN).await.is_ok());
        let cases = [
            (
                OPEN.replace("HTTP/1.1", "HTTP/1.0"),
                "HTTP version must be 1.1 or higher",
            ),
            (
                OPEN.replace("WebSocket\r", "h2c\r"),
                "\"upgrade: websocket\"",
            ),
            (
                OPEN.replace("connection: upgrade", "connection: close"),
                "\"connection: upgrade\"",
            ),
            (OPEN.replace("{accept}", "{accept}x"), "key mismatch"),
            (OPEN.replace("Sec-WebSocket-Accept", "X"), "key mismatch"),
            (
                OPEN.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: ari\r\n\r\n"),
                "subprotocol",
            ),
            (
                "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
                "invalid HTTP version",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 999999999999\r\n\r\n<"
                    .to_owned(),
                "302 Found",
            ),
        ];
        for (answer, said) in cases {
            let error = answered(&answer).await.err().unwrap().to_string();
            assert!(
                error.to_lowercase().contains(&said.to_lowercase()),
                "{answer}{error}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_cut_off() {
        let line = format!("X: {}\r\n", "x".repeat(1000));
        for (begin, more) in [
            ("HTTP/1.1 101 Switching Protocols\r\n", line.as_str()),
            ("HTTP/1.1 101 Switching Protocols\r\n", "a: b\r\n"),
            ("HTTP/1.1 101 Switching Protocols\r\nX: ", "x"),
        ] {
            let (io, mut server) = pipe();
            let serving = async {
                asked(&mut server).await;
                let mut sent = server.write(begin.as_bytes()).await.unwrap();
                while let Ok(bytes) = server.write(more.repeat(100).as_bytes()).await {
                    sent += bytes;
                }
                sent
            };
            let (socket, sent) = tokio::join!(open("ws://pbx/", io), serving);
            assert!(socket.is_err() && sent < 4 * MAX_HEAD_BYTES, "{sent}");
        }
    }

    #[tokio::test]
    async fn who_speaks_first_or_hangs_up_opens_nothing() {
        for said in ["SSH-2.0-OpenSSH_9.2\r\n", ""] {
            let (io, mut server) = pipe();
            server.write_all(said.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
            assert!(open("ws://pbx/", io).await.is_err());
            let (io, mut server) = pipe();
            server.write_all(said.as_bytes()).await.unwrap();
            drop(server);
            assert!(open("ws://pbx/", io).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_time_limit_ends_answers_that_only_announce_another() {
        let (io, mut server) = pipe();
        let serving = async {
            asked(&mut server).await;
            while server
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .is_ok()
            {}
        };
        let limit = Duration::from_millis(50);
        let opening = timeout(limit, open("ws://pbx/", io));
        let (opened, ()) = tokio::join!(opening, serving);
        assert!(opened.is_err());
    }
}
