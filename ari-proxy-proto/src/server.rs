//! The server's side: requests in, answers out.

use std::{borrow::Cow, sync::Arc};

use ari_core::{
    Answer as AriAnswer, EntityKind, Error, Location, Metadata, OperationSpec, ParameterType,
    Request, Response, registry,
    subject::{NameRole, validate},
};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    answer::{self, Extra},
    client::EXTENSION_PAYLOAD,
    data,
    failure::{NOT_FOUND, NOT_IMPLEMENTED, Said},
    id::server_id,
    json::{member, text_member, to_text},
    key::Key,
    kind::{
        Answer, Bind, Failure, Field, FieldDefault, Form, KeyUse, Kind, Payload, Run, Shape, When,
    },
};

/// Longest request that is looked at, in bytes; NATS carries a million unless it is set otherwise.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct Incoming {
    kind: &'static Kind,
    key: Key,
    /// What the payload means to ARI, made ids included.
    request: Option<Request>,
    steps: Vec<Step>,
    place: Metadata,
}

/// What a server does about a request, in order; a call that fails ends it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Bind these entities to the request's dialog.
    Bind(Vec<(EntityKind, String)>),
    /// Make this call.
    Call(Request),
    /// End all bindings of the request's dialog.
    Release,
}

/// A message that is no request, or one that means nothing: it is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", said.text)]
pub struct BadRequest {
    said: Said,
    place: Metadata,
}

impl BadRequest {
    /// The answer.
    pub fn respond(&self) -> Bytes {
        answer::encode(
            &self.said.text,
            &[],
            Extra {
                status: self.said.status,
                place: &self.place,
                body: &self.said.body,
            },
        )
    }

    /// The HTTP status that says the same.
    pub const fn status(&self) -> u16 {
        self.said.status
    }
}

/// The answer of a server that cannot serve, whatever the request is.
pub fn respond_unavailable(error: &Error, place: &Metadata) -> Bytes {
    let said = Said::failed(error);
    answer::encode(
        &said.text,
        &[],
        Extra {
            status: said.status,
            place,
            body: &said.body,
        },
    )
}

/// Reads a request that came to the server of `place`, which is application and Asterisk.
///
/// # Errors
/// It is too long, not JSON, of an unknown kind, or lacks what its kind needs.
pub fn decode_request(message: &[u8], place: &Metadata) -> Result<Incoming, BadRequest> {
    let place = Metadata {
        dialog: None,
        ..place.clone()
    };
    Decoder { place: &place }
        .decode(message)
        .map_err(|said| BadRequest {
            said,
            place: place.clone(),
        })
}

fn malformed(what: impl std::fmt::Display) -> Said {
    Said::new(format!("malformed request: {what}"), 400)
}

fn refuse(text: impl Into<String>) -> Said {
    Said::new(text, 400)
}

struct Decoder<'a> {
    place: &'a Metadata,
}

