//! Which subscription is interested in what.
//!
//! Rows live in ordered sets, so that the end of a subscription costs the logarithm of their number
//! and dropping ten thousand is not quadratic.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    task::Waker,
};

use tokio_util::sync::CancellationToken;

use super::{
    Feed, FeedWait, RouterCounts,
    feeds::{FeedNo, Feeds},
    queue::{End, Queue},
    sink::{CallQueue, Claimed, Sink},
};
use crate::{
    endings::{self, Finality, LatchState},
    entity::EntityKind,
    event::{Event, Role},
};

/// Room for the events of a call that nobody has read yet.
const CALL_EVENTS: usize = 1024;

pub(crate) type ScopeId = u64;

/// What a subscription is interested in.
#[derive(Clone, Debug)]
pub(crate) struct Interest {
    /// Source of its events.
    pub(crate) feed: Feed,
    /// Entity that they must concern.
    pub(crate) entity: Option<(EntityKind, Arc<str>)>,
    /// Type that they must have.
    pub(crate) kind: Option<&'static str>,
    /// Application that they must be for.
    pub(crate) application: Option<Arc<str>>,
    /// Asterisk that they must come from.
    pub(crate) asterisk_id: Option<Arc<str>>,
}

impl Interest {
    pub(crate) const fn new(feed: Feed) -> Self {
        Self {
            feed,
            entity: None,
            kind: None,
            application: None,
            asterisk_id: None,
        }
    }

    fn takes(&self, event: &Event) -> bool {
        fn fits(wanted: Option<&str>, is: Option<&str>) -> bool {
            wanted.is_none() || is.is_none() || wanted == is
        }
        (self.kind.is_none_or(|kind| kind == event.kind()) || self.is_final(event))
            && fits(self.application.as_deref(), event.application())
            && fits(self.asterisk_id.as_deref(), event.asterisk_id())
    }
}

impl Interest {
    /// Whether the event may end the entity: then every stream of it must see it.
    fn is_final(&self, event: &Event) -> bool {
        let entity = self.entity.as_ref();
        entity.is_some_and(|(kind, id)| endings::finality(*kind, id, event) != Finality::Goes)
    }
}

struct Slot {
    interest: Interest,
    feed: FeedNo,
    scope: ScopeId,
    sink: Sink,
}

impl Slot {
    /// Whether this stream of calls takes the call that an event announces.
    fn is_taking(&self, event: &Event) -> bool {
        matches!(&self.sink, Sink::Calls(calls) if !calls.is_stopped())
            && self.interest.takes(event)
    }
}

struct Scope {
    parent: Option<ScopeId>,
    token: CancellationToken,
}

#[derive(Default)]
pub(crate) struct Index {
    pub(crate) feeds: Feeds,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// By id; two Asterisks may use the same one, so feed and kind are part of the row.
    entities: HashMap<Arc<str>, BTreeSet<(FeedNo, EntityKind, u32)>>,
    kinds: HashMap<&'static str, BTreeSet<(FeedNo, u32)>>,
    broad: BTreeSet<(FeedNo, u32)>,
    calls: BTreeSet<(FeedNo, u32)>,
    /// The stream of calls that got the last one; the next one is next.
    last_caller: u32,
    scopes: HashMap<ScopeId, Scope>,
    children: BTreeSet<(ScopeId, ScopeId)>,
    held: BTreeSet<(ScopeId, u32)>,
    last_scope: ScopeId,
    sequence: u64,
    local: bool,
    closed: bool,
}

impl Index {
    pub(crate) fn has_changes(&self) -> bool {
        self.feeds.has_changes()
    }

    pub(crate) fn counts(&self) -> RouterCounts {
        RouterCounts {
            subscriptions: self.slots.len() - self.free.len(),
            feeds: self.feeds.len(),
            scopes: self.scopes.len(),
        }
    }

    pub(crate) fn open_scope(
        &mut self,
        parent: Option<ScopeId>,
    ) -> Option<(ScopeId, CancellationToken)> {
        if self.closed || parent.is_some_and(|parent| !self.scopes.contains_key(&parent)) {
            return None;
        }
        self.last_scope += 1;
        let token = CancellationToken::new();
        self.scopes.insert(
            self.last_scope,
            Scope {
                parent,
                token: token.clone(),
            },
        );
        if let Some(parent) = parent {
            self.children.insert((parent, self.last_scope));
        }
        Some((self.last_scope, token))
    }

    /// Ends a scope and all below it; gives the tokens to cancel once the lock is released.
    pub(crate) fn end_scope(
        &mut self,
        scope: ScopeId,
        wakers: &mut Vec<Waker>,
    ) -> Vec<CancellationToken> {
        let mut tokens = Vec::new();
        let mut ending = vec![scope];
        while let Some(id) = ending.pop() {
            let Some(scope) = self.scopes.remove(&id) else {
                continue;
            };
            if let Some(parent) = scope.parent {
                self.children.remove(&(parent, id));
            }
            tokens.push(scope.token);
            ending.extend(
                self.children
                    .range((id, 0)..=(id, ScopeId::MAX))
                    .map(|(_, child)| *child),
            );
            let held: Vec<u32> = self
                .held
                .range((id, 0)..=(id, u32::MAX))
                .map(|(_, slot)| *slot)
                .collect();
            for slot in held {
                if let Some(sink) = self.remove(slot) {
                    wakers.extend(sink.end(End::Closed));
                }
            }
        }
        if self.scopes.capacity() > 64 && self.scopes.len() < self.scopes.capacity() / 4 {
            self.scopes.shrink_to_fit();
        }
        tokens
    }

