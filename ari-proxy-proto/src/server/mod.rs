//! The server's side: requests in, answers out.

mod decode;
mod respond;

use std::sync::Arc;

use ari_core::{EntityKind, Error, Metadata, Request, registry};
use bytes::Bytes;

use self::decode::Decoder;
use crate::{
    answer::{self, Extra},
    failure::{NOT_IMPLEMENTED, Said},
    key::Key,
    kind::{Bind, KeyUse, Kind, Run, When},
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

    /// Plans the steps of our own kind.
    fn extend(&mut self, request: Request) {
        if self.dialog().is_some() {
            let bind: Vec<_> = request
                .bound()
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
}
