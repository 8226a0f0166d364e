//! One request and its answer, as every transport carries them.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    entity::{Entity, EntityKind, Metadata},
    error::{Error, Refusal, Result},
    operation::{Answer, Location, Method, OperationSpec, ParameterType},
};

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved characters).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest query that goes into the request line; Asterisk takes 4,096 bytes for the whole line.
const MAX_QUERY_BYTES: usize = 2_048;

/// The parameters of a request by their names in ARI, in the order in which they were set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<(Cow<'static, str>, Value)>);

impl Parameters {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// The value of a parameter as text: numbers and truth values in decimal, lists joined by commas.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).and_then(as_text)
    }

    /// The items of a parameter as texts; one that is no list is its only item.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let items = match self.get(name) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(only) => std::slice::from_ref(only),
            None => &[],
        };
        items.iter().filter_map(as_text)
    }

    /// Sets a parameter, in place of an earlier value of it.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a parameter out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Array(items) => Cow::Owned(
            items
                .iter()
                .filter_map(as_text)
                .collect::<Vec<_>>()
                .join(","),
        ),
    })
}

/// So many items of a list Asterisk refuses in a query, and takes in a body.
const TOO_MANY_ITEMS: usize = 128;

/// Whether a query can say it: an object it cannot, nor an item with the comma that separates items.
fn fits_query(value: &Value) -> bool {
    let is_torn = |item: &Value| item.as_str().is_some_and(|text| text.contains(','));
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.len() < TOO_MANY_ITEMS && !items.iter().any(is_torn),
        _ => true,
    }
}

/// One request: an operation, its parameters, and to whom it goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Operation.
    pub operation: &'static OperationSpec,
    /// Parameters.
    pub parameters: Parameters,
    /// Application, Asterisk and dialog that it is for.
    pub target: Metadata,
    /// Limit on the wait for the answer; `None`: the transport's default.
    pub timeout: Option<Duration>,
}

impl Request {
    /// Makes a request without parameters.
    pub fn new(operation: &'static OperationSpec, target: Metadata) -> Self {
        Self {
            operation,
            parameters: Parameters::default(),
            target,
            timeout: None,
        }
    }