    pub(crate) fn close(&mut self, wakers: &mut Vec<Waker>) -> Vec<CancellationToken> {
        self.closed = true;
        let roots: Vec<ScopeId> = self
            .scopes
            .iter()
            .filter(|(_, scope)| scope.parent.is_none())
            .map(|(id, _)| *id)
            .collect();
        roots
            .into_iter()
            .flat_map(|root| self.end_scope(root, wakers))
            .collect()
    }

    pub(crate) fn subscribe(
        &mut self,
        scope: ScopeId,
        interest: Interest,
        sink: Sink,
        local: bool,
    ) -> Option<(u32, FeedWait)> {
        if !self.scopes.contains_key(&scope) {
            return None;
        }
        self.local = local;
        let (feed, wait) = self.feeds.acquire(&interest.feed, local);
        let slot = Slot {
            interest,
            feed,
            scope,
            sink,
        };
        Some((self.insert(slot), wait))
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let feed = slot.feed;
        self.held.insert((slot.scope, number));
        match (&slot.interest.entity, slot.interest.kind) {
            _ if matches!(slot.sink, Sink::Keep(_)) => {}
            _ if matches!(slot.sink, Sink::Calls(_)) => {
                self.calls.insert((feed, number));
            }
            (Some((kind, id)), _) => {
                self.entities
                    .entry(Arc::clone(id))
                    .or_default()
                    .insert((feed, *kind, number));
            }
            (None, Some(kind)) => {
                self.kinds.entry(kind).or_default().insert((feed, number));
            }
            (None, None) => {
                self.broad.insert((feed, number));
            }
        }
        if let Some(place) = self.slots.get_mut(number as usize) {
            *place = Some(slot);
        }
        number
    }

    /// Releases a subscription, unless its slot has been given to another one since.
    pub(crate) fn release(&mut self, slot: u32, sink: &Sink) {
        let same = self.slot(slot).is_some_and(|held| held.sink.is(sink));
        if same {
            self.remove(slot);
        }
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn remove(&mut self, number: u32) -> Option<Sink> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        self.free.push(number);
        self.held.remove(&(slot.scope, number));
        match (&slot.interest.entity, slot.interest.kind) {
            _ if matches!(slot.sink, Sink::Keep(_)) => {}
            _ if matches!(slot.sink, Sink::Calls(_)) => {
                self.calls.remove(&(slot.feed, number));
            }
            (Some((kind, id)), _) => {
                let empty = self.entities.get_mut(id).is_some_and(|rows| {
                    rows.remove(&(slot.feed, *kind, number));
                    rows.is_empty()
                });
                if empty {
                    self.entities.remove(id);
                }
            }
            (None, Some(kind)) => {
                if let Some(rows) = self.kinds.get_mut(kind) {
                    rows.remove(&(slot.feed, number));
                }
            }
            (None, None) => {
                self.broad.remove(&(slot.feed, number));
            }
        }
        self.feeds.release(&slot.interest.feed, self.local);
        if let Sink::Calls(calls) = &slot.sink {
            // Calls that nobody took: what was set up for them goes too.
            for call in calls.take_all() {
                self.remove(call.events_slot);
                self.remove(call.ending_slot);
            }
        }
        self.shrink();
        Some(slot.sink)
    }

    /// Gives memory back after a mass drop.
    fn shrink(&mut self) {
        if self.slots.len() > 64 && self.free.len() == self.slots.len() {
            self.slots = Vec::new();
            self.free = Vec::new();
        }
        if self.entities.capacity() > 64 && self.entities.len() < self.entities.capacity() / 4 {
            self.entities.shrink_to_fit();
        }
    }

    pub(crate) fn deliver(&mut self, feed: &Feed, event: &Event, wakers: &mut Vec<Waker>) {
        let Some(feed_no) = self.feeds.number(feed) else {
            return;
        };
        self.sequence += 1;
        let sequence = self.sequence;
        if matches!(feed, Feed::Calls(_)) {
            self.claim(feed_no, event, wakers);
            return;
        }
        let mut push = |number: &u32| {
            if let Some(Some(slot)) = self.slots.get(*number as usize)
                && slot.interest.takes(event)
            {
                wakers.extend(slot.sink.push(event, sequence));
            }
        };
        for concern in event
            .concerns()
            .filter(|concern| concern.role != Role::Member)
        {
            if let Some(rows) = self.entities.get(concern.id) {
                let range = (feed_no, concern.kind, 0)..=(feed_no, concern.kind, u32::MAX);
                rows.range(range).for_each(|(.., number)| push(number));
            }
        }
        let whole_feed = (feed_no, 0)..=(feed_no, u32::MAX);
        if let Some(rows) = self.kinds.get(event.kind()) {
            rows.range(whole_feed.clone())
                .for_each(|(_, number)| push(number));
        }
        self.broad
            .range(whole_feed)
            .for_each(|(_, number)| push(number));
    }

