//! Plain HTTP to programs on this machine.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Gets JSON from `http://host:port`.
pub(crate) async fn get(base: &str, target: &str) -> Result<Value> {
    exchange(base, "GET", target, None).await
}

/// Posts JSON to `http://host:port`.
pub(crate) async fn post(base: &str, target: &str, body: &Value) -> Result<Value> {
    exchange(base, "POST", target, Some(body)).await
}

async fn exchange(base: &str, method: &str, target: &str, body: Option<&Value>) -> Result<Value> {
    // The query may hold credentials.
    let path = target.split('?').next().unwrap_or_default();
    let what = || format!("{method} {base}{path}");
    timeout(DEADLINE, ask(base, method, target, body))
        .await
        .map_err(|_| anyhow!("no answer to {} within {DEADLINE:?}", what()))?
        .with_context(what)
}

async fn ask(base: &str, method: &str, target: &str, body: Option<&Value>) -> Result<Value> {
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).await?;
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: the answer comes in one piece, and ends with the connection.
    let head = format!(
        "{method} {target} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    read(&answer)
}

/// Takes the body out of an answer.
fn read(answer: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(answer)?;
    let (head, body) = text.split_once("\r\n\r\n").context("it is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("status {status}: {}", body.trim());
    }
    if body.trim().is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_str(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_taken_out_of_an_answer() {
        assert_eq!(
            read(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n[1]").unwrap(),
            serde_json::json!([1])
        );
        assert_eq!(
            read(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(),
            Value::Null
        );
        let refused = read(b"HTTP/1.1 404 Not Found\r\n\r\nno such call\n").unwrap_err();
        assert_eq!(refused.to_string(), "status 404: no such call");
        assert!(read(b"nonsense").is_err());
    }
}
