//! The answer envelope.

use std::borrow::Cow;

use ari_core::{EntityKind, Error, Metadata, Request, Response, sample};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    data, failure,
    json::Object,
    key::Key,
    kind::{Answer, Kind, Shape},
};

/// An answer as it is on the wire.
///
/// The first four members are the Go proxy's; the others are ours, which Go clients do not look at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    data: Option<Map<String, Value>>,
    key: Option<Value>,
    keys: Option<Vec<Value>>,
    status: Option<Value>,
    source: Option<Value>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    file: Option<Value>,
}

/// Who gave an answer, as far as it says so: those of Go do not.
pub fn answer_source(message: &[u8]) -> Metadata {
    #[derive(Deserialize)]
    struct Said {
        source: Option<Value>,
    }

    let said = serde_json::from_slice::<Said>(message).ok();
    let source = said.and_then(|said| Key::from_value(said.source.as_ref()).ok());
    source.map(|source| source.metadata()).unwrap_or_default()
}

impl Kind {
    /// Reads the answer to a request of this kind.
    ///
    /// A refusal is an answer too: its status is in it, whichever server said so.
    ///
    /// # Errors
    /// - [`Error::Decode`]: it is no answer, or a success lacks what the kind answers with.
    /// - [`Error::NotSent`]: the server has no connection to its Asterisk.
    /// - [`Error::OutcomeUnknown`]: its Asterisk did not answer.
    /// - [`Error::Unsupported`]: it does not know the kind or the operation.
    pub fn decode_response(&self, request: &Request, message: &[u8]) -> Result<Response, Error> {
        let undecodable = |source: ari_core::Source| Error::Decode {
            what: format!("the answer to {} ({})", request.operation, self.name),
            path: String::new(),
            sample: sample(message),
            source,
        };
        let envelope: Envelope<'_> =
            serde_json::from_slice(message).map_err(|error| undecodable(error.into()))?;
        let status = envelope
            .status
            .as_ref()
            .and_then(Value::as_u64)
            .and_then(|status| u16::try_from(status).ok());
        let key = |value: Option<&Value>| {
            Key::from_value(value).map_err(|error| undecodable(error.into()))
        };
        let source = key(envelope.source.as_ref())?.metadata();
        let body = match (
            envelope.body,
            envelope.file.as_ref().and_then(Value::as_str),
        ) {
            (Some(raw), _) => Bytes::copy_from_slice(raw.get().as_bytes()),
            (None, Some(file)) => STANDARD
                .decode(file)
                .map_err(|error| undecodable(error.into()))?
                .into(),
            (None, None) => Bytes::new(),
        };
        let error = envelope.error.as_deref().unwrap_or_default();
        if !error.is_empty() {
            return failure::interpret(self, request, error, status, body)
                .map(|response| response.from_source(source));
        }
        let keys = match (&envelope.key, &envelope.keys) {
            (Some(one), _) if !one.is_null() => vec![key(Some(one))?],
            (_, Some(keys)) => keys
                .iter()
                .map(|one| key(Some(one)))
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let had_data = envelope.data.is_some();
        let data = envelope.data.unwrap_or_default();
        let data_key = data
            .values()
            .find_map(|value| value.get("key").filter(|key| !key.is_null()));
        let place = match (keys.first(), data_key) {
            (Some(key), _) => key.metadata(),
            (None, Some(data_key)) => key(Some(data_key))?.metadata(),
            (None, None) => Metadata::default(),
        };
        // A Go server lists sounds without their ids: they are of no use, but they are not nothing.
        let nameless = keys.iter().filter(|key| key.id.is_empty()).count();
        if nameless > 0 && matches!(self.answer, Answer::MatchingKeys(EntityKind::Sound, _)) {
            let message = format!("{nameless} of {} sounds came without an id", keys.len());
            let body = Bytes::from(json!({ "message": message }).to_string());
            let response = Response::new(502, failure::reason(502), body);
            return Ok(response.from_source(Metadata {
                dialog: None,
                ..source.or(&place)
            }));
        }
        let body = match self.answer {
            Answer::Data(member, shape) => {
                let absent = || undecodable(format!("it has no data.{member}").into());
                let value = match (envelope_member(data, member), shape) {
                    // Go leaves out an empty text.
                    (None, Shape::Variable) if had_data => Value::from(""),
                    (value, _) => value.ok_or_else(absent)?,
                };
                data::from_data(shape, value)
                    .map_err(|error| undecodable(error.into()))?
                    .to_string()
                    .into()
            }
            Answer::RequestKey | Answer::NewKey(..) | Answer::NewKeyInDialog(..)
                if keys.is_empty() =>
            {
                return Err(undecodable("it has no key".into()));
            }
            _ => body,
        };
        let quiet = self.answer == Answer::Nothing && body.is_empty();
        let status = status
            .filter(|status| (200..300).contains(status))
            .unwrap_or(if quiet { 204 } else { 200 });
        let source = Metadata {
            dialog: None,
            ..source.or(&place)
        };
        Ok(Response::new(status, failure::reason(status), body)
            .from_source(source)
            .with_entities(keys.iter().filter_map(Key::entity).collect()))
    }
}

fn envelope_member(mut data: Map<String, Value>, member: &str) -> Option<Value> {
    data.remove(member).filter(|value| !value.is_null())
}

/// What an answer of ours has beyond Go's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra<'a> {
    pub(crate) status: u16,
    pub(crate) place: &'a Metadata,
    pub(crate) body: &'a [u8],
}

/// Writes an answer; `content` is its Go members after the error.
pub(crate) fn encode(error: &str, content: &[(&str, String)], extra: Extra<'_>) -> Bytes {
    let mut object = Object::new();
    object.text("error", error);
    for (name, json) in content {
        object.raw(name, json);
    }
    object.value("status", &extra.status.into());
    let source = Key {
        dialog: String::new(),
        ..Key::at(extra.place)
    };
    object.raw("source", &source.to_json());
    if !extra.body.is_empty() {
        match std::str::from_utf8(extra.body)
            .ok()
            .filter(|text| serde_json::from_str::<&RawValue>(text).is_ok())
        {
            Some(json) => object.raw("body", json.trim()),
            None => object.text("file", &STANDARD.encode(extra.body)),
        }
    }
    object.finish().into()
}