    /// The same with a parameter set.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.parameters.set(name, value);
        self
    }

    /// The entities that it concerns, as far as its parameters name them: those that its operation
    /// works on, and the one that it creates.
    pub fn entities(&self) -> impl Iterator<Item = (EntityKind, Cow<'_, str>)> {
        let created = self.operation.creates.iter();
        let created = created.map(|creates| (creates.kind, creates.id));
        self.named(self.operation.concerns.iter().copied().chain(created))
    }

    /// The entities that it binds to its dialog.
    ///
    /// These are the ones that the Go proxy binds (wire protocol, section 4.5), so that a dialog means
    /// the same on every transport: what is created, what a bridge is changed by, a channel that is
    /// answered, and the sources of events that an application subscribes to.
    pub fn bound(&self) -> impl Iterator<Item = (EntityKind, Cow<'_, str>)> {
        let sources = self.parameters.texts("eventSource").filter_map(
            |source| -> Option<(EntityKind, Cow<'_, str>)> {
                let (kind, id) = source.split_once(':')?;
                Some((EntityKind::from_name(kind)?, Cow::from(id.to_owned())))
            },
        );
        let subscribes =
            self.operation.resource == "applications" && self.operation.name == "subscribe";
        self.named(self.operation.binds.iter().copied())
            .chain(sources.filter(move |(_, id)| subscribes && !id.is_empty()))
    }

    /// Whether this is the entity that it creates.
    pub fn creates(&self, kind: EntityKind, id: &str) -> bool {
        let creates = self.operation.creates.as_ref();
        creates.is_some_and(|creates| {
            creates.kind == kind && self.parameters.text(creates.id).as_deref() == Some(id)
        })
    }

    /// The entity that it deletes.
    pub(crate) fn deletes(&self) -> Option<(EntityKind, Cow<'_, str>)> {
        let operation = self.operation;
        let is_last = |parameter: &str| {
            let last = operation.path.rsplit('/').next();
            last.and_then(|last| last.strip_prefix('{')?.strip_suffix('}')) == Some(parameter)
        };
        let concerns = operation.concerns.iter().copied();
        let deleted = concerns
            .filter(|(_, parameter)| operation.method == Method::Delete && is_last(parameter));
        self.named(deleted).next()
    }

    fn named(
        &self,
        parameters: impl Iterator<Item = (EntityKind, &'static str)>,
    ) -> impl Iterator<Item = (EntityKind, Cow<'_, str>)> {
        parameters
            .flat_map(|(kind, parameter)| {
                self.parameters.texts(parameter).map(move |id| (kind, id))
            })
            .filter(|(_, id)| !id.is_empty())
    }

    /// The request as HTTP carries it.
    ///
    /// Path segments and query values are percent-encoded. What would make the request line too long
    /// for Asterisk goes into the JSON body, which may carry every query parameter.
    ///
    /// # Errors
    /// A parameter is missing without which Asterisk crashes, one of the path is missing or empty, or the
    /// operation is the event socket, which is no request.
    pub fn to_http(&self) -> Result<HttpRequest> {
        if self.operation.answer == Answer::Events {
            return Err(Error::Unsupported {
                operation: self.operation.to_string(),
                reason: "it is a WebSocket, which every client has already: see Ari::events()"
                    .to_owned(),
                since: &[],
            });
        }
        let mut vital = self.operation.parameters.iter().filter(|spec| spec.vital);
        if let Some(missing) = vital.find(|spec| self.parameters.text(spec.name).is_none()) {
            let (operation, name) = (self.operation, missing.name);
            return Err(Error::InvalidRequest(format!(
                "{operation} needs a value for {name}: without it, Asterisk crashes"
            )));
        }
        let mut body = Map::new();
        let mut whole_body = None;
        let mut query: Vec<(&str, &Value)> = Vec::new();
        for (name, value) in self.parameters.iter() {
            let spec = self.operation.parameter(name);
            match spec.map_or(Location::Query, |spec| spec.location) {
                Location::Path => {}
                Location::Query if fits_query(value) => query.push((name, value)),
                // What no query can carry goes into the body, too.
                Location::Query | Location::Body => {
                    body.insert(name.to_owned(), self.in_body(name, value));
                }
                Location::WholeBody => whole_body = Some(value),
            }
        }
        let mut target = self.path()?;
        let query_text = encode_query(&query);
        // Whatever the method is: Asterisk reads the body of a GET as well.
        if query_text.len() > MAX_QUERY_BYTES && whole_body.is_none() {
            // As it is: Asterisk takes a number for a number there, and no text.
            body.extend(
                query
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), self.in_body(name, value))),
            );
        } else if !query_text.is_empty() {
            target.push('?');
            target.push_str(&query_text);
        }
        let body = match whole_body {
            Some(value) => Some(Bytes::from(value.to_string())),
            None if body.is_empty() => None,
            None => Some(Bytes::from(Value::Object(body).to_string())),
        };
        Ok(HttpRequest {
            method: self.operation.method,
            target,
            body,
        })
    }

    /// How the body says a parameter; one without which Asterisk crashes is always a text.
    fn in_body(&self, name: &str, value: &Value) -> Value {
        let spec = self.operation.parameter(name);
        let vital = spec.is_some_and(|spec| spec.vital);
        let list = spec.is_some_and(|spec| spec.value == ParameterType::List);
        match (as_text(value), value) {
            (Some(text), _) if vital => Value::String(text.into_owned()),
            // Only in a query does Asterisk take a text apart.
            (_, Value::String(text)) if list => text.split(',').collect(),
            _ => value.clone(),
        }
    }

    fn path(&self) -> Result<String> {
        let mut path = String::with_capacity(self.operation.path.len() + 32);
        for segment in self.operation.path.split('/').skip(1) {
            path.push('/');
            let Some(name) = segment
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            else {
                path.push_str(segment);
                continue;
            };
            let value = self.parameters.text(name).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| {
                Error::InvalidRequest(format!("{} needs a value for {name}", self.operation))
            })?;
            // A dot segment would be taken for the folder itself or the one above, even encoded.
            if matches!(&*value, "." | "..") {
                return Err(Error::InvalidRequest(format!("{name} cannot be {value:?}")));
            }
            let _ = write!(path, "{}", utf8_percent_encode(&value, ENCODED));
        }
        Ok(path)
    }

    /// Finds the operation of an HTTP request and reads its parameters.
    ///
    /// This is the inverse of [`to_http`](Self::to_http): `target` is path and query, without the
    /// prefix `/ari`. A JSON body may carry every parameter; a form body is not read here.
    ///
    /// # Errors
    /// See [`Unroutable`].
    pub fn from_http(method: &str, target: &str, body: Option<&Value>) -> Result<Self, Unroutable> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut best: Option<(&'static OperationSpec, Arguments)> = None;
        let mut allowed = Vec::new();
        for &operation in crate::registry::OPERATIONS {
            let Some(arguments) = match_path(operation.path, path) else {
                continue;
            };
            if operation.method.as_str() != method {
                allowed.push(operation.method);
                continue;
            }
            // `/channels/create` is meant rather than `/channels/{channelId}`.
            if best
                .as_ref()
                .is_none_or(|(_, others)| arguments.len() < others.len())
            {
                best = Some((operation, arguments));
            }
        }
        let Some((operation, arguments)) = best else {
            return Err(if allowed.is_empty() {
                Unroutable::Path
            } else {
                Unroutable::Method(allowed)
            });
        };
        let mut request = Self::new(operation, Metadata::default());
        if let Some(whole) = operation
            .parameters
            .iter()
            .find(|p| p.location == Location::WholeBody)
        {
            if let Some(value) = body {
                request.parameters.set(whole.name, value.clone());
            }
        } else if let Some(Value::Object(members)) = body {
            for (name, value) in members {
                match value {
                    Value::String(text) => request.set_text(name, text.clone()),
                    value => request
                        .parameters
                        .set(operation.name_of(name), value.clone()),
                }
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            request.set_text(&decode_form(name), decode_form(value));
        }
        for (name, value) in arguments {
            request.parameters.set(name, value);
        }
        Ok(request)
    }

    /// Sets a parameter from its text, by the type that its operation gives it.
    pub fn set_text(&mut self, name: &str, text: String) {
        let spec = self.operation.parameter(name);
        let value = match spec.map(|spec| spec.value) {
            Some(ParameterType::List) => Value::from(
                text.split(',')
                    .filter(|item| !item.is_empty())
                    .collect::<Vec<_>>(),
            ),
            Some(ParameterType::Integer) => text
                .trim()
                .parse::<i64>()
                .map_or(Value::String(text), Value::from),
            Some(ParameterType::Boolean) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Value::Bool(true),
                "false" | "no" | "0" | "" => Value::Bool(false),
                _ => Value::String(text),
            },
            _ => Value::String(text),
        };
        self.parameters.set(self.operation.name_of(name), value);
    }
}

