//! Writing JSON with its members in the order in which Asterisk writes them.

use std::fmt::{Display, Write as _};

/// A JSON object that is being written.
#[derive(Debug)]
pub(crate) struct Json(String);

impl Json {
    pub(crate) fn new() -> Self {
        Self::with_capacity(256)
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self::in_place_of(String::with_capacity(bytes))
    }

    /// Writes into a text whose room is used again.
    pub(crate) fn in_place_of(mut text: String) -> Self {
        text.clear();
        text.push('{');
        Self(text)
    }

    /// Writes the comma before a member that is not the first.
    fn separate(&mut self) {
        if !matches!(self.0.as_bytes().last(), Some(b'{' | b'[')) {
            self.0.push(',');
        }
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_text(&mut self.0, value);
        self
    }

    /// A member whose name may need escaping.
    pub(crate) fn entry(&mut self, name: &str, value: &str) -> &mut Self {
        self.escaped_name(name);
        push_text(&mut self.0, value);
        self
    }

    /// A member whose name may need escaping, with a value that is JSON already.
    pub(crate) fn raw_entry(&mut self, name: &str, value: &str) -> &mut Self {
        self.escaped_name(name);
        self.0.push_str(value);
        self
    }

    fn escaped_name(&mut self, name: &str) {
        self.separate();
        push_text(&mut self.0, name);
        self.0.push(':');
    }

    /// A number or a truth value.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.0.push_str(value);
        self
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.name(name);
        self.0.push('{');
        write(self);
        self.0.push('}');
        self
    }

    pub(crate) fn texts<'a>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        self.name(name);
        self.0.push('[');
        for value in values {
            if !self.0.ends_with('[') {
                self.0.push(',');
            }
            push_text(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// What was written so far, without the closing brace.
    pub(crate) fn into_open(self) -> String {
        self.0
    }
}

/// One object.
pub(crate) fn object(write: impl FnOnce(&mut Json)) -> String {
    let mut json = Json::new();
    write(&mut json);
    json.finish()
}

/// An array of objects.
pub(crate) fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

/// Appends a JSON string.
pub(crate) fn push_text(out: &mut String, value: &str) {
    out.push('"');
    if value
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
    {
        out.push_str(value);
    } else {
        for character in value.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                control if (control as u32) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", control as u32);
                }
                other => out.push(other),
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let text = object(|json| {
            json.text("a", "\"\\\n\u{1}ü")
                .plain("b", 7)
                .texts("c", ["x", "y"]);
            json.object("d", |json| {
                json.entry("e\"", "f");
            });
            json.texts("g", []).raw("h", "null");
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "a": "\"\\\n\u{1}ü", "b": 7, "c": ["x", "y"], "d": {"e\"": "f"}, "g": [], "h": null
        });
        assert_eq!(value, expected);
    }
}
