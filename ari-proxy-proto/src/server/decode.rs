//! From the message to the calls that it means.

use std::borrow::Cow;

use ari_core::{
    Answer as AriAnswer, EntityKind, Location, Metadata, OperationSpec, ParameterType, Request,
    registry,
    subject::{NameRole, validate},
};
use serde_json::{Map, Value};

use super::{Incoming, MAX_REQUEST_BYTES, Step};
use crate::{
    client::EXTENSION_PAYLOAD,
    failure::{NOT_IMPLEMENTED, Said},
    id::server_id,
    json::{member, text_member},
    key::Key,
    kind::{Answer, Field, FieldDefault, Form, KeyUse, Kind, Payload, Run},
};

fn malformed(what: impl std::fmt::Display) -> Said {
    Said::new(format!("malformed request: {what}"), 400)
}

fn refuse(text: impl Into<String>) -> Said {
    Said::new(text, 400)
}

pub(super) struct Decoder<'a> {
    pub(super) place: &'a Metadata,
}

impl Decoder<'_> {
    pub(super) fn decode(&self, message: &[u8]) -> Result<Incoming, Said> {
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
        let has_id = |entity| match (key.id.as_str(), kind.run, kind.unnamed) {
            ("", Run::Nothing, _) => Ok(()),
            ("", _, Some(error)) => Err(refuse(error)),
            ("", ..) => Err(refuse(format!("{} key not supplied", type_name(entity)))),
            _ => Ok(()),
        };
        match kind.key {
            KeyUse::Target | KeyUse::Originator => {}
            KeyUse::Entity(EntityKind::Variable, name) => {
                request.parameters.set(name, key.id.as_str());
            }
            KeyUse::Entity(entity, name) => {
                has_id(entity)?;
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
                has_id(entity)?;
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
                has_id(EntityKind::Channel)?;
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
                    .map_or_else(|| Cow::Owned(name.clone()), |known| known.name.into());
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

/// What the Go server calls an entity of a kind when its key has no id.
const fn type_name(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::DeviceState => "device",
        EntityKind::LiveRecording => "liveRecording",
        EntityKind::StoredRecording => "storedRecording",
        other => other.as_str(),
    }
}
