//! Operations over HTTP.

use std::sync::Arc;

use ari_core::{EntityKind, Method, Request, Response, Unroutable, registry};
use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{self, HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::{
    auth::{self, Access},
    listener::Connection,
};
use crate::simulator::{Fault, Runtime};

/// Largest body that Asterisk takes.
const MAX_BODY: usize = 40_960;

const JSON: &str = "application/json";

pub(crate) type Answer = http::Response<Body>;

/// Answers a request for ARI, or for anything else.
pub(crate) async fn handle(
    State(runtime): State<Arc<Runtime>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: http::Request<Body>,
) -> Answer {
    let fault = runtime.faults.take();
    if let Some(Fault::Status(status)) = fault {
        return simulated(status);
    }
    let answer = answer(&runtime, request).await;
    runtime.faults.flowing().await;
    match fault {
        Some(Fault::Garbage) => garbage(),
        Some(Fault::Reset) => {
            connection.cut.cancel();
            answer
        }
        _ => answer,
    }
}

async fn answer(runtime: &Runtime, request: http::Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let Some(path) = path
        .strip_prefix("/ari")
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return page(
            404,
            "Not Found",
            "The requested URL was not found on this server.",
        );
    };
    if path.len() > 1 && path.ends_with('/') {
        let message = format!(
            "ARI URLs do not end with a slash. Try /ari{}",
            path.trim_end_matches('/')
        );
        return refusal(404, "Not Found", &message);
    }
    let access = auth::access(&runtime.users, &parts.headers, query);
    let method = parts.method.as_str();
    let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
    match access {
        Access::Nothing => return unauthorized(),
        Access::Reading if !reads => return refusal(403, "Forbidden", "Write access denied"),
        Access::Reading | Access::Everything => {}
    }
    if method == "OPTIONS" {
        return match allowed_methods(path) {
            Some(methods) => with_header(
                with_body(204, "No Content", "", Bytes::new()),
                header::ALLOW,
                &methods,
            ),
            None => refusal(404, "Not Found", "Resource not found"),
        };
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return refusal(413, "Request Entity Too Large", "Request body too large");
        }
        Err(_) => return refusal(400, "Bad Request", "Error parsing request body"),
    };
    let request = match read(method, path, query, &parts.headers, &body) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let response = runtime.perform(&request).await;
    finish(&request, response)
}

/// Finds the operation of a request and its parameters.
fn read(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Request, Box<Answer>> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let json: Option<Value> = if content_type.eq_ignore_ascii_case(JSON) && !body.is_empty() {
        let value = serde_json::from_slice(body);
        Some(
            value
                .map_err(|_| Box::new(refusal(400, "Bad Request", "Error parsing request body")))?,
        )
    } else {
        None
    };
    let query: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.starts_with("api_key="))
        .collect();
    let target = format!("{path}?{}", query.join("&"));
    let mut request = Request::from_http(method, &target, json.as_ref()).map_err(|unroutable| {
        Box::new(match (unroutable, allowed_methods(path)) {
            (Unroutable::Path, None) => refusal(404, "Not Found", "Resource not found"),
            (_, allowed) => {
                let refused = refusal(405, "Method Not Allowed", "Invalid method");
                with_header(refused, header::ALLOW, &allowed.unwrap_or_default())
            }
        })
    })?;
    if content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let form = String::from_utf8_lossy(body);
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode_form(name);
            if request.parameters.get(&name).is_none() {
                request.set_text(&name, decode_form(value));
            }
        }
    }
    Ok(request)
}

