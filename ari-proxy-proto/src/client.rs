//! The client's side: requests out, answers in.

use ari_core::{
    Answer as AriAnswer, Entity, Error, Metadata, Method, Parameters, Request, subject::InvalidName,
};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    field,
    json::Object,
    key::Key,
    kind::{KeyUse, Kind, Run},
    subject::{Class, Subjects},
};

/// The kind that carries what the kinds of the Go proxy cannot: any operation with any parameters.
///
/// Servers that know it announce it under this name as an extension.
pub const EXTENSION: &str = "AriRequest";

/// The kind that ends the bindings of a dialog; announced as an extension too.
pub const DIALOG_RELEASE: &str = "AriDialogRelease";

/// Member of the envelope that holds an extension request.
pub(crate) const EXTENSION_PAYLOAD: &str = "ari_request";

/// A request as the wire carries it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// The kind that carries it, which reads the answers too.
    pub kind: &'static Kind,
    /// Class of the subject.
    pub class: Class,
    /// Where it goes.
    pub subject: String,
    /// Message.
    pub payload: Bytes,
    /// Whether all answers together are the result; otherwise the first good one is.
    pub collect: bool,
}

/// A request that no kind can carry, or not in full.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unencodable {
    /// No kind stands for the operation.
    #[error("the Go proxy has no kind of request for {operation}")]
    Operation {
        /// Operation, as in `POST /channels`.
        operation: String,
    },
    /// The kind has no field for a parameter, or cannot tell its value from others.
    #[error("{kind} of the Go proxy cannot carry {parameter} of {operation}")]
    Parameter {
        /// Kind.
        kind: &'static str,
        /// Operation, as in `POST /channels`.
        operation: String,
        /// Parameter.
        parameter: String,
    },
    /// A parameter is missing without which the request means nothing.
    #[error("{operation} needs a value for {parameter}")]
    Missing {
        /// Operation, as in `POST /channels`.
        operation: String,
        /// Parameter.
        parameter: &'static str,
    },
    /// The target cannot be part of a subject.
    #[error(transparent)]
    Target(#[from] InvalidName),
}

impl From<Unencodable> for Error {
    fn from(error: Unencodable) -> Self {
        let reason = error.to_string();
        match error {
            Unencodable::Operation { operation } | Unencodable::Parameter { operation, .. } => {
                Self::Unsupported {
                    operation,
                    reason,
                    since: &[],
                }
            }
            Unencodable::Missing { .. } => Self::InvalidRequest(reason),
            Unencodable::Target(name) => Self::InvalidName(name),
        }
    }
}

/// Encodes a request as the kind that a Go client would send for its operation.
///
/// # Errors
/// [`Unencodable::Operation`] and [`Unencodable::Parameter`] if no kind can carry it in full:
/// [`encode_extension`] can.
pub fn encode(request: &Request, subjects: &Subjects) -> Result<Encoded, Unencodable> {
    let kind = Kind::for_operation(request.operation).ok_or_else(|| Unencodable::Operation {
        operation: request.operation.to_string(),
    })?;
    encode_as(kind, request, subjects)
}

/// Encodes a request as a certain kind, also one that only locates, stages or binds.
///
/// # Errors
/// As [`encode`].
pub fn encode_as(
    kind: &'static Kind,
    request: &Request,
    subjects: &Subjects,
) -> Result<Encoded, Unencodable> {
    let mut parameters = request.parameters.clone();
    let key = key(kind, request, &mut parameters)?;
    let unfit = |parameter: &str| Unencodable::Parameter {
        kind: kind.name,
        operation: request.operation.to_string(),
        parameter: parameter.to_owned(),
    };
    // A server puts the id of what it makes into the path, where a dot segment means a folder.
    if let Some(creates) = &request.operation.creates
        && let Some("." | "..") = request.parameters.text(creates.id).as_deref()
    {
        return Err(unfit(creates.id));
    }
    if let Some((name, value)) = kind.fixed
        && parameters.remove(name).as_ref().and_then(Value::as_str) != Some(value)
    {
        return Err(unfit(name));
    }
    let payload = match &kind.payload {
        Some(payload) => {
            let fields = field::encode(payload, &mut parameters).map_err(|error| unfit(error.0))?;
            Some((payload.name, fields))
        }
        None => None,
    };
    if let Some((left, _)) = parameters.iter().find(|(_, value)| !value.is_null()) {
        return Err(unfit(left));
    }
    message(
        kind,
        kind.class,
        &key,
        payload
            .as_ref()
            .map(|(name, fields)| (*name, fields.as_str())),
        request,
        subjects,
    )
}

/// Encodes any request as our own kind, which a Go server answers with an error.
///
/// # Errors
/// The operation is the event socket itself, or the target cannot be part of a subject.
pub fn encode_extension(request: &Request, subjects: &Subjects) -> Result<Encoded, Unencodable> {
    let operation = request.operation;
    let kind = Kind::named(EXTENSION)
        .filter(|_| operation.answer != AriAnswer::Events)
        .ok_or_else(|| Unencodable::Operation {
            operation: operation.to_string(),
        })?;
    let class = match (operation.method, operation.answer, &operation.creates) {
        (Method::Get, AriAnswer::Many(_), _) => Class::Get,
        (Method::Get, ..) => Class::Data,
        (_, _, Some(_)) => Class::Create,
        _ => Class::Command,
    };
    let given: Map<_, _> = request
        .parameters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let mut payload = Object::new();
    payload.text("resource", operation.resource);
    payload.text("operation", operation.name);
    payload.value("parameters", &given.into());
    let payload = payload.finish();
    let mut encoded = message(
        kind,
        class,
        &Key::at(&request.target),
        Some((EXTENSION_PAYLOAD, &payload)),
        request,
        subjects,
    )?;
    encoded.collect = class == Class::Get;
    Ok(encoded)
}

