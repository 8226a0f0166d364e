//! How JSON is damaged.

use bytes::Bytes;
use serde_json::Value;

/// Half of a text; a character is not cut in two, so that it stays a text.
pub(crate) fn truncated(text: &Bytes) -> Bytes {
    let mut end = text.len() / 2;
    if let Ok(valid) = std::str::from_utf8(text) {
        while !valid.is_char_boundary(end) {
            end -= 1;
        }
    }
    text.slice(..end)
}

/// A text of JSON with its last bracket replaced.
pub(crate) fn malformed(text: &Bytes) -> Bytes {
    let whole = text.len().saturating_sub(1);
    let mut broken = Vec::with_capacity(whole + 2);
    broken.extend_from_slice(text.get(..whole).unwrap_or_default());
    broken.extend_from_slice(b",)");
    Bytes::from(broken)
}

/// An event with a type that nobody knows; what is no object stays as it is.
pub(crate) fn unknown(event: &Bytes) -> Bytes {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(event) else {
        return event.clone();
    };
    members.insert("type".to_owned(), Value::from("SimulatedUnknown"));
    Bytes::from(Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_json_cannot_be_read() {
        let event = Bytes::from_static("{\"type\":\"A\",\"x\":\"äää\"}".as_bytes());
        for damaged in [truncated(&event), malformed(&event)] {
            assert!(std::str::from_utf8(&damaged).is_ok());
            assert!(serde_json::from_slice::<Value>(&damaged).is_err());
        }
        assert!(truncated(&Bytes::new()).is_empty());
        assert_eq!(malformed(&Bytes::new()), ",)");
        let unheard: Value = serde_json::from_slice(&unknown(&event)).unwrap();
        assert_eq!(unheard["type"], "SimulatedUnknown");
        assert_eq!(unheard["x"], "äää");
    }
}