impl Decoder<'_> {
    fn decode(&self, message: &[u8]) -> Result<Incoming, Said> {
        if message.len() > MAX_REQUEST_BYTES {
            return Err(Said::new(
                format!(
                    "request of {} bytes: {MAX_REQUEST_BYTES} are taken",
                    message.len()
                ),
                413,
            ));
        }
        let envelope = match serde_json::from_slice(message) {
            Ok(Value::Object(envelope)) => envelope,
            Ok(_) => return Err(malformed("it is not a JSON object")),
            Err(error) => return Err(malformed(error)),
        };
        let kind = Kind::named(text_member(&envelope, "kind").map_err(malformed)?);
        let kind = kind.ok_or_else(|| Said::new(NOT_IMPLEMENTED, 501))?;
        let key = Key::from_value(member(&envelope, "key"))
            .map_err(|error| malformed(format!("key: {error}")))?;
        if !key.dialog.is_empty() {
            validate(NameRole::Dialog, &key.dialog).map_err(|error| refuse(error.to_string()))?;
        }
        let target = Metadata {
            dialog: key.metadata().dialog,
            ..self.place.clone()
        };
        let mut incoming = Incoming {
            kind,
            key,
            request: None,
            steps: Vec::new(),
            place: self.place.clone(),
        };
        match kind.run {
            Run::Release => incoming.steps.push(Step::Release),
            Run::Extension => {
                let request = extension(&envelope, target)?;
                incoming.extend(request);
            }
            _ => {
                let request = self.request(kind, &incoming.key, &envelope, target)?;
                incoming.plan(request)?;
            }
        }
        Ok(incoming)
    }

    /// What key and payload mean to ARI.
    fn request(
        &self,
        kind: &Kind,
        key: &Key,
        envelope: &Map<String, Value>,
        target: Metadata,
    ) -> Result<Request, Said> {
        let operation = kind
            .operation()
            .ok_or_else(|| Said::new(NOT_IMPLEMENTED, 501))?;
        let mut request = Request::new(operation, target);
        self.take_key(kind, key, &mut request)?;
        if let Some((name, value)) = kind.fixed {
            request.parameters.set(name, value);
        }
        if let Some(payload) = &kind.payload {
            self.take_payload(payload, envelope, &mut request)?;
        }
        if matches!(kind.key, KeyUse::Originator)
            && key.kind == EntityKind::Channel.as_str()
            && !key.id.is_empty()
            && request.parameters.text("originator").is_none()
        {
            request.parameters.set("originator", key.id.as_str());
        }
        if matches!(kind.run, Run::Call | Run::CheckAndCall) {
            complete(&mut request)?;
        }
        Ok(request)
    }

    fn take_key(&self, kind: &Kind, key: &Key, request: &mut Request) -> Result<(), Said> {
        // What only binds may name nothing: then it does nothing.
        let named = |entity| match (key.id.as_str(), kind.run, kind.unnamed) {
            ("", Run::Nothing, _) => Ok(()),
            ("", _, Some(error)) => Err(refuse(error)),
            ("", ..) => Err(refuse(format!("{} key not supplied", type_name(entity)))),
            _ => Ok(()),
        };
        match kind.key {
            KeyUse::Target | KeyUse::Originator => {}
            KeyUse::Entity(EntityKind::Variable, name) => {
                request.parameters.set(name, key.id.as_str())
            }
            KeyUse::Entity(entity, name) => {
                named(entity)?;
                request.parameters.set(name, key.id.as_str());
            }
            KeyUse::New(_, name, suffix) => {
                let id = if key.id.is_empty() {
                    server_id(suffix)
                } else {
                    key.id.clone()
                };
                request.parameters.set(name, id);
            }
            KeyUse::Path(entity, names) => {
                if entity == EntityKind::Endpoint && key.kind != entity.as_str() {
                    return Err(refuse("wrong key type"));
                }
                named(entity)?;
                let parts: Vec<_> = key.id.splitn(names.len(), '/').collect();
                if parts.len() < names.len() || parts.contains(&"") {
                    return Err(refuse(match (entity, kind.answer) {
                        (EntityKind::Config, Answer::Data(..)) => {
                            "failed to parse configuration key: invalid input ID"
                        }
                        (EntityKind::Config, _) => "failed to parse key: invalid input ID",
                        _ => "failed to parse endpoint key: invalid input ID",
                    }));
                }
                for (name, part) in names.iter().zip(parts) {
                    request.parameters.set(*name, part);
                }
            }
            KeyUse::Source => {
                named(EntityKind::Channel)?;
                let application = match key.app.as_str() {
                    "" => self.place.application.as_deref().unwrap_or_default(),
                    application => application,
                };
                request.parameters.set("application", application);
                request
                    .parameters
                    .set("source", vec![format!("channel:{}", key.id)]);
            }
        }
        Ok(())
    }

    fn take_payload(
        &self,
        payload: &Payload,
        envelope: &Map<String, Value>,
        request: &mut Request,
    ) -> Result<(), Said> {
        let none = Map::new();
        let mut fields = match member(envelope, payload.name) {
            Some(Value::Object(fields)) => Some(fields),
            None | Some(Value::Null) => None,
            Some(_) => return Err(malformed(format!("{} is not an object", payload.name))),
        };
        if let (Some(name), Some(outer)) = (payload.below, fields) {
            fields = match member(outer, name) {
                Some(Value::Object(inner)) => Some(inner),
                None | Some(Value::Null) => None,
                Some(_) => {
                    return Err(malformed(format!(
                        "{}.{name} is not an object",
                        payload.name
                    )));
                }
            };
        }
        let fields = match (fields, payload.missing) {
            (Some(fields), _) => fields,
            (None, Some(error)) => return Err(refuse(error)),
            (None, None) => &none,
        };
        for field in payload.fields {
            self.take_field(payload, field, fields, request)?;
        }
        Ok(())
    }

    fn take_field(
        &self,
        payload: &Payload,
        field: &Field,
        fields: &Map<String, Value>,
        request: &mut Request,
    ) -> Result<(), Said> {
        let wrong = |what: &str| malformed(format!("{}.{} {what}", payload.name, field.name));
        let given = field
            .find(fields)
            .map_err(|error| malformed(format!("{}.{error}", payload.name)))?;
        let value = field.form.to_parameter(given).map_err(wrong)?;
        let value = match (value, field.default) {
            (Some(value), _) => value,
            (None, FieldDefault::None) if field.always => field.form.zero(),
            (None, FieldDefault::None) => return Ok(()),
            (None, FieldDefault::Text(text)) => text.into(),
            (None, FieldDefault::Application) => {
                self.place.application.as_deref().unwrap_or_default().into()
            }
            (None, FieldDefault::Id(suffix)) => server_id(suffix).into(),
            (None, FieldDefault::Refuse(error)) => return Err(refuse(error)),
        };
        match (field.form, value) {
            (Form::Parameters(_), Value::Object(members)) => {
                for (name, value) in members {
                    request.parameters.set(name, value);
                }
            }
            (Form::UserEvent, Value::Object(event)) => {
                let name = text_member(&event, "eventname").map_err(|error| wrong(&error))?;
                request.parameters.set("eventName", name);
                if let Some(variables) =
                    member(&event, "userevent").filter(|variables| !variables.is_null())
                {
                    request.parameters.set("variables", variables.clone());
                }
            }
            (_, value) => request.parameters.set(field.parameter, value),
        }
        Ok(())
    }
}