/// Encodes the request that binds an entity to the dialog of its metadata, and does nothing else.
///
/// `None` if nothing binds entities of its kind.
///
/// # Errors
/// The target cannot be part of a subject.
pub fn encode_subscribe(
    entity: &Entity,
    subjects: &Subjects,
) -> Result<Option<Encoded>, InvalidName> {
    let Some(kind) = Kind::subscribing(entity.kind) else {
        return Ok(None);
    };
    bare(kind, &Key::from(entity), &entity.metadata, subjects).map(Some)
}

/// Encodes a request that does nothing: its answer shows that the servers which it reached have seen
/// all that was sent to them before.
///
/// # Errors
/// The target cannot be part of a subject.
pub fn encode_barrier(
    target: &Metadata,
    subjects: &Subjects,
) -> Result<Option<Encoded>, InvalidName> {
    let Some(kind) = Kind::named("BridgeUnsubscribe") else {
        return Ok(None);
    };
    bare(kind, &Key::at(target), target, subjects).map(Some)
}

/// Encodes the request that ends the bindings of the target's dialog; one of our own kinds.
///
/// # Errors
/// The target cannot be part of a subject.
pub fn encode_release(
    target: &Metadata,
    subjects: &Subjects,
) -> Result<Option<Encoded>, InvalidName> {
    let Some(kind) = Kind::named(DIALOG_RELEASE) else {
        return Ok(None);
    };
    bare(kind, &Key::at(target), target, subjects).map(Some)
}

fn bare(
    kind: &'static Kind,
    key: &Key,
    target: &Metadata,
    subjects: &Subjects,
) -> Result<Encoded, InvalidName> {
    let subject = subjects.request(kind.class, target)?;
    Ok(Encoded {
        kind,
        class: kind.class,
        subject,
        payload: envelope(kind, key, None),
        collect: false,
    })
}

fn message(
    kind: &'static Kind,
    class: Class,
    key: &Key,
    payload: Option<(&str, &str)>,
    request: &Request,
    subjects: &Subjects,
) -> Result<Encoded, Unencodable> {
    let subject = subjects.request(class, &request.target)?;
    Ok(Encoded {
        kind,
        class,
        subject,
        payload: envelope(kind, key, payload),
        collect: kind.collects,
    })
}

fn envelope(kind: &Kind, key: &Key, payload: Option<(&str, &str)>) -> Bytes {
    let mut envelope = Object::new();
    envelope.text("kind", kind.name);
    envelope.raw("key", &key.to_json());
    if let Some((name, json)) = payload {
        envelope.raw(name, json);
    }
    envelope.finish().into()
}

/// The key of a request, taking what it names out of `parameters`.
fn key(
    kind: &'static Kind,
    request: &Request,
    parameters: &mut Parameters,
) -> Result<Key, Unencodable> {
    let target = &request.target;
    let unfit = |parameter: &str| Unencodable::Parameter {
        kind: kind.name,
        operation: request.operation.to_string(),
        parameter: parameter.to_owned(),
    };
    let mut take = |name: &'static str| {
        let text = parameters
            .text(name)
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default();
        parameters.remove(name);
        if text.is_empty() && kind.run != Run::Nothing {
            return Err(Unencodable::Missing {
                operation: request.operation.to_string(),
                parameter: name,
            });
        }
        Ok(text)
    };
    Ok(match kind.key {
        KeyUse::Target => Key::at(target),
        KeyUse::Entity(entity, name) => Key::new(entity, take(name)?, target),
        KeyUse::New(entity, name, _) => Key::new(entity, take(name).unwrap_or_default(), target),
        KeyUse::Path(entity, names) => {
            let parts = names
                .iter()
                .map(|name| take(name))
                .collect::<Result<Vec<_>, _>>()?;
            // Only the last part may have slashes: the server splits at the first ones.
            if let Some(place) = parts
                .iter()
                .rev()
                .skip(1)
                .position(|part| part.contains('/'))
            {
                return Err(unfit(names[names.len() - 2 - place]));
            }
            Key::new(entity, parts.join("/"), target)
        }
        KeyUse::Originator => match take("originator") {
            Ok(id) if !id.is_empty() => Key::new(ari_core::EntityKind::Channel, id, target),
            _ => Key::at(target),
        },
        KeyUse::Source => {
            let source = parameters.remove("source");
            let source = match &source {
                Some(Value::Array(items)) if items.len() == 1 => items[0].as_str(),
                Some(Value::String(text)) => Some(text.as_str()),
                _ => None,
            };
            let id = source
                .and_then(|source| source.strip_prefix("channel:"))
                .filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| unfit("source"))?.to_owned();
            let application = parameters.remove("application");
            if application.as_ref().and_then(Value::as_str) != target.application.as_deref() {
                return Err(unfit("application"));
            }
            Key::new(ari_core::EntityKind::Channel, id, target)
        }
    })
}
