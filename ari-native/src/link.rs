//! What the client and its task share.

use std::{
    future::pending,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use ari_core::{
    Answer, ConnectionState, End, Error, Gap, GapCause, HttpRequest, Metadata, Request, Response,
    Result, Version, interrupted, local::LocalEvents,
};
use tokio::{
    sync::watch,
    task::consume_budget,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    address::Peer,
    desk::Desk,
    door::{Arrival, Door, Doorway, SocketPlan},
    driver::take_in,
    error::{Failure, NotSent, Trouble},
    exchange::{Answer as HttpAnswer, Http},
    filter,
    greeting::{Greeting, greet, greet_over},
    meter,
    replaced::{Standing, Turn, WhenReplaced},
    restore::Memory,
    session::{Cause, Keepalive},
    socket::Socket,
};

/// How long the tasks may take to end in good order.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Limits on waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// On the answer to a request that sets none.
    pub(crate) request: Duration,
    /// On one attempt to connect.
    pub(crate) connect: Duration,
    pub(crate) keepalive: Keepalive,
}

/// One Asterisk, and how it stands with it.
pub(crate) struct Link {
    peer: Peer,
    /// `None`: only the event socket leads to Asterisk.
    http: Option<Http>,
    /// Where requests wait that go over the event socket; `None`: they go over HTTP.
    pub(crate) desk: Option<Arc<Desk>>,
    pub(crate) door: Door,
    pub(crate) limits: Limits,
    pub(crate) events: LocalEvents,
    /// Counts what comes over the WebSocket.
    pub(crate) received: metrics::Counter,
    /// Measures calls.
    pub(crate) calls: meter::Calls,
    /// Something came that could not be understood: it may have been the end of what somebody waits for.
    pub(crate) doubt: AtomicBool,
    pub(crate) tracker: TaskTracker,
    /// Ends everything in good order.
    pub(crate) closing: CancellationToken,
    /// Ends everything at once.
    pub(crate) kill: CancellationToken,
    identity: Mutex<Metadata>,
    /// That of the Asterisk that answered last; unknown where it is no release.
    version: Mutex<Option<Version>>,
    memory: Mutex<Memory>,
    standing: Mutex<Standing>,
    state: watch::Sender<ConnectionState>,
}

impl Link {
    pub(crate) fn new(
        standing: Standing,
        http: Http,
        desk: Option<Arc<Desk>>,
        socket: SocketPlan,
        limits: Limits,
        tracker: TaskTracker,
    ) -> Self {
        let (peer, door) = (http.pool().peer().clone(), Door::Dial(socket));
        Self {
            http: Some(http),
            tracker,
            ..Self::over_socket(standing, peer, desk, door, limits)
        }
    }

    /// One that Asterisk connects to: all requests go over the event socket.
    pub(crate) fn accepted(
        application: Arc<str>,
        peer: Peer,
        doorway: Doorway,
        limits: Limits,
        desk: Arc<Desk>,
    ) -> Self {
        let standing = Standing::new(WhenReplaced::Yield, vec![application]);
        Self::over_socket(standing, peer, Some(desk), Door::Accept(doorway), limits)
    }

    fn over_socket(
        standing: Standing,
        peer: Peer,
        desk: Option<Arc<Desk>>,
        door: Door,
        limits: Limits,
    ) -> Self {
        let identity = Metadata {
            application: standing.applications().next().map(Arc::from),
            asterisk_id: None,
            dialog: None,
        };
        Self {
            peer,
            http: None,
            desk,
            door,
            limits,
            events: LocalEvents::comparing(),
            received: meter::received(),
            calls: meter::Calls::default(),
            doubt: AtomicBool::new(false),
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            kill: CancellationToken::new(),
            identity: Mutex::new(identity),
            version: Mutex::default(),
            memory: Mutex::new(Memory::new(standing.applications().map(Arc::from))),
            standing: Mutex::new(standing),
            state: watch::Sender::new(ConnectionState::Connecting),
        }
    }

    pub(crate) const fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(crate) fn identity(&self) -> Metadata {
        self.lock_identity().clone()
    }

    fn lock_identity(&self) -> MutexGuard<'_, Metadata> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of the Asterisk, if it is a release.
    pub(crate) fn version(&self) -> Option<Version> {
        *self.lock_version()
    }

    fn lock_version(&self) -> MutexGuard<'_, Option<Version>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which version answers.
    fn learn_version(&self, greeting: &Greeting) {
        *self.lock_version() = greeting.version.as_deref().and_then(Version::parse);
    }