    /// Hands a new call to the next stream of calls, with its events already flowing.
    ///
    /// A channel that this client created, and whose end it watches, is not a new call.
    fn claim(&mut self, feed: FeedNo, event: &Event, wakers: &mut Vec<Waker>) {
        let channel = event
            .concerns()
            .find(|concern| concern.kind == EntityKind::Channel && concern.role == Role::Subject);
        let Some(channel) = channel.filter(|_| event.kind() == "StasisStart") else {
            return;
        };
        if self.is_watched(channel.id, event) {
            return;
        }
        let streams = self
            .calls
            .range((feed, 0)..=(feed, u32::MAX))
            .map(|(_, slot)| *slot);
        let takers: Vec<u32> = streams
            .filter(|slot| self.slot(*slot).is_some_and(|slot| slot.is_taking(event)))
            .collect();
        let next = takers
            .iter()
            .find(|slot| **slot > self.last_caller)
            .or_else(|| takers.first());
        let Some(&number) = next else { return };
        self.last_caller = number;
        let Some(Slot {
            scope,
            sink: Sink::Calls(calls),
            interest,
            ..
        }) = self.slot(number)
        else {
            return;
        };
        let (scope, calls, calls_feed) = (*scope, Arc::clone(calls), interest.feed.clone());
        let id: Arc<str> = channel.id.into();
        let interest = Interest {
            entity: Some((EntityKind::Channel, Arc::clone(&id))),
            asterisk_id: event.asterisk_id().map(Arc::from),
            ..Interest::new(self.events_feed(&calls_feed))
        };
        let events = Arc::new(Queue::new(CALL_EVENTS));
        let ending = Arc::new(LatchState::new(EntityKind::Channel, id));
        let local = self.local;
        let mut add = |sink| {
            let (feed, _) = self.feeds.acquire(&interest.feed, local);
            self.insert(Slot {
                interest: interest.clone(),
                feed,
                scope,
                sink,
            })
        };
        let events_slot = add(Sink::CallEvents(Arc::clone(&events), event.clone()));
        let ending_slot = add(Sink::Latch(Arc::clone(&ending)));
        let claimed = Claimed {
            start: event.clone(),
            events,
            events_slot,
            ending,
            ending_slot,
        };
        wakers.extend(calls.push(claimed));
        wakers.extend(self.flow(&calls_feed, &calls));
    }

    /// Whether somebody of this client waits for the end of the channel that this event is about.
    fn is_watched(&self, id: &str, event: &Event) -> bool {
        let Some(rows) = self.entities.get(id) else {
            return false;
        };
        rows.iter().any(|(_, kind, number)| {
            *kind == EntityKind::Channel
                && self.slot(*number).is_some_and(|slot| {
                    matches!(slot.sink, Sink::Latch(_)) && slot.interest.takes(event)
                })
        })
    }

    /// The feed that carries the events of calls of this feed.
    fn events_feed(&self, calls: &Feed) -> Feed {
        match calls {
            Feed::Calls(application) if !self.local => Feed::Application(Arc::clone(application)),
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

    /// Pauses the feed of new calls while every stream of it is full or takes no more.
    ///
    /// Calls that are on their way still come, so a stream that was stopped ends when the transport
    /// says that they are in, or at once where another stream goes on with the feed.
    fn flow(&mut self, feed: &Feed, changed: &Arc<CallQueue>) -> Option<Waker> {
        let number = self.feeds.number(feed)?;
        let (mut paused, mut stopped) = (true, true);
        for calls in self.call_queues(number) {
            paused &= calls.is_full() || calls.is_stopped();
            stopped &= calls.is_stopped();
        }
        self.feeds.pause(feed, paused, self.local);
        let at_once = changed.is_stopped() && (self.local || !stopped);
        if at_once { changed.end() } else { None }
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
    pub(crate) fn drained(&self, feed: &Feed, wakers: &mut Vec<Waker>) {
        let Some(number) = self.feeds.number(feed) else {
            return;
        };
        wakers.extend(
            self.call_queues(number)
                .filter(|calls| calls.is_stopped())
                .filter_map(|calls| calls.end()),
        );
    }

    pub(crate) fn for_each_sink(&self, feed: Option<&Feed>, mut act: impl FnMut(&Sink)) {
        let number = match feed.map(|feed| self.feeds.number(feed)) {
            Some(None) => return,
            Some(number) => number,
            None => None,
        };
        for slot in self.slots.iter().flatten() {
            if number.is_none_or(|number| slot.feed == number) {
                act(&slot.sink);
            }
        }
    }
}
