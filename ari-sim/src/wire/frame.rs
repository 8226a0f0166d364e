//! Requests in frames of an event socket, and their answers.

use std::borrow::Cow;

use ari_core::{Answer, Request, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::{
    AriConfig, Handshake,
    invoke::{Invocation, Invoked},
    parameters,
    text::{self, Pairs},
};
use crate::world::World;

const METHODS: [&str; 6] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"];

/// What a frame comes to.
#[derive(Debug)]
pub enum FrameOutcome {
    /// An operation to be done.
    Operation(FrameOperation),
    /// An answer; there is nothing to be done.
    Answer(RestResponse),
}

/// An operation that was asked for in a frame.
#[derive(Debug)]
pub struct FrameOperation {
    request: Box<Request>,
    envelope: Envelope,
}

impl FrameOperation {
    /// The operation with its parameters.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What its answer is in a frame.
    pub fn answer(&self, response: Response) -> RestResponse {
        let envelope = self.envelope.clone();
        if self.request.operation.answer == Answer::Binary && response.is_success() {
            return envelope.answer(406, "Not Acceptable.  Use HTTP GET", Bytes::new());
        }
        envelope.answer(response.status, response.reason, response.body)
    }
}

/// The answer to a frame, which becomes a `RESTResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestResponse {
    /// `transaction_id` of the request; empty where it had none.
    pub transaction_id: String,
    /// `request_id` of the request; empty where it had none.
    pub request_id: String,
    /// Status.
    pub status: u16,
    /// Reason phrase of the status.
    pub reason: Cow<'static, str>,
    /// `uri` of the request, without its query.
    pub uri: String,
    /// Body; empty: there is none.
    pub body: Bytes,
}

#[derive(Serialize)]
struct RestMessage<'a> {
    r#type: &'static str,
    transaction_id: &'a str,
    request_id: &'a str,
    status_code: u16,
    reason_phrase: &'a str,
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_body: Option<Cow<'a, str>>,
    application: &'a str,
    timestamp: &'a str,
    asterisk_id: &'a str,
}

impl RestResponse {
    /// The frame to be sent in the name of an application; `None`: its event filter holds it back, or
    /// the application is gone.
    pub fn frame(&self, world: &World, application: &str) -> Option<Bytes> {
        if !world.lets_through(application, "RESTResponse") {
            return None;
        }
        let body = (!self.body.is_empty()).then(|| String::from_utf8_lossy(&self.body));
        let message = RestMessage {
            r#type: "RESTResponse",
            transaction_id: &self.transaction_id,
            request_id: &self.request_id,
            status_code: self.status,
            reason_phrase: &self.reason,
            uri: &self.uri,
            content_type: body.as_ref().map(|_| super::answer::JSON),
            message_body: body,
            application,
            timestamp: world.timestamp(),
            asterisk_id: world.asterisk_id(),
        };
        serde_json::to_vec(&message).ok().map(Bytes::from)
    }
}

/// What of a request comes back in its answer.
#[derive(Clone, Debug, Default)]
struct Envelope {
    transaction_id: String,
    request_id: String,
    uri: String,
}

impl Envelope {
    fn answer(
        self,
        status: u16,
        reason: impl Into<Cow<'static, str>>,
        body: impl Into<Bytes>,
    ) -> RestResponse {
        RestResponse {
            transaction_id: self.transaction_id,
            request_id: self.request_id,
            status,
            reason: reason.into(),
            uri: self.uri,
            body: body.into(),
        }
    }

    fn refusal(self, message: &str) -> RestResponse {
        let body = serde_json::json!({ "message": message }).to_string();
        self.answer(400, "Bad request", body)
    }
}

impl AriConfig {
    /// Reads a text frame of an event socket. Frames of other kinds are passed over by Asterisk.
    ///
    /// Each request is let in anew, by what the socket was opened with.
    pub fn read_frame(&self, socket: &Handshake, frame: &[u8]) -> FrameOutcome {
        let mut envelope = Envelope::default();
        let Some(message) = parameters::json(frame) else {
            let reason = "Failed to parse request message JSON";
            return FrameOutcome::Answer(envelope.answer(400, reason, Bytes::new()));
        };
        let (method, parameters, body) = match read_message(&message, socket, &mut envelope) {
            Ok(read) => read,
            Err(refused) => return FrameOutcome::Answer(envelope.refusal(refused)),
        };
        let invoked = self.invoke(&Invocation {
            method,
            path: &envelope.uri,
            parameters: &parameters,
            headers: &socket.headers(),
            body: body.as_ref(),
        });
        FrameOutcome::Answer(match invoked {
            Invoked::Operation(request) => {
                return FrameOutcome::Operation(FrameOperation { request, envelope });
            }
            Invoked::Websocket => envelope.refusal("Can't upgrade to websocket from a websocket"),
            Invoked::Answer(answer) => envelope.answer(answer.status, answer.reason, answer.body),
        })
    }
}

/// Method, parameters and body of a request, or why it is refused.
fn read_message<'a>(
    message: &'a Value,
    socket: &Handshake,
    envelope: &mut Envelope,
) -> Result<(&'a str, Pairs, Option<Value>), &'static str> {
    let member = |name: &str| {
        message
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    member("transaction_id").clone_into(&mut envelope.transaction_id);
    member("request_id").clone_into(&mut envelope.request_id);
    match member("type") {
        "RESTRequest" => {}
        "" => return Err("No 'type' property."),
        _ => return Err("Unknown request type."),
    }
    let uri = member("uri");
    if uri.is_empty() {
        return Err("Empty or missing 'uri' property.");
    }
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    path.clone_into(&mut envelope.uri);
    let mut parameters = if query.is_empty() {
        Pairs::new()
    } else {
        text::pairs(query)
    };
    let method = member("method");
    if !METHODS.contains(&method) {
        return Err("Unknown or missing 'method' property.");
    }
    for item in message
        .get("query_strings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(name), Some(value)) = (text("name"), text("value")) else {
            return Err("Unable to parse 'query_strings' array.");
        };
        parameters.push((name, value));
    }
    if let Some(key) = socket.api_key() {
        parameters.push(("api_key".to_owned(), key.to_owned()));
    }
    let body = member("message_body");
    if body.is_empty() {
        return Ok((method, parameters, None));
    }
    match member("content_type") {
        "" => Err("No 'content_type' for 'message_body'."),
        "application/x-www-form-urlencoded" => {
            parameters.extend(text::pairs(body));
            Ok((method, parameters, None))
        }
        super::answer::JSON => match parameters::json(body.as_bytes()) {
            None => Err("Unable to parse 'message_body' as 'application/json'."),
            body => Ok((method, parameters, body)),
        },
        _ => Err("Unknown content type."),
    }
}
