//! A scripted client for tests of applications.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use serde_json::Value;

use crate::{
    Ari, AriClient, ConnectionState, Error, Event, Gathered, Metadata, Request, Response, Result,
    local::LocalEvents,
    router::{Feed, Router},
};

/// A client whose answers and events the test gives.
///
/// It records every request. An operation without a scripted answer is answered with `204 No
/// Content`, a `GET` with `404 Not Found`. Its clock stands still until the test
/// [advances](Self::advance) it.
///
/// ```
/// use ari_core::testing::Fake;
/// # futures::executor::block_on(async {
/// let fake = Fake::new("demo", "02:00:00:00:00:01");
/// let ari = fake.ari();
/// ari.channels().handle("alice").answer().await?;
/// assert_eq!(fake.requests()[0].to_http()?.target, "/channels/alice/answer");
/// # Ok::<_, ari_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Metadata,
    events: LocalEvents,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Result<Response>>>,
    requests: Vec<Request>,
    now: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
    closed: bool,
    abandoned: bool,
}

impl Fake {
    /// Makes a client of this application on this Asterisk.
    pub fn new(application: &str, asterisk_id: &str) -> Self {
        let identity = Metadata {
            application: Some(application.into()),
            asterisk_id: Some(asterisk_id.into()),
            dialog: None,
        };
        let shared = Shared {
            identity,
            events: LocalEvents::new(),
            script: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The front of this client; each call makes another root scope.
    pub fn ari(&self) -> Ari {
        Ari::new(Arc::new(self.clone()))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Scripts the next answer to an operation, named as in `POST /channels/{channelId}/answer`.
    pub fn answer(&self, operation: &str, status: u16, body: &Value) -> &Self {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let reason = if status < 300 { "OK" } else { "Refused" };
        let source = self.shared.identity.clone();
        let response = Response::new(status, reason, body).from_source(source);
        self.script()
            .answers
            .entry(operation.to_owned())
            .or_default()
            .push_back(Ok(response));
        self
    }

    /// Scripts an error as the next outcome of an operation.
    pub fn fail(&self, operation: &str, error: Error) -> &Self {
        self.script()
            .answers
            .entry(operation.to_owned())
            .or_default()
            .push_back(Err(error));
        self
    }

    /// Sends an event; application and Asterisk are filled in where it names none.
    ///
    /// # Errors
    /// It is no object with a `type`.
    pub fn emit(&self, event: &Value) -> Result<()> {
        let mut event = event.clone();
        if let Some(members) = event.as_object_mut() {
            let identity = &self.shared.identity;
            for (name, text) in [
                ("application", &identity.application),
                ("asterisk_id", &identity.asterisk_id),
            ] {
                if let (None, Some(text)) = (members.get(name), text) {
                    members.insert(name.to_owned(), Value::from(&**text));
                }
            }
        }
        self.shared
            .events
            .deliver(&Event::parse(event.to_string())?);
        Ok(())
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.script().requests.clone()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut script = self.script();
            script.now += by;
            let now = script.now;
            let (due, later) = std::mem::take(&mut script.sleepers)
                .into_iter()
                .partition(|(at, _)| *at <= now);
            script.sleepers = later;
            let due: Vec<(Duration, oneshot::Sender<()>)> = due;
            due
        };
        for (_, sleeper) in due {
            let _ = sleeper.send(());
        }
    }

    /// How many entities are bound to dialogs.
    pub fn bindings(&self) -> usize {
        self.shared.events.bindings()
    }

    /// Whether the client was closed in good order.
    pub fn is_closed(&self) -> bool {
        self.script().closed
    }

    /// Whether the last owner of the client was dropped.
    pub fn is_abandoned(&self) -> bool {
        self.script().abandoned
    }

    fn take(&self, request: Request) -> Result<Response> {
        let bound = self.shared.events.bind(&request);
        let answer = self.scripted(request);
        self.shared.events.settle(bound, &answer);
        answer
    }

    fn scripted(&self, request: Request) -> Result<Response> {
        let mut script = self.script();
        let name = request.operation.to_string();
        let read_only = request.operation.is_read_only();
        script.requests.push(request);
        if let Some(answer) = script.answers.get_mut(&name).and_then(VecDeque::pop_front) {
            return answer;
        }
        let source = self.shared.identity.clone();
        Ok(if read_only {
            Response::new(404, "Not Found", r#"{"message":"not scripted"}"#)
        } else {
            Response::new(204, "No Content", "")
        }
        .from_source(source))
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake")
            .field("identity", &self.shared.identity)
            .finish_non_exhaustive()
    }
}

impl AriClient for Fake {
    fn identity(&self) -> Metadata {
        self.shared.identity.clone()
    }

    fn state(&self) -> ConnectionState {
        if self.is_closed() {
            ConnectionState::Closed
        } else {
            ConnectionState::Connected
        }
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        async move { self.take(request) }.boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        async move { Ok(Gathered::new(vec![self.take(request)?], Vec::new())) }.boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        LocalEvents::feed(target)
    }

    fn router(&self) -> &Router {
        self.shared.events.router()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut script = self.script();
        let at = script.now + duration;
        if duration.is_zero() {
            let _ = wake.send(());
        } else {
            script.sleepers.push((at, wake));
        }
        woken.map(|_| ()).boxed()
    }

    fn release_dialog(&self, dialog: &str) {
        self.shared.events.release(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.script().closed = true;
        self.shared.events.router().close();
        async { Ok(()) }.boxed()
    }

    fn abandon(&self) {
        self.script().abandoned = true;
        self.shared.events.router().close();
    }
}
