//! Answers of a replay.

use bytes::Bytes;

use super::form::Names;
use crate::trace::{Exchange, Payload};

/// An answer as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayAnswer {
    /// Status.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Headers, `Content-Type` among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

impl ReplayAnswer {
    pub(super) fn refusal(status: u16, message: &str) -> Self {
        let reason = if status == 404 {
            "Not Found"
        } else {
            "Conflict"
        };
        Self {
            status,
            reason: reason.to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: serde_json::json!({ "message": message }).to_string().into(),
        }
    }

    pub(super) fn of_opening(status: u16, response: Option<&str>) -> Self {
        let body = response.unwrap_or_default();
        let kind = if body.starts_with('{') {
            "application/json"
        } else {
            "text/html"
        };
        Self {
            status,
            reason: String::new(),
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: Bytes::from(body.to_owned()),
        }
    }

    pub(super) fn of(exchange: &Exchange, names: &Names) -> Self {
        let mut headers: Vec<_> = exchange
            .headers
            .iter()
            .map(|(name, value)| match &**name {
                "Location" => (name.clone(), names.path(value)),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let body = match &exchange.response {
            Payload::Nothing => Bytes::new(),
            Payload::Json(text) => names.document(text).into(),
            Payload::Text(text) => file(text).unwrap_or_else(|| text.clone().into()),
        };
        let typed = exchange.headers.keys();
        let typed = typed
            .clone()
            .any(|name| name.eq_ignore_ascii_case("content-type"));
        if !body.is_empty() && !typed {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        Self {
            status: exchange.status,
            reason: exchange.reason.clone(),
            headers,
            body,
        }
    }
}

/// A file of which only the length was recorded, as in `<21164 bytes of audio/wav>`: silence.
fn file(text: &str) -> Option<Bytes> {
    /// More than a recording of hours.
    const MAX_FILE: u32 = 1 << 30;
    let (length, kind) = text
        .strip_prefix('<')?
        .strip_suffix('>')?
        .split_once(" bytes of ")?;
    let length: u32 = length.parse().ok().filter(|length| *length <= MAX_FILE)?;
    let mut bytes = Vec::new();
    if kind == "audio/wav" && length >= 44 {
        bytes.extend(b"RIFF");
        bytes.extend((length - 8).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
        bytes.extend((length - 44).to_le_bytes());
    }
    bytes.resize(usize::try_from(length).ok()?, 0);
    Some(bytes.into())
}
