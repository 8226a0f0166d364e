//! What a client of the trace asked, put to the world as it came over the wire.

use ari_core::{OperationSpec, Request, Response};
use ari_sim::{
    World,
    wire::{AriConfig, Handshake, HttpAnswer, HttpOperation, HttpOutcome, HttpRequest, User},
    world::{Reply, SimTime, Ticket},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// The user of a trace unless a line names another.
const USER: &str = "demo:secret";

/// What became of a question.
pub(crate) enum Asked {
    Now(HttpAnswer),
    /// The answer comes later, and is then made by this.
    Later(Ticket, HttpOperation),
    Websocket,
}

/// How ARI was set up where the traces were recorded.
pub(crate) fn config() -> AriConfig {
    AriConfig::new([
        User::new("demo", "secret"),
        User::new("reader", "secret").read_only(),
    ])
}

/// Path and query of an exchange.
pub(crate) fn target_of(http: &Value) -> String {
    let mut target = http["path"].as_str().unwrap_or_default().to_owned();
    match &http["query"] {
        Value::String(query) if !query.is_empty() && !target.contains('?') => {
            target.push('?');
            target.push_str(query);
        }
        Value::Object(query) => {
            for (place, (name, value)) in query.iter().enumerate() {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                target.push(if place == 0 { '?' } else { '&' });
                target.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
                target.push('=');
                target.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
            }
        }
        _ => {}
    }
    target
}

/// The operation that an exchange means.
pub(crate) fn operation_of(method: &str, target: &str) -> Option<&'static OperationSpec> {
    let target = target.strip_prefix("/ari").unwrap_or(target);
    let request = Request::from_http(method, target, None).ok()?;
    Some(request.operation)
}

/// Does an exchange of a trace.
pub(crate) fn ask(world: &mut World, now: SimTime, config: &AriConfig, http: &Value) -> Asked {
    let target = target_of(http);
    let body = match &http["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let mut headers = authorization(http.get("auth"));
    headers.push(("Host".to_owned(), "127.0.0.1:8088".to_owned()));
    if !body.is_empty() {
        headers.push(("Content-Type".to_owned(), content_type(http).to_owned()));
    }
    let method = http["method"].as_str().unwrap_or_default();
    match config.read_http(&request(method, &target, &borrowed(&headers), &body)) {
        HttpOutcome::Operation(operation) => match world.request(now, operation.request()) {
            Reply::Now(response) => Asked::Now(operation.answer(response)),
            Reply::Later(ticket) => Asked::Later(ticket, operation),
        },
        HttpOutcome::Answer(answer) => Asked::Now(answer),
        HttpOutcome::Websocket(_) => Asked::Websocket,
    }
}

/// Opens a websocket of a trace.
pub(crate) fn open(config: &AriConfig, socket: &Value) -> Result<Handshake, HttpAnswer> {
    let query = serde_json::json!({"path": "/ari/events", "query": socket["query"]});
    // The lines of sockets do not name the user: who was not let in had wrong credentials.
    let wrong = (socket["status"] == 401).then(|| Value::from("demo:wrong"));
    let mut headers = authorization(socket.get("auth").or(wrong.as_ref()));
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "ari"),
    ] {
        headers.push((name.to_owned(), value.to_owned()));
    }
    let target = target_of(&query);
    match config.read_http(&request("GET", &target, &borrowed(&headers), "")) {
        HttpOutcome::Websocket(handshake) => Ok(handshake),
        HttpOutcome::Answer(answer) => Err(answer),
        HttpOutcome::Operation(operation) => Err(operation.answer(Response::default())),
    }
}

fn request<'a>(
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
) -> HttpRequest<'a> {
    HttpRequest {
        method,
        target,
        headers,
        body: Some(body.as_bytes()),
    }
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The credentials of a line: those of everybody, others, or none (`null`).
fn authorization(auth: Option<&Value>) -> Vec<(String, String)> {
    let credentials = match auth {
        None => USER,
        Some(auth) => match auth.as_str() {
            Some(credentials) => credentials,
            None => return Vec::new(),
        },
    };
    let value = format!("Basic {}", STANDARD.encode(credentials));
    vec![("Authorization".to_owned(), value)]
}

/// The type of a body, which is not recorded: text may be broken JSON, a form, or neither. What a form
/// says shows in the answer.
fn content_type(http: &Value) -> &'static str {
    let Value::String(text) = &http["body"] else {
        return "application/json";
    };
    if text.trim_start().starts_with(['{', '[', '"']) || !text.contains('=') {
        return "application/json";
    }
    let answer = http["response"].to_string();
    let shows = text.split('&').any(|pair| {
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8_lossy();
        !value.is_empty() && answer.contains(&format!("\"{value}\""))
    });
    if shows {
        "application/x-www-form-urlencoded"
    } else {
        "text/plain"
    }
}
