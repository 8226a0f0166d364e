//! Events on their way out: what Go clients need of them, and the numbers that ours use.

use std::borrow::Cow;

use ari_core::{Event, NUMBERS_MEMBER};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{data::make_exact, json::to_text};

/// Makes what Asterisk sent such that a Go client takes it and finds its way back.
///
/// Application and Asterisk in the event become those of the server, because Go clients make the
/// subjects of their commands from them. Times and durations become such that Go reads them, and the
/// variables of a text message the list that it expects. What is so already is not copied; where
/// only the names differ, everything else stays as it came.
pub fn publishable(event: &Event, application: &str, node: &str) -> Bytes {
    let raw = event.raw();
    let names = [
        (event.application(), application),
        (event.asterisk_id(), node),
    ];
    if is_suspicious(event) {
        return rebuilt(event, application, node);
    }
    if names.iter().all(|(is, ought)| *is == Some(*ought)) {
        return raw.clone();
    }
    renamed(raw, names).unwrap_or_else(|| rebuilt(event, application, node))
}

/// Whether there may be something in it that Go does not take. May err on the side of yes.
fn is_suspicious(event: &Event) -> bool {
    let kind = event.kind();
    if kind == "TextMessageReceived" || kind.starts_with("Recording") {
        return true;
    }
    match std::str::from_utf8(event.raw()) {
        Ok(text) => text.contains(":null") || text.contains(": null") || !times_are_exact(text),
        Err(_) => true,
    }
}

/// Whether every text that begins like a time is one that Go reads.
fn times_are_exact(text: &str) -> bool {
    const LENGTH: usize = "\"2024-05-06T07:08:09.123-0400\"".len();
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(place) = text[from..].find('T').map(|place| from + place) {
        from = place + 1;
        let Some(start) = place.checked_sub(11) else {
            continue;
        };
        if !has_form(&bytes[start..place], b"\"0000-00-00") {
            continue;
        }
        let exact = bytes.get(start..start + LENGTH).is_some_and(|time| {
            has_form(&time[11..24], b"T00:00:00.000")
                && matches!(time[24], b'+' | b'-')
                && has_form(&time[25..], b"0000\"")
        });
        if !exact {
            return false;
        }
    }
    true
}

/// Whether there is a digit for each `0` of the form, and the same byte for every other.
fn has_form(bytes: &[u8], form: &[u8]) -> bool {
    bytes.len() == form.len()
        && bytes.iter().zip(form).all(|(byte, form)| {
            if *form == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == form
            }
        })
}

/// The event with other names in their places; `None` if they are not there to be replaced.
fn renamed(raw: &Bytes, names: [(Option<&str>, &str); 2]) -> Option<Bytes> {
    let mut spans = Vec::with_capacity(2);
    for (is, ought) in names {
        let is = is?;
        // A name that was escaped is a copy, and not within the event.
        let start = (is.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
        let end = start + is.len();
        if start == 0 || end >= raw.len() || raw[start - 1] != b'"' || raw[end] != b'"' {
            return None;
        }
        spans.push((start - 1, end + 1, ought));
    }
    spans.sort_unstable();
    let mut renamed = Vec::with_capacity(raw.len() + 64);
    let mut from = 0;
    for (start, end, ought) in spans {
        renamed.extend_from_slice(raw.get(from..start)?);
        renamed.extend_from_slice(to_text(&ought.into()).as_bytes());
        from = end;
    }
    renamed.extend_from_slice(&raw[from..]);
    Some(renamed.into())
}

fn rebuilt(event: &Event, application: &str, node: &str) -> Bytes {
    let Ok(Value::Object(members)) = serde_json::from_slice(event.raw()) else {
        return event.raw().clone();
    };
    let mut value = Value::Object(members);
    let mut changed = make_exact(&mut value);
    if let Value::Object(members) = &mut value {
        for (name, ought) in [("application", application), ("asterisk_id", node)] {
            if members.get(name).and_then(Value::as_str) != Some(ought) {
                members.insert(name.to_owned(), ought.into());
                changed = true;
            }
        }
        if event.kind() == "TextMessageReceived" {
            changed |= list_variables(members);
        }
    }
    if changed {
        value.to_string().into()
    } else {
        event.raw().clone()
    }
}

/// Makes the variables of a text message the list that Go expects.
fn list_variables(event: &mut Map<String, Value>) -> bool {
    let variables = event
        .get_mut("message")
        .and_then(|message| message.get_mut("variables"));
    let Some(variables) = variables else {
        return false;
    };
    let Value::Object(members) = variables else {
        return false;
    };
    let pair = |(key, value): (&String, &Value)| {
        let text = value
            .as_str()
            .map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
        serde_json::json!({ "key": key, "value": text })
    };
    *variables = members.iter().map(pair).collect::<Vec<_>>().into();
    true
}

/// Numbers an event: which run of the server, how many of the node before, how many of the subject before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering<'a> {
    /// Changes each time the server starts.
    pub boot: &'a str,
    /// Number of the event among all of its node.
    pub node: u64,
    /// Number of the event among those of its subject.
    pub subject: u64,
}

/// The message for the event subject: the event with its numbers as last member.
///
/// What is no JSON object stays as it is.
pub fn numbered(event: &[u8], numbers: Numbering<'_>) -> Bytes {
    message(event, None, numbers)
}

