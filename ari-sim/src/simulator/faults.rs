//! What goes wrong in a world that runs: rules are asked, and what they decide is done.

use std::{borrow::Cow, sync::Arc, time::Duration};

use ari_core::{Request, Response};
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    link::Link,
    runtime::{Core, Runtime},
    session::{LocalLink, Seat, SeatKind, Sink},
    valve::{Afterwards, Valve},
};
use crate::{
    faults::{
        Asked, Consequence, Fault, FaultBook, FaultError, FaultId, FaultRule, FaultScope,
        FaultStatus, Verdict, truncated,
    },
    world::{SessionId, SimTime},
};

/// How long a client in process takes to connect again.
const RECONNECT: Duration = Duration::from_millis(100);

/// Whether Asterisk can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It can.
    #[default]
    Up,
    /// It refuses requests.
    Booting,
    /// It refuses connections.
    Down,
}

/// A restart that is not over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    down_until: SimTime,
    boots_until: SimTime,
}

impl Outage {
    /// When it goes into its next phase.
    pub(crate) fn next_deadline(self, now: SimTime) -> Option<SimTime> {
        let phases = [self.down_until, self.boots_until];
        phases.into_iter().filter(|until| *until > now).min()
    }
}

/// What a request is met with.
#[derive(Debug)]
pub(crate) enum Facing {
    /// Asterisk has not booted.
    Booting,
    /// The rules have decided.
    Decided(Verdict),
}

/// What comes of a request that has no HTTP message of its own.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer.
    Answer(Response),
    /// An answer of which only a part comes.
    BreaksOff(Response),
    /// The connection is reset.
    Reset,
    /// Asterisk did not live to answer.
    Ended,
}

/// What Asterisk says until it has booted.
pub(crate) const NOT_BOOTED: &str = "Asterisk not booted";

fn refusal(status: u16, reason: &str, message: &str) -> Response {
    let body = serde_json::json!({ "message": message }).to_string();
    Response::new(status, reason, body)
}

impl Runtime {
    /// Does an operation, or what the rules make of it.
    pub(crate) async fn face(&self, request: &Request) -> Outcome {
        let facing = self.judge_request(|| {
            let target = request
                .to_http()
                .map(|http| http.target)
                .unwrap_or_default();
            let path = target.split('?').next().unwrap_or_default().to_owned();
            Asked {
                method: request.operation.method.as_str(),
                path: Cow::Owned(path),
                template: Some(request.operation.path),
            }
        });
        let verdict = match facing {
            Facing::Decided(verdict) => verdict,
            Facing::Booting => {
                return Outcome::Answer(refusal(503, "Service Unavailable", NOT_BOOTED));
            }
        };
        match &verdict.fault {
            Some((_, Fault::Status { code })) => {
                return Outcome::Answer(refusal(*code, Fault::REASON, Fault::MESSAGE));
            }
            Some((_, Fault::HtmlPage { code })) => {
                return Outcome::Answer(Response::new(*code, Fault::REASON, Fault::PAGE));
            }
            _ => {}
        }
        let Some(mut response) = self.perform(request).await else {
            return Outcome::Ended;
        };
        if !verdict.delay.is_zero() {
            tokio::time::sleep(verdict.delay).await;
        }
        match verdict.fault {
            Some((id, Fault::NoAnswer)) => self.fault_ended(id).await,
            Some((_, Fault::Reset)) => return Outcome::Reset,
            Some((_, Fault::TruncatedJson { honest: false })) => {
                return Outcome::BreaksOff(response);
            }
            Some((_, Fault::TruncatedJson { honest: true })) => {
                response.body = truncated(&response.body);
            }
            Some((_, Fault::MalformedJson)) => {
                if response.status == 204 {
                    response.status = 200;
                }
                response.body = Bytes::from_static(Fault::GARBAGE);
            }
            _ => {}
        }
        Outcome::Answer(response)
    }

