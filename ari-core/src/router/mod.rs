//! The event router: finds the streams that an event concerns.
//!
//! Every transport has one. The transport says by which [`Feed`] an event came; the router looks the
//! subscriptions of that feed up by entity and by type and hands each the same event. In the other
//! direction it tells the transport which feeds somebody wants.

mod feeds;
mod index;
pub(crate) mod meter;
mod queue;
mod sink;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

pub use self::{
    feeds::{Feed, FeedChange, FeedState, FeedWait},
    index::Awaited,
    queue::{End, Gap, GapCause},
};
pub(crate) use self::{
    index::{Interest, ScopeId, Whom},
    queue::{Doubt, Item, Queue, Taken},
    sink::{CallQueue, Claimed, Sink},
};
use crate::{entity::EntityKind, event::Event};

/// Whom to wake once the router is unlocked. Few are interested in one event, and most events wake somebody.
pub(crate) type Wakers = SmallVec<[Waker; 4]>;

/// The subscriptions of one connection.
///
/// A clone is the same router.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    index: Mutex<index::Index>,
    changed: tokio::sync::Notify,
    /// Whether feeds need nothing from the transport before they are ready.
    local: bool,
    /// Whether the transport finds out what is gone after a loss of its connection.
    compares: bool,
}

/// How much a router holds; all zero when nobody holds anything through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterCounts {
    /// Subscriptions, waits for endings included.
    pub subscriptions: usize,
    /// Feeds that somebody wants.
    pub feeds: usize,
    /// Scopes, the root included.
    pub scopes: usize,
}

impl Router {
    /// Makes a router whose feeds are made by the transport, which [`changes`](Self::changes) tells
    /// of them and which says [`established`](Self::established).
    pub fn new() -> Self {
        Self::with(false, false)
    }

    /// Makes a router for a transport whose events all come by one way, so that every feed is ready
    /// at once.
    pub fn local() -> Self {
        Self::with(true, false)
    }

    /// Makes a router as [`local`](Self::local) does, for a transport that after a loss of its connection, and
    /// after an event that nobody can decode, compares what is [awaited](Self::awaited) with what there is.
    ///
    /// Streams and waits then do not ask by themselves what became of their entities.
    pub fn comparing() -> Self {
        Self::with(true, true)
    }

