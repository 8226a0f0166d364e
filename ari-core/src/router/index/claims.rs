//! New calls: who gets them, and when no more are taken.

use std::{collections::BTreeSet, sync::Arc, task::Waker};

use super::{
    Index, Interest, Own, Slot,
    early::{EARLY_EVENTS, NOBODY},
};
use crate::{
    endings::LatchState,
    entity::EntityKind,
    event::{Event, Role},
    router::{CallQueue, Claimed, Feed, Queue, Sink, Wakers, feeds::FeedNo},
};

/// Room for the events of a call that nobody has read yet.
const CALL_EVENTS: usize = 1024;

const STASIS_START: &str = "StasisStart";

/// The channel that an event is about.
fn channel_of(event: &Event) -> Option<&str> {
    let mut concerns = event.concerns();
    let channel = concerns
        .find(|concern| concern.kind == EntityKind::Channel && concern.role == Role::Subject)?;
    Some(channel.id)
}

fn warn_of_untaken(start: &Event) {
    let channel = channel_of(start);
    tracing::warn!(channel, "a new call came here and nobody takes it any more");
}

impl Slot {
    /// Whether this stream of calls may take the call that an event announces.
    fn is_taking(&self, event: &Event) -> bool {
        matches!(&self.sink, Sink::Calls(calls) if !calls.is_ended()) && self.interest.takes(event)
    }

    /// Whether this stream of calls takes one only if there is no other that has room.
    fn is_full(&self) -> bool {
        matches!(&self.sink, Sink::Calls(calls) if calls.is_full())
    }
}

impl Own {
    /// Whether the entity is no news when it enters the application that an event names. A call that is moved to
    /// another application is a new call there.
    fn covers(&self, event: &Event) -> bool {
        match self {
            Self::Created | Self::Call(None) => true,
            Self::Call(Some(application)) => event
                .application()
                .is_none_or(|name| name == &**application),
        }
    }
}

impl Index {
    /// Hands a new call to the next stream of calls, with its events already flowing; where nobody has asked for calls
    /// yet, it is kept.
    ///
    /// A channel that this client created, and holds the handle of, is not a new call; nor is a call that comes back
    /// to its application.
    pub(super) fn announce(&mut self, feed: &Feed, start: &Event, wakers: &mut Wakers) {
        let announces = !self.closed && start.kind() == STASIS_START;
        let Some(id) = channel_of(start).filter(|_| announces) else {
            return;
        };
        self.forget_over();
        if self.is_own(id, start) {
            return;
        }
        if !self.has_taker(feed, start) {
            if self.is_heard(start) {
                return;
            }
            if !self.local || !self.early.keeps(start.application()) {
                warn_of_untaken(start);
                return;
            }
        }
        let call = self.watch(feed, start, id.into());
        let call = self.hand_over(feed, call, wakers);
        let given_up = call.and_then(|call| self.early.keep(feed.clone(), call));
        if let Some(call) = given_up {
            self.forget(&call);
        }
    }

    /// Subscribes to what a new call needs, for nobody yet.
    fn watch(&mut self, feed: &Feed, start: &Event, id: Arc<str>) -> Claimed {
        let interest = Interest {
            entity: Some((EntityKind::Channel, Arc::clone(&id))),
            asterisk_id: start.asterisk_id().map(Arc::from),
            ..Interest::new(self.events_feed(feed))
        };
        let events = Arc::new(Queue::new(EARLY_EVENTS));
        let ending = Arc::new(LatchState::new(EntityKind::Channel, id));
        let mut add = |sink| {
            let feed = self.feeds.acquire(&interest.feed, self.local);
            self.insert(Slot {
                interest: interest.clone(),
                feed,
                scope: NOBODY,
                sink,
                missed: false,
                own: Some(Own::Call(start.application().map(Arc::from))),
            })
        };
        let events_slot = add(Sink::CallEvents(Arc::clone(&events), start.clone()));
        let ending_slot = add(Sink::Latch(Arc::clone(&ending)));
        Claimed {
            start: start.clone(),
            events,
            events_slot,
            ending,
            ending_slot,
        }
    }

