//! New calls.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;

use crate::{
    endings::Latch,
    entity::{Entity, EntityKind, Metadata},
    error::{Error, Result},
    event::{Event, Role},
    events::EventBody,
    handle::{ChannelHandle, Handle},
    router::{CallQueue, Claimed, Interest, Registration, Sink},
    scope::Through,
    stream::Events,
};

/// New calls that this client has taken before they are read; then it takes no more.
///
/// Where every worker is full, a call has nobody: there is room for a burst that one worker cannot read at once.
const WAITING_CALLS: usize = 1_024;

/// The stream of new calls of an application.
///
/// Each call reaches exactly one worker of the cluster. A channel that this client created, and holds
/// the handle of, is no new call, nor is a call that comes back to the application while its handle is held; one that
/// is moved to another application is a new call of that one.
///
/// Connected to one Asterisk, the first stream of an application also has the calls that came between the connection
/// and itself, unless something else listened to them: 1,024 calls, the oldest of which are given up where there are
/// more, which the log says once, each with its first 64 events.
///
/// What was not read when it is dropped goes to another stream of this client; where there is none, those callers have
/// nobody, which the log says. [`stop`](Self::stop) comes before the drop.
///
/// It has no gaps: a call that began while the connection was lost is not in it. Connected to one Asterisk, the log then
/// names the channels in Stasis that the application hears of and that nothing in the program is about; where it hears of
/// all channels, those that entered it first, although they may have been moved since. A program that cannot do
/// without these calls lists the channels once its other streams are resynced.
#[must_use = "a stream does nothing unless it is read"]
pub struct Calls {
    queue: Arc<CallQueue>,
    registration: Registration,
    _events: Registration,
    through: Through,
}

impl Calls {
    /// Takes no more calls: the stream gives those that were taken already, and ends.
    ///
    /// This is the first step of a worker that leaves: stop, finish the calls that are there, close.
    pub fn stop(&self) {
        self.queue.stop();
        self.flow();
    }

    fn flow(&self) {
        self.registration
            .router
            .calls_flow(self.registration.slot, &self.registration.sink);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("stopped", &self.queue.is_stopped())
            .finish_non_exhaustive()
    }
}

impl Stream for Calls {
    type Item = IncomingCall;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<IncomingCall>> {
        let Some(claimed) = std::task::ready!(self.queue.poll(context)) else {
            return Poll::Ready(None);
        };
        self.flow();
        Poll::Ready(Some(IncomingCall::new(
            claimed,
            &self.registration,
            &self.through,
        )))
    }
}

/// A new call, with the events of its channel already flowing.
#[derive(Debug)]
pub struct IncomingCall {
    channel: ChannelHandle,
    start: Event,
    events: Events,
}

impl IncomingCall {
    fn new(claimed: Claimed, by: &Registration, through: &Through) -> Self {
        let Claimed {
            start,
            events,
            events_slot,
            ending,
            ending_slot,
        } = claimed;
        let register = |slot, sink| Registration {
            router: by.router.clone(),
            slot,
            sink,
        };
        let events_registration = register(events_slot, Sink::Queue(Arc::clone(&events)));
        let ending = Latch::new(
            Arc::clone(&ending),
            register(ending_slot, Sink::Latch(ending)),
        );
        let id = start
            .concerns()
            .find(|concern| concern.kind == EntityKind::Channel && concern.role == Role::Subject)
            .map_or("", |concern| concern.id);
        let entity = Entity::new(
            EntityKind::Channel,
            id,
            start.metadata().or(through.target()),
        );
        let snapshot = match start.body() {
            Ok(EventBody::StasisStart(body)) => body.channel.clone(),
            _ => None,
        };
        let channel = ChannelHandle::assemble(through, entity.clone(), snapshot, Some(ending));
        let events = Events::new(
            events,
            events_registration,
            channel.through.clone(),
            Some(entity),
        );
        Self {
            channel,
            start,
            events,
        }
    }

    /// The channel; it knows its application, its Asterisk and its dialog.
    pub fn channel(&self) -> ChannelHandle {
        self.channel.clone()
    }

    /// The `StasisStart` that announced the call.
    pub const fn event(&self) -> &Event {
        &self.start
    }

    /// The arguments that the dialplan gave to the application.
    pub fn args(&self) -> Vec<String> {
        match self.start.body() {
            Ok(EventBody::StasisStart(body)) => body.args.clone(),
            _ => Vec::new(),
        }
    }

    /// The events of the channel since it entered the application, none of them missed.
    pub const fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Takes the call apart into the channel and its events.
    pub fn into_parts(self) -> (ChannelHandle, Events) {
        (self.channel, self.events)
    }
}

/// Subscribes to the events of the application, then takes its calls.
pub(crate) async fn subscribe(through: &Through) -> Result<Calls> {
    let (application, events) = {
        let scope = through.scope()?;
        let target = through.target().clone().or(&scope.client().identity());
        let application = target.application.ok_or_else(|| {
            Error::InvalidRequest(
                "calls() needs an application: connect as one, or use for_application()".into(),
            )
        })?;
        let everywhere = Metadata {
            application: Some(Arc::clone(&application)),
            ..Metadata::default()
        };
        let feed = scope.client().feed(&everywhere);
        let interest = Interest::new(feed);
        let router = scope.client().router();
        (
            application,
            router
                .subscribe(scope.id(), interest, Sink::Keep(Arc::default()))
                .ok_or(Error::Closed)?,
        )
    };
    // The events must flow before the first call is taken: what happens to it next is not missed then.
    let kept = events.registration;
    through.ready(events.wait).await?;
    let queue = Arc::new(CallQueue::new(WAITING_CALLS));
    let calls = {
        let scope = through.scope()?;
        let asterisk_id = through.target().asterisk_id.clone();
        let router = scope.client().router();
        let feed = router.calls_feed(Arc::clone(&application), asterisk_id.clone());
        let interest = Interest {
            application: Some(application),
            asterisk_id,
            ..Interest::new(feed)
        };
        let sink = Sink::Calls(Arc::clone(&queue));
        router
            .subscribe(scope.id(), interest, sink)
            .ok_or(Error::Closed)?
    };
    let registration = calls.registration;
    through.ready(calls.wait).await?;
    Ok(Calls {
        queue,
        registration,
        _events: kept,
        through: through.clone(),
    })
}