    fn with(local: bool, compares: bool) -> Self {
        let index = Mutex::new(index::Index::new(local));
        Self {
            shared: Arc::new(Shared {
                index,
                changed: tokio::sync::Notify::new(),
                local,
                compares,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, index::Index> {
        self.shared
            .index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event to every subscription of the feed that it concerns; never waits.
    pub fn deliver(&self, feed: &Feed, event: &Event) {
        let mut wakers = Wakers::new();
        let changed = {
            let mut index = self.lock();
            index.deliver(feed, event, &mut wakers);
            index.has_changes()
        };
        self.after(changed, wakers);
    }

    /// Tells every subscription of a feed that events are missing.
    pub fn gap(&self, feed: &Feed, gap: Gap) {
        self.tell(Whom::Feed(feed), gap, Sink::gap);
    }

    /// Tells every subscription that events are missing.
    pub fn gap_everywhere(&self, gap: Gap) {
        self.tell(Whom::All, gap, Sink::gap);
    }

    /// Tells every subscription of a dialog that events of an Asterisk may come to that they are missing.
    pub fn gap_in_dialogs(&self, asterisk_id: &str, gap: Gap) {
        self.tell(Whom::DialogsOn(asterisk_id), gap, Sink::gap);
    }

    /// Tells every subscription, and those that are made until [`resynced`](Self::resynced), that the
    /// connection is lost and events are missing.
    pub fn lost(&self, gap: Gap) {
        self.lock().outage = Some(gap);
        self.tell(Whom::All, gap, Sink::lost);
    }

    /// Whether the connection was lost and [`resynced`](Self::resynced) has not been called since.
    pub fn is_lost(&self) -> bool {
        self.lock().outage.is_some()
    }

    /// Counts a gap, and tells subscriptions in one of the ways that a [`Sink`] has.
    fn tell(&self, whom: Whom<'_>, gap: Gap, way: fn(&Sink, Gap, bool) -> Option<Waker>) {
        meter::gaps(gap.cause).increment(1);
        let mut wakers = Wakers::new();
        let doubt = !self.compares_after(gap.cause);
        self.lock()
            .for_each_sink(whom, |sink| wakers.extend(way(sink, gap, doubt)));
        self.after(false, wakers);
    }

    /// Tells every subscription that what was lost is restored: the client is subscribed again.
    pub fn resynced(&self) {
        let mut wakers = Wakers::new();
        let doubt = !self.compares();
        let mut index = self.lock();
        index.outage = None;
        index.for_each_sink(Whom::All, |sink| wakers.extend(sink.resynced(doubt)));
        if self.compares() {
            index.ask_for_missed(&mut wakers);
        }
        drop(index);
        self.after(false, wakers);
    }

    /// Channels, bridges, playbacks and recordings that streams and waits are about, once for each of them.
    ///
    /// What is yet to be created is left out; it is asked for once it has been.
    pub fn awaited(&self) -> Vec<Awaited> {
        self.lock().awaited()
    }

    /// Says that an entity is gone: its stream or wait ends, with what its queue holds or as lost.
    pub fn lose(&self, awaited: &Awaited) {
        let waker = self.lock().lose(awaited);
        self.after(false, waker.into_iter().collect());
    }

    /// Says that nobody could tell whether an entity is gone: its stream or wait asks.
    pub fn doubt(&self, awaited: &Awaited) {
        let waker = self.lock().doubt(awaited, Doubt::Gone);
        self.after(false, waker.into_iter().collect());
    }

    /// Says that a channel is outside of the application: its stream or wait asks until it is gone, since
    /// no event may tell.
    pub fn left(&self, awaited: &Awaited) {
        let waker = self.lock().doubt(awaited, Doubt::Left);
        self.after(false, waker.into_iter().collect());
    }

    /// Says that an entity was deleted, or was gone already: its streams and waits ask until it is gone, unless they hear
    /// of its end before.
    pub(crate) fn deleted(&self, kind: EntityKind, id: &str, asterisk_id: Option<&str>) {
        let mut wakers = Wakers::new();
        self.lock().deleted(kind, id, asterisk_id, &mut wakers);
        self.after(false, wakers);
    }

    /// Says that an Asterisk is not there any more: what was subscribed to of it alone is lost.
    pub fn lose_asterisk(&self, id: &str) {
        let mut wakers = Wakers::new();
        self.lock().lose_asterisk(id, &mut wakers);
        self.after(false, wakers);
    }

    /// Ends the streams of an application, or all where none is named, and those to come, for this reason: no
    /// events of it come any more.
    ///
    /// A stream of an entity that may be of that application asks until the entity is gone.
    pub fn retire(&self, application: Option<&Arc<str>>, end: End) {
        let mut wakers = Wakers::new();
        self.lock().retire(application.cloned(), end, &mut wakers);
        self.after(false, wakers);
    }

    /// Says that the events of an application come again: streams that are made from now on do not end for it, and
    /// its new calls wait for the next stream of them. Gives whether they came no more before.
    pub fn reinstate(&self, application: &Arc<str>) -> bool {
        self.lock().reinstate(application)
    }

    /// Whether a stream or a wait is about an entity, or a call of it that nobody has read yet.
    pub fn is_about(&self, kind: EntityKind, id: &str) -> bool {
        self.lock().is_about(kind, id)
    }

    /// Whether there is, or was, a stream of the new calls of an application.
    pub fn takes_calls(&self, application: &str) -> bool {
        self.lock().takes_calls(application)
    }

    /// Whether there is a scope of a dialog.
    pub fn has_dialog(&self, dialog: &str) -> bool {
        self.lock().has_dialog(dialog)
    }

    pub(crate) fn compares(&self) -> bool {
        self.shared.compares
    }

    /// Whether the transport finds out what is gone after a loss of this kind.
    pub(crate) fn compares_after(&self, cause: GapCause) -> bool {
        let found = matches!(
            cause,
            GapCause::Reconnected | GapCause::Replaced | GapCause::Undecodable
        );
        self.compares() && found
    }

    /// Whether somebody wants this feed.
    pub fn wants(&self, feed: &Feed) -> bool {
        self.lock().feeds.wants(feed)
    }

    /// Waits for feeds that are wanted, or no longer wanted, and takes the changes.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn changes(&self) -> Vec<FeedChange> {
        loop {
            let next_change = self.shared.changed.notified();
            let changes = self.lock().feeds.take_changes();
            if !changes.is_empty() {
                return changes;
            }
            next_change.await;
        }
    }

    /// Says that no event of the feed is missed any more, or that it could not be had.
    pub fn established(&self, feed: &Feed, generation: u64, state: FeedState) {
        self.lock().feeds.set_state(feed, generation, state);
    }

    /// Says that nothing of a feed that was given up is on its way any more.
    pub fn drained(&self, feed: &Feed) {
        let mut wakers = Wakers::new();
        self.lock().drained(feed, &mut wakers);
        self.after(false, wakers);
    }

    /// Ends everything: all scopes, streams and waits.
    pub fn close(&self) {
        let mut wakers = Wakers::new();
        let tokens = self.lock().close(&mut wakers);
        self.finish_scopes(tokens, wakers);
    }

    /// How much is held.
    pub fn counts(&self) -> RouterCounts {
        self.lock().counts()
    }

    pub(crate) fn open_scope(
        &self,
        parent: Option<ScopeId>,
        dialog: Option<Arc<str>>,
    ) -> Option<(ScopeId, CancellationToken)> {
        self.lock().open_scope(parent, dialog)
    }

    /// Ends a scope and all below it; gives the dialogs that are to be released.
    pub(crate) fn end_scope(&self, scope: ScopeId) -> Vec<Arc<str>> {
        let mut wakers = Wakers::new();
        let ended = self.lock().end_scope(scope, &mut wakers);
        self.finish_scopes(ended.tokens, wakers);
        ended.dialogs
    }

    fn finish_scopes(&self, tokens: Vec<CancellationToken>, wakers: Wakers) {
        for token in tokens {
            token.cancel();
        }
        self.after(true, wakers);
    }

    /// Adds a subscription; `None` if its scope has ended.
    pub(crate) fn subscribe(
        &self,
        scope: ScopeId,
        interest: Interest,
        sink: Sink,
    ) -> Option<Subscription> {
        let mut wakers = Wakers::new();
        let (slot, wait) = self
            .lock()
            .subscribe(scope, interest, sink.clone(), &mut wakers)?;
        self.after(true, wakers);
        Some(Subscription {
            registration: Registration {
                router: self.clone(),
                slot,
                sink,
            },
            wait,
        })
    }

    /// The feed of the new calls of an application. Where they come by a feed of their own, whoever takes those of
    /// one Asterisk must not be given others, which nobody else would get.
    pub(crate) fn calls_feed(&self, application: Arc<str>, asterisk_id: Option<Arc<str>>) -> Feed {
        Feed::Calls {
            application,
            asterisk_id: asterisk_id.filter(|_| !self.shared.local),
        }
    }

    /// Whether two subscriptions hang on the same feed.
    pub(crate) fn have_one_feed(&self, one: u32, other: u32) -> bool {
        self.lock().have_one_feed(one, other)
    }

    pub(crate) fn release(&self, slot: u32, sink: &Sink) {
        let mut wakers = Wakers::new();
        let changed = {
            let mut index = self.lock();
            index.release(slot, sink, &mut wakers);
            index.has_changes()
        };
        self.after(changed, wakers);
    }

    /// Notes that a stream of calls has room, or has none, for more of them.
    pub(crate) fn calls_flow(&self, slot: u32, sink: &Sink) {
        let (waker, changed) = {
            let mut index = self.lock();
            (index.calls_flow(slot, sink), index.has_changes())
        };
        self.after(changed, waker.into_iter().collect());
    }

    /// Wakes whom an action under the lock concerned, now that it is over.
    fn after(&self, changed: bool, wakers: Wakers) {
        if changed && !self.shared.local {
            self.shared.changed.notify_one();
        }
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.counts()).finish()
    }
}

/// A subscription that was just made, and the wait until its feed is ready.
pub(crate) struct Subscription {
    pub(crate) registration: Registration,
    pub(crate) wait: FeedWait,
}

/// Keeps a subscription; its drop ends it.
pub(crate) struct Registration {
    pub(crate) router: Router,
    pub(crate) slot: u32,
    pub(crate) sink: Sink,
}

impl Registration {
    /// The entity has been created, or will not be.
    pub(crate) fn confirm(&self) {
        let waker = self.router.lock().confirm(self.slot, &self.sink);
        self.router.after(false, waker.into_iter().collect());
    }

    /// Whether the entity is yet to be created.
    pub(crate) fn is_pending(&self) -> bool {
        self.router.lock().is_pending(self.slot, &self.sink)
    }

    /// Whether the entity is yet to be created: then it is asked for once it is.
    pub(crate) fn postpones(&self) -> bool {
        self.router.lock().postpones(self.slot, &self.sink)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.router.release(self.slot, &self.sink);
    }
}

#[cfg(test)]
mod tests;
