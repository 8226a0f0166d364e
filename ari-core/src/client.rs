//! The trait that every transport implements.

use std::{fmt::Debug, time::Duration};

use futures::future::BoxFuture;

use crate::{
    entity::Metadata,
    error::{Error, Result},
    operation::{Method, OperationSpec},
    request::{Request, Response},
    router::{Feed, Router},
};

/// How a client stands with the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The first connection is being made, or a lost one is being made again.
    Connecting,
    /// Connected.
    Connected,
    /// Requests are answered, but another program took the application over and gets its events.
    Replaced,
    /// Closed for good.
    Closed,
}

/// What asking everybody gave.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gathered<T> {
    /// What came.
    pub items: Vec<T>,
    /// Who did not answer, or could not.
    pub missing: Vec<Missing>,
}

impl<T> Gathered<T> {
    /// Puts together what came and who is missing.
    pub const fn new(items: Vec<T>, missing: Vec<Missing>) -> Self {
        Self { items, missing }
    }

    /// Whether everybody who was expected to has answered.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Somebody who did not answer, or refused to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Application and Asterisk.
    pub source: Metadata,
    /// Why there is no answer.
    pub reason: String,
}

impl Missing {
    /// Names somebody who did not answer.
    pub fn new(source: Metadata, reason: impl Into<String>) -> Self {
        Self {
            source,
            reason: reason.into(),
        }
    }
}

/// A transport: a way to one Asterisk or to a cluster of them.
///
/// It is small on purpose. Everything pleasant is written once above it, in [`Ari`](crate::Ari), the
/// handles and the streams; a transport carries requests, and puts events into its [`Router`].
pub trait AriClient: Debug + Send + Sync + 'static {
    /// Application (and Asterisk, where there is one) that this client is connected as.
    fn identity(&self) -> Metadata;

    /// How it stands with the other side.
    fn state(&self) -> ConnectionState;

    /// Sends a request and waits for its answer, a refusal included.
    ///
    /// With an incomplete target the transport finds who can answer; the first good answer counts.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the wait; the operation may still run.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>>;

    /// Sends a request to everybody whom its target means, and waits for their answers.
    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>>;

    /// Which source of events carries what concerns this target.
    fn feed(&self, target: &Metadata) -> Feed;

    /// The router that the transport puts its events into.
    fn router(&self) -> &Router;

    /// Chooses where a creation goes whose target names no Asterisk, so that its events can be
    /// listened to before it is sent.
    fn place(&self, request: &mut Request) {
        request.target = std::mem::take(&mut request.target).or(&self.identity());
    }

    /// Waits; ari-core has no clock of its own.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Makes the name of a dialog that only this client knows, of an id that nobody else uses.
    fn private_dialog(&self, id: &str) -> String {
        id.to_owned()
    }

    /// Forgets what was bound to a dialog: its last scope here has ended.
    fn release_dialog(&self, dialog: &str);

    /// Ends the connection in good order.
    fn close(&self) -> BoxFuture<'_, Result<()>>;

    /// Ends the connection at once; the last owner was dropped.
    fn abandon(&self);
}

/// The error of a request that was under way when its client was closed.
pub fn interrupted(operation: &OperationSpec) -> Error {
    if operation.method == Method::Get {
        return Error::Closed;
    }
    Error::OutcomeUnknown {
        operation: operation.to_string(),
        reason: "the client was closed before the answer came".to_owned(),
        source: None,
    }
}

/// The error of a request that a transport could not send.
pub fn not_sent(
    request: &Request,
    reason: impl Into<String>,
    source: Option<crate::error::Source>,
) -> Error {
    Error::NotSent {
        operation: request.operation.to_string(),
        reason: reason.into(),
        source,
    }
}
