//! Answers of the world.

use ari_core::Response;

use super::json::object;

/// What became of a request.
#[derive(Debug)]
#[must_use]
pub enum Reply {
    /// The answer.
    Now(Response),
    /// The channel is busy; the answer comes later, from [`World::poll_reply`](super::World::poll_reply).
    Later(Ticket),
}

/// Names a request whose answer comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u64);

/// What a refused operation is answered with.
pub(crate) type Refused = Box<Response>;

/// The outcome of an operation: an answer or a refusal, which is an answer as well.
pub(crate) type Outcome = Result<Reply, Refused>;

#[allow(
    clippy::unnecessary_wraps,
    reason = "an operation returns it as its outcome"
)]
pub(crate) fn ok(body: String) -> Outcome {
    Ok(Reply::Now(Response::new(200, "OK", body)))
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "an operation returns it as its outcome"
)]
pub(crate) fn created(body: String) -> Outcome {
    Ok(Reply::Now(Response::new(201, "Created", body)))
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "an operation returns it as its outcome"
)]
pub(crate) fn no_content() -> Outcome {
    Ok(Reply::Now(done()))
}

/// The answer of an operation that has nothing to say.
pub(crate) fn done() -> Response {
    Response::new(204, "No Content", "")
}

/// A refusal with the usual reason phrase of its status.
pub(crate) fn refuse(status: u16, message: &str) -> Refused {
    let reason = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    refuse_as(status, reason, message)
}

/// A refusal with a reason phrase of its own.
pub(crate) fn refuse_as(status: u16, reason: &str, message: &str) -> Refused {
    let body = object(|json| {
        json.text("message", message);
    });
    Box::new(Response::new(status, reason, body))
}

/// What Asterisk says where it cannot make something.
pub(crate) fn allocation_failed() -> Refused {
    Box::new(Response::new(
        500,
        "Internal Server Error",
        r#"{"error":"Allocation failed"}"#,
    ))
}
