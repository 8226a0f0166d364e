//! The world with its clock, its sessions and its tasks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ari_core::{Request, Response, Version};
use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{Notify, futures::Notified, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    faults::{Outage, Reach, judge},
    link::Links,
    session::{LocalLink, Seat, SeatKind, Sink},
};
use crate::{
    faults::{FaultBook, FaultId},
    http::outbound::{self, Target},
    wire::{AriConfig, RestResponse},
    world::{CallId, CallScript, PerCallId, Reply, SessionId, SimTime, Ticket, World},
};

/// What a WebSocket is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) socket_queue: usize,
    pub(crate) write_timeout: Duration,
}

/// What is behind the lock.
pub(super) struct Core {
    pub(super) world: World,
    pub(super) faults: FaultBook,
    pub(super) seats: HashMap<SessionId, Seat>,
    pub(super) replies: HashMap<Ticket, oneshot::Sender<Response>>,
    pub(super) outage: Option<Outage>,
    /// Sessions that took an application from its owner.
    pub(super) thieves: Vec<(FaultId, SessionId)>,
    /// Who waits for something to happen in the calls that are in somebody's hand.
    calls: HashMap<CallId, Arc<Notify>>,
    /// Until when the driver sleeps.
    wakes_at: Option<SimTime>,
}

impl Core {
    /// Makes the place where the changes of a call are told.
    fn hold(&mut self, id: CallId) -> Arc<Notify> {
        Arc::clone(self.calls.entry(id).or_default())
    }

    /// When something is due next.
    fn next_deadline(&self, now: SimTime) -> Option<SimTime> {
        let outage = self.outage.and_then(|outage| outage.next_deadline(now));
        let faults = self.faults.next_deadline();
        [self.world.next_deadline(), faults, outage]
            .into_iter()
            .flatten()
            .min()
    }

    /// Hands on what has come of the world.
    fn pump(&mut self, now: SimTime) {
        let mut events = Vec::new();
        while let Some(delivery) = self.world.poll_event() {
            let Some(seat) = self.seats.get(&delivery.session) else {
                continue;
            };
            if self.faults.is_empty() {
                seat.sink.send(delivery.event);
                continue;
            }
            let (session, application) = (delivery.session, &*delivery.application);
            self.faults
                .event(now, session, application, delivery.event, &mut events);
            for event in events.drain(..) {
                seat.sink.send(event);
            }
        }
        while let Some((ticket, response)) = self.world.poll_reply() {
            if let Some(reply) = self.replies.remove(&ticket) {
                // Who has stopped waiting does not want it any more.
                let _ = reply.send(response);
            }
        }
        while let Some(call) = self.world.poll_call() {
            if let Some(changed) = self.calls.get(&call) {
                changed.notify_waiters();
            }
        }
    }
}

