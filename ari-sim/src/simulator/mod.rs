//! A world that runs: with a clock, with clients in process, and with servers.

mod calls;
mod client;
mod faults;
mod link;
mod outbound;
mod runtime;
mod session;
mod valve;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ari_core::{Ari, AriClient, Request, Response, subject};
use bytes::Bytes;

pub use self::{
    calls::{CallEnd, CallError, Endpoint, PhoneCall, PlaceCall, Press},
    outbound::{Outbound, OutboundSocket},
};
pub(crate) use self::{
    faults::{Facing, NOT_BOOTED, Outcome, Reach},
    link::{Link, LinkGuard, Links},
    runtime::Runtime,
    session::{Sink, SocketSink},
};
use crate::{
    faults::{FaultBook, FaultError, FaultId, FaultRule, FaultStatus},
    http::{self, MemoryListener, MemoryServer, Server},
    wire::{AriConfig, User},
    world::{CallRecord, CallScript, CallTotals, SimTime, World, WorldOptions},
};

/// Events that a slow WebSocket may have waiting before it is dropped.
const SOCKET_QUEUE: usize = 4_096;

/// How long one write to a WebSocket may take, as in Asterisk.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// Sets a [`Simulator`] up.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct SimulatorBuilder {
    options: WorldOptions,
    beginning: Option<i64>,
    users: Vec<User>,
    allowed_origins: Vec<String>,
    socket_queue: usize,
    write_timeout: Duration,
    faults: Vec<FaultRule>,
    seed: u64,
}

impl SimulatorBuilder {
    /// Sets the entity id of the Asterisk.
    pub fn asterisk_id(mut self, id: impl Into<String>) -> Self {
        self.options.asterisk_id = id.into();
        self
    }

    /// Sets how the world is: sounds, dialplan, phones.
    pub fn options(mut self, options: WorldOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the time at which the world begins, in milliseconds since 1970, instead of now.
    pub const fn beginning(mut self, unix_millis: i64) -> Self {
        self.beginning = Some(unix_millis);
        self
    }

    /// Lets this user in over HTTP; the first one takes the place of `asterisk`/`asterisk`.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push(User::new(name, password));
        self
    }

    /// Lets this user in over HTTP to read only.
    pub fn read_only_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push(User::new(name, password).read_only());
        self
    }

    /// Lets web pages of this origin in, as `allowed_origins` of `ari.conf` does; `*` stands for all.
    pub fn allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed_origins.push(origin.into());
        self
    }

    /// Sets how many events a slow WebSocket may have waiting before it is dropped.
    pub const fn socket_queue(mut self, events: usize) -> Self {
        self.socket_queue = events;
        self
    }

    /// Sets how long one write to a WebSocket may take before it is dropped.
    pub const fn write_timeout(mut self, limit: Duration) -> Self {
        self.write_timeout = limit;
        self
    }

    /// Lets something go wrong from the beginning, as [`Simulator::inject`] does it later.
    ///
    /// # Errors
    /// There can be no such fault.
    pub fn fault(mut self, rule: impl Into<FaultRule>) -> Result<Self, FaultError> {
        let rule = rule.into();
        rule.check()?;
        self.faults.push(rule);
        Ok(self)
    }

    /// Sets the seed of all that is left to chance: faults with a probability, and the order of events
    /// that are mixed.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts it. Needs a tokio runtime.
    #[must_use]
    pub fn start(self) -> Simulator {
        let mut options = self.options;
        let now = || {
            let since = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        options.beginning = self.beginning.unwrap_or_else(now);
        let mut users = self.users;
        if users.iter().all(User::is_read_only) {
            users.push(User::new("asterisk", "asterisk"));
        }
        let config = AriConfig::new(users).allowed_origins(self.allowed_origins);
        let limits = runtime::Limits {
            socket_queue: self.socket_queue.max(1),
            write_timeout: self.write_timeout,
        };
        let book = FaultBook::new(self.seed);
        let runtime = Runtime::start(World::new(options), config, limits, book);
        for rule in self.faults {
            if let Err(error) = runtime.inject(rule) {
                tracing::error!(%error, "a fault is left out");
            }
        }
        Simulator {
            owner: Arc::new(Owner(runtime)),
        }
    }
}