/// The message for the subject of a dialog: the event with the dialog, and its numbers as last member.
///
/// What is no JSON object stays as it is.
pub fn dialog_copy(event: &[u8], dialog: &str, numbers: Numbering<'_>) -> Bytes {
    message(event, Some(dialog), numbers)
}

fn message(event: &[u8], dialog: Option<&str>, numbers: Numbering<'_>) -> Bytes {
    let members = event
        .trim_ascii()
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"));
    let Some(members) = members.map(<[u8]>::trim_ascii) else {
        return Bytes::copy_from_slice(event);
    };
    let Numbering {
        boot,
        node,
        subject,
    } = numbers;
    let tail = format!(
        "\"{NUMBERS_MEMBER}\":[{},{node},{subject}]}}",
        to_text(&boot.into())
    );
    let mut message =
        Vec::with_capacity(members.len() + tail.len() + dialog.map_or(0, str::len) + 16);
    message.push(b'{');
    if let Some(dialog) = dialog {
        message.extend_from_slice(b"\"dialog\":");
        message.extend_from_slice(to_text(&dialog.into()).as_bytes());
        message.push(b',');
    }
    message.extend_from_slice(members);
    if !members.is_empty() {
        message.push(b',');
    }
    message.extend_from_slice(tail.as_bytes());
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"variable":"x","type":"ChannelVarset","timestamp":"2026-11-21T07:36:04.830+0000","application":"demo","asterisk_id":"02:00","channel":{"id":"c","creationtime":"2026-11-21T07:36:04.830-0400"}}"#;
    const NUMBERS: Numbering<'_> = Numbering {
        boot: "b7",
        node: 12,
        subject: 3,
    };

    fn event(text: &str) -> Event {
        Event::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn what_is_right_is_not_copied() {
        let event = event(EVENT);
        let out = publishable(&event, "demo", "02:00");
        assert_eq!(out.as_ptr(), event.raw().as_ptr());
    }

    #[test]
    fn other_names_are_put_in_place() {
        let out = publishable(&event(EVENT), "a<b", "node-1");
        let expected = EVENT
            .replace(r#""demo""#, r#""a\u003cb""#)
            .replace(r#""02:00""#, r#""node-1""#);
        assert_eq!(out, expected);
        let escaped = EVENT.replace("demo", r"d\u0065mo");
        let out = publishable(&event(&escaped), "demo", "x");
        assert_eq!(
            serde_json::from_slice::<Value>(&out).unwrap()["asterisk_id"],
            "x"
        );
        let out = publishable(&event(r#"{"type":"New"}"#), "demo", "x");
        assert_eq!(
            out,
            r#"{"application":"demo","asterisk_id":"x","type":"New"}"#
        );
    }

    #[test]
    fn what_go_refuses_is_changed() {
        for (bad, good) in [
            (
                "2026-11-21T07:36:04.830-0400",
                "2026-11-21T07:36:04.830-0400",
            ),
            ("2026-11-21T07:36:04Z", "2026-11-21T07:36:04.000+0000"),
            (
                "2026-11-21T07:36:04.83+00:00",
                "2026-11-21T07:36:04.830+0000",
            ),
        ] {
            let text = EVENT.replacen("2026-11-21T07:36:04.830+0000", bad, 1);
            let out = publishable(&event(&text), "demo", "02:00");
            assert_eq!(
                event(std::str::from_utf8(&out).unwrap()).timestamp(),
                Some(good)
            );
        }
        let text = EVENT.replacen(r#""2026-11-21T07:36:04.830+0000""#, "null", 1);
        let out: Value =
            serde_json::from_slice(&publishable(&event(&text), "demo", "02:00")).unwrap();
        assert_eq!(out.get("timestamp"), None);
        let text = r#"{"type":"TextMessageReceived","application":"a","asterisk_id":"n","message":{"body":"x","variables":{"k":"v","n":1}}}"#;
        let out: Value = serde_json::from_slice(&publishable(&event(text), "a", "n")).unwrap();
        assert_eq!(
            out["message"]["variables"],
            serde_json::json!([{"key":"k","value":"v"},{"key":"n","value":"1"}])
        );
        let text = r#"{"type":"RecordingFinished","application":"a","asterisk_id":"n","recording":{"name":"r","duration":1.5}}"#;
        let out: Value = serde_json::from_slice(&publishable(&event(text), "a", "n")).unwrap();
        assert_eq!(out["recording"]["duration"], 1);
    }

    #[test]
    fn numbers_come_last_and_are_read_by_the_core() {
        let out = numbered(EVENT.as_bytes(), NUMBERS);
        assert!(
            out.ends_with(br#","ari_proxy":["b7",12,3]}"#)
                && out.starts_with(&EVENT.as_bytes()[..EVENT.len() - 1])
        );
        let parsed = Event::parse(out).unwrap();
        let numbers = parsed.numbers().unwrap();
        assert_eq!((numbers.boot, numbers.node, numbers.subject), ("b7", 12, 3));
        assert_eq!(
            numbered(b" { } \n", NUMBERS),
            r#"{"ari_proxy":["b7",12,3]}"#
        );
        assert_eq!(numbered(b"[1]", NUMBERS), "[1]");
    }

    #[test]
    fn a_dialog_copy_names_its_dialog() {
        let out = dialog_copy(EVENT.as_bytes(), "c1.d\"2", NUMBERS);
        let parsed = Event::parse(out).unwrap();
        assert_eq!(parsed.dialog(), Some("c1.d\"2"));
        assert_eq!(parsed.numbers().map(|numbers| numbers.subject), Some(3));
    }
}