pub(crate) struct Runtime {
    core: Mutex<Core>,
    pub(super) me: Weak<Self>,
    pub(super) handle: Handle,
    pub(crate) links: Arc<Links>,
    pub(super) reach: watch::Sender<Reach>,
    /// A fault does not hold anything any more.
    pub(super) fault_over: Notify,
    started: Instant,
    /// The driver has to wake earlier than it meant to.
    earlier: Notify,
    /// A call ended.
    call_ended: Notify,
    /// A phone was called.
    call_received: Notify,
    /// Something is to be done about the sockets of calls.
    pub(crate) per_call: Notify,
    /// How the sockets of calls are opened.
    pub(crate) per_call_targets: Mutex<HashMap<PerCallId, Arc<Target>>>,
    pub(crate) config: AriConfig,
    pub(crate) limits: Limits,
    pub(crate) stopped: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl Runtime {
    pub(crate) fn start(
        world: World,
        config: AriConfig,
        limits: Limits,
        faults: FaultBook,
    ) -> Arc<Self> {
        let runtime = Arc::new_cyclic(|me| Self {
            core: Mutex::new(Core {
                world,
                faults,
                seats: HashMap::new(),
                replies: HashMap::new(),
                calls: HashMap::new(),
                outage: None,
                thieves: Vec::new(),
                wakes_at: None,
            }),
            me: Weak::clone(me),
            handle: Handle::current(),
            links: Arc::default(),
            reach: watch::channel(Reach::Up).0,
            fault_over: Notify::new(),
            started: Instant::now(),
            earlier: Notify::new(),
            call_ended: Notify::new(),
            call_received: Notify::new(),
            per_call: Notify::new(),
            per_call_targets: Mutex::default(),
            config,
            limits,
            stopped: CancellationToken::new(),
            tracker: TaskTracker::new(),
        });
        runtime.tracker.spawn(Arc::clone(&runtime).drive());
        let sockets = outbound::open_for_calls(Arc::clone(&runtime));
        runtime.tracker.spawn(sockets);
        runtime
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that this Asterisk gives itself, if it is a release.
    pub(crate) fn version(&self) -> Option<Version> {
        self.with_world(|world, _| Version::parse(world.version()))
    }

    pub(crate) fn asterisk_id(&self) -> String {
        self.with_world(|world, _| world.asterisk_id().to_owned())
    }

    fn now(&self) -> SimTime {
        SimTime::after(self.started.elapsed())
    }

    /// Lets time pass in the world until it is stopped.
    async fn drive(self: Arc<Self>) {
        loop {
            let next = self.with_core(|core, now| {
                core.wakes_at = core.next_deadline(now);
                core.wakes_at
            });
            let sleep = async {
                match next.and_then(|at| self.started.checked_add(at.elapsed())) {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stopped.cancelled() => return,
                () = self.earlier.notified() => {}
                () = sleep => {}
            }
        }
    }

    pub(super) fn with_core<R>(&self, action: impl FnOnce(&mut Core, SimTime) -> R) -> R {
        let mut core = self.lock();
        let ended = core.world.call_totals().ended;
        let received = core.world.received_calls();
        let now = self.now();
        core.world.advance(now);
        // What is due comes before what is done now.
        self.go_on(&mut core, now);
        let result = action(&mut core, now);
        self.go_on(&mut core, now);
        let earlier = match (core.next_deadline(now), core.wakes_at) {
            (Some(next), Some(wakes_at)) => next < wakes_at,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        let call_ended = core.world.call_totals().ended != ended;
        let call_received = core.world.received_calls() != received;
        let per_call = core.world.has_per_call_actions();
        drop(core);
        if per_call {
            self.per_call.notify_one();
        }
        if earlier {
            self.earlier.notify_one();
        }
        if call_ended {
            self.call_ended.notify_waiters();
        }
        if call_received {
            self.call_received.notify_waiters();
        }
        result
    }

    pub(super) fn has_no_faults(&self) -> bool {
        self.lock().faults.is_empty()
    }

    /// Hands on what has come of the world, and does what faults make of it.
    fn go_on(&self, core: &mut Core, now: SimTime) {
        core.pump(now);
        if core.faults.is_empty() && core.outage.is_none() {
            return;
        }
        core.faults.advance(now);
        while self.settle(core, now) {
            core.pump(now);
        }
    }

    pub(crate) fn with_world<R>(&self, action: impl FnOnce(&mut World, SimTime) -> R) -> R {
        self.with_core(|core, now| action(&mut core.world, now))
    }

    /// Does an operation and waits for its answer; `None`: Asterisk did not live to give it.
    pub(crate) async fn perform(&self, request: &Request) -> Option<Response> {
        let outcome = self.with_core(|core, now| match core.world.request(now, request) {
            Reply::Now(response) => Ok(response),
            Reply::Later(ticket) => {
                let (reply, answer) = oneshot::channel();
                core.replies.insert(ticket, reply);
                Err(answer)
            }
        });
        match outcome {
            Ok(response) => Some(response),
            // Once it is stopped nothing answers any more.
            Err(answer) => self.stopped.run_until_cancelled(answer).await?.ok(),
        }
    }

    /// Waits until no call is active or to be placed, or it is stopped.
    pub(crate) async fn calls_ended(&self) {
        loop {
            let next = self.call_ended.notified();
            let totals = self.with_world(|world, _| world.call_totals());
            if totals.active == 0 && totals.waiting == 0 {
                return;
            }
            if self.stopped.run_until_cancelled(next).await.is_none() {
                return;
            }
        }
    }

    /// Begins a call that somebody has in hand, and says where its changes are told.
    pub(crate) fn start_call(&self, script: CallScript) -> (CallId, Arc<Notify>) {
        self.with_core(|core, now| {
            let id = core.world.start_call(now, script);
            (id, core.hold(id))
        })
    }

    /// Takes a call to a phone in hand, if there is one.
    pub(crate) fn take_call(&self, endpoint: &str, since: u64) -> Option<(CallId, Arc<Notify>)> {
        self.with_core(|core, now| {
            let id = core.world.take_call(now, endpoint, since)?;
            Some((id, core.hold(id)))
        })
    }

    /// Lets a call go: it is hung up, unless it is over.
    pub(crate) fn release_call(&self, id: CallId) {
        self.with_core(|core, now| {
            core.world.release_call(now, id);
            core.calls.remove(&id);
        });
    }

    pub(crate) fn call_received(&self) -> Notified<'_> {
        self.call_received.notified()
    }

    /// Opens a session for these applications.
    pub(crate) fn open_session(
        &self,
        sink: Sink,
        applications: &[String],
        subscribe_all: bool,
    ) -> SessionId {
        self.with_core(|core, _| open(core, sink, applications, subscribe_all))
    }

    /// Connects a client in process; says whether it is.
    pub(super) fn join(&self, link: &Arc<LocalLink>) -> bool {
        if *self.reach.borrow() != Reach::Up {
            self.rejoin(Arc::clone(link));
            return false;
        }
        self.with_core(|core, _| {
            if link.closed.is_cancelled() {
                return false;
            }
            link.valve.renew();
            let applications = [link.application.clone()];
            let sink = Sink::Local(Arc::clone(link));
            let session = open(core, sink, &applications, link.subscribe_all);
            link.joined(session, core.world.asterisk_id());
            true
        })
    }

    /// Disconnects a client in process for good, also where it is just being connected.
    pub(super) fn leave(&self, link: &LocalLink) {
        link.closed.cancel();
        self.with_core(|core, _| {
            if let Some(session) = link.session() {
                close(core, session);
            }
        });
    }

    /// Opens the session of a socket that the simulator opens, and opens again.
    pub(crate) fn open_outbound(
        &self,
        sink: Sink,
        applications: &[String],
        subscribe_all: bool,
    ) -> SessionId {
        self.with_core(|core, _| {
            let session = core.world.open_session();
            let kind = SeatKind::Persistent { subscribe_all };
            let seat = Seat::new(sink, applications, kind);
            seat.register(&mut core.world, session);
            core.seats.insert(session, seat);
            session
        })
    }

    /// Lets the events of the session of a call go to its socket.
    pub(crate) fn seat_call(
        &self,
        session: SessionId,
        sink: Sink,
        application: &str,
        subscribe_all: bool,
    ) {
        self.with_core(|core, _| {
            let kind = SeatKind::PerCall { subscribe_all };
            let seat = Seat::new(sink, &[application.to_owned()], kind);
            seat.register(&mut core.world, session);
            core.seats.insert(session, seat);
        });
    }

    /// Lets the events of a session that has a sink go elsewhere; says whether it has.
    pub(crate) fn replace_sink(&self, session: SessionId, sink: Sink) -> bool {
        self.with_core(|core, _| {
            let Some(seat) = core.seats.get_mut(&session) else {
                return false;
            };
            seat.sink = sink;
            judge(&mut core.faults, seat.sink.valve(), &seat.applications);
            true
        })
    }

    /// Ends the session of a socket that the simulator opened, which is told so.
    pub(crate) fn unregister_outbound(&self, session: SessionId) {
        self.with_world(|world, _| world.unregister_outbound(session));
        self.close_session(session);
    }

    pub(crate) fn close_session(&self, session: SessionId) {
        self.with_core(|core, _| close(core, session));
    }

    /// The frame of an answer that goes to a socket in the name of an application, if it goes.
    pub(crate) fn frame(&self, response: &RestResponse, application: &str) -> Option<Bytes> {
        self.with_world(|world, _| response.frame(world, application))
    }

    pub(crate) fn websocket_count(&self) -> usize {
        let core = self.lock();
        let is_socket = |seat: &&Seat| matches!(seat.sink, Sink::Socket(_));
        core.seats.values().filter(is_socket).count()
    }

    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.tracker.close();
        let seats = std::mem::take(&mut self.lock().seats);
        for seat in seats.into_values() {
            match seat.sink {
                Sink::Socket(socket) => socket.cut.cancel(),
                Sink::Local(link) => link.events.router().close(),
            }
        }
    }

    pub(crate) async fn ended(&self) {
        self.tracker.wait().await;
    }
}

fn open(core: &mut Core, sink: Sink, applications: &[String], subscribe_all: bool) -> SessionId {
    let session = core.world.open_session();
    judge(&mut core.faults, sink.valve(), applications);
    let seat = Seat::new(sink, applications, SeatKind::Client { subscribe_all });
    seat.register(&mut core.world, session);
    core.seats.insert(session, seat);
    session
}

fn close(core: &mut Core, session: SessionId) {
    core.world.close_session(session);
    core.seats.remove(&session);
}
