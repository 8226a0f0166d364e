//! Which subscription is interested in what.
//!
//! Rows live in ordered sets, so that the end of a subscription costs the logarithm of their number
//! and dropping ten thousand is not quadratic.

mod claims;
mod comparing;
mod early;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

pub use self::comparing::Awaited;
use self::early::{Early, NOBODY};
use self::rows::Rows;
use super::{
    Feed, FeedWait, RouterCounts, Wakers,
    feeds::{FeedNo, Feeds, give_back},
    queue::{Doubt, End, Gap},
    sink::{Claimed, Sink},
};
use crate::{
    endings::{self, Finality},
    entity::EntityKind,
    event::{Event, Role},
};

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
    /// The entity is yet to be created.
    pub(crate) pending: bool,
}

impl Interest {
    pub(crate) const fn new(feed: Feed) -> Self {
        Self {
            feed,
            entity: None,
            kind: None,
            application: None,
            asterisk_id: None,
            pending: false,
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

/// Which subscriptions are told of something.
#[derive(Clone, Copy)]
pub(crate) enum Whom<'a> {
    All,
    /// Those of a feed.
    Feed(&'a Feed),
    /// Those of dialogs that events of this Asterisk may come to.
    DialogsOn(&'a str),
}

struct Slot {
    interest: Interest,
    feed: FeedNo,
    scope: ScopeId,
    sink: Sink,
    /// The end of its entity may have been missed and was not looked for, because the entity was yet to be created
    /// or the subscription is newer than the comparison: it is to be asked for.
    missed: bool,
    /// Why its entity is this client's own, where it is.
    own: Option<Own>,
}

/// Why an entity is this client's own.
enum Own {
    /// It created it.
    Created,
    /// It is a call of this application that was handed to it.
    Call(Option<Arc<str>>),
}

struct Scope {
    parent: Option<ScopeId>,
    dialog: Option<Arc<str>>,
    token: CancellationToken,
}

/// What ends with a scope, to be told once the lock is released.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) tokens: Vec<CancellationToken>,
    /// Dialogs that no scope has any more.
    pub(crate) dialogs: Vec<Arc<str>>,
}

#[derive(Default)]
pub(crate) struct Index {
    pub(crate) feeds: Feeds,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// By id; two Asterisks may use the same one, so feed and kind are part of the row.
    entities: HashMap<Arc<str>, Rows>,
    kinds: HashMap<&'static str, BTreeSet<(FeedNo, u32)>>,
    broad: BTreeSet<(FeedNo, u32)>,
    calls: BTreeSet<(FeedNo, u32)>,
    /// The stream of calls that got the last one; the next one is next.
    last_caller: u32,
    scopes: HashMap<ScopeId, Scope>,
    children: BTreeSet<(ScopeId, ScopeId)>,
    held: BTreeSet<(ScopeId, u32)>,
    /// How many scopes each dialog has.
    dialogs: HashMap<Arc<str>, usize>,
    last_scope: ScopeId,
    sequence: u64,
    local: bool,
    closed: bool,
    /// The connection is lost, or what it had is not restored yet.
    pub(crate) outage: Option<Gap>,
    /// No events of these applications come any more, for this reason; `None`: none at all.
    retired: BTreeMap<Option<Arc<str>>, End>,
    early: Early,
    /// Calls of streams that were just removed, which nobody has read.
    untaken: Vec<(Feed, Claimed)>,
}

impl Index {
    /// Makes one for feeds that are ready at once, or not.
    pub(crate) fn new(local: bool) -> Self {
        Self {
            local,
            ..Self::default()
        }
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.feeds.has_changes()
    }

    /// Rows, and the room that is kept for more of them.
    #[cfg(test)]
    pub(crate) fn footprint(&self) -> (usize, usize) {
        let rows = self.entities.len()
            + self.broad.len()
            + self.calls.len()
            + self.children.len()
            + self.held.len()
            + self.dialogs.len()
            + self.kinds.values().map(BTreeSet::len).sum::<usize>();
        let room = self.slots.capacity().max(self.entities.capacity());
        (
            rows,
            room.max(self.scopes.capacity())
                .max(self.dialogs.capacity()),
        )
    }

    /// What somebody holds: not what is kept for nobody yet.
    pub(crate) fn counts(&self) -> RouterCounts {
        let kept = self.held.range(..(NOBODY + 1, 0)).count();
        RouterCounts {
            subscriptions: self.slots.len() - self.free.len() - kept,
            feeds: self.feeds.len() - usize::from(self.feeds.is_held_by(&Feed::All, kept)),
            scopes: self.scopes.len(),
        }
    }

    pub(crate) fn open_scope(
        &mut self,
        parent: Option<ScopeId>,
        dialog: Option<Arc<str>>,
    ) -> Option<(ScopeId, CancellationToken)> {
        if self.closed || parent.is_some_and(|parent| !self.scopes.contains_key(&parent)) {
            return None;
        }
        self.last_scope += 1;
        if let Some(dialog) = &dialog {
            *self.dialogs.entry(Arc::clone(dialog)).or_default() += 1;
        }
        let token = CancellationToken::new();
        self.scopes.insert(
            self.last_scope,
            Scope {
                parent,
                dialog,
                token: token.clone(),
            },
        );
        if let Some(parent) = parent {
            self.children.insert((parent, self.last_scope));
        }
        Some((self.last_scope, token))
    }

    pub(crate) fn has_dialog(&self, dialog: &str) -> bool {
        self.dialogs.contains_key(dialog)
    }

    /// Ends a scope and all below it.
    pub(crate) fn end_scope(&mut self, scope: ScopeId, wakers: &mut Wakers) -> Ended {
        let mut ended = Ended::default();
        let mut ending = vec![scope];
        while let Some(id) = ending.pop() {
            let Some(scope) = self.scopes.remove(&id) else {
                continue;
            };
            if let Some(parent) = scope.parent {
                self.children.remove(&(parent, id));
            }
            ended.tokens.push(scope.token);
            if let Some(dialog) = scope.dialog
                && let Some(scopes) = self.dialogs.get_mut(&dialog)
            {
                *scopes -= 1;
                if *scopes == 0 {
                    self.dialogs.remove(&dialog);
                    ended.dialogs.push(dialog);
                }
            }
            ending.extend(
                self.children
                    .range((id, 0)..=(id, ScopeId::MAX))
                    .map(|(_, child)| *child),
            );
            // The streams of calls first: a call that somebody else takes keeps what was set up for it.
            for calls in [true, false] {
                for slot in self.held_by(id, calls) {
                    if let Some(sink) = self.remove(slot) {
                        wakers.extend(sink.end(End::Closed));
                    }
                }
                self.hand_on(wakers);
            }
        }
        give_back(&mut self.scopes);
        give_back(&mut self.dialogs);
        // A stream outside of these scopes may still be of the dialog.
        let feeds = &self.feeds;
        ended
            .dialogs
            .retain(|dialog| !feeds.wants(&Feed::Dialog(Arc::clone(dialog))));
        ended
    }

    /// The subscriptions of a scope: its streams of calls, or the others.
    fn held_by(&self, scope: ScopeId, calls: bool) -> Vec<u32> {
        let is_calls =
            |number| matches!(self.slot(number), Some(slot) if matches!(slot.sink, Sink::Calls(_)));
        let held = self.held.range((scope, 0)..=(scope, u32::MAX));
        held.map(|(_, number)| *number)
            .filter(|number| is_calls(*number) == calls)
            .collect()
    }

    pub(crate) fn close(&mut self, wakers: &mut Wakers) -> Vec<CancellationToken> {
        self.closed = true;
        let roots: Vec<ScopeId> = self
            .scopes
            .iter()
            .filter(|(_, scope)| scope.parent.is_none())
            .map(|(id, _)| *id)
            .collect();
        let tokens = roots
            .into_iter()
            .flat_map(|root| self.end_scope(root, wakers).tokens)
            .collect();
        self.forget_early();
        tokens
    }

    pub(crate) fn subscribe(
        &mut self,
        scope: ScopeId,
        interest: Interest,
        sink: Sink,
        wakers: &mut Wakers,
    ) -> Option<(u32, FeedWait)> {
        if !self.scopes.contains_key(&scope) {
            return None;
        }
        let feed = self.feeds.acquire(&interest.feed, self.local);
        let name = interest.feed.clone();
        let is_calls = matches!(sink, Sink::Calls(_));
        let everywhere = interest.asterisk_id.is_none();
        let retired = self.retired(&interest);
        if let Some(end) = retired.filter(|_| !matches!(sink, Sink::Latch(_))) {
            wakers.extend(sink.end(end));
        }
        if self.is_unheard(&interest) {
            wakers.extend(sink.doubt(Doubt::Unheard));
        }
        if let Some(gap) = self.outage {
            wakers.extend(sink.gap(gap, false));
        }
        let own = interest.pending.then_some(Own::Created);
        let missed = self.outage.is_some() && own.is_none();
        let number = self.insert(Slot {
            interest,
            feed,
            scope,
            sink,
            missed,
            own,
        });
        if is_calls {
            // The feed may be paused, because the streams that it had are full or stopped; what was on
            // its way to those that are stopped comes here now.
            self.set_pause(&name);
            self.end_stopped(feed, wakers);
            if let (Feed::Calls { application, .. }, true) = (&name, everywhere) {
                self.early.serve(application);
            }
            self.hand_over_early(&name, wakers);
        }
        Some((number, self.feeds.wait(&name)))
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
    pub(crate) fn release(&mut self, slot: u32, sink: &Sink, wakers: &mut Wakers) {
        let same = self.slot(slot).is_some_and(|held| held.sink.is(sink));
        if same {
            self.remove(slot);
            self.hand_on(wakers);
        }
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn have_one_feed(&self, one: u32, other: u32) -> bool {
        let feed = |number| self.slot(number).map(|slot| slot.feed);
        feed(one) == feed(other)
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
                    rows.remove((slot.feed, *kind, number));
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
            for call in calls.take_all() {
                self.untaken.push((slot.interest.feed.clone(), call));
            }
            self.set_pause(&slot.interest.feed);
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
        give_back(&mut self.entities);
    }

    pub(crate) fn deliver(&mut self, feed: &Feed, event: &Event, wakers: &mut Wakers) {
        if matches!(feed, Feed::Calls { .. }) {
            self.announce(feed, event, wakers);
            return;
        }
        let Some(feed_no) = self.feeds.number(feed) else {
            return;
        };
        self.sequence += 1;
        let sequence = self.sequence;
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
                rows.of(feed_no, concern.kind)
                    .for_each(|number| push(&number));
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

    pub(crate) fn for_each_sink(&self, whom: Whom<'_>, mut act: impl FnMut(&Sink)) {
        let feed = match whom {
            Whom::Feed(feed) => self.feeds.number(feed),
            _ => None,
        };
        for slot in self.slots.iter().flatten() {
            let is_meant = match whom {
                Whom::All => true,
                Whom::Feed(_) => feed == Some(slot.feed),
                Whom::DialogsOn(id) => {
                    let of = slot.interest.asterisk_id.as_deref();
                    matches!(slot.interest.feed, Feed::Dialog(_)) && of.is_none_or(|of| of == id)
                }
            };
            if is_meant {
                act(&slot.sink);
            }
        }
    }
}
