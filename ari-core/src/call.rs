//! What a builder holds until it is awaited, and how its answer becomes what it gives.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::{
    client::{Gathered, Missing},
    endings::{self, Latch},
    entity::EntityKind,
    error::{Error, Result, sample},
    model::Absent,
    operation::OperationSpec,
    registry,
    request::{Request, Response},
    scope::Through,
};

/// A request, and the client that it goes through.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) through: Through,
    pub(crate) request: Request,
}

impl Call {
    pub(crate) fn new(through: &Through, operation: &'static OperationSpec) -> Self {
        let target = through.target().clone();
        Self {
            through: through.clone(),
            request: Request::new(operation, target),
        }
    }

    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.request.parameters.set(name, value);
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds one member to a parameter that is an object.
    pub(crate) fn insert(&mut self, name: &'static str, key: String, value: Value) {
        let mut members = match self.request.parameters.remove(name) {
            Some(Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        members.insert(key, value);
        self.set(name, Value::Object(members));
    }

    /// Makes a creation ready: says where it goes, and sets the latch on its end up, before anything is
    /// sent.
    pub(crate) async fn prepare_creation(&mut self, kind: EntityKind) -> Result<Option<Latch>> {
        {
            let scope = self.through.scope()?;
            let client = scope.client();
            if self.request.target.asterisk_id.is_none() && !self.is_about_something() {
                client.place(&mut self.request);
            }
            if self.request.operation.parameter("app").is_some() && !self.is_destined() {
                let target = self.request.target.clone().or(&client.identity());
                if let Some(application) = target.application {
                    self.set("app", &*application);
                }
            }
        }
        let Some(id) = self.created_id() else {
            return Ok(None);
        };
        if !matches!(
            kind,
            EntityKind::Channel
                | EntityKind::Playback
                | EntityKind::LiveRecording
                | EntityKind::Bridge
        ) {
            return Ok(None);
        }
        let through = self.through.narrowed(&self.request.target);
        let (latch, wait) = endings::latch(&through, kind, &id, true)?;
        through.ready(wait).await?;
        Ok(Some(latch))
    }

    /// Whether it works on something that exists: then it has to go where that is.
    fn is_about_something(&self) -> bool {
        let request = &self.request;
        let creates = request.operation.creates.as_ref();
        request
            .operation
            .concerns
            .iter()
            .filter(|(_, parameter)| creates.is_none_or(|creates| creates.id != *parameter))
            // The second half of a `Local` channel is created as well.
            .filter(|(_, parameter)| *parameter != "otherChannelId")
            .any(|(_, parameter)| request.parameters.texts(parameter).any(|id| !id.is_empty()))
    }

    /// Whether it says what becomes of the new channel.
    fn is_destined(&self) -> bool {
        ["app", "context", "extension", "label", "priority"]
            .iter()
            .any(|name| self.request.parameters.get(name).is_some())
    }

    /// The id of what it creates, where the client chose one.
    pub(crate) fn created_id(&self) -> Option<String> {
        let creates = self.request.operation.creates.as_ref()?;
        let id = self.request.parameters.text(creates.id)?;
        (!id.is_empty()).then(|| id.into_owned())
    }

    pub(crate) fn send<T: Output>(self) -> BoxFuture<'static, Result<T>> {
        T::run(self)
    }

    /// Sends the request and gives the answer if it is not a refusal.
    pub(crate) async fn answer(self) -> Result<(Response, Through, Request)> {
        let Self { through, request } = self;
        let response = through
            .call(request.clone())
            .await?
            .into_success(request.operation)?;
        Ok((response, through, request))
    }
}

impl Call {
    /// Sends the request and gives the body of the answer. Where the transport carries none (a Go
    /// server answers what changes something with nothing), it is fetched.
    async fn body(self) -> Result<(Request, Bytes)> {
        let (response, through, request) = self.answer().await?;
        let fetch = if response.body.is_empty() {
            fetching(&request)
        } else {
            None
        };
        let Some(fetch) = fetch else {
            return Ok((request, response.body));
        };
        let operation = fetch.operation;
        let response = through.call(fetch).await?.into_success(operation)?;
        Ok((request, response.body))
    }
}

/// The request for what another one, which has changed it, answers with.
fn fetching(request: &Request) -> Option<Request> {
    let changed = request.operation;
    let operation = registry::OPERATIONS
        .iter()
        .filter(|operation| operation.is_read_only() && operation.answer == changed.answer)
        .filter(|operation| changed.path.starts_with(operation.path))
        .max_by_key(|operation| operation.path.len())?;
    let mut fetch = Request::new(operation, request.target.clone());
    fetch.timeout = request.timeout;
    for spec in operation.parameters {
        let value = request.parameters.get(spec.name)?;
        fetch.parameters.set(spec.name, value.clone());
    }
    (!changed.is_read_only()).then_some(fetch)
}

/// What awaiting a builder gives.
pub(crate) trait Output: Sized + Send + 'static {
    fn run(call: Call) -> BoxFuture<'static, Result<Self>>;
}

