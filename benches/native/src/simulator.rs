//! The program `ari-sim`, built in release, and the events that it makes.

use std::{
    collections::{HashMap, hash_map::Entry},
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::Result;

pub const APPLICATION: &str = "contest";
pub const USER: &str = "asterisk";
pub const PASSWORD: &str = "asterisk";

/// How long the calls may take that make the events.
const CALLS_WITHIN: Duration = Duration::from_mins(1);

/// A running `ari-sim`; its drop kills it.
pub struct Simulator {
    child: Child,
    pub port: u16,
}

/// An event of a channel, as it came from the WebSocket.
#[derive(Clone)]
pub struct Sample {
    pub channel: String,
    pub text: String,
}

impl Simulator {
    pub fn start() -> Result<Self> {
        let mut child = Command::new(build()?)
            .args(["--port", "0", "--username", USER, "--password", PASSWORD])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("ari-sim has no output")?;
        let mut simulator = Self { child, port: 0 };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let url = line.trim().trim_end_matches("/ari");
        let (_, port) = url.rsplit_once(':').ok_or("ari-sim does not say where")?;
        simulator.port = port.parse()?;
        Ok(simulator)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/ari", self.port)
    }

    /// A bare connection of hyper.
    pub async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "it ends with its sender")]
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A request with what every client has to send.
    pub fn request(&self, method: &str, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("127.0.0.1:{}", self.port))
            .header(header::AUTHORIZATION, authorization)
            .body(Full::new(body))?;
        Ok(request)
    }

    /// Has this many callers press a key, and gives the event of each.
    pub async fn sample(&self, channels: usize) -> Result<Vec<Sample>> {
        let url = format!(
            "ws://127.0.0.1:{}/ari/events?app={APPLICATION}&api_key={USER}:{PASSWORD}",
            self.port
        );
        let (mut socket, _) = connect_async(url).await?;
        let order = json!({
            "count": channels,
            "rate": 500,
            "script": {
                "application": APPLICATION,
                "steps": [{"on": "placed", "press": "5", "digit_ms": 40}],
            },
        });
        let request = self.request("POST", "/sim/calls", order.to_string().into())?;
        let answer = self.connect().await?.send_request(request).await?;
        let status = answer.status();
        let said = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("no calls: {}", String::from_utf8_lossy(&said)).into());
        }
        let mut samples = HashMap::new();
        let reading = async {
            while samples.len() < channels {
                let message = socket
                    .next()
                    .await
                    .ok_or("ari-sim closed the WebSocket")??;
                let Message::Text(text) = message else {
                    continue;
                };
                let event: Pressed = serde_json::from_str(&text)?;
                if event.kind != "ChannelDtmfReceived" {
                    continue;
                }
                let Some(id) = event.channel.as_ref().and_then(|c| c.get("id")?.as_str()) else {
                    continue;
                };
                if let Entry::Vacant(place) = samples.entry(id.to_owned()) {
                    place.insert(text.to_string());
                }
            }
            Result::Ok(())
        };
        timeout(CALLS_WITHIN, reading).await??;
        let samples = samples.into_iter();
        Ok(samples
            .map(|(channel, text)| Sample { channel, text })
            .collect())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("ari-sim could not be ended: {error}");
        }
    }
}

#[derive(Deserialize)]
struct Pressed {
    #[serde(rename = "type")]
    kind: String,
    channel: Option<Value>,
}

/// Builds `ari-sim`, and gives where it is.
fn build() -> Result<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "ari-sim",
            "--bin",
            "ari-sim",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("ari-sim cannot be built".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let program = text.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    Ok(program.ok_or("cargo does not say where ari-sim is")?)
}