    /// What is to be told again after a reconnect.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> ConnectionState {
        *self.state.borrow()
    }

    /// Sets the state, unless it is one that is for good.
    fn set_state(&self, new: ConnectionState) {
        self.state.send_if_modified(|state| {
            let lasting = matches!(state, ConnectionState::Closed | ConnectionState::Replaced);
            let changes = !lasting && *state != new;
            if changes {
                *state = new;
            }
            changes
        });
    }

    /// Tries once to connect: asks who is there, and opens the WebSocket; or waits until Asterisk has opened
    /// one and said who it is.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub(crate) async fn attempt(&self) -> Result<(Socket, Greeting), Trouble> {
        let plan = match &self.door {
            Door::Dial(plan) => plan,
            Door::Accept(doorway) => {
                let Some(arrival) = doorway.next().await else {
                    tracing::info!(asterisk = %self.peer, "the connection will not be made again");
                    self.abandon();
                    return pending().await;
                };
                return Ok(self.enter(arrival).await);
            }
        };
        let (limit, deadline) = (self.limits.connect, after(self.limits.connect));
        let Some(desk) = &self.desk else {
            let greeting = greet(self, limit, deadline).await?;
            return Ok((self.open(plan, deadline).await?, greeting));
        };
        let socket = self.open(plan, deadline).await?;
        let mut socket = socket.with_requests(Some(desk.open()));
        let mut told = false;
        let hand_on = |frame| {
            told = true;
            take_in(self, frame);
            Ok(())
        };
        let greeting = greet_over(&mut socket, desk, &self.peer, limit, deadline, hand_on).await;
        if told && greeting.is_err() {
            // What was told came after the gap of a loss before, if there was one, and this socket is lost, too.
            let gap = Gap::new(None, GapCause::Reconnected);
            self.events.router().lost(gap);
        }
        Ok((socket, greeting?))
    }

    /// Begins with a socket that Asterisk opened.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub(crate) async fn enter(&self, arrival: Arrival) -> (Socket, Greeting) {
        let Arrival {
            socket,
            greeting,
            early,
        } = arrival;
        self.standing().settle(false);
        for frame in early {
            take_in(self, frame);
            // There may be many, and whoever they are for has to keep up.
            consume_budget().await;
        }
        self.standing().settle(true);
        let seat = self.desk.as_ref().map(Desk::open);
        (socket.with_requests(seat), greeting)
    }

    /// Waits until Asterisk opens another WebSocket in place of the one that is open.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn superseded(&self) {
        match &self.door {
            Door::Dial(_) => pending().await,
            Door::Accept(doorway) => doorway.knocked().await,
        }
    }

    /// Opens the WebSocket.
    async fn open(&self, plan: &SocketPlan, deadline: Instant) -> Result<Socket, Trouble> {
        let SocketPlan {
            dialer,
            peer,
            url,
            authorization,
            max_answer,
        } = plan;
        let url = self.kept(url);
        let socket = Socket::open(dialer, peer, &url, authorization, *max_answer);
        let socket = timeout_at(deadline, socket).await;
        let late = |_| {
            Trouble::passing(format!(
                "the WebSocket of Asterisk at {peer} does not open within {:?}: is its URL right?",
                self.limits.connect
            ))
        };
        socket.map_err(late)?
    }

    /// Sends a request and waits for the answer, over the WebSocket if requests go there. An urgent one does
    /// not wait for others.
    ///
    /// # Cancel safety
    /// The operation may still run when the future is dropped.
    pub(crate) async fn exchange(
        &self,
        request: &HttpRequest,
        urgent: bool,
        deadline: Instant,
    ) -> Result<HttpAnswer, Failure> {
        match (&self.desk, &self.http) {
            (Some(desk), http) => match (desk.exchange(request, urgent, deadline).await, http) {
                // There will be no other WebSocket.
                (Err(Failure::NotSent(NotSent::NoSocket)), Some(http)) if self.is_retired() => {
                    http.exchange(request, urgent, deadline).await
                }
                (answer, _) => answer,
            },
            (None, Some(http)) => http.exchange(request, urgent, deadline).await,
            (None, None) => Err(NotSent::NoSocket.into()),
        }
    }

    /// The URL of a socket for the applications that were not given up.
    fn kept(&self, url: &Url) -> Url {
        let mut standing = self.standing();
        standing.open();
        let kept = standing.applications().collect::<Vec<_>>().join(",");
        drop(standing);
        let mut changed = url.clone();
        changed
            .query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs().map(|(name, value)| match &*name {
                "app" => (name, kept.clone().into()),
                _ => (name, value),
            }));
        changed
    }

    /// Notes that the first connection stands.
    pub(crate) fn connected(&self, greeting: &Greeting) {
        self.lock_identity()
            .asterisk_id
            .clone_from(&greeting.asterisk_id);
        self.learn_version(greeting);
        self.set_state(ConnectionState::Connected);
        let (asterisk_id, version) = (greeting.asterisk_id.as_deref(), greeting.version.as_deref());
        tracing::info!(asterisk = %self.peer(), asterisk_id, version, "connected");
    }

    /// Notes that the WebSocket was lost, and tells every stream.
    pub(crate) fn lost(&self, cause: Cause, reason: &str) {
        let again = !self.is_retired();
        tracing::warn!(asterisk = %self.peer(), reason, again, "the WebSocket is lost");
        self.set_state(ConnectionState::Connecting);
        let cause = match cause {
            Cause::Replaced => GapCause::Replaced,
            Cause::Broken | Cause::Silent => {
                // What ended the WebSocket may have ended idle connections, too, and nobody would notice.
                if let Some(http) = &self.http {
                    http.pool().forget();
                }
                GapCause::Reconnected
            }
        };
        self.events.router().lost(Gap::new(None, cause));
    }

    /// Notes that another program took an application over, and tells every stream unless it is taken back.
    pub(crate) fn replaced(&self, application: Option<&str>) {
        let Some(name) = self.standing().replaced(application) else {
            return;
        };
        let asterisk = self.peer();
        tracing::warn!(%asterisk, application, "another program took the application over, and has its events now");
        if self.is_retired() {
            self.set_state(ConnectionState::Replaced);
        }
        self.give_up(&name, End::Replaced);
    }

    /// Tells every stream that the events of an application are missing from now on, and ends those of it.
    fn give_up(&self, application: &Arc<str>, end: End) {
        self.memory().leave(application);
        let router = self.events.router();
        router.gap_everywhere(Gap::new(None, GapCause::Replaced));
        router.retire((!self.is_retired()).then_some(application), end);
    }

    /// Whether only the event socket leads to Asterisk.
    pub(crate) const fn is_socket_only(&self) -> bool {
        self.http.is_none()
    }

    /// Notes that a socket which Asterisk opened is for this application, too.
    pub(crate) fn registered(&self, application: Option<&str>) {
        if let (Door::Accept(_), Some(name)) = (&self.door, application) {
            let registered = self.standing().registered(name);
            if let Some(name) = registered {
                if self.events.router().reinstate(&name) {
                    tracing::warn!(asterisk = %self.peer(), application = &*name, "Asterisk says that the application is this client's again: its new calls wait for a stream of calls");
                }
                self.memory().join(name);
            } else {
                tracing::warn!(asterisk = %self.peer(), application = name, "Asterisk has read a changed configuration: it has to connect again");
            }
        }
    }

    /// Notes that a socket which Asterisk opened is no longer for this application.
    pub(crate) fn unregistered(&self, application: Option<&str>) {
        let (Door::Accept(_), Some(name)) = (&self.door, application) else {
            return;
        };
        // Not in the condition, which would keep the lock.
        let left = self.standing().leave(name);
        if let Some(name) = left {
            self.give_up(&name, End::Closed);
        }
    }

    /// Whether Asterisk opened the WebSocket for one call.
    pub(crate) const fn is_of_call(&self) -> bool {
        matches!(&self.door, Door::Accept(doorway) if doorway.is_call)
    }

    /// The application in whose name Asterisk answers: the first that is this client's.
    pub(crate) fn first_application(&self) -> Option<Arc<str>> {
        self.standing().applications().next().map(Arc::from)
    }

    /// Whether Asterisk answers in the name of an application that is another program's.
    pub(crate) fn is_misnamed(&self) -> bool {
        self.desk.is_some() && self.standing().is_misnamed()
    }

    /// Whether no application is this client's any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.standing().applications().next().is_none()
    }

    /// What is to be done since applications were taken over.
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.standing().turn()
    }

    /// Notes that the WebSocket is back.
    pub(crate) fn returned(&self, greeting: &Greeting) {
        let before = std::mem::replace(
            &mut self.lock_identity().asterisk_id,
            greeting.asterisk_id.clone(),
        );
        self.learn_version(greeting);
        if before != greeting.asterisk_id {
            let (before, now) = (before.as_deref(), greeting.asterisk_id.as_deref());
            tracing::warn!(asterisk = %self.peer(), before, now, "another Asterisk answers at this address");
            if let Some(before) = before {
                self.events.router().lose_asterisk(before);
            }
        }
        self.set_state(ConnectionState::Connected);
        tracing::info!(asterisk = %self.peer(), version = greeting.version.as_deref(), "the WebSocket is back");
        meter::reconnected();
    }

    /// Tells every stream that what was lost is restored.
    pub(crate) fn resynced(&self) {
        self.events.router().resynced();
    }

    /// Sends a request.
    pub(crate) async fn call(&self, request: &Request) -> Result<Response> {
        let answer = self.ask(request, false).await?;
        self.memory().note(request, &answer);
        Ok(answer)
    }

    /// Sends a request; an urgent one does not wait for a connection that calls have taken, since they may
    /// be waiting for what it is to restore.
    pub(crate) async fn ask(&self, request: &Request, urgent: bool) -> Result<Response> {
        let source = self.source(request)?;
        if let Some(version) = self.version() {
            version.check(request)?;
        }
        let needed = match &self.desk {
            Some(_) => filter::OF_REQUESTS,
            None => filter::OF_EVENTS,
        };
        let guarded = filter::guard(request, needed, |name| self.standing().has(name))?;
        let is_file = request.operation.answer == Answer::Binary;
        if is_file && self.http.is_none() {
            return Err(Error::Unsupported {
                operation: request.operation.to_string(),
                reason: "Asterisk gives files over HTTP only, and this connection it made itself"
                    .to_owned(),
                since: &[],
            });
        }
        let http = guarded.as_ref().unwrap_or(request).to_http()?;
        let limit = request.timeout.unwrap_or(self.limits.request);
        // Never with the query: there are values in it.
        tracing::debug!(path = http.target.split('?').next(), "a request");
        let deadline = after(limit);
        let bound = self.events.bind(request);
        let answer = match &self.http {
            // Asterisk gives files over HTTP only.
            Some(files) if is_file => files.exchange(&http, urgent, deadline).await,
            _ => self.exchange(&http, urgent, deadline).await,
        };
        let answer = match answer {
            Ok(answer) => {
                Ok(Response::new(answer.status, answer.reason, answer.body).from_source(source))
            }
            Err(failure) if !self.closing.is_cancelled() => {
                Err(failure.into_error(request.operation, self.peer(), limit))
            }
            // Whatever becomes of it, it is because the client ends.
            Err(Failure::NotSent(_)) => Err(Error::Closed),
            Err(_) => Err(interrupted(request.operation)),
        };
        self.events.settle(bound, &answer);
        answer
    }

    /// Who will answer a request.
    ///
    /// # Errors
    /// It is for another Asterisk.
    fn source(&self, request: &Request) -> Result<Metadata> {
        let place = self.place();
        if let (Some(wanted), Some(here)) = (&request.target.asterisk_id, &place.asterisk_id)
            && wanted != here
        {
            let subject = format!("Asterisk {wanted}, since this client is connected to {here}");
            return Err(Error::NobodyThere { subject });
        }
        Ok(request.target.clone().or(&place))
    }

    /// What is known of where things are that name no place: with several applications not which of them.
    pub(crate) fn place(&self) -> Metadata {
        Metadata {
            application: self.standing().only().cloned(),
            asterisk_id: self.lock_identity().asterisk_id.clone(),
            dialog: None,
        }
    }

    /// Ends everything in good order, and at once what does not end in time.
    pub(crate) async fn close(&self) -> Result<()> {
        let _ending = Ending(self);
        self.stop();
        let ended = timeout(CLOSE_WITHIN, self.tracker.wait()).await;
        tracing::info!(asterisk = %self.peer(), in_time = ended.is_ok(), "closed");
        ended.map_err(|_| Error::Connect {
            reason: format!(
                "the connection to Asterisk at {} did not end within {CLOSE_WITHIN:?}",
                self.peer()
            ),
            source: None,
        })
    }

    /// Ends everything at once.
    pub(crate) fn abandon(&self) {
        self.stop();
        self.kill.cancel();
        self.events.router().close();
    }

    fn stop(&self) {
        self.state.send_replace(ConnectionState::Closed);
        if let Door::Accept(doorway) = &self.door {
            doorway.shut();
        }
        self.closing.cancel();
        if let Some(http) = &self.http {
            http.pool().close();
        }
        if let Some(desk) = &self.desk {
            desk.close();
        }
        self.tracker.close();
    }
}

/// The end of a limit; one beyond what the clock can count is far away.
pub(crate) fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit)
        .unwrap_or_else(|| now + Duration::from_hours(365 * 24))
}

/// Ends everything at once when it is dropped, whatever the reason.
pub(crate) struct Ending<L: Deref<Target = Link>>(pub(crate) L);

impl<L: Deref<Target = Link>> Drop for Ending<L> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