impl Output for () {
    fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
        async move {
            let (response, _, request) = call.answer().await?;
            done(&request, &response.body)
        }
        .boxed()
    }
}

impl Output for Bytes {
    fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
        call.answer()
            .map(|answer| answer.map(|(response, ..)| response.body))
            .boxed()
    }
}

/// A model that an operation answers with.
pub(crate) trait Model: DeserializeOwned + Absent + Send + 'static {}

impl<T: Model> Output for T {
    fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
        async move {
            let (request, body) = call.body().await?;
            decode(&request, &body)
        }
        .boxed()
    }
}

impl<T: Model> Output for Vec<T> {
    fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
        async move {
            let (request, body) = call.body().await?;
            decode_list(&request, &body)
        }
        .boxed()
    }
}

/// What changes something answers with nothing or JSON; anything else came from somebody else, who did
/// not do it.
fn done(request: &Request, body: &[u8]) -> Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    serde_json::from_slice::<IgnoredAny>(body).map_or_else(
        |error| {
            Err(Error::decode::<IgnoredAny>(
                format!("the answer to {}", request.operation),
                body,
                error.into(),
            ))
        },
        |_| Ok(()),
    )
}

/// Decodes JSON that is UTF-8 nearly always: checked as a whole, not text by text.
fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}

/// Decodes the object that answers a request; one without an identity is none.
pub(crate) fn decode<T: Model>(request: &Request, body: &[u8]) -> Result<T> {
    let undecodable =
        |source| Error::decode::<T>(format!("the answer to {}", request.operation), body, source);
    let model: T = read(body).map_err(|error| undecodable(error.into()))?;
    if model.is_absent() {
        Err(undecodable("it has no id".into()))
    } else {
        Ok(model)
    }
}

/// Decodes the list that answers a request; with an item that has no identity it is none.
pub(crate) fn decode_list<T: Model>(request: &Request, body: &[u8]) -> Result<Vec<T>> {
    let what = || format!("the answer to {}", request.operation);
    let models: Vec<T> =
        read(body).map_err(|error| Error::decode::<Vec<T>>(what(), body, error.into()))?;
    match models.iter().position(T::is_absent) {
        Some(place) => Err(Error::Decode {
            what: what(),
            path: format!("[{place}]"),
            sample: sample(body),
            source: "it has no id".into(),
        }),
        None => Ok(models),
    }
}

/// Takes apart the answers of everybody who was asked; an answer that refuses or cannot be read counts as
/// missing.
///
/// # Errors
/// That of the first answer, if no answer was a good one and nobody is missing otherwise.
pub(crate) async fn gather<T>(
    call: Call,
    take: impl Fn(&Response, &Through, &Request) -> Result<Vec<T>> + Send,
) -> Result<Gathered<T>> {
    let Call { through, request } = call;
    let gathered = through.gather(request.clone()).await?;
    let mut missing = gathered.missing;
    let (mut items, mut good) = (Vec::new(), !missing.is_empty());
    let mut refused = None;
    for response in gathered.items {
        let source = response.source.clone();
        let taken = response
            .into_success(request.operation)
            .and_then(|response| take(&response, &through, &request));
        match taken {
            Ok(taken) => {
                items.extend(taken);
                good = true;
            }
            Err(error) => {
                missing.push(Missing::new(source, error.to_string()));
                refused.get_or_insert(error);
            }
        }
    }
    match refused {
        Some(error) if !good => Err(error),
        _ => Ok(Gathered::new(items, missing)),
    }
}

/// Sets the limit on the wait for an answer.
pub(crate) fn limit(call: &mut Call, timeout: Duration) {
    call.request.timeout = Some(timeout);
}
