//! What a client of the trace asked, put to the world.

use ari_core::{OperationSpec, Request, Response};
use ari_sim::{
    World,
    world::{Reply, SimTime, Ticket},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// An answer as HTTP carries it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Vec<u8>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            status: response.status,
            reason: response.reason.clone(),
            body: response.body.to_vec(),
        }
    }
}

/// What became of a question.
pub(crate) enum Asked {
    Now(Answer),
    Later(Ticket),
    /// Nobody can be asked that.
    Nobody(&'static str),
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
pub(crate) fn ask(world: &mut World, now: SimTime, http: &Value) -> Asked {
    let method = http["method"].as_str().unwrap_or_default();
    let target = target_of(http);
    let target = target.strip_prefix("/ari").unwrap_or(&target);
    if http["body"].is_string() || http.get("auth").is_some() {
        return Asked::Nobody("the world has no door yet");
    }
    let body = Some(&http["body"]).filter(|body| !body.is_null());
    match Request::from_http(method, target, body) {
        Ok(request) => match world.request(now, &request) {
            Reply::Now(response) => Asked::Now(response.into()),
            Reply::Later(ticket) => Asked::Later(ticket),
        },
        Err(_) => Asked::Nobody("the world has no door yet"),
    }
}