    /// Releases what was subscribed to for a call.
    fn forget(&mut self, call: &Claimed) {
        self.remove(call.events_slot);
        self.remove(call.ending_slot);
    }

    /// Hands a call to the stream of calls whose turn it is; gives it back where there is none.
    fn hand_over(&mut self, feed: &Feed, call: Claimed, wakers: &mut Wakers) -> Option<Claimed> {
        let number = self.feeds.number(feed);
        let taker = number.and_then(|number| self.next_taker(number, &call.start));
        let taker = taker.and_then(|number| self.slot(number));
        let Some(Slot {
            scope,
            sink: Sink::Calls(calls),
            ..
        }) = taker
        else {
            return Some(call);
        };
        let (scope, calls) = (*scope, Arc::clone(calls));
        // Where the feed cannot be paused, a queue that nobody reads must not grow with every call there is.
        if self.local && calls.is_full() {
            for over in calls.take_over() {
                self.forget(&over);
            }
        }
        for number in [call.events_slot, call.ending_slot] {
            if let Some(Some(slot)) = self.slots.get_mut(number as usize) {
                self.held.remove(&(slot.scope, number));
                self.held.insert((scope, number));
                slot.scope = scope;
            }
        }
        call.events.widen(CALL_EVENTS);
        wakers.extend(calls.push(call));
        wakers.extend(self.flow(feed, &calls));
        None
    }

    /// Whether there is a stream of calls that takes this one.
    fn has_taker(&self, feed: &Feed, start: &Event) -> bool {
        let takes = |number| {
            let slot: Option<&Slot> = self.slot(number);
            slot.is_some_and(|slot| slot.is_taking(start))
        };
        self.feeds.number(feed).is_some_and(|feed| {
            let mut streams = self.calls.range((feed, 0)..=(feed, u32::MAX));
            streams.any(|(_, number)| takes(*number))
        })
    }

    /// The stream of calls whose turn it is; one that is full only if all are.
    fn next_taker(&mut self, feed: FeedNo, event: &Event) -> Option<u32> {
        let streams = self
            .calls
            .range((feed, 0)..=(feed, u32::MAX))
            .map(|(_, slot)| *slot);
        let mut takers: Vec<(bool, u32)> = streams
            .filter_map(|number| {
                let slot = self.slot(number).filter(|slot| slot.is_taking(event))?;
                Some((slot.is_full(), number))
            })
            .collect();
        if takers.iter().any(|(full, _)| !full) {
            takers.retain(|(full, _)| !full);
        }
        let mut turns = takers.iter().map(|(_, number)| *number);
        let next = turns
            .clone()
            .find(|number| *number > self.last_caller)
            .or_else(|| turns.next())?;
        self.last_caller = next;
        Some(next)
    }

    /// Hands calls whose stream was removed before they were read to another one, with the events that came since.
    pub(super) fn hand_on(&mut self, wakers: &mut Wakers) {
        for (feed, call) in std::mem::take(&mut self.untaken) {
            if let Some(call) = self.hand_over(&feed, call, wakers) {
                warn_of_untaken(&call.start);
                self.forget(&call);
            }
        }
    }

    /// Whether somebody listens to new calls by events.
    fn is_heard(&self, start: &Event) -> bool {
        let everything = self.local.then(|| self.feeds.number(&Feed::All)).flatten();
        let listens = |rows: &BTreeSet<(FeedNo, u32)>| {
            everything.is_some_and(|feed| {
                rows.range((feed, 0)..=(feed, u32::MAX))
                    .filter_map(|(_, number)| self.slot(*number))
                    .any(|slot| slot.interest.takes(start))
            })
        };
        listens(&self.broad) || self.kinds.get(STASIS_START).is_some_and(listens)
    }

