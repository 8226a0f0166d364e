//! New calls: who gets them, and when no more are taken.

use std::{collections::BTreeSet, sync::Arc, task::Waker};

use super::{Index, Interest, Own, Slot};
use crate::{
    endings::LatchState,
    entity::EntityKind,
    event::{Event, Role},
    router::{CallQueue, Claimed, Feed, Queue, Sink, Wakers, feeds::FeedNo},
};

/// Room for the events of a call that nobody has read yet.
const CALL_EVENTS: usize = 1024;

const STASIS_START: &str = "StasisStart";

/// What sees the events of a call that was claimed.
pub(super) struct Watch {
    events: Arc<Queue>,
    ending: Arc<LatchState>,
}

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
    /// Hands a new call to the next stream of calls, with its events already flowing.
    ///
    /// A channel that this client created, and holds the handle of, is not a new call; nor is a call that comes back
    /// to its application.
    pub(super) fn claim(
        &mut self,
        feed: FeedNo,
        event: &Event,
        wakers: &mut Wakers,
    ) -> Option<Watch> {
        let id = channel_of(event).filter(|_| event.kind() == STASIS_START)?;
        if self.is_own(id, event) {
            return None;
        }
        let Some(number) = self.next_taker(feed, event) else {
            if !self.local {
                warn_of_untaken(event);
            }
            return None;
        };
        let Some(Slot {
            scope,
            sink: Sink::Calls(calls),
            interest,
            ..
        }) = self.slot(number)
        else {
            return None;
        };
        let (scope, calls, calls_feed) = (*scope, Arc::clone(calls), interest.feed.clone());
        // Where the feed cannot be paused, a queue that nobody reads must not grow with every call there is.
        if self.local && calls.is_full() {
            for over in calls.take_over() {
                self.remove(over.events_slot);
                self.remove(over.ending_slot);
            }
        }
        let id: Arc<str> = id.into();
        let interest = Interest {
            entity: Some((EntityKind::Channel, Arc::clone(&id))),
            asterisk_id: event.asterisk_id().map(Arc::from),
            ..Interest::new(self.events_feed(&calls_feed))
        };
        let events = Arc::new(Queue::new(CALL_EVENTS));
        let ending = Arc::new(LatchState::new(EntityKind::Channel, id));
        let local = self.local;
        let mut add = |sink| {
            let feed = self.feeds.acquire(&interest.feed, local);
            self.insert(Slot {
                interest: interest.clone(),
                feed,
                scope,
                sink,
                missed: false,
                own: Some(Own::Call(event.application().map(Arc::from))),
            })
        };
        let events_slot = add(Sink::CallEvents(Arc::clone(&events), event.clone()));
        let ending_slot = add(Sink::Latch(Arc::clone(&ending)));
        let claimed = Claimed {
            start: event.clone(),
            events: Arc::clone(&events),
            events_slot,
            ending: Arc::clone(&ending),
            ending_slot,
        };
        wakers.extend(calls.push(claimed));
        wakers.extend(self.flow(&calls_feed, &calls));
        Some(Watch { events, ending })
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
            let number = self.feeds.number(&feed);
            let taker = number.and_then(|number| self.next_taker(number, &call.start));
            let taker = taker.and_then(|number| self.slot(number));
            let Some(Slot {
                scope,
                sink: Sink::Calls(calls),
                ..
            }) = taker
            else {
                warn_of_untaken(&call.start);
                self.remove(call.events_slot);
                self.remove(call.ending_slot);
                continue;
            };
            let (scope, calls) = (*scope, Arc::clone(calls));
            for number in [call.events_slot, call.ending_slot] {
                if let Some(Some(slot)) = self.slots.get_mut(number as usize) {
                    self.held.remove(&(slot.scope, number));
                    self.held.insert((scope, number));
                    slot.scope = scope;
                }
            }
            wakers.extend(calls.push(call));
            wakers.extend(self.flow(&feed, &calls));
        }
    }

    /// Keeps a call that came before anybody could take it, unless somebody listens to calls by events.
    pub(super) fn keep_early(&mut self, event: &Event) {
        let Some(id) = channel_of(event).filter(|_| event.kind() == STASIS_START) else {
            return;
        };
        if !self.local {
            warn_of_untaken(event);
            return;
        }
        let everything = self.feeds.number(&Feed::All);
        let listens = |rows: &BTreeSet<(FeedNo, u32)>| {
            everything.is_some_and(|feed| {
                rows.range((feed, 0)..=(feed, u32::MAX))
                    .filter_map(|(_, number)| self.slot(*number))
                    .any(|slot| slot.interest.takes(event))
            })
        };
        let heard = listens(&self.broad) || self.kinds.get(STASIS_START).is_some_and(listens);
        if !heard && !self.is_own(id, event) {
            self.early.keep(id, event);
        }
    }

    /// Hands the calls that are kept of a feed to its first stream, with the events that came since.
    pub(super) fn hand_over_early(&mut self, name: &Feed, feed: FeedNo, wakers: &mut Wakers) {
        let Feed::Calls { application, .. } = name else {
            return;
        };
        for call in self.early.serve(application) {
            let mut events = call.iter();
            let watch = events
                .next()
                .and_then(|start| self.claim(feed, start, wakers));
            let Some(watch) = watch else { continue };
            for event in events {
                self.sequence += 1;
                wakers.extend(watch.events.push(event, self.sequence));
                watch.ending.see(event);
            }
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
