//! Data of entities: as ARI has them, and as the Go proxy does.

use ari_core::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    key::Key,
    kind::{KeyId, Shape},
};

/// Members that hold a time.
const TIMES: [&str; 4] = [
    "timestamp",
    "creationtime",
    "startup_time",
    "last_reload_time",
];

/// Members that hold whole seconds or milliseconds.
const DURATIONS: [&str; 4] = [
    "duration",
    "silence_duration",
    "talking_duration",
    "duration_ms",
];

/// Members whose content is the users' own.
const USER_CONTENT: [&str; 4] = ["userevent", "channelvars", "bridgevars", "variables"];

/// The content of `data` for what ARI answered; what is wrong with that as a text.
pub(crate) fn to_data(shape: Shape, key: &Key, body: Value) -> Result<Value, String> {
    Ok(match (shape, body) {
        (Shape::Variable, Value::Object(mut members)) => match members.remove("value") {
            Some(Value::String(text)) => text.into(),
            _ => "".into(),
        },
        (Shape::Config, fields @ Value::Array(_)) => {
            let mut parts = key.id.splitn(3, '/').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            json!({ "key": key_value(key), "Class": part(), "Type": part(), "Name": part(), "Fields": fields })
        }
        (Shape::Keyed, mut data @ Value::Object(_)) => {
            make_exact(&mut data);
            with_key(data, key)
        }
        (Shape::Bare, mut data @ Value::Object(_)) => {
            make_exact(&mut data);
            data
        }
        (Shape::Log, mut data @ Value::Object(_)) => {
            if let Value::Object(members) = &mut data {
                // The names that Go decodes; Asterisk's own stay beside them.
                for (go, own) in [("levels", "configuration"), ("types", "type")] {
                    let value = members.get(own).cloned().unwrap_or_else(|| "".into());
                    members.insert(go.to_owned(), value);
                }
            }
            with_key(data, key)
        }
        (_, other) => return Err(format!("unexpected {}", name_of(&other))),
    })
}

/// What ARI answers for the content of `data`.
pub(crate) fn from_data(shape: Shape, data: Value) -> Result<Value, String> {
    Ok(match (shape, data) {
        (Shape::Variable, Value::String(text)) => json!({ "value": text }),
        (Shape::Config, Value::Object(mut members)) => match members.remove("Fields") {
            Some(fields @ Value::Array(_)) => fields,
            _ => Value::Array(Vec::new()),
        },
        (Shape::Bare, data @ Value::Object(_)) => data,
        (Shape::Keyed, Value::Object(mut members)) => {
            members.remove("key");
            members.into()
        }
        (Shape::Log, Value::Object(mut members)) => {
            members.remove("key");
            for (go, own) in [("levels", "configuration"), ("types", "type")] {
                if let Some(value) = members.remove(go) {
                    members.entry(own).or_insert(value);
                }
            }
            members.into()
        }
        (_, other) => return Err(format!("unexpected {}", name_of(&other))),
    })
}

