//! Sockets that Asterisk opens itself: applications of its own accord, and one socket for each call.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    SimTime, Timer, World,
    application::SessionId,
    call_record::HangupParty,
    channel::{ChannelKey, Run},
    events::Delivery,
    json::Json,
    stasis::arguments,
};

/// How long after `StasisEnd` the socket of a call is closed.
const CLOSED_AFTER: Duration = Duration::from_secs(3);

/// How often Asterisk looks whether the socket of a call is open. The first time it never is.
const LOOKED_EVERY: Duration = Duration::from_millis(500);

/// Names the description of the sockets for calls, to be named in [`World::add_per_call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PerCallId(u64);

/// What the world wants done about the sockets of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerCallAction {
    /// A socket is to be opened for a call. The application is to be registered with
    /// [`World::register_outbound`], and the end of the attempt told with [`World::per_call_connected`] or
    /// [`World::per_call_failed`].
    Open {
        /// Session of the socket.
        session: SessionId,
        /// Which description of sockets it is opened by.
        id: PerCallId,
        /// Application of the call: the one of the dialplan, a colon, the name of the channel.
        application: Arc<str>,
    },
    /// The call is over, and the socket is to be closed.
    Close {
        /// Session of the socket.
        session: SessionId,
    },
}

/// A call with a socket of its own.
#[derive(Debug)]
struct PerCall {
    channel: ChannelKey,
    application: Arc<str>,
    args: String,
    /// When its socket was wanted.
    since: SimTime,
    /// Its socket was open: the call is in the application, or is to enter it.
    begun: bool,
}

/// The sockets that Asterisk opens.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    ids: u64,
    per_call: Vec<(PerCallId, Vec<String>)>,
    calls: HashMap<SessionId, PerCall>,
    actions: VecDeque<PerCallAction>,
}

impl Outbound {
    /// What is left after a restart: the configuration; the calls are gone, and their sockets go.
    pub(crate) fn restarted(mut self) -> Self {
        let closed = self.calls.drain();
        let closed = closed.map(|(session, _)| PerCallAction::Close { session });
        self.actions.extend(closed);
        self
    }
}

impl World {
    /// Registers an application of a socket that Asterisk opens. One that is new is told that it is
    /// registered; of one that was there before its old socket hears `ApplicationReplaced`.
    pub fn register_outbound(
        &mut self,
        session: SessionId,
        application: &str,
        subscribe_all: bool,
    ) {
        let known = self.app_by_name(application).is_some();
        self.register(session, application, subscribe_all);
        if !known {
            self.tell_session(session, application, "ApplicationRegistered");
        }
    }

    /// Tells a socket that was opened again that its applications are registered: all that are configured, by
    /// name, even those that somebody else has taken over.
    pub fn registered_again(&mut self, session: SessionId, applications: &[String]) {
        let mut applications: Vec<_> = applications.iter().collect();
        applications.sort();
        for application in applications {
            self.tell_session(session, application, "ApplicationRegistered");
        }
    }

    /// Ends a session of a socket that Asterisk opened, which is told so.
    pub fn unregister_outbound(&mut self, session: SessionId) {
        let applications = self.applications_of(session);
        self.close_session(session);
        for application in applications {
            self.tell_session(session, &application, "ApplicationUnregistered");
        }
    }

    /// Lets calls for these applications have a socket of their own each, as long as nobody else is
    /// registered for the application.
    pub fn add_per_call(&mut self, applications: Vec<String>) -> PerCallId {
        self.outbound.ids += 1;
        let id = PerCallId(self.outbound.ids);
        self.outbound.per_call.push((id, applications));
        id
    }

    /// Takes back [`add_per_call`](Self::add_per_call); calls that have their socket keep it.
    pub fn remove_per_call(&mut self, id: PerCallId) {
        self.outbound.per_call.retain(|(known, _)| *known != id);
    }

    /// What is to be done next about the sockets of calls.
    pub fn poll_per_call(&mut self) -> Option<PerCallAction> {
        self.outbound.actions.pop_front()
    }

    pub(crate) fn has_per_call_actions(&self) -> bool {
        !self.outbound.actions.is_empty()
    }