/// Stops the simulator when its last clone is dropped.
#[derive(Debug)]
struct Owner(Arc<Runtime>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A simulated Asterisk that runs.
///
/// A clone is the same one; when the last is dropped it stops, and its servers and clients with it.
/// Its time is tokio's, so that it can be paused.
#[derive(Clone, Debug)]
pub struct Simulator {
    owner: Arc<Owner>,
}

impl Simulator {
    /// Starts to set one up.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder {
            options: WorldOptions::default(),
            beginning: None,
            users: Vec::new(),
            allowed_origins: Vec::new(),
            socket_queue: SOCKET_QUEUE,
            write_timeout: WRITE_TIMEOUT,
            faults: Vec::new(),
            seed: 0,
        }
    }

    fn runtime(&self) -> &Arc<Runtime> {
        &self.owner.0
    }

    /// The entity id of the Asterisk, which a fault may change.
    pub fn asterisk_id(&self) -> String {
        self.runtime().asterisk_id()
    }

    /// Connects in process as an application.
    ///
    /// # Errors
    /// The name cannot be that of an application on every transport.
    pub fn connect(&self, application: &str) -> ari_core::Result<Ari> {
        self.client(application).map(Ari::new)
    }

    /// Connects in process as an application, without the front.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn client(&self, application: &str) -> ari_core::Result<Arc<dyn AriClient>> {
        subject::validate(subject::NameRole::Application, application)?;
        Ok(Arc::new(client::Client::connect(
            self.runtime(),
            application,
            false,
        )))
    }

    /// Connects in process as an application that hears of everything, as with `subscribeAll`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn client_to_all(&self, application: &str) -> ari_core::Result<Arc<dyn AriClient>> {
        subject::validate(subject::NameRole::Application, application)?;
        Ok(Arc::new(client::Client::connect(
            self.runtime(),
            application,
            true,
        )))
    }

    /// Serves ARI over HTTP and WebSocket at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, address: impl Into<SocketAddr>) -> std::io::Result<Server> {
        http::serve(self.runtime(), address.into()).await
    }

    /// Serves ARI over HTTP and WebSocket through pipes in memory, for tests in virtual time.
    pub fn serve_in_memory(&self) -> MemoryServer {
        MemoryServer::start(self.runtime())
    }

    /// Opens sockets to the server of an application, as `type=outbound_websocket` of `ari.conf` does:
    /// one at once that is opened again whenever it is lost, or one for each call.
    ///
    /// # Errors
    /// The URI is none of a WebSocket without TLS or holds credentials, the name of an application is empty
    /// or longer than 73 bytes, or there is no such user of ARI.
    pub fn dial(&self, outbound: Outbound) -> std::io::Result<OutboundSocket> {
        OutboundSocket::open(self.runtime(), outbound, None)
    }

    /// Opens sockets as [`dial`](Self::dial) does, through pipes in memory, for tests in virtual time. The host
    /// of the URI is of no account.
    ///
    /// # Errors
    /// Those of [`dial`](Self::dial).
    pub fn dial_in_memory(
        &self,
        outbound: Outbound,
    ) -> std::io::Result<(OutboundSocket, MemoryListener)> {
        let (listener, pipes) = MemoryListener::new();
        let socket = OutboundSocket::open(self.runtime(), outbound, Some(pipes))?;
        Ok((socket, listener))
    }

    /// Does an operation, as if it came from nobody.
    pub async fn request(&self, request: &Request) -> Response {
        let stopped = || Response::new(503, "Service Unavailable", "");
        let response = self.runtime().perform(request).await;
        response.unwrap_or_else(stopped)
    }

    /// Looks at the world, or changes it, at its present time.
    pub fn with_world<R>(&self, action: impl FnOnce(&mut World, SimTime) -> R) -> R {
        self.runtime().with_world(action)
    }

    /// Calls an extension of the dialplan; awaited it gives the caller's phone.
    pub fn call(&self, extension: impl Into<String>) -> PlaceCall {
        PlaceCall::new(self.runtime(), CallScript::to_extension(extension))
    }

    /// Calls a Stasis application, past the dialplan; awaited it gives the caller's phone.
    pub fn call_app(&self, application: impl Into<String>) -> PlaceCall {
        PlaceCall::new(self.runtime(), CallScript::new(application))
    }

    /// The phone at a SIP endpoint, as in `PJSIP/bob`: what it does when it is called, and its calls.
    pub fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint::new(self.runtime(), name)
    }

    /// Lets a caller call who follows a script; gives the number of the call.
    pub fn place_call(&self, script: impl Into<Arc<CallScript>>) -> u64 {
        self.with_world(|world, now| world.place_call(now, script))
    }

    /// Lets so many callers call, one after the other; `None`: without end, a millisecond apart at least.
    pub fn place_calls(
        &self,
        script: impl Into<Arc<CallScript>>,
        count: impl Into<Option<u64>>,
        interval: Duration,
    ) {
        self.with_world(|world, now| world.place_calls(now, script, count, interval));
    }

    /// The records of calls: of those that ended, oldest first, then of those that go on.
    pub fn call_records(&self) -> Vec<CallRecord> {
        self.with_world(|world, _| world.call_records().cloned().collect())
    }

    /// What became of all calls.
    pub fn call_totals(&self) -> CallTotals {
        self.with_world(|world, _| world.call_totals())
    }

    /// Waits until no call is active or to be placed, or the simulator is stopped.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn calls_ended(&self) {
        self.runtime().calls_ended().await;
    }

    /// Lets the far side of a channel press a digit for 100 ms; says whether there is such a channel.
    pub fn press(&self, channel: &str, digit: char) -> bool {
        self.with_world(|world, now| world.press(now, channel, digit, Duration::from_millis(100)))
    }

    /// Sends an event as it is to an application; says whether the application is connected.
    pub fn inject_event(&self, application: &str, event: impl Into<Bytes>) -> bool {
        self.with_world(|world, _| world.inject_event(application, event))
    }

    /// How many sockets for events are open.
    pub fn websocket_count(&self) -> usize {
        self.runtime().websocket_count()
    }

    /// Lets something go wrong: when, how often and for how long, the rule says.
    ///
    /// # Errors
    /// There can be no such fault, or there are a thousand already.
    pub fn inject(&self, rule: impl Into<FaultRule>) -> Result<FaultId, FaultError> {
        self.runtime().inject(rule.into())
    }

    /// The faults that were injected and not cleared, with how often each struck, oldest first; those
    /// that are over may be forgotten once there are a thousand.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.runtime().faults()
    }

    /// Ends a fault, and lets go what it holds; says whether there was one.
    pub fn clear_fault(&self, id: FaultId) -> bool {
        self.runtime().clear_fault(id)
    }

    /// Ends all faults, and lets go what they hold.
    pub fn clear_faults(&self) {
        self.runtime().clear_faults();
    }

    /// Stops it in good order: servers, sockets, clients.
    ///
    /// # Cancel safety
    /// When the future is dropped it stops nevertheless.
    pub async fn stop(&self) {
        self.runtime().stop();
        self.runtime().ended().await;
    }
}
