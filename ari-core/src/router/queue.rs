//! The bounded queue between the router and one stream.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::meter;
use crate::{endings::Finality, event::Event};

/// Why events are missing from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapCause {
    /// The stream was read too slowly, and its queue was full.
    Overflow,
    /// The connection broke; it is being, or was, made again.
    Reconnected,
    /// Another program took the application over, and the events go there; or Asterisk took it from this connection.
    Replaced,
    /// They were lost on the way here: the numbers of the events show it.
    Upstream,
    /// The events came and could not be understood.
    Undecodable,
}

/// Events are missing here.
///
/// It stands after the loss and before the first event that follows it, so listing over REST when it
/// comes gives the state of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// How many events are missing, where that is known.
    pub missed: Option<u64>,
    /// Why they are missing.
    pub cause: GapCause,
}

impl Gap {
    /// Describes a loss.
    pub const fn new(missed: Option<u64>, cause: GapCause) -> Self {
        Self { missed, cause }
    }
}

/// Why a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The entity that it was about has ended.
    Ended,
    /// The client, or the scope that it was made in, is closed; or Asterisk took the application from its
    /// connection.
    Closed,
    /// The entity ended while nobody could see it.
    Lost,
    /// Another program took the application over, and this client yielded: no events come here any more.
    Replaced,
}

/// One thing in a queue.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Event(Event),
    Gap(Gap),
    Resynced,
}

/// What calls for asking whether an entity still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// Its end may have been missed.
    Gone,
    /// No event may tell of its end any more.
    Unheard,
    /// It was deleted. The event of its end comes soon, or never: Asterisk sends none to the creator of a bridge that
    /// nobody is subscribed to.
    Deleted,
    /// It is outside of the application, where no event may tell of its end.
    Left,
}

/// What taking from a queue gives.
pub(crate) enum Taken {
    Item(Item),
    Doubt(Doubt),
    End(End),
}

pub(crate) struct Queue {
    state: Mutex<State>,
    overflows: metrics::Counter,
    dropped: metrics::Counter,
}

