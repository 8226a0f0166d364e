//! JSON as Go's encoder writes it, and lenient reading as its decoder does.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// Writes one object, member by member.
#[derive(Debug)]
pub(crate) struct Object {
    text: String,
    empty: bool,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self {
            text: String::from("{"),
            empty: true,
        }
    }

    pub(crate) fn name(&mut self, name: &str) {
        if !self.empty {
            self.text.push(',');
        }
        self.empty = false;
        write_text(&mut self.text, name);
        self.text.push(':');
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_text(&mut self.text, value);
    }

    /// A text that is left out if it is empty.
    pub(crate) fn some_text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        write_value(&mut self.text, value);
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A value as Go writes it.
pub(crate) fn to_text(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here too: a feature of serde_json that any crate may switch on keeps their order.
            let mut names: Vec<_> = members.iter().collect();
            names.sort_unstable_by_key(|(name, _)| name.as_bytes());
            let mut object = Object {
                text: std::mem::take(out),
                empty: true,
            };
            object.text.push('{');
            for (name, value) in names {
                object.value(name, value);
            }
            *out = object.finish();
        }
    }
}

fn write_number(out: &mut String, number: &Number) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float != 0.0 && !(1e-6..1e21).contains(&float.abs()) => {
            let text = format!("{float:e}");
            match text.split_once('e') {
                Some((digits, power)) if !power.starts_with('-') => {
                    let _ = write!(out, "{digits}e+{power}");
                }
                _ => out.push_str(&text),
            }
        }
        Some(float) => {
            let _ = write!(out, "{float}");
        }
        None => {
            let _ = write!(out, "{number}");
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(place) = rest
        .find(|c| c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}'))
    {
        let (plain, special) = rest.split_at(place);
        out.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(other) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// The member of this name; failing that, the one whose name differs in case only.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The text of a member; absent and `null` are empty.
pub(crate) fn text_member<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a str, String> {
    match member(object, name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{name} is not a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_escaped_as_go_does() {
        let text = "a<b>&\"\\/\n\r\t\u{8}\u{1f}\u{7f}é\u{2028}\u{2029}☎";
        assert_eq!(
            to_text(&json!(text)),
            r#""a\u003cb\u003e\u0026\"\\/\n\r\t\u0008\u001f"#.to_owned()
                + "\u{7f}é\\u2028\\u2029☎\""
        );
        assert_eq!(
            serde_json::from_str::<String>(&to_text(&json!(text))).unwrap(),
            text
        );
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        for (number, expected) in [
            (json!(1), "1"),
            (json!(-7), "-7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(1.5), "1.5"),
            (json!(100_000.0), "100000"),
            (json!(1e20), "100000000000000000000"),
            (json!(1e21), "1e+21"),
            (json!(1.5e-7), "1.5e-7"),
            (json!(0.0), "0"),
        ] {
            assert_eq!(to_text(&number), expected);
        }
    }

    #[test]
    fn members_are_sorted() {
        assert_eq!(
            to_text(&json!({"b": [1, {}], "B": null, "a": true})),
            r#"{"B":null,"a":true,"b":[1,{}]}"#
        );
    }
}
