//! What goes wrong with requests over HTTP, and the control of it.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, State},
    http::{self, header},
    middleware::Next,
    routing::{delete, get},
};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;

use super::{
    admin::reply,
    listener::Connection,
    rest::{self, Answer},
};
use crate::{
    faults::{Asked, Fault, FaultId, FaultRule, truncated},
    simulator::{Facing, Link, NOT_BOOTED, Runtime},
    wire::HttpAnswer,
};

/// Stands before all that belongs to Asterisk.
pub(super) async fn strike(
    State(runtime): State<Arc<Runtime>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: http::Request<Body>,
    next: Next,
) -> Answer {
    let link = connection.link;
    runtime.judge_link(&link);
    if !link.valve.readable().await {
        return cut_off(&link);
    }
    let asked = || {
        let path = request.uri().path();
        let path = path.strip_prefix("/ari").unwrap_or(path);
        Asked::of(request.method().as_str(), path)
    };
    let verdict = match runtime.judge_request(asked) {
        Facing::Decided(verdict) => verdict,
        Facing::Booting => {
            return rest::write(
                HttpAnswer::refusal(503, "Service Unavailable", NOT_BOOTED).closing(),
            );
        }
    };
    match &verdict.fault {
        Some((_, Fault::Status { code })) => {
            return rest::write(HttpAnswer::refusal(*code, Fault::REASON, Fault::MESSAGE));
        }
        Some((_, Fault::HtmlPage { code })) => {
            let page = HttpAnswer::new(*code, Fault::REASON).content("text/html", Fault::PAGE);
            return rest::write(page);
        }
        _ => {}
    }
    let answer = next.run(request).await;
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    let Some((id, fault)) = verdict.fault else {
        return answer;
    };
    match fault {
        Fault::NoAnswer => {
            runtime.fault_ended(id).await;
            answer
        }
        Fault::Reset => cut_off(&link),
        Fault::MalformedJson => with_garbage(&answer),
        Fault::TruncatedJson { honest } => cut_short(answer, honest).await,
        _ => answer,
    }
}

/// Ends the connection; what is answered does not get out any more.
fn cut_off(link: &Link) -> Answer {
    link.reset();
    rest::write(HttpAnswer::new(500, Fault::REASON))
}

/// The status that an answer has once it has a body.
fn with_a_body(status: http::StatusCode) -> http::StatusCode {
    match status.as_u16() {
        101 | 204 | 304 => http::StatusCode::OK,
        _ => status,
    }
}

fn with_garbage(answer: &Answer) -> Answer {
    let status = with_a_body(answer.status());
    let reason = status.canonical_reason().unwrap_or_default();
    let garbage = HttpAnswer::new(status.as_u16(), reason);
    rest::write(garbage.content("application/json", Fault::GARBAGE))
}

async fn cut_short(answer: Answer, honest: bool) -> Answer {
    let (mut parts, body) = answer.into_parts();
    let whole = match body.collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let half = truncated(&whole);
    if honest || whole.is_empty() {
        return Answer::from_parts(parts, Body::from(half));
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, whole.len().into());
    // The half goes out before the end comes.
    let flushed = futures::stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let half = futures::stream::once(std::future::ready(Ok(half)));
    Answer::from_parts(parts, Body::from_stream(half.chain(flushed)))
}

/// Marks connections of whoever controls the simulator.
pub(super) async fn control(
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: http::Request<Body>,
    next: Next,
) -> Answer {
    connection.link.carries_control();
    next.run(request).await
}

pub(super) fn routes() -> Router<Arc<Runtime>> {
    Router::new()
        .route("/sim/faults", get(list).post(inject).delete(clear_all))
        .route("/sim/faults/{id}", delete(clear))
}

/// One rule, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Injected {
    Several(Vec<serde_json::Value>),
    One(serde_json::Value),
}

async fn list(State(runtime): State<Arc<Runtime>>) -> Answer {
    reply(&runtime.faults())
}

async fn inject(State(runtime): State<Arc<Runtime>>, body: Bytes) -> Answer {
    let refuse = |message: &str| {
        let message = format!("there can be no such fault: {message}");
        rest::write(HttpAnswer::refusal(400, "Bad Request", &message))
    };
    let rules = match serde_json::from_slice(&body) {
        Ok(Injected::Several(rules)) => rules,
        Ok(Injected::One(rule)) => vec![rule],
        Err(error) => return refuse(&error.to_string()),
    };
    let rules: Result<Vec<FaultRule>, _> = rules.into_iter().map(serde_json::from_value).collect();
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => return refuse(&error.to_string()),
    };
    // All or none, and none that shuts out who could take it back.
    for rule in &rules {
        if let Err(error) = rule.check() {
            return refuse(&error.to_string());
        }
        if rule.fault == Fault::RefuseConnections && rule.for_ms.is_none() {
            return refuse("refuse_connections needs for_ms here, or nobody could clear it");
        }
    }
    let mut ids = Vec::with_capacity(rules.len());
    for rule in rules {
        match runtime.inject(rule) {
            Ok(id) => ids.push(id),
            Err(error) => return refuse(&error.to_string()),
        }
    }
    reply(&json!({ "ids": ids }))
}

async fn clear_all(State(runtime): State<Arc<Runtime>>) -> Answer {
    runtime.clear_faults();
    rest::write(HttpAnswer::new(204, "No Content"))
}

async fn clear(State(runtime): State<Arc<Runtime>>, Path(id): Path<u64>) -> Answer {
    if runtime.clear_fault(FaultId::new(id)) {
        rest::write(HttpAnswer::new(204, "No Content"))
    } else {
        rest::write(HttpAnswer::refusal(
            404,
            "Not Found",
            "there is no such fault",
        ))
    }
}
