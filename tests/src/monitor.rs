//! What a nats-server tells about its connections.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection to a nats-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Name that the client gave itself.
    pub name: String,
    /// Subjects that it is subscribed to, sorted.
    pub subjects: Vec<String>,
}

/// Reads one page of the monitoring; `None` if it cannot be had.
pub async fn get(url: &str, path: &str) -> Option<Value> {
    let address = url.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    serde_json::from_slice(&answer[body..]).ok()
}

pub(crate) async fn connections(url: &str) -> Vec<Connection> {
    let page = get(url, "/connz?subs=1&limit=100000")
        .await
        .expect("the monitoring of nats-server answers");
    let connections = page["connections"].as_array().cloned().unwrap_or_default();
    connections
        .iter()
        .map(|connection| {
            let mut subjects: Vec<String> = connection["subscriptions_list"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|subject| subject.as_str().map(str::to_owned))
                .collect();
            subjects.sort();
            Connection {
                name: connection["name"].as_str().unwrap_or_default().to_owned(),
                subjects,
            }
        })
        .collect()
}
