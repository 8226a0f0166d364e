//! What the tests against the recorded traffic of the Go programs have in common.

use ari_core::{Metadata, Request, Response, not_sent, registry};
use ari_proxy_proto::{Announcement, Kind, Numbering, decode_request, dialog_copy, numbered};
use serde_json::Value;

/// More than any answer here.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The lines of a fixture.
pub(crate) fn lines(fixture: &str) -> Vec<Value> {
    fixture
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A place of the recording.
pub(crate) fn place(application: &str, node: &str) -> Metadata {
    let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    Metadata {
        application: part(application),
        asterisk_id: part(node),
        dialog: None,
    }
}

/// Whether a Go program that reads `ours` sees what is in `go`.
///
/// What Go writes for "nothing" (an empty text, a zero object, the year 1) may be absent in ours,
/// and ours may have more. Ids that a server made are equal if they have the same suffix.
pub(crate) fn same(go: &Value, ours: &Value) -> bool {
    match (go, ours) {
        (Value::Object(go), Value::Object(ours)) => go.iter().all(|(name, value)| {
            ours.get(name)
                .map_or_else(|| is_nothing(value), |ours| same(value, ours))
        }),
        (Value::Array(go), Value::Array(ours)) => {
            go.len() == ours.len() && go.iter().zip(ours).all(|(go, ours)| same(go, ours))
        }
        (Value::String(go), Value::String(ours)) => {
            go == ours || made(go).is_some_and(|suffix| made(ours) == Some(suffix))
        }
        (Value::Number(go), Value::Number(ours)) => go.as_f64() == ours.as_f64(),
        (go, ours) => go == ours || is_nothing(go) && is_nothing(ours),
    }
}

/// The suffix of an id that a server made.
pub(crate) fn made(id: &str) -> Option<&str> {
    let (ulid, suffix) = id.split_at_checked(26)?;
    let of_ulid = ulid
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        && ulid.starts_with("01");
    (of_ulid && suffix.len() == 3 && suffix.starts_with('-')).then_some(suffix)
}

/// What Go writes for something that is not there.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            matches!(
                text.as_str(),
                "" | "0001-01-01T00:00:00.000+0000" | "1970-01-01T00:00:00.000+0000"
            )
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_nothing),
    }
}

/// A server.
pub(crate) fn here() -> Metadata {
    place("demo", "00:11:22:33:44:55")
}

/// All kinds, ours included.
pub(crate) fn kinds() -> Vec<&'static Kind> {
    Kind::all()
        .chain(Kind::named("AriRequest"))
        .chain(Kind::named("AriDialogRelease"))
        .collect()
}

/// Gives a message to everything that reads messages, and checks that answers are answers.
pub(crate) fn take_everywhere(message: &[u8]) {
    let _ = Announcement::decode(message);
    let numbers = Numbering {
        boot: "b",
        node: u64::MAX,
        subject: 0,
    };
    let _ = (
        numbered(message, numbers),
        dialog_copy(message, "d", numbers),
    );
    let request = Request::new(registry::operation("channels", "get").unwrap(), here());
    for kind in kinds() {
        let _ = kind.decode_response(&request, message);
    }
    let answer = match decode_request(message, &here()) {
        Err(bad) => {
            assert!((400..=501).contains(&bad.status()));
            bad.respond()
        }
        Ok(incoming) => {
            let failed = || not_sent(&request, "x", None);
            for answer in [
                vec![],
                vec![Err(failed())],
                vec![Ok(Response::new(200, "", message.to_vec()))],
            ] {
                is_answer(&incoming.respond(&answer, MAX_BYTES));
            }
            incoming.respond(
                &[Ok(Response::new(999, "", "")), Ok(Response::default())],
                MAX_BYTES,
            )
        }
    };
    is_answer(&answer);
}

/// Checks that a message is an answer.
pub(crate) fn is_answer(message: &[u8]) {
    let value: Value = serde_json::from_slice(message).unwrap();
    assert!(value["error"].is_string());
}