    /// The socket of a call is open: the call enters the application when Asterisk looks next.
    pub fn per_call_connected(&mut self, now: SimTime, session: SessionId) {
        self.advance(now);
        let Some(call) = self.outbound.calls.get_mut(&session) else {
            return;
        };
        if std::mem::replace(&mut call.begun, true) {
            return;
        }
        let mut at = call.since + LOOKED_EVERY;
        while at < now {
            at = at + LOOKED_EVERY;
        }
        self.timers.set(at, Timer::PerCallBegins(session));
    }

    /// Asterisk has seen that the socket of a call is open.
    pub(crate) fn begin_call(&mut self, session: SessionId) {
        let Some(call) = self.outbound.calls.get_mut(&session) else {
            return;
        };
        let (channel, args) = (call.channel, std::mem::take(&mut call.args));
        let application = Arc::clone(&call.application);
        let waits = self
            .channels
            .get(channel)
            .is_some_and(|channel| !channel.ending);
        match self.active_app(&application) {
            Some(app) if waits => self.start_stasis(channel, app, arguments(&args)),
            _ => self.close_per_call(session),
        }
    }

    /// The socket of a call cannot be opened, or not again: the call goes back to the dialplan.
    pub fn per_call_failed(&mut self, now: SimTime, session: SessionId) {
        self.advance(now);
        let Some(call) = self.outbound.calls.remove(&session) else {
            return;
        };
        let key = call.channel;
        self.end_stasis(key);
        self.close_session(session);
        let action = PerCallAction::Close { session };
        self.outbound.actions.push_back(action);
        let Some(channel) = self.channels.get_mut(key).filter(|channel| !channel.ending) else {
            return;
        };
        let (place, script) = (channel.place.clone(), channel.call());
        let has_dialplan = channel.has_dialplan && script.is_none();
        self.write_variable(key, "STASISSTATUS", Some("FAILED"), false);
        if has_dialplan {
            self.leave_bridge(key, true);
            self.run_dialplan(key, &place.context, &place.exten, place.priority + 1);
            return;
        }
        if let Some(script) = script {
            self.call_hung_up(script, HangupParty::Dialplan);
        }
        self.end_channel(key);
    }

    /// Lets a channel wait for a socket of its own, if calls of the application have one.
    pub(crate) fn begin_per_call(&mut self, key: ChannelKey, app: &str, args: &str) -> bool {
        let wanted = |(_, apps): &&(PerCallId, Vec<String>)| apps.iter().any(|known| known == app);
        let Some(id) = self
            .outbound
            .per_call
            .iter()
            .find(wanted)
            .map(|(id, _)| *id)
        else {
            return false;
        };
        let Some(channel) = self.channels.get_mut(key) else {
            return false;
        };
        if self.app_names.contains_key(app) {
            return false;
        }
        channel.run = Run::Nothing;
        let application: Arc<str> = format!("{app}:{}", channel.name).into();
        let session = self.open_session();
        let call = PerCall {
            channel: key,
            application: Arc::clone(&application),
            args: args.to_owned(),
            since: self.now,
            begun: false,
        };
        self.outbound.calls.insert(session, call);
        self.outbound.actions.push_back(PerCallAction::Open {
            session,
            id,
            application,
        });
        true
    }

    /// A channel is no longer in its application: if it had a socket of its own, that is closed soon.
    pub(crate) fn stasis_ended(&mut self, key: ChannelKey, session: Option<SessionId>) {
        let Some(session) = session else { return };
        let calls = &self.outbound.calls;
        if calls.get(&session).is_some_and(|call| call.channel == key) {
            let at = self.now + CLOSED_AFTER;
            self.timers.set(at, Timer::PerCallEnds(session));
        }
    }

    pub(crate) fn close_per_call(&mut self, session: SessionId) {
        if self.outbound.calls.remove(&session).is_some() {
            self.close_session(session);
            let action = PerCallAction::Close { session };
            self.outbound.actions.push_back(action);
        }
    }

    fn tell_session(&mut self, session: SessionId, application: &str, kind: &str) {
        let mut json = Json::new();
        self.head(&mut json, kind);
        json.text("application", application)
            .text("asterisk_id", self.asterisk_id());
        self.outbox.push_back(Delivery {
            session,
            application: Arc::from(application),
            event: Bytes::from(json.finish()),
        });
    }
}