/// The methods of a path, as the header `Allow` names them; `None`: there is no such path.
fn allowed_methods(path: &str) -> Option<String> {
    let segments: Vec<_> = path.split('/').collect();
    let fits = |template: &str| {
        let mut expected = template.split('/');
        segments.iter().all(|segment| {
            expected
                .next()
                .is_some_and(|name| name == *segment || name.starts_with('{'))
        }) && expected.next().is_none()
    };
    let begins = |template: &str| {
        segments.len() <= template.split('/').count()
            && segments
                .iter()
                .zip(template.split('/'))
                .all(|(segment, name)| name == *segment || name.starts_with('{'))
    };
    // Of `/channels/create` and `/channels/{channelId}` the one that is spelled out is meant.
    let templates = || {
        registry::OPERATIONS
            .iter()
            .filter(|operation| fits(operation.path))
    };
    let literal = templates()
        .map(|operation| operation.path.matches('{').count())
        .min();
    let methods: Vec<Method> = templates()
        .filter(|operation| Some(operation.path.matches('{').count()) == literal)
        .map(|operation| operation.method)
        .collect();
    if methods.is_empty()
        && !registry::OPERATIONS
            .iter()
            .any(|operation| begins(operation.path))
        && path.len() > 1
    {
        return None;
    }
    let mut allowed = String::from("OPTIONS");
    for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
        if methods.contains(&method) {
            allowed.push(',');
            allowed.push_str(method.as_str());
        }
    }
    Some(allowed)
}

/// The answer of the world as HTTP carries it.
fn finish(request: &Request, response: Response) -> Answer {
    let content_type = match &response.body[..] {
        [] => "",
        [b'R', b'I', b'F', b'F', ..] => "audio/wav",
        [b'{' | b'[', ..] => JSON,
        _ => "application/octet-stream",
    };
    let location = if response.status == 201 {
        location(request, &response.body)
    } else {
        None
    };
    let answer = with_body(
        response.status,
        &response.reason,
        content_type,
        response.body,
    );
    match location {
        Some(location) => with_header(answer, header::LOCATION, &location),
        None => answer,
    }
}

/// Where the thing is that was made.
fn location(request: &Request, body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let (folder, id) = match request.operation.creates.as_ref()?.kind {
        EntityKind::Playback => ("playbacks", value.get("id")?),
        EntityKind::LiveRecording => ("recordings/live", value.get("name")?),
        _ => return None,
    };
    Some(format!(
        "/ari/{folder}/{}",
        utf8_percent_encode(id.as_str()?, LOCATION)
    ))
}

/// What stays as it is in a `Location`.
const LOCATION: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(crate) fn unauthorized() -> Answer {
    let refused = refusal(401, "Unauthorized", "Authentication required");
    with_header(
        refused,
        header::WWW_AUTHENTICATE,
        "Basic realm=\"Asterisk REST Interface\"",
    )
}

/// The answer of a request that a fault refuses.
pub(crate) fn simulated(status: u16) -> Answer {
    refusal(status, "Simulated Fault", "Simulated fault")
}

/// An answer that is no JSON although it says so.
pub(crate) fn garbage() -> Answer {
    with_body(200, "OK", JSON, Bytes::from_static(b"{garbage"))
}

pub(crate) fn refusal(status: u16, reason: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "message": message }).to_string();
    with_body(status, reason, JSON, Bytes::from(body))
}

/// A page as Asterisk's HTTP server writes it for what is not ARI's.
pub(crate) fn page(status: u16, reason: &str, text: &str) -> Answer {
    let html = format!(
        "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\r\n<html><head>\r\n<title>{status} {reason}</title>\r\n\
         </head><body>\r\n<h1>{reason}</h1>\r\n<p>{text}</p>\r\n<hr />\r\n<address>Asterisk</address>\r\n\
         </body></html>\r\n"
    );
    with_body(status, reason, "text/html", Bytes::from(html))
}

pub(crate) fn with_body(status: u16, reason: &str, content_type: &str, body: Bytes) -> Answer {
    let mut answer = Answer::new(Body::from(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason.as_bytes()) {
        answer.extensions_mut().insert(reason);
    }
    let answer = with_header(answer, header::SERVER, "Asterisk");
    let answer = with_header(answer, header::CACHE_CONTROL, "no-cache, no-store");
    if content_type.is_empty() {
        answer
    } else {
        with_header(answer, header::CONTENT_TYPE, content_type)
    }
}

fn with_header(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Decodes a name or value of a query or form.
pub(crate) fn decode_form(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}
