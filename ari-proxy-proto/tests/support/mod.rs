//! What the tests against the recorded traffic of the Go programs have in common.

use ari_core::Metadata;
use serde_json::Value;

/// The lines of a fixture.
pub fn lines(fixture: &str) -> Vec<Value> {
    fixture
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A place of the recording.
pub fn place(application: &str, node: &str) -> Metadata {
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
pub fn same(go: &Value, ours: &Value) -> bool {
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
pub fn made(id: &str) -> Option<&str> {
    let (ulid, suffix) = id.split_at_checked(26)?;
    let of_ulid = ulid
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        && ulid.starts_with("01");
    (of_ulid && suffix.len() == 3 && suffix.starts_with('-')).then_some(suffix)
}

/// What Go writes for something that is not there.
pub fn is_nothing(value: &Value) -> bool {
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
