//! HTTP requests: operations, and the opening of a WebSocket.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{self, HeaderName, HeaderValue, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{events, listener::Connection};
use crate::{
    simulator::Runtime,
    wire::{HttpAnswer, HttpOutcome, HttpRequest, MAX_BODY},
};

pub(crate) type Answer = http::Response<Body>;

/// Answers a request for ARI, or for anything else.
pub(crate) async fn handle(
    State(runtime): State<Arc<Runtime>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: http::Request<Body>,
) -> Answer {
    answer(&runtime, &connection, request).await
}

async fn answer(
    runtime: &Arc<Runtime>,
    connection: &Connection,
    mut request: http::Request<Body>,
) -> Answer {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Some(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => None,
        // The client is gone, or writes no HTTP.
        Err(_) => return write(HttpAnswer::page(400, "Bad Request", "Timeout")),
    };
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
        .collect();
    let outcome = runtime.config.read_http(&HttpRequest {
        method: parts.method.as_str(),
        target: &parts.uri.to_string(),
        headers: &headers,
        body: body.as_deref(),
    });
    match outcome {
        HttpOutcome::Answer(answer) => write(answer),
        HttpOutcome::Operation(operation) => match runtime.perform(operation.request()).await {
            Some(response) => write(operation.answer(response)),
            None => write(HttpAnswer::page(
                503,
                "Service Unavailable",
                "Shutdown in progress",
            )),
        },
        HttpOutcome::Websocket(handshake) => {
            events::upgrade(runtime, connection, &parts.headers, handshake, upgrade)
        }
    }
}

/// The answer with the headers that all have.
pub(crate) fn write(answer: HttpAnswer) -> Answer {
    let mut response = Answer::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(answer.reason.as_bytes()) {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("Asterisk"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    if answer.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::try_from(value),
        ) {
            headers.insert(name, value);
        }
    }
    response
}
