//! The world with its clock, its sessions and its tasks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ari_core::{Request, Response};
use bytes::Bytes;
use tokio::{
    sync::{Notify, futures::Notified, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    faults::Faults,
    session::{Sink, SocketSink},
};
use crate::{
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
struct Core {
    world: World,
    sinks: HashMap<SessionId, Sink>,
    replies: HashMap<Ticket, oneshot::Sender<Response>>,
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

    /// Hands on what has come of the world.
    fn pump(&mut self) {
        while let Some(delivery) = self.world.poll_event() {
            if let Some(sink) = self.sinks.get(&delivery.session) {
                sink.send(delivery.event);
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
    asterisk_id: String,
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
    pub(crate) faults: Faults,
    pub(crate) config: AriConfig,
    pub(crate) limits: Limits,
    pub(crate) stopped: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("asterisk_id", &self.asterisk_id)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    pub(crate) fn start(world: World, config: AriConfig, limits: Limits) -> Arc<Self> {
        let runtime = Arc::new(Self {
            asterisk_id: world.asterisk_id().to_owned(),
            core: Mutex::new(Core {
                world,
                sinks: HashMap::new(),
                replies: HashMap::new(),
                calls: HashMap::new(),
                wakes_at: None,
            }),
            started: Instant::now(),
            earlier: Notify::new(),
            call_ended: Notify::new(),
            call_received: Notify::new(),
            per_call: Notify::new(),
            per_call_targets: Mutex::default(),
            faults: Faults::default(),
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

    pub(crate) fn asterisk_id(&self) -> &str {
        &self.asterisk_id
    }

    fn now(&self) -> SimTime {
        SimTime::after(self.started.elapsed())
    }

    /// Lets time pass in the world until it is stopped.
    async fn drive(self: Arc<Self>) {
        loop {
            let next = self.with_core(|core, _| {
                core.wakes_at = core.world.next_deadline();
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

    fn with_core<R>(&self, action: impl FnOnce(&mut Core, SimTime) -> R) -> R {
        let mut core = self.lock();
        let ended = core.world.call_totals().ended;
        let received = core.world.received_calls();
        let now = self.now();
        core.world.advance(now);
        let result = action(&mut core, now);
        core.pump();
        let earlier = match (core.world.next_deadline(), core.wakes_at) {
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

    pub(crate) fn with_world<R>(&self, action: impl FnOnce(&mut World, SimTime) -> R) -> R {
        self.with_core(|core, now| action(&mut core.world, now))
    }

    /// Does an operation and waits for its answer.
    pub(crate) async fn perform(&self, request: &Request) -> Response {
        let outcome = self.with_core(|core, now| match core.world.request(now, request) {
            Reply::Now(response) => Ok(response),
            Reply::Later(ticket) => {
                let (reply, answer) = oneshot::channel();
                core.replies.insert(ticket, reply);
                Err(answer)
            }
        });
        match outcome {
            Ok(response) => response,
            // The sender goes only with the simulator.
            Err(answer) => answer
                .await
                .unwrap_or_else(|_| Response::new(503, "Service Unavailable", "")),
        }
    }

    pub(crate) async fn calls_ended(&self) {
        loop {
            let next = self.call_ended.notified();
            let totals = self.with_world(|world, _| world.call_totals());
            if totals.active == 0 && totals.waiting == 0 {
                return;
            }
            next.await;
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
        self.with_core(|core, _| {
            let session = core.world.open_session();
            core.sinks.insert(session, sink);
            for application in applications {
                core.world.register(session, application, subscribe_all);
            }
            session
        })
    }

    /// Lets the events of a session go elsewhere from now on.
    pub(crate) fn set_sink(&self, session: SessionId, sink: Sink) {
        self.with_core(|core, _| core.sinks.insert(session, sink));
    }

    /// The same for a session that has a sink; says whether it has.
    pub(crate) fn replace_sink(&self, session: SessionId, sink: Sink) -> bool {
        self.with_core(|core, _| match core.sinks.get_mut(&session) {
            Some(known) => {
                *known = sink;
                true
            }
            None => false,
        })
    }

    /// Ends the session of a socket that the simulator opened, which is told so.
    pub(crate) fn unregister_outbound(&self, session: SessionId) {
        self.with_world(|world, _| world.unregister_outbound(session));
        self.close_session(session);
    }

    pub(crate) fn close_session(&self, session: SessionId) {
        self.with_core(|core, _| {
            core.world.close_session(session);
            core.sinks.remove(&session);
        });
    }

    /// The frame of an answer that goes to a socket in the name of an application, if it goes.
    pub(crate) fn frame(&self, response: &RestResponse, application: &str) -> Option<Bytes> {
        self.with_world(|world, _| response.frame(world, application))
    }

    fn sockets(&self) -> Vec<SocketSink> {
        let core = self.lock();
        let socket = |sink: &Sink| match sink {
            Sink::Socket(socket) => Some(socket.clone()),
            Sink::Local(_) => None,
        };
        core.sinks.values().filter_map(socket).collect()
    }

    pub(crate) fn drop_websockets(&self) {
        for socket in self.sockets() {
            socket.cut.cancel();
        }
    }

    pub(crate) fn websocket_count(&self) -> usize {
        self.sockets().len()
    }

    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.tracker.close();
        let mut core = self.lock();
        core.replies.clear();
        let sinks = std::mem::take(&mut core.sinks);
        drop(core);
        for sink in sinks.into_values() {
            match sink {
                Sink::Socket(socket) => socket.cut.cancel(),
                Sink::Local(events) => events.router().close(),
            }
        }
    }

    pub(crate) async fn ended(&self) {
        self.tracker.wait().await;
    }
}
