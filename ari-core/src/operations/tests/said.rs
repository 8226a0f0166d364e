//! What the driver reads values from, and what it makes.

use std::{cell::RefCell, collections::BTreeMap, collections::BTreeSet, time::Duration};

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    error::Result,
    operation::{Operation, OperationSpec},
    operations::TextList,
    request::Request,
};

/// Decodes an answer as a model and writes it again.
pub(super) type Again = fn(&[u8]) -> serde_json::Result<Value>;

/// Parameters by their names in ARI, and which of them were asked for.
#[derive(Debug)]
pub(super) struct Given {
    spec: &'static OperationSpec,
    values: BTreeMap<String, Value>,
    said: RefCell<BTreeSet<String>>,
}

impl Given {
    pub(super) fn new(spec: &'static OperationSpec, values: BTreeMap<String, Value>) -> Self {
        Self {
            spec,
            values,
            said: RefCell::default(),
        }
    }

    pub(super) const fn operation(&self) -> (&'static str, &'static str) {
        (self.spec.resource, self.spec.name)
    }

    /// What nobody asked for, or not in a form that it has.
    pub(super) fn unsaid(&self) -> Vec<&str> {
        let said = self.said.borrow();
        let names = self.values.keys().map(String::as_str);
        names.filter(|name| !said.contains(*name)).collect()
    }

    fn read<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = read(self.values.get(name)?)?;
        self.said.borrow_mut().insert(name.to_owned());
        Some(value)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.read(name, text)
    }

    pub(super) fn texts(&self, name: &str) -> Option<TextList> {
        self.read(name, |value| match value {
            Value::Array(items) => items.iter().map(text).collect(),
            value => Some(text(value)?.split(',').collect()),
        })
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.read(name, boolean)
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.read(name, |value| text(value)?.parse().ok())
    }

    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        self.read(name, |value| {
            Some(Duration::from_secs(text(value)?.parse().ok()?))
        })
    }

    pub(super) fn milliseconds(&self, name: &str) -> Option<Duration> {
        self.read(name, |value| {
            Some(Duration::from_millis(text(value)?.parse().ok()?))
        })
    }

    pub(super) fn json(&self, name: &str) -> Option<Value> {
        self.read(name, |value| Some(value.clone()))
    }

    pub(super) fn members(&self, name: &str) -> Option<Map<String, Value>> {
        self.read(name, |value| value.as_object().cloned())
    }

    pub(super) fn attributes(&self, name: &str) -> Option<Vec<(String, Value)>> {
        self.read(name, |value| {
            let attribute = |item: &Value| Some((text(&item["attribute"])?, item["value"].clone()));
            value.as_array()?.iter().map(attribute).collect()
        })
    }

    pub(super) fn again<T: DeserializeOwned + Serialize>(body: &[u8]) -> serde_json::Result<Value> {
        serde_json::to_value(serde_json::from_slice::<T>(body)?)
    }
}

/// A value as text, where it is one.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A value as Asterisk reads a boolean.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match &*text(value)?.to_ascii_lowercase() {
        "true" | "yes" | "1" | "on" | "y" | "t" => Some(true),
        "false" | "no" | "0" | "off" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// One request, said in every way that the typed API has for it.
#[derive(Default)]
pub(super) struct Said {
    /// By the builder of the resource, then by the method of the handle.
    pub(super) requests: Vec<Request>,
    /// What awaiting the builder gives.
    pub(super) outcome: Option<BoxFuture<'static, Result<()>>>,
    pub(super) again: Option<Again>,
}

impl Said {
    pub(super) fn builder<T, O>(&mut self, call: O, again: Option<Again>)
    where
        T: 'static,
        O: Operation + IntoFuture<Output = Result<T>, IntoFuture = BoxFuture<'static, Result<T>>>,
    {
        self.requests.push(call.request().clone());
        self.again = again;
        let outcome = call.into_future();
        self.outcome = Some(Box::pin(async move { outcome.await.map(|_| ()) }));
    }

    pub(super) fn handle(&mut self, call: &impl Operation) {
        self.requests.push(call.request().clone());
    }

    pub(super) const fn is_on_handle(&self) -> bool {
        self.requests.len() > 1
    }
}