/// Why an HTTP request is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// No operation has this path.
    Path,
    /// The path exists with these methods only.
    Method(Vec<Method>),
}

fn encode_query(parameters: &[(&str, &Value)]) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        let Some(text) = as_text(value) else { continue };
        if !query.is_empty() {
            query.push('&');
        }
        let _ = write!(
            query,
            "{}={}",
            utf8_percent_encode(name, ENCODED),
            utf8_percent_encode(&text, ENCODED)
        );
    }
    query
}

/// The parameters in a path by their names.
type Arguments = Vec<(&'static str, String)>;

fn match_path(template: &'static str, path: &str) -> Option<Arguments> {
    let mut arguments = Vec::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(_) if segment.is_empty() => return None,
            Some(name) => arguments.push((name, decode(segment))),
            None if expected == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(arguments)
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// A request as HTTP carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Path and query, to be appended to the base URL (which ends in `/ari`).
    pub target: String,
    /// JSON body.
    pub body: Option<Bytes>,
}

/// The answer to a request, refusals included.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Reason phrase of the status.
    pub reason: String,
    /// Body as it came; empty where the transport carries none.
    pub body: Bytes,
    /// Entities that the answer names, where the transport gives keys instead of a body.
    pub entities: Vec<Entity>,
    /// Application and Asterisk that answered, as far as they are known.
    pub source: Metadata,
}

impl Response {
    /// Makes an answer.
    pub fn new(status: u16, reason: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            reason: reason.into(),
            body: body.into(),
            ..Self::default()
        }
    }

    /// The same with the application and Asterisk that answered.
    #[must_use]
    pub fn from_source(mut self, source: Metadata) -> Self {
        self.source = source;
        self
    }

    /// The same with the entities that the answer names.
    #[must_use]
    pub fn with_entities(mut self, entities: Vec<Entity>) -> Self {
        self.entities = entities;
        self
    }

    /// Whether the operation was carried out.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The answer, or the refusal as an error.
    ///
    /// # Errors
    /// The status is not between 200 and 299.
    pub fn into_success(self, operation: &'static OperationSpec) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        Err(Error::Refused(Refusal::new(
            operation,
            self.status,
            self.reason,
            &self.body,
        )))
    }
}
