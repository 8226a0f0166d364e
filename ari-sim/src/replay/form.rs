//! Requests in a form in which the recorded ones are compared with those that come.

use std::collections::{HashMap, HashSet};

use ari_core::{EntityKind, OperationSpec, Request};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use crate::{
    trace::{Payload, json, query::pairs},
    wire::UNRESERVED,
};

/// Ids of a trace, and those that the client of the replay chose in their place.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Ids that the recorded client chose.
    chosen: HashSet<String>,
    there: HashMap<String, String>,
    taken: HashSet<String>,
}

impl Names {
    pub(super) fn new(chosen: HashSet<String>) -> Self {
        Self {
            chosen,
            ..Self::default()
        }
    }

    /// What stands here for a text of the trace; `None`: the text itself.
    pub(super) fn here(&self, text: &str) -> Option<String> {
        if self.there.is_empty() {
            return None;
        }
        if let Some(here) = self.there.get(text) {
            return Some(here.clone());
        }
        if let Some((kind, id)) = text.split_once(':')
            && let Some(here) = self.there.get(id)
        {
            return Some(format!("{kind}:{here}"));
        }
        if let Some((near, half)) = text.rsplit_once(';')
            && let Some(here) = self.there.get(near)
        {
            return Some(format!("{here};{half}"));
        }
        // The body of an answer over a WebSocket is JSON in a string.
        if text.starts_with(['{', '[']) {
            return json::rewrite(text, &|_, inner| self.here(inner));
        }
        None
    }

    /// A JSON document as it is told here.
    pub(super) fn document(&self, text: &str) -> String {
        if self.there.is_empty() {
            return text.to_owned();
        }
        json::rewrite(text, &|_, inner| self.here(inner)).unwrap_or_else(|| text.to_owned())
    }

    /// A path as it is told here.
    pub(super) fn path(&self, path: &str) -> String {
        let segment = |segment: &str| {
            let text = percent_decode_str(segment).decode_utf8_lossy();
            let here = self.here(&text)?;
            Some(utf8_percent_encode(&here, UNRESERVED).to_string())
        };
        let segments: Vec<_> = path
            .split('/')
            .map(|text| segment(text).unwrap_or_else(|| text.to_owned()))
            .collect();
        segments.join("/")
    }

    fn can_bind(&self, there: &str, here: &str) -> bool {
        self.chosen.contains(there) && !self.there.contains_key(there) && !self.taken.contains(here)
    }

    pub(super) fn bind(&mut self, bindings: Vec<(String, String)>) {
        for (there, here) in bindings {
            self.taken.insert(here.clone());
            self.there.insert(there, here);
        }
    }
}

/// A request, whether HTTP or a WebSocket carries it.
#[derive(Debug)]
pub(super) struct Form {
    operation: Option<&'static OperationSpec>,
    /// Parameters of the operation, or of the query when there is no such operation; sorted.
    parameters: Vec<(String, Value)>,
    pub(super) method: String,
    pub(super) path: String,
    /// A body that is no JSON, or JSON for no operation.
    text: Option<String>,
}