/// The ids of a list.
pub(crate) fn ids(body: &Value, id: KeyId) -> Result<Vec<String>, String> {
    let items = body
        .as_array()
        .ok_or_else(|| format!("unexpected {}", name_of(body)))?;
    let text = |item: &Value, name: &str| {
        item.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(items
        .iter()
        .map(|item| match id {
            KeyId::Member(name) => text(item, name),
            KeyId::Endpoint => format!("{}/{}", text(item, "technology"), text(item, "resource")),
        })
        .collect())
}

/// The item of a list whose `channel` is this.
pub(crate) fn log_channel(body: Value, name: &str) -> Result<Option<Value>, String> {
    match body {
        Value::Array(items) => Ok(items
            .into_iter()
            .find(|item| item.get("channel").and_then(Value::as_str) == Some(name))),
        other => Err(format!("unexpected {}", name_of(&other))),
    }
}

fn with_key(mut data: Value, key: &Key) -> Value {
    if let Value::Object(members) = &mut data {
        members.insert("key".to_owned(), key_value(key));
    }
    data
}

fn key_value(key: &Key) -> Value {
    let parts = [
        ("kind", &key.kind),
        ("id", &key.id),
        ("node", &key.node),
        ("dialog", &key.dialog),
        ("app", &key.app),
    ];
    let members = parts.into_iter().filter(|(_, text)| !text.is_empty());
    members
        .map(|(name, text)| (name.to_owned(), Value::from(text.as_str())))
        .collect::<Map<_, _>>()
        .into()
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "truth value",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Makes times and durations such that a Go client takes them; it refuses a whole message for one that it
/// cannot read. Says whether anything was changed.
///
/// A time that nobody can read is left out, a duration is cut to a whole number.
pub(crate) fn make_exact(value: &mut Value) -> bool {
    let mut changed = false;
    match value {
        Value::Array(items) => {
            for item in items {
                changed |= make_exact(item);
            }
        }
        Value::Object(members) => {
            members.retain(|name, value| {
                let verdict = if TIMES.contains(&name.as_str()) {
                    exact_time(name, value)
                } else if DURATIONS.contains(&name.as_str()) {
                    exact_duration(value)
                } else {
                    if !USER_CONTENT.contains(&name.as_str()) {
                        changed |= make_exact(value);
                    }
                    return true;
                };
                changed |= verdict != Verdict::Kept;
                verdict != Verdict::Unreadable
            });
        }
        _ => {}
    }
    changed
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Kept,
    Changed,
    Unreadable,
}

fn exact_time(name: &str, value: &mut Value) -> Verdict {
    let Some(time) = value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok())
    else {
        return Verdict::Unreadable;
    };
    // As the Go server does: when something was created is in UTC, when something happened is not.
    let time = if name == "creationtime" {
        time.to_utc()
    } else {
        time
    };
    let exact = Value::from(time.to_string());
    if *value == exact {
        return Verdict::Kept;
    }
    *value = exact;
    Verdict::Changed
}

fn exact_duration(value: &mut Value) -> Verdict {
    if value.is_i64() {
        return Verdict::Kept;
    }
    let number = match &*value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // Only whole numbers that a float holds exactly: what is beyond is no duration.
    let Some(number) = number.map(f64::trunc).filter(|number| number.abs() < 9e15) else {
        return Verdict::Unreadable;
    };
    let Ok(whole) = format!("{number:.0}").parse::<i64>() else {
        return Verdict::Unreadable;
    };
    *value = whole.into();
    Verdict::Changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_become_what_go_takes() {
        let mut value = json!({
            "timestamp": "2024-05-06T07:08:10.456789-04:00",
            "recording": { "duration": 1.9, "silence_duration": null, "talking_duration": "5" },
            "channel": { "creationtime": "2024-05-06T07:08:09Z", "channelvars": { "duration": "1.5", "timestamp": "x" } },
            "bridge": { "creationtime": "" },
            "userevent": { "timestamp": null },
        });
        assert!(make_exact(&mut value));
        assert_eq!(
            value,
            json!({
                "timestamp": "2024-05-06T07:08:10.456-0400",
                "recording": { "duration": 1, "talking_duration": 5 },
                "channel": { "creationtime": "2024-05-06T07:08:09.000+0000", "channelvars": { "duration": "1.5", "timestamp": "x" } },
                "bridge": {},
                "userevent": { "timestamp": null },
            })
        );
        assert!(!make_exact(&mut value));
    }

    #[test]
    fn absurd_durations_are_left_out() {
        for number in ["1e300", "-1e300", "18446744073709551615", "[]", "true"] {
            let mut value: Value =
                serde_json::from_str(&format!(r#"{{"duration":{number}}}"#)).unwrap();
            assert!(make_exact(&mut value));
            assert_eq!(value, json!({}), "{number}");
        }
    }
}