    pub(crate) fn inject(&self, rule: FaultRule) -> Result<FaultId, FaultError> {
        self.with_core(|core, now| {
            let injected = core.faults.inject(now, rule);
            for seat in core.seats.values() {
                judge(&mut core.faults, seat.sink.valve(), &seat.applications);
            }
            for link in self.links.of_rest() {
                judge(&mut core.faults, &link.valve, &[]);
            }
            injected
        })
    }

    /// Ends one fault; says whether there was one.
    pub(crate) fn clear_fault(&self, id: FaultId) -> bool {
        self.with_core(|core, _| core.faults.clear(id))
    }

    pub(crate) fn clear_faults(&self) {
        self.with_core(|core, _| core.faults.clear_all());
    }

    pub(crate) fn faults(&self) -> Vec<FaultStatus> {
        self.with_core(|core, _| core.faults.list())
    }

    /// Asks about a request; `asked` is made only where there are rules.
    pub(crate) fn judge_request<'a>(&self, asked: impl FnOnce() -> Asked<'a>) -> Facing {
        if *self.reach.borrow() == Reach::Booting {
            return Facing::Booting;
        }
        if self.has_no_faults() {
            return Facing::Decided(Verdict::default());
        }
        let asked = asked();
        Facing::Decided(self.with_core(|core, _| core.faults.request(&asked)))
    }

    /// Asks about a connection that carries a request.
    pub(crate) fn judge_link(&self, link: &Link) {
        link.carries_rest();
        if self.has_no_faults() {
            return;
        }
        self.with_core(|core, _| judge(&mut core.faults, &link.valve, &[]));
    }

    /// Waits until a fault holds nothing any more.
    pub(crate) async fn fault_ended(&self, id: FaultId) {
        loop {
            let ended = self.fault_over.notified();
            if self.with_core(|core, _| !core.faults.stands(id)) {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Does what the rules have decided; says whether there was anything.
    pub(super) fn settle(&self, core: &mut Core, now: SimTime) -> bool {
        let consequences = core.faults.take_consequences();
        let any = !consequences.is_empty();
        for consequence in consequences {
            match consequence {
                Consequence::Release(session, events) => {
                    if let Some(seat) = core.seats.get(&session) {
                        for event in events {
                            seat.sink.send(event);
                        }
                    }
                }
                Consequence::Ended(id, fault) => self.end(core, id, &fault),
                Consequence::Act(id, fault, on) => self.act(core, now, id, fault, &on),
            }
        }
        self.find_reach(core, now);
        any
    }

    fn find_reach(&self, core: &mut Core, now: SimTime) {
        let reach = match core.outage {
            Some(outage) if now < outage.down_until => Reach::Down,
            _ if core.faults.refuses_connections() => Reach::Down,
            Some(outage) if now < outage.boots_until => Reach::Booting,
            _ => Reach::Up,
        };
        core.outage = core
            .outage
            .filter(|outage| outage.next_deadline(now).is_some());
        self.reach.send_if_modified(|known| {
            let changes = *known != reach;
            *known = reach;
            changes
        });
    }

    fn act(&self, core: &mut Core, now: SimTime, id: FaultId, fault: Fault, on: &FaultScope) {
        tracing::info!(fault = fault.name(), "a fault strikes");
        match fault {
            Fault::DropSockets => self.drop_sockets(core, on),
            Fault::ReplaceApplication => {
                for application in core.world.connected_applications() {
                    if on.fits_application(&application) {
                        let thief = core.world.open_session();
                        core.world.register(thief, &application, false);
                        core.thieves.push((id, thief));
                    }
                }
            }
            Fault::Restart {
                down_ms,
                booting_ms,
            } => self.restart(core, now, None, [down_ms, booting_ms]),
            Fault::ChangeEntityId {
                asterisk_id,
                down_ms,
                booting_ms,
            } => self.restart(core, now, Some(asterisk_id), [down_ms, booting_ms]),
            _ => {}
        }
    }

    fn drop_sockets(&self, core: &mut Core, on: &FaultScope) {
        let meant = |seat: &Seat| {
            seat.applications
                .iter()
                .any(|name| on.fits_application(name))
        };
        let sessions: Vec<_> = core
            .seats
            .iter()
            .filter(|(_, seat)| meant(seat))
            .map(|(session, _)| *session)
            .collect();
        for session in sessions {
            self.lose(core, session);
        }
    }

    /// Cuts a session off.
    fn lose(&self, core: &mut Core, session: SessionId) {
        let opened_again = core.seats.get(&session).is_some_and(Seat::is_opened_again);
        if opened_again {
            if let Some(Sink::Socket(socket)) = core.seats.get(&session).map(|seat| &seat.sink) {
                socket.cut.cancel();
            }
            return;
        }
        let Some(seat) = core.seats.remove(&session) else {
            return;
        };
        core.world.close_session(session);
        self.cut(seat.sink);
    }

    fn cut(&self, sink: Sink) {
        match sink {
            Sink::Socket(socket) => socket.cut.cancel(),
            Sink::Local(link) => {
                if link.lost() {
                    self.rejoin(link);
                }
            }
        }
    }

    fn restart(&self, core: &mut Core, now: SimTime, id: Option<String>, millis: [u64; 2]) {
        let [down, booting] = millis.map(Duration::from_millis);
        let down_until = now + down;
        core.outage = Some(Outage {
            down_until,
            boots_until: down_until + booting,
        });
        core.world.restart(now, id);
        core.replies.clear();
        core.thieves.clear();
        for (session, seat) in std::mem::take(&mut core.seats) {
            if let (SeatKind::Persistent { subscribe_all }, Sink::Socket(socket)) =
                (seat.kind, &seat.sink)
            {
                // It is in the configuration, and is opened again: then it hears that it is registered.
                socket.cut.cancel();
                for application in &seat.applications {
                    core.world.register(session, application, subscribe_all);
                }
                core.seats.insert(session, seat);
            } else {
                self.cut(seat.sink);
            }
        }
        for link in self.links.of_clients() {
            link.cut.cancel();
        }
    }

    /// A fault is over: lets go what it held.
    fn end(&self, core: &mut Core, id: FaultId, fault: &Fault) {
        match fault {
            Fault::ReplaceApplication => {
                let thieves = std::mem::take(&mut core.thieves);
                let (over, others): (Vec<_>, _) =
                    thieves.into_iter().partition(|(fault, _)| *fault == id);
                core.thieves = others;
                for (_, thief) in over {
                    core.world.close_session(thief);
                }
            }
            Fault::HalfOpen | Fault::StallReads => {
                let broken: Vec<_> = core
                    .seats
                    .iter()
                    .filter(|(_, seat)| seat.sink.valve().end(id) == Afterwards::Broken)
                    .map(|(session, _)| *session)
                    .collect();
                for session in broken {
                    self.lose(core, session);
                }
                for link in self.links.all() {
                    if link.valve.end(id) == Afterwards::Broken {
                        link.reset();
                    }
                }
            }
            _ => {}
        }
        self.fault_over.notify_waiters();
    }

    /// Makes the connection of a client in process again.
    pub(super) fn rejoin(&self, link: Arc<LocalLink>) {
        let Some(runtime) = self.me.upgrade() else {
            return;
        };
        let rejoining = async move {
            let (stopped, closed) = (runtime.stopped.clone(), link.closed.clone());
            let join = async {
                let mut reach = runtime.reach();
                tokio::time::sleep(RECONNECT).await;
                // The sender lives as long as the runtime: it cannot be closed.
                let _ = reach.wait_for(|reach| *reach == Reach::Up).await;
                if runtime.join(&link) {
                    link.events.router().resynced();
                }
            };
            tokio::select! {
                () = stopped.cancelled() => {}
                () = closed.cancelled() => {}
                () = join => {}
            }
        };
        self.tracker.spawn_on(rejoining, &self.handle);
    }
}

/// Asks about a connection by the rules that were not yet asked about it.
pub(super) fn judge(faults: &mut FaultBook, valve: &Valve, applications: &[String]) {
    if faults.is_empty() {
        return;
    }
    valve.judge(|judged| {
        let (id, fault) = faults.connection(judged, applications)?;
        Some((id, fault == Fault::HalfOpen))
    });
}
