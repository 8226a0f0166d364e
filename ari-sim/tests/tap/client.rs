//! A client without opinions, and a file that can be looked into.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{Stream, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends a request as somebody (`name:password`, or nobody) and reads the answer to its end.
pub(crate) async fn ask_as(
    address: SocketAddr,
    user: &str,
    method: &str,
    target: &str,
    body: Option<(&str, &str)>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n");
    if !user.is_empty() {
        let encoded = STANDARD.encode(user);
        request = format!("{request}Authorization: Basic {encoded}\r\n");
    }
    if let Some((kind, body)) = body {
        let length = body.len();
        request = format!("{request}Content-Type: {kind}\r\nContent-Length: {length}\r\n");
    }
    request += "\r\n";
    request += body.map_or("", |(_, body)| body);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer))
        .await
        .unwrap()?;
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let mut line = head
        .lines()
        .next()
        .unwrap_or_default()
        .splitn(3, ' ')
        .skip(1);
    Ok(Answer {
        status: line.next().unwrap_or_default().parse().unwrap(),
        reason: line.next().unwrap_or_default().to_owned(),
        head,
        body,
    })
}

pub(crate) async fn ask(address: SocketAddr, method: &str, target: &str) -> Answer {
    ask_as(address, "demo:secret", method, target, None)
        .await
        .unwrap()
}

pub(crate) async fn open(address: SocketAddr, query: &str) -> Result<Socket, Error> {
    let url = format!("ws://{address}/ari/events?api_key=demo:secret&{query}");
    let opened = timeout(LIMIT, connect_async(url)).await.unwrap();
    opened.map(|(socket, _)| socket)
}

/// The next text of a socket.
pub(crate) async fn next_text(socket: &mut Socket) -> String {
    loop {
        let message = timeout(LIMIT, socket.next()).await.unwrap().unwrap();
        if let Message::Text(text) = message.unwrap() {
            return text.to_string();
        }
    }
}

/// Waits until a socket has ended; what still comes by it is passed over.
pub(crate) async fn ends(socket: &mut (impl Stream<Item = Result<Message, Error>> + Unpin)) {
    let end = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
    timeout(LIMIT, end).await.unwrap();
}

/// The events of a socket up to the one of this type.
pub(crate) async fn events_until(socket: &mut Socket, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event: Value = serde_json::from_str(&next_text(socket).await).unwrap();
        let found = event["type"] == kind;
        events.push(event);
        if found {
            return events;
        }
    }
}

/// A file in memory.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