impl Form {
    pub(super) fn new(
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: &Payload,
    ) -> Self {
        let mut target = path.strip_prefix("/ari").unwrap_or(path).to_owned();
        for (place, (name, value)) in query.iter().enumerate() {
            target.push(if place == 0 { '?' } else { '&' });
            target.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
            target.push('=');
            target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let json = match body {
            // Whoever recorded may have hidden the secrets or not.
            Payload::Json(text) => json::without_secrets(text)
                .and_then(|text| serde_json::from_str::<Value>(&text).ok()),
            Payload::Nothing | Payload::Text(_) => None,
        };
        let text = match body {
            Payload::Text(text) => Some(text.clone()),
            Payload::Nothing | Payload::Json(_) => None,
        };
        let mut form = Self {
            operation: None,
            parameters: Vec::new(),
            method: method.to_owned(),
            path: path.to_owned(),
            text,
        };
        if let Ok(request) = Request::from_http(method, &target, json.as_ref()) {
            form.operation = Some(request.operation);
            let parameters = request.parameters.iter();
            form.parameters = parameters
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect();
        } else {
            form.parameters = query
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            if let Payload::Json(text) = body {
                form.text = Some(text.clone());
            }
        }
        form.parameters.sort_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| a.1.to_string().cmp(&b.1.to_string()))
        });
        form
    }

    /// Reads a request of a WebSocket; `None`: it is none.
    pub(super) fn of_frame(frame: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Pair {
            name: String,
            value: String,
        }

        #[derive(serde::Deserialize)]
        struct RestRequest {
            #[serde(rename = "type")]
            kind: String,
            method: String,
            uri: String,
            #[serde(default)]
            query_strings: Vec<Pair>,
            #[serde(default)]
            message_body: String,
        }

        let request: RestRequest = serde_json::from_str(frame).ok()?;
        if request.kind != "RESTRequest" {
            return None;
        }
        let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
        let mut query = pairs(query);
        query.extend(
            request
                .query_strings
                .into_iter()
                .map(|pair| (pair.name, pair.value)),
        );
        let body = body_of(&request.message_body);
        Some(Self::new(
            &request.method,
            &format!("/ari/{path}"),
            &query,
            &body,
        ))
    }

    /// Whether both ask for the same thing, whatever their parameters.
    pub(super) fn same_target(&self, other: &Self) -> bool {
        self.method == other.method && self.path == other.path
    }

    /// The ids that it may choose.
    pub(super) fn ids(&self) -> Vec<String> {
        let named = self
            .parameters
            .iter()
            .filter(|(name, _)| self.is_id(name))
            .flat_map(|(_, value)| match value {
                Value::Array(items) => items.clone(),
                only => vec![only.clone()],
            });
        named
            .filter_map(|value| value.as_str().map(str::to_owned))
            .filter(|id| !id.is_empty())
            .collect()
    }

    fn is_id(&self, name: &str) -> bool {
        let Some(operation) = self.operation else {
            return false;
        };
        let created = operation
            .creates
            .iter()
            .map(|creates| (creates.kind, creates.id));
        let named = operation.concerns.iter().chain(operation.binds).copied();
        created.chain(named).any(|(kind, parameter)| {
            parameter == name
                && matches!(
                    kind,
                    EntityKind::Channel
                        | EntityKind::Bridge
                        | EntityKind::Playback
                        | EntityKind::LiveRecording
                        | EntityKind::StoredRecording
                )
        })
    }

    /// Whether what was asked is this one, with `names` for the ids of the trace; gives the ids that are
    /// taken for others with it, none when `binding` is not allowed.
    pub(super) fn matches(
        &self,
        asked: &Self,
        names: &Names,
        binding: bool,
    ) -> Option<Vec<(String, String)>> {
        let mut bindings = Vec::new();
        if self.method != asked.method
            || self.operation.map(|operation| operation.path)
                != asked.operation.map(|operation| operation.path)
            || self.text != asked.text
            || self.parameters.len() != asked.parameters.len()
            || (self.operation.is_none() && names.path(&self.path) != asked.path)
        {
            return None;
        }
        for ((name, there), (other, here)) in self.parameters.iter().zip(&asked.parameters) {
            let ids = binding && self.is_id(name);
            if name != other || !agree(there, here, names, ids, &mut bindings) {
                return None;
            }
        }
        Some(bindings)
    }
}

/// Whether a value of the trace is one that is asked with, its ids aside.
fn agree(
    there: &Value,
    here: &Value,
    names: &Names,
    ids: bool,
    bindings: &mut Vec<(String, String)>,
) -> bool {
    match (there, here) {
        (Value::String(there), Value::String(here)) => {
            if names.here(there).as_deref().unwrap_or(there) == here {
                return true;
            }
            let bound = bindings
                .iter()
                .find(|(known, new)| known == there || new == here);
            match bound {
                Some((known, new)) => known == there && new == here,
                None if ids && names.can_bind(there, here) => {
                    bindings.push((there.clone(), here.clone()));
                    true
                }
                None => false,
            }
        }
        (Value::Array(there), Value::Array(here)) => {
            there.len() == here.len()
                && there
                    .iter()
                    .zip(here)
                    .all(|(there, here)| agree(there, here, names, ids, bindings))
        }
        (Value::Object(there), Value::Object(here)) => {
            there.len() == here.len()
                && there.iter().all(|(name, there)| {
                    here.get(name)
                        .is_some_and(|here| agree(there, here, names, ids, bindings))
                })
        }
        (there, here) => there == here,
    }
}

/// A body as a trace tells it.
pub(super) fn body_of(text: &str) -> Payload {
    if text.is_empty() {
        return Payload::Nothing;
    }
    match json::rewrite(text, &|_, _| None) {
        Some(json) if !json.starts_with('"') => Payload::Json(json),
        _ => Payload::Text(text.to_owned()),
    }
}
