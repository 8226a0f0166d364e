//! What HTTP and the event socket have in common: from a path and its parameters to an operation.

use ari_core::Request;
use serde_json::Value;

use super::{AriConfig, HttpAnswer, docs, parameters, routes::Route};

/// A request as both doors see it.
pub(crate) struct Invocation<'a> {
    pub(crate) method: &'a str,
    /// Path below `/ari/`, still encoded.
    pub(crate) path: &'a str,
    pub(crate) parameters: &'a [(String, String)],
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Value>,
}

pub(crate) enum Invoked {
    Operation(Box<Request>),
    /// The WebSocket is asked for.
    Websocket,
    Answer(HttpAnswer),
}

impl From<HttpAnswer> for Invoked {
    fn from(answer: HttpAnswer) -> Self {
        Self::Answer(answer)
    }
}

impl AriConfig {
    pub(crate) fn invoke(&self, invocation: &Invocation<'_>) -> Invoked {
        let Invocation {
            method,
            path,
            parameters,
            headers,
            body,
        } = *invocation;
        let refusal = HttpAnswer::refusal;
        let Some(user) = self.user(headers, parameters) else {
            return refusal(401, "Unauthorized", "Authentication required")
                .header(
                    "WWW-Authenticate",
                    "Basic realm=\"Asterisk REST Interface\"",
                )
                .into();
        };
        if user.is_read_only() && !matches!(method, "GET" | "OPTIONS") {
            return refusal(403, "Forbidden", "Write access denied").into();
        }
        if let Some(slashless) = path.strip_suffix('/') {
            let message = format!("ARI URLs do not end with a slash. Try /ari/{slashless}");
            return refusal(404, "Not Found", &message).into();
        }
        if let Some(name) = path.strip_prefix("api-docs/") {
            return if method == "GET" {
                docs::answer(name, headers).into()
            } else {
                refusal(405, "Method Not Allowed", "Unsupported method").into()
            };
        }
        let Some(route) = Route::find(path) else {
            return refusal(404, "Not Found", "Resource not found").into();
        };
        if method == "OPTIONS" {
            return self.options(&route, headers).into();
        }
        if route.is_websocket() && method == "GET" {
            return Invoked::Websocket;
        }
        let Some(operation) = route.operation(method) else {
            return refusal(405, "Method Not Allowed", "Invalid method")
                .header("Allow", route.methods())
                .into();
        };
        match parameters::read(operation, parameters, route.arguments, body) {
            Ok(request) => Invoked::Operation(Box::new(request)),
            Err(parameters::TooManyValues(name)) => {
                let message = format!("Too many values for {name}");
                refusal(400, "Bad Request", &message).into()
            }
        }
    }

    /// The answer to `OPTIONS`, which may be a browser's question before a request.
    fn options(&self, route: &Route, headers: &[(&str, &str)]) -> HttpAnswer {
        let methods = route.methods();
        let answer = HttpAnswer::new(204, "No Content").header("Allow", methods.clone());
        let (Some(origin), Some(method)) = (
            last(headers, "Origin"),
            last(headers, "Access-Control-Request-Method"),
        ) else {
            return answer;
        };
        if !self.allows(origin) || route.operation(method).is_none() {
            return answer;
        }
        let answer = answer.header("Access-Control-Allow-Methods", methods);
        match last(headers, "Access-Control-Request-Headers") {
            Some(names) => answer.header("Access-Control-Allow-Headers", names),
            None => answer,
        }
    }

    /// The headers that let a web page of another origin read the answer.
    pub(crate) fn cross_origin(&self, headers: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        match last(headers, "Origin").filter(|origin| self.allows(origin)) {
            None => Vec::new(),
            Some(origin) => vec![
                ("Access-Control-Allow-Origin", origin.to_owned()),
                ("Access-Control-Allow-Credentials", "true".to_owned()),
            ],
        }
    }
}

/// The last value of a header.
fn last<'a>(headers: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter().rev();
    headers
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

/// The first value of a header.
pub(crate) fn first<'a>(headers: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    headers
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}