/// Makes sure that nothing required is missing: there are operations that crash Asterisk without.
fn complete(request: &mut Request) -> Result<(), Said> {
    let operation = request.operation;
    for parameter in operation
        .parameters
        .iter()
        .filter(|parameter| parameter.required)
    {
        let empty = request
            .parameters
            .text(parameter.name)
            .is_none_or(|text| text.is_empty());
        match parameter.location {
            Location::Path if empty => {
                return Err(refuse(format!("{} is mandatory", parameter.name)));
            }
            Location::Query if request.parameters.get(parameter.name).is_none() => {
                let zero = if parameter.value == ParameterType::Integer {
                    Value::from(0)
                } else {
                    "".into()
                };
                request.parameters.set(parameter.name, zero);
            }
            _ => {}
        }
    }
    // A path of dots would be another path.
    request
        .to_http()
        .map(|_| ())
        .map_err(|error| refuse(error.to_string()))
}

fn extension(envelope: &Map<String, Value>, target: Metadata) -> Result<Request, Said> {
    let Some(Value::Object(payload)) = member(envelope, EXTENSION_PAYLOAD) else {
        return Err(refuse(format!("{EXTENSION_PAYLOAD} is mandatory")));
    };
    let text = |name| text_member(payload, name).map_err(malformed);
    let operation: &'static OperationSpec =
        registry::operation(text("resource")?, text("operation")?)
            .filter(|operation| operation.answer != AriAnswer::Events)
            .ok_or_else(|| Said::new(NOT_IMPLEMENTED, 501))?;
    let mut request = Request::new(operation, target);
    match member(payload, "parameters") {
        None | Some(Value::Null) => {}
        Some(Value::Object(parameters)) => {
            for (name, value) in parameters.iter().filter(|(_, value)| !value.is_null()) {
                let name = operation
                    .parameter(name)
                    .map_or(Cow::Owned(name.clone()), |known| known.name.into());
                request.parameters.set(name, value.clone());
            }
        }
        Some(_) => return Err(malformed("parameters is not an object")),
    }
    let required = operation
        .parameters
        .iter()
        .filter(|parameter| parameter.required);
    for parameter in required {
        if request.parameters.get(parameter.name).is_none() {
            return Err(refuse(format!("{} is mandatory", parameter.name)));
        }
    }
    request
        .to_http()
        .map_err(|error| refuse(error.to_string()))?;
    Ok(request)
}

impl Incoming {
    /// The kind.
    pub const fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The key.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// What it means to ARI, made ids and defaults included; `None` for our own kinds without a call.
    pub const fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// The dialog that entities are bound to.
    pub fn dialog(&self) -> Option<Arc<str>> {
        self.key.metadata().dialog
    }

    /// What to do, in order; a call that fails ends it.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Plans the steps of a kind of the Go proxy.
    fn plan(&mut self, request: Request) -> Result<(), Said> {
        let bind = self.bound(&request);
        let (when, _) = self.kind.binds;
        let check = || {
            let (resource, name) = match self.kind.key {
                KeyUse::Entity(EntityKind::Bridge, name) => ("bridges", name),
                KeyUse::Entity(EntityKind::Channel, name) => ("channels", name),
                _ => return None,
            };
            let operation = registry::operation(resource, "get")?;
            Some(Request::new(operation, request.target.clone()).with(name, self.key.id.as_str()))
        };
        let mut calls = Vec::with_capacity(2);
        if matches!(self.kind.run, Run::Check | Run::CheckAndCall) {
            calls.push(check().ok_or_else(|| Said::new(NOT_IMPLEMENTED, 501))?);
        }
        match self.kind.run {
            Run::Call | Run::CheckAndCall => calls.push(request.clone()),
            Run::Find => calls.push(Request::new(request.operation, request.target.clone())),
            _ => {}
        }
        let place = match when {
            When::Before => 0,
            When::Checked => 1.min(calls.len()),
            When::After => calls.len(),
        };
        self.steps.extend(calls.into_iter().map(Step::Call));
        if !bind.is_empty() {
            self.steps.insert(place, Step::Bind(bind));
        }
        self.request = Some(request);
        Ok(())
    }

