//! A client that shows what is on the wire.

use std::{future::Future, time::Duration};

use ari_sim::{Server, Simulator, SimulatorBuilder};
use futures::StreamExt;
use serde_json::{Value, json};
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
const LIMIT: Duration = Duration::from_secs(10);

/// How long nothing may come where nothing is to come.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap()
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    within(async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) fn builder() -> SimulatorBuilder {
    Simulator::builder().user("demo", "secret")
}

pub(crate) async fn start() -> (Simulator, Server) {
    let simulator = builder().start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    (simulator, server)
}

/// A connection to the simulator.
pub(crate) struct Wire(pub(crate) TcpStream);

/// What came on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
    /// The connection ended, or was reset, before all came that was announced.
    pub(crate) short: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) async fn open(server: &Server) -> Self {
        Self(TcpStream::connect(server.address()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, method: &str, target: &str, body: &str) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: sim\r\nAuthorization: Basic ZGVtbzpzZWNyZXQ=\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads an answer; an error: the connection was reset, or ended, before its head was there.
    pub(crate) async fn receive(&mut self) -> std::io::Result<Answer> {
        within(self.read()).await
    }

    async fn read(&mut self) -> std::io::Result<Answer> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let mut answer = Answer {
            head: String::from_utf8_lossy(&bytes[..head]).into_owned(),
            body: String::new(),
            short: false,
        };
        let length = answer.header("content-length");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head + 4 + length {
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                answer.short = true;
                break;
            }
        }
        answer.body = String::from_utf8_lossy(&bytes[head + 4..]).into_owned();
        Ok(answer)
    }

    /// Whether nothing comes for a while, not even the end.
    pub(crate) async fn is_quiet(&self) -> bool {
        let mut byte = [0];
        timeout(QUIET, self.0.peek(&mut byte)).await.is_err()
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn ask(server: &Server, method: &str, target: &str) -> std::io::Result<Answer> {
    tell(server, method, target, "").await
}

pub(crate) async fn tell(
    server: &Server,
    method: &str,
    target: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let mut wire = Wire(TcpStream::connect(server.address()).await?);
    wire.send(method, target, body).await;
    wire.receive().await
}

pub(crate) async fn try_socket(server: &Server, application: &str) -> Result<Socket, Error> {
    let address = server.address();
    let url = format!("ws://{address}/ari/events?api_key=demo:secret&app={application}");
    within(connect_async(url)).await.map(|(socket, _)| socket)
}

pub(crate) async fn socket(server: &Server, application: &str) -> Socket {
    try_socket(server, application).await.unwrap()
}

/// The next text; `None`: the connection ended without a close frame.
pub(crate) async fn text(socket: &mut Socket) -> Option<String> {
    loop {
        match within(socket.next()).await {
            Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
            Some(Ok(Message::Close(close))) => panic!("closed: {close:?}"),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// The type of the next event.
pub(crate) async fn kind(socket: &mut Socket) -> String {
    let text = text(socket).await.unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    event["type"].as_str().unwrap().to_owned()
}

/// Whether nothing comes for a while, not even the end.
pub(crate) async fn is_quiet(socket: &mut Socket) -> bool {
    timeout(QUIET, socket.next()).await.is_err()
}

/// Tells an application an event.
pub(crate) fn inject(simulator: &Simulator, application: &str, kind: &str) {
    let event = json!({"type": kind, "application": application, "number": 1}).to_string();
    assert!(simulator.inject_event(application, event));
}