struct State {
    items: VecDeque<Item>,
    events: usize,
    capacity: usize,
    /// Events that did not fit after the last item.
    overflowed: u64,
    doubt: Option<Doubt>,
    end: Option<End>,
    waker: Option<Waker>,
    last_sequence: u64,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                events: 0,
                capacity: capacity.max(1),
                overflowed: 0,
                doubt: None,
                end: None,
                waker: None,
                last_sequence: 0,
            }),
            overflows: meter::gaps(GapCause::Overflow),
            dropped: meter::dropped(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event in, unless it did so already; gives whom to wake.
    pub(crate) fn push(&self, event: &Event, sequence: u64) -> Option<Waker> {
        let mut state = self.lock();
        if state.end.is_some() || state.last_sequence == sequence {
            return None;
        }
        state.last_sequence = sequence;
        if state.events >= state.capacity {
            if state.overflowed == 0 {
                self.overflows.increment(1);
            }
            state.overflowed += 1;
            self.dropped.increment(1);
            let leaves = matches!(event.finality(), Some((_, Finality::Leaves)));
            if leaves {
                // It may be the last event that there is of its channel.
                state.doubt = state.doubt.max(Some(Doubt::Left));
            }
            return None;
        }
        state.flush_overflow();
        state.items.push_back(Item::Event(event.clone()));
        state.events += 1;
        state.waker.take()
    }

    /// Makes room for more events.
    pub(crate) fn widen(&self, capacity: usize) {
        self.lock().capacity = capacity;
    }

    /// Tells of a loss; one that follows another of its cause without an event between adds to it.
    pub(crate) fn gap(&self, gap: Gap) -> Option<Waker> {
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        state.flush_overflow();
        state.add_gap(gap);
        state.waker.take()
    }

    /// Takes back that what was lost is restored: the connection is lost again.
    pub(crate) fn forget_resynced(&self) {
        let mut state = self.lock();
        state
            .items
            .pop_back_if(|last| matches!(last, Item::Resynced));
    }

    pub(crate) fn resynced(&self) -> Option<Waker> {
        let mut state = self.lock();
        if state.end.is_some() || matches!(state.items.back(), Some(Item::Resynced)) {
            return None;
        }
        state.flush_overflow();
        state.items.push_back(Item::Resynced);
        state.waker.take()
    }

    /// Has whoever reads ask whether the entity is gone.
    pub(crate) fn doubt(&self, doubt: Doubt) -> Option<Waker> {
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        state.doubt = state.doubt.max(Some(doubt));
        state.waker.take()
    }

    /// Whether nothing more is put in.
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Ends the queue after what is in it.
    pub(crate) fn end(&self, end: End) -> Option<Waker> {
        let mut state = self.lock();
        if state.end.is_none() {
            state.flush_overflow();
            state.end = Some(end);
        }
        state.waker.take()
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Taken> {
        let mut state = self.lock();
        if let Some(doubt) = state.doubt.take() {
            return Poll::Ready(Taken::Doubt(doubt));
        }
        if state.items.is_empty() {
            state.flush_overflow();
        }
        if let Some(item) = state.items.pop_front() {
            if matches!(item, Item::Event(_)) {
                state.events -= 1;
            }
            // A burst must not keep its memory.
            if state.items.capacity() > 64 && state.items.len() < state.items.capacity() / 4 {
                let room = state.items.len() * 2;
                state.items.shrink_to(room);
            }
            return Poll::Ready(Taken::Item(item));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Taken::End(end));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn flush_overflow(&mut self) {
        if self.overflowed > 0 {
            let missed = std::mem::take(&mut self.overflowed);
            self.add_gap(Gap::new(Some(missed), GapCause::Overflow));
        }
    }

    /// Puts a gap at the end, where there is at most one of each cause after the last event: what is
    /// not read must not grow with the losses. What was restored stays so.
    fn add_gap(&mut self, gap: Gap) {
        let resynced = self
            .items
            .pop_back_if(|last| matches!(last, Item::Resynced));
        let known = self
            .items
            .iter_mut()
            .rev()
            .map_while(|item| match item {
                Item::Gap(known) => Some(known),
                Item::Event(_) | Item::Resynced => None,
            })
            .find(|known| known.cause == gap.cause);
        match known {
            Some(known) => {
                let missed = known.missed.zip(gap.missed);
                known.missed = missed.map(|(one, other)| one.saturating_add(other));
            }
            None => self.items.push_back(Item::Gap(gap)),
        }
        self.items.extend(resynced);
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    fn event(n: u64) -> Event {
        Event::parse(format!(r#"{{"type":"T{n}"}}"#)).unwrap()
    }

    fn drain(queue: &Queue) -> Vec<String> {
        let context = Context::from_waker(noop_waker_ref());
        let mut seen = Vec::new();
        loop {
            match queue.poll(&context) {
                Poll::Ready(Taken::Item(Item::Event(event))) => seen.push(event.kind().to_owned()),
                Poll::Ready(Taken::Item(Item::Gap(gap))) => {
                    seen.push(format!("{:?} {:?}", gap.cause, gap.missed));
                }
                Poll::Ready(Taken::Item(Item::Resynced)) => seen.push("Resynced".to_owned()),
                Poll::Ready(Taken::Doubt(doubt)) => seen.push(format!("{doubt:?}")),
                Poll::Ready(Taken::End(end)) => {
                    seen.push(format!("{end:?}"));
                    return seen;
                }
                Poll::Pending => return seen,
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_told_where_it_would_have_been() {
        let queue = Queue::new(2);
        for n in 1..=5 {
            queue.push(&event(n), n);
        }
        assert_eq!(drain(&queue), ["T1", "T2", "Overflow Some(3)"]);
        queue.push(&event(6), 6);
        assert_eq!(drain(&queue), ["T6"]);
    }

    #[test]
    fn the_gap_comes_before_the_next_event() {
        let queue = Queue::new(1);
        queue.push(&event(1), 1);
        queue.push(&event(2), 2);
        let context = Context::from_waker(noop_waker_ref());
        assert!(queue.poll(&context).is_ready());
        queue.push(&event(3), 3);
        queue.end(End::Closed);
        queue.push(&event(4), 4);
        assert_eq!(drain(&queue), ["Overflow Some(1)", "T3", "Closed"]);
    }

    #[test]
    fn gaps_without_an_event_between_are_one() {
        let queue = Queue::new(4);
        queue.gap(Gap::new(Some(2), GapCause::Upstream));
        queue.gap(Gap::new(Some(3), GapCause::Upstream));
        queue.gap(Gap::new(None, GapCause::Reconnected));
        queue.gap(Gap::new(None, GapCause::Reconnected));
        queue.resynced();
        queue.resynced();
        assert_eq!(
            drain(&queue),
            ["Upstream Some(5)", "Reconnected None", "Resynced"]
        );
    }

    /// No other `Resynced` would come for what was restored.
    #[test]
    fn what_is_restored_stays_so_after_other_losses() {
        let queue = Queue::new(1);
        queue.push(&event(1), 1);
        queue.gap(Gap::new(None, GapCause::Reconnected));
        queue.resynced();
        queue.push(&event(2), 2);
        queue.gap(Gap::new(Some(1), GapCause::Undecodable));
        assert_eq!(
            drain(&queue),
            [
                "T1",
                "Reconnected None",
                "Overflow Some(1)",
                "Undecodable Some(1)",
                "Resynced"
            ]
        );
        queue.resynced();
        queue.forget_resynced();
        queue.gap(Gap::new(None, GapCause::Reconnected));
        assert_eq!(drain(&queue), ["Reconnected None"]);
    }

    #[test]
    fn a_queue_that_nobody_reads_does_not_grow_with_the_losses() {
        let queue = Queue::new(1);
        for n in 1..=1000 {
            queue.push(&event(n), n);
            queue.gap(Gap::new(Some(1), GapCause::Upstream));
            queue.forget_resynced();
            queue.gap(Gap::new(None, GapCause::Reconnected));
            queue.resynced();
        }
        assert_eq!(
            drain(&queue),
            [
                "T1",
                "Upstream Some(1000)",
                "Reconnected None",
                "Overflow Some(999)",
                "Resynced"
            ]
        );
    }

    #[test]
    fn one_event_comes_once_however_often_it_matches() {
        let queue = Queue::new(4);
        queue.push(&event(1), 7);
        queue.push(&event(1), 7);
        assert_eq!(drain(&queue), ["T1"]);
    }
}
