//! Reading the parameters of a request as Asterisk reads them.

use std::borrow::Cow;

use ari_core::Request;
use serde_json::Value;

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a>(pub(crate) &'a Request);

impl<'a> Params<'a> {
    /// A text; empty where there is none.
    pub(crate) fn text(self, name: &str) -> Cow<'a, str> {
        self.0.parameters.text(name).unwrap_or_default()
    }

    /// A text that is not empty.
    pub(crate) fn given(self, name: &str) -> Option<Cow<'a, str>> {
        self.0.parameters.text(name).filter(|text| !text.is_empty())
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.parameters.get(name).is_some()
    }

    pub(crate) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.parameters.get(name)
    }

    /// A whole number, read as `atoi` does: what is no number is 0.
    pub(crate) fn number(self, name: &str) -> Option<i64> {
        let value = self.0.parameters.get(name)?;
        value
            .as_i64()
            .or_else(|| value.as_str().map(leading_number))
    }

    pub(crate) fn truth(self, name: &str) -> bool {
        match self.0.parameters.get(name) {
            Some(Value::Bool(truth)) => *truth,
            Some(Value::String(text)) => matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "yes" | "1" | "on"
            ),
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            _ => false,
        }
    }

    /// A list: an array as it is, a text cut at its commas.
    pub(crate) fn list(self, name: &str) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.0.parameters.get(name) {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(other) => text(other).split(',').map(str::to_owned).collect(),
        }
    }
}

fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(place, character)| {
            !(character.is_ascii_digit() || (*place == 0 && matches!(character, '-' | '+')))
        })
        .map_or(text.len(), |(place, _)| place);
    text[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::leading_number;

    #[test]
    fn numbers_are_read_as_atoi_does() {
        for (text, number) in [
            ("12", 12),
            ("-2", -2),
            ("abc", 0),
            ("7x", 7),
            ("", 0),
            ("--1", 0),
        ] {
            assert_eq!(leading_number(text), number, "{text}");
        }
    }
}