    /// Plans the steps of our own kind: what changes something binds all that it concerns.
    fn extend(&mut self, request: Request) {
        if self.dialog().is_some() && !request.operation.is_read_only() {
            let bind: Vec<_> = request
                .entities()
                .map(|(kind, id)| (kind, id.into_owned()))
                .collect();
            if !bind.is_empty() {
                self.steps.push(Step::Bind(bind));
            }
        }
        self.steps.push(Step::Call(request.clone()));
        self.request = Some(request);
    }

    fn bound(&self, request: &Request) -> Vec<(EntityKind, String)> {
        let mut bound: Vec<(EntityKind, String)> = Vec::new();
        if self.dialog().is_none() {
            return bound;
        }
        for bind in self.kind.binds.1 {
            let found = match *bind {
                Bind::Parameter(kind, name) => request
                    .parameters
                    .text(name)
                    .map(|id| (kind, id.into_owned())),
                Bind::EventSource(name) => request.parameters.text(name).and_then(|source| {
                    let (kind, id) = source.split_once(':')?;
                    Some((EntityKind::from_name(kind)?, id.to_owned()))
                }),
                Bind::Key => (self.key.kind == EntityKind::Channel.as_str())
                    .then(|| (EntityKind::Channel, self.key.id.clone())),
            };
            bound.extend(found.filter(|(_, id)| !id.is_empty()));
        }
        let mut seen = std::collections::HashSet::new();
        bound.retain(|entity| seen.insert(entity.clone()));
        bound
    }

    /// Writes the answer, from what the calls gave, in their order and up to the first that failed.
    ///
    /// An answer longer than `max_bytes` loses what Go clients do not look at; if that is not enough, it
    /// becomes an error.
    pub fn respond(&self, answers: &[Result<Response, Error>], max_bytes: usize) -> Bytes {
        let message = match self.success(answers) {
            Ok((content, status, body)) => {
                let body = body.as_ref().map_or(&[][..], |body| body);
                let whole = answer::encode(
                    "",
                    &content,
                    Extra {
                        status,
                        place: &self.place,
                        body,
                    },
                );
                let optional = !matches!(self.kind.run, Run::Extension) && !body.is_empty();
                if whole.len() > max_bytes && optional {
                    answer::encode(
                        "",
                        &content,
                        Extra {
                            status,
                            place: &self.place,
                            body: &[],
                        },
                    )
                } else {
                    whole
                }
            }
            Err(said) => self.error(&said),
        };
        if message.len() <= max_bytes {
            return message;
        }
        self.error(&Said::new(
            format!(
                "the answer of {} bytes is too long for NATS: {max_bytes} are taken",
                message.len()
            ),
            500,
        ))
    }

    fn error(&self, said: &Said) -> Bytes {
        answer::encode(
            &said.text,
            &[],
            Extra {
                status: said.status,
                place: &self.place,
                body: &said.body,
            },
        )
    }

