//! JSON whose members keep their order: what a trace tells is told as it came.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Nesting that is looked into; what is deeper stays as it is.
const MAX_DEPTH: usize = 64;

/// What stands where a secret was.
pub(crate) const HIDDEN: &str = "***";

/// Names of members, and of the attributes of dynamic configuration, whose value is a secret.
const SECRETS: &[&str] = &[
    "password",
    "api_key",
    "secret",
    "md5_cred",
    "oauth_secret",
    "refresh_token",
    "authorization",
];

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Reader).map(Self)
    }
}

/// Where a string of a document stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// Name of the member whose value it is, or of the array that it is in.
    pub(crate) member: &'a str,
    /// The object says of itself, by `attribute` or `name`, what its `value` is.
    pub(crate) about: &'a str,
}

/// Writes a JSON document without white space, with other strings where `change` gives one.
///
/// `None`: it is no JSON.
pub(crate) fn rewrite(
    text: &str,
    change: &dyn Fn(Place<'_>, &str) -> Option<String>,
) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut written = String::with_capacity(text.len());
    write(raw.get(), Place::default(), 0, change, &mut written);
    Some(written)
}

fn write(
    text: &str,
    place: Place<'_>,
    depth: usize,
    change: &dyn Fn(Place<'_>, &str) -> Option<String>,
    out: &mut String,
) {
    match text.as_bytes().first() {
        Some(b'{') if depth < MAX_DEPTH => {
            let Ok(Members(members)) = serde_json::from_str(text) else {
                return out.push_str(text);
            };
            let about = members
                .iter()
                .find(|(name, _)| matches!(name.as_str(), "attribute" | "name"))
                .and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok())
                .unwrap_or_default();
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(name));
                out.push(':');
                let place = Place {
                    member: name,
                    about: &about,
                };
                write(value.get(), place, depth + 1, change, out);
            }
            out.push('}');
        }
        Some(b'[') if depth < MAX_DEPTH => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else {
                return out.push_str(text);
            };
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item.get(), place, depth + 1, change, out);
            }
            out.push(']');
        }
        Some(b'"') => {
            let changed = serde_json::from_str::<String>(text)
                .ok()
                .and_then(|value| change(place, &value));
            match changed {
                Some(value) => out.push_str(&quoted(&value)),
                None => out.push_str(text),
            }
        }
        // A line feed between tokens would end the line of a trace.
        Some(b'{' | b'[') => out.push_str(&text.replace(['\n', '\r'], " ")),
        _ => out.push_str(text),
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A JSON document in one line, with nothing in it that lets somebody in; `None`: it is no JSON.
pub(crate) fn without_secrets(text: &str) -> Option<String> {
    rewrite(text, &|place, value| {
        let secret = is_secret(place.member) || (place.member == "value" && is_secret(place.about));
        if secret && !value.is_empty() {
            return Some(HIDDEN.to_owned());
        }
        value.contains("api_key=").then(|| without_api_key(value))
    })
}

/// A text without the credentials that follow `api_key=`.
pub(crate) fn without_api_key(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("api_key=") {
        kept.push_str(before);
        kept.push_str("api_key=");
        kept.push_str(HIDDEN);
        let end = after
            .find(|c: char| matches!(c, '&' | '"' | '\\' | '#') || c.is_whitespace())
            .unwrap_or(after.len());
        rest = &after[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_lose_white_space() {
        let text = "{ \"b\": [1.50, {\"z\":null ,\"a\" : \"x y\"}],\n \"a\":\"\\u00e9\" }";
        let same = rewrite(text, &|_, _| None).unwrap();
        assert_eq!(same, r#"{"b":[1.50,{"z":null,"a":"x y"}],"a":"\u00e9"}"#);
        assert_eq!(rewrite("{", &|_, _| None), None);
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let text = r#"{"fields":[{"attribute":"password","value":"hot"},{"attribute":"md5_cred","value":""}],
            "uri":"channels?api_key=me:hot&app=x","query_strings":[{"name":"api_key","value":"me:hot"}]}"#;
        let hidden = without_secrets(text).unwrap();
        assert!(!hidden.contains("hot"), "{hidden}");
        assert!(hidden.contains("api_key=***&app=x"), "{hidden}");
        assert!(
            hidden.contains(r#"{"attribute":"md5_cred","value":""}"#),
            "{hidden}"
        );
        assert_eq!(
            without_api_key("{\"uri\": \"x?api_key=me:hot\""),
            "{\"uri\": \"x?api_key=***\""
        );
    }

    #[test]
    fn what_is_nested_without_end_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let _ = rewrite(&deep, &|_, _| None);
    }
}
