//! Errors as texts, the way the Go proxy has them, and what they mean.

use ari_core::{Error, Request, Response};
use bytes::Bytes;
use serde_json::json;

use crate::kind::{Answer, Failure, Kind};

/// What a server says while it has no connection to its Asterisk.
pub const DOWN: &str = "ARI connection is down";

/// What a server says to a kind that it does not know.
pub const NOT_IMPLEMENTED: &str = "Not implemented";

/// What a server says if a log channel does not exist.
pub(crate) const NOT_FOUND: &str = "not found";

const STATUS: &str = "Non-2XX response: ";
const NO_ANSWER: &str = "failed to make request: ";
const UNDECODABLE: &str = "failed to decode response: ";

/// What a Go server says where ARI answered an error instead of a list: the status is lost, and it was 404.
const NO_LIST: &str =
    "failed to decode response: json: cannot unmarshal object into Go value of type";

/// Parts of texts with which a server refuses a request before it asks Asterisk.
const REFUSALS: [&str; 6] = [
    " is mandatory",
    " is required",
    " key not supplied",
    "wrong key type",
    "invalid input ID",
    "Not allowed to ",
];

/// An error answer: its text, and what else our own clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Said {
    pub(crate) fn new(text: impl Into<String>, status: u16) -> Self {
        Self {
            text: text.into(),
            status,
            body: Bytes::new(),
        }
    }

    /// What is said of a refusal of Asterisk.
    pub(crate) fn refused(response: &Response) -> Self {
        let why = if response.reason.is_empty() {
            reason(response.status)
        } else {
            &response.reason
        };
        let text = format!("{STATUS}{} {why}", response.status);
        Self {
            text,
            status: response.status,
            body: response.body.clone(),
        }
    }

    /// What is said of a call that gave no answer.
    pub(crate) fn failed(error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => Self {
                text: format!("{STATUS}{} {}", refusal.status, refusal.reason),
                status: refusal.status,
                body: Bytes::from(json!({ "message": &*refusal.message }).to_string()),
            },
            Error::NotSent { .. }
            | Error::NobodyThere { .. }
            | Error::Connect { .. }
            | Error::Closed => Self::new(DOWN, 503),
            Error::Decode { .. } => Self::new(format!("{UNDECODABLE}{error}"), 502),
            Error::Unsupported { .. } => Self::new(format!("{NOT_IMPLEMENTED}: {error}"), 501),
            Error::InvalidRequest(_) | Error::InvalidName(_) => Self::new(error.to_string(), 400),
            _ => Self::new(format!("{NO_ANSWER}{error}"), 504),
        }
    }

    /// The same with what its kind says before the cause.
    pub(crate) fn of(self, failure: Failure, key_id: &str, request: &Request) -> Self {
        let cause = &self.text;
        // These stand alone in the answers of a Go server too: it gives them before it looks at the kind.
        if cause == DOWN || cause.starts_with(NOT_IMPLEMENTED) {
            return self;
        }
        let parameter = |name| request.parameters.text(name).unwrap_or_default();
        let text = match failure {
            Failure::Plain => return self,
            Failure::Data(what) => {
                format!("failed to get data: Error getting data for {what} '{key_id}': {cause}")
            }
            Failure::Text(before) => format!("{before}{cause}"),
            Failure::Subscription(what) => {
                let source = parameter("eventSource");
                format!("Error {what} application '{key_id}' for event source '{source}': {cause}")
            }
            Failure::VariableGet => format!("Error getting asterisk variable '{key_id}': {cause}"),
            Failure::VariableSet => {
                format!(
                    "Error setting asterisk variable '{key_id}' to '{}': {cause}",
                    parameter("value")
                )
            }
        };
        Self { text, ..self }
    }
}

/// What an error answer means: a refusal with its status, or an error of another class.
pub(crate) fn interpret(
    kind: &Kind,
    request: &Request,
    text: &str,
    status: Option<u16>,
    body: Bytes,
) -> Result<Response, Error> {
    let operation = || request.operation.to_string();
    if text == DOWN {
        let reason = "the proxy has no connection to its Asterisk".to_owned();
        return Err(Error::NotSent {
            operation: operation(),
            reason,
            source: None,
        });
    }
    if text.starts_with(NOT_IMPLEMENTED) {
        let reason = format!("the proxy there cannot do it ({}: {text})", kind.name);
        return Err(Error::Unsupported {
            operation: operation(),
            reason,
            since: &[],
        });
    }
    if let Some((_, cause)) = text.split_once(NO_ANSWER) {
        let reason = format!("the proxy got no answer from its Asterisk: {cause}");
        return Err(if cause.contains("connection refused") {
            Error::NotSent {
                operation: operation(),
                reason,
                source: None,
            }
        } else {
            Error::OutcomeUnknown {
                operation: operation(),
                reason,
                source: None,
            }
        });
    }
    if let Some((status, why)) = status_of(text) {
        return Ok(Response::new(status, why, body));
    }
    let message = |status: u16| {
        let body = if body.is_empty() {
            Bytes::from(json!({ "message": text }).to_string())
        } else {
            body.clone()
        };
        Ok(Response::new(status, reason(status), body))
    };
    if text.contains(UNDECODABLE) && !(text.contains(NO_LIST) && expects_list(kind)) {
        return Err(Error::Decode {
            what: format!("the answer of Asterisk to {}", operation()),
            path: String::new(),
            sample: text.to_owned(),
            source: text.into(),
        });
    }
    match status {
        Some(status @ 300..=599) => message(status),
        _ if text == NOT_FOUND || text == "Not found" => message(404),
        _ if text.contains(NO_LIST) && expects_list(kind) => message(404),
        _ if REFUSALS.iter().any(|part| text.contains(part)) => message(400),
        _ => message(500),
    }
}

/// The status and reason at the end of a text.
fn status_of(text: &str) -> Option<(u16, &str)> {
    let (_, end) = text.rsplit_once(STATUS)?;
    let (status, why) = end.split_at_checked(3)?;
    let status = status
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))?;
    Some((status, why.trim()))
}

fn expects_list(kind: &Kind) -> bool {
    matches!(kind.answer, Answer::Keys(..) | Answer::MatchingKeys(..))
        || kind.name == "AsteriskConfigData"
}

/// The usual reason phrase of a status.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