    #[expect(clippy::type_complexity, reason = "used once, and each part is plain")]
    fn success(
        &self,
        answers: &[Result<Response, Error>],
    ) -> Result<(Vec<(&'static str, String)>, u16, Option<Bytes>), Said> {
        let calls = self
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Call(_)))
            .count();
        for (place, answer) in answers.iter().enumerate() {
            let said = match answer {
                Ok(response) if response.is_success() => continue,
                Ok(response) => Said::refused(response),
                Err(error) => Said::failed(error),
            };
            return Err(self.explain(said, place));
        }
        let last = match answers.last() {
            Some(Ok(last)) if answers.len() == calls => Some(last),
            _ if calls == 0 => None,
            _ => return Err(Said::new("the proxy stopped before it was done", 504)),
        };
        let content = self.content(last.map(|response| &response.body))?;
        let whole = matches!(
            self.kind.run,
            Run::Call | Run::CheckAndCall | Run::Extension
        ) && !matches!(self.kind.answer, Answer::Data(..));
        let body = last.filter(|_| whole).map(|response| response.body.clone());
        // The check of something else says nothing about what will be created.
        let status = last
            .filter(|_| whole || self.kind.run == Run::Find)
            .map_or(200, |response| response.status);
        Ok((content, status, body))
    }

    fn explain(&self, said: Said, place: usize) -> Said {
        let Some(request) = &self.request else {
            return said;
        };
        let failure = match (self.kind.run, self.kind.key) {
            (Run::CheckAndCall, KeyUse::Entity(EntityKind::Bridge, _)) if place == 0 => {
                Failure::Data("bridge")
            }
            (Run::CheckAndCall, KeyUse::Entity(EntityKind::Channel, _)) if place == 0 => {
                Failure::Data("channel")
            }
            _ => self.kind.failure,
        };
        said.of(failure, &self.key.id, request)
    }

    /// The Go members of the answer after the error.
    fn content(&self, body: Option<&Bytes>) -> Result<Vec<(&'static str, String)>, Said> {
        let undecodable = |error: String| {
            self.explain(
                Said::new(format!("failed to decode response: {error}"), 502),
                1,
            )
        };
        let json = || {
            let body = body.map_or(&[][..], |body| body);
            serde_json::from_slice::<Value>(body).map_err(|error| undecodable(error.to_string()))
        };
        let found = || {
            data::log_channel(json()?, &self.key.id)
                .map_err(undecodable)?
                .ok_or_else(|| Said::new(NOT_FOUND, 404))
        };
        let own_key = || Key {
            id: self.id_of_key(),
            ..self.key.moved_to(&self.place)
        };
        let new_key = |kind: EntityKind, id: &str, dialog: &str| {
            let key = Key {
                dialog: dialog.to_owned(),
                ..Key::new(kind, id, &self.place)
            };
            vec![("key", key.to_json())]
        };
        let parameter = |name: &str| {
            self.request
                .as_ref()
                .and_then(|request| request.parameters.text(name))
                .unwrap_or_default()
                .into_owned()
        };
        let keys = |kind: EntityKind, id, only: Option<&Key>| {
            let ids = data::ids(&json()?, id).map_err(undecodable)?;
            let keys = ids.into_iter().map(|id| Key::new(kind, id, &self.place));
            let keys: Vec<_> = keys
                .filter(|key| only.is_none_or(|only| only.matches(key)))
                .map(|key| key.to_json())
                .collect();
            // Go leaves out an empty list.
            Ok(if keys.is_empty() {
                Vec::new()
            } else {
                vec![("keys", format!("[{}]", keys.join(",")))]
            })
        };
        match self.kind.answer {
            _ if self.kind.run == Run::Extension => {
                let creates = self
                    .request
                    .as_ref()
                    .and_then(|request| request.operation.creates.as_ref());
                let created = creates.map(|creates| (creates.kind, parameter(creates.id)));
                Ok(created
                    .filter(|(_, id)| !id.is_empty())
                    .map_or_else(Vec::new, |(kind, id)| new_key(kind, &id, "")))
            }
            Answer::Nothing => Ok(Vec::new()),
            Answer::RequestKey => {
                if self.kind.run == Run::Find {
                    found()?;
                }
                Ok(vec![("key", own_key().to_json())])
            }
            Answer::NewKey(kind, name) => Ok(new_key(kind, &parameter(name), "")),
            Answer::NewKeyInDialog(kind, name) => {
                Ok(new_key(kind, &parameter(name), &self.key.dialog))
            }
            Answer::Keys(kind, id) => keys(kind, id, None),
            Answer::MatchingKeys(kind, id) => keys(kind, id, Some(&self.key)),
            Answer::Data(member, shape) => {
                let body = if shape == Shape::Log {
                    found()?
                } else {
                    json()?
                };
                let value = data::to_data(shape, &own_key(), body).map_err(undecodable)?;
                let data = match value {
                    Value::String(text) if text.is_empty() => "{}".to_owned(),
                    value => format!("{{\"{member}\":{}}}", to_text(&value)),
                };
                Ok(vec![("data", data)])
            }
        }
    }

    /// The id of the request's key, or the one that was made for it.
    fn id_of_key(&self) -> String {
        match (self.kind.key, &self.request) {
            (KeyUse::New(_, name, _), Some(request)) => request
                .parameters
                .text(name)
                .unwrap_or_default()
                .into_owned(),
            _ => self.key.id.clone(),
        }
    }
}

/// What the Go server calls an entity of a kind when its key has no id.
const fn type_name(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::DeviceState => "device",
        EntityKind::LiveRecording => "liveRecording",
        EntityKind::StoredRecording => "storedRecording",
        other => other.as_str(),
    }
}