    /// Hands the calls that are kept of a feed to its first stream that takes them.
    pub(super) fn hand_over_early(&mut self, feed: &Feed, wakers: &mut Wakers) {
        self.forget_over();
        for call in self.early.take(|of, _| of == feed) {
            if let Some(call) = self.hand_over(feed, call, wakers) {
                self.early.keep(feed.clone(), call);
            }
        }
    }

    /// Forgets the calls that are kept and over: they are no new calls any more.
    fn forget_over(&mut self) {
        for over in self.early.take(|_, call| call.ending.is_over()) {
            self.forget(&over);
        }
    }

    /// Forgets every call that is kept.
    pub(super) fn forget_early(&mut self) {
        for call in self.early.take(|_, _| true) {
            self.forget(&call);
        }
    }

    /// Whether the channel that this event is about was created by this client, or is a call of this application that
    /// it was handed, and somebody holds its handle still.
    fn is_own(&self, id: &str, event: &Event) -> bool {
        let Some(rows) = self.entities.get(id) else {
            return false;
        };
        rows.iter().any(|(_, kind, number)| {
            *kind == EntityKind::Channel
                && self.slot(*number).is_some_and(|slot| {
                    slot.own.as_ref().is_some_and(|own| own.covers(event))
                        && matches!(slot.sink, Sink::Latch(_))
                        && slot.interest.takes(event)
                })
        })
    }

    /// The feed that carries the events of calls of this feed.
    fn events_feed(&self, calls: &Feed) -> Feed {
        match calls {
            Feed::Calls { application, .. } if !self.local => {
                Feed::Application(Arc::clone(application))
            }
            _ => Feed::All,
        }
    }

    pub(crate) fn calls_flow(&mut self, slot: u32, sink: &Sink) -> Option<Waker> {
        let held = self.slot(slot).filter(|held| held.sink.is(sink))?;
        let Sink::Calls(calls) = &held.sink else {
            return None;
        };
        let (feed, calls) = (held.interest.feed.clone(), Arc::clone(calls));
        self.flow(&feed, &calls)
    }

    /// Notes that a stream of calls got or lost one, or was stopped.
    ///
    /// Calls that are on their way still come, so a stream that was stopped ends when the transport
    /// says that they are in, or at once where they are in already or another stream goes on with the
    /// feed.
    fn flow(&mut self, feed: &Feed, changed: &Arc<CallQueue>) -> Option<Waker> {
        let all_stopped = self.set_pause(feed)?;
        let at_once =
            changed.is_stopped() && (self.local || !all_stopped || self.feeds.is_drained(feed));
        if at_once { changed.end() } else { None }
    }

    /// Pauses a feed of new calls while every stream of it is full or takes no more; gives whether all
    /// are stopped.
    pub(super) fn set_pause(&mut self, feed: &Feed) -> Option<bool> {
        let number = self.feeds.number(feed)?;
        let (mut paused, mut stopped) = (true, true);
        for calls in self.call_queues(number) {
            paused &= calls.is_full() || calls.is_stopped();
            stopped &= calls.is_stopped();
        }
        self.feeds.pause(feed, paused, self.local);
        Some(stopped)
    }

    fn call_queues(&self, feed: FeedNo) -> impl Iterator<Item = &Arc<CallQueue>> {
        self.calls
            .range((feed, 0)..=(feed, u32::MAX))
            .filter_map(|(_, slot)| match &self.slot(*slot)?.sink {
                Sink::Calls(calls) => Some(calls),
                _ => None,
            })
    }

    /// Ends the streams of calls that were stopped, now that nothing is on its way to them.
    pub(crate) fn drained(&mut self, feed: &Feed, wakers: &mut Wakers) {
        let Some(number) = self.feeds.number(feed) else {
            return;
        };
        self.feeds.note_drained(feed);
        self.end_stopped(number, wakers);
    }

    pub(super) fn end_stopped(&self, feed: FeedNo, wakers: &mut Wakers) {
        let stopped = self.call_queues(feed).filter(|calls| calls.is_stopped());
        wakers.extend(stopped.filter_map(|calls| calls.end()));
    }
}
