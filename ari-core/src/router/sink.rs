//! Where the router puts what a subscription gets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::queue::{Doubt, End, Gap, Queue};
use crate::{endings::LatchState, event::Event};

/// The receiving side of a subscription.
#[derive(Clone)]
pub(crate) enum Sink {
    /// A stream.
    Queue(Arc<Queue>),
    /// The events of a call that was handed out; `StasisStart` is with the call.
    CallEvents(Arc<Queue>, Event),
    /// A wait for the end of an entity.
    Latch(Arc<LatchState>),
    /// A stream of new calls.
    Calls(Arc<CallQueue>),
    /// Nothing: it keeps the feed. Its identity is that of the pointer.
    Keep(Arc<()>),
}

impl Sink {
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Queue(one) | Self::CallEvents(one, _),
                Self::Queue(other) | Self::CallEvents(other, _),
            ) => Arc::ptr_eq(one, other),
            (Self::Latch(one), Self::Latch(other)) => Arc::ptr_eq(one, other),
            (Self::Calls(one), Self::Calls(other)) => Arc::ptr_eq(one, other),
            (Self::Keep(one), Self::Keep(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    pub(crate) fn push(&self, event: &Event, sequence: u64) -> Option<Waker> {
        match self {
            Self::Queue(queue) => queue.push(event, sequence),
            Self::CallEvents(queue, start) => {
                if event.raw() == start.raw() {
                    None
                } else {
                    queue.push(event, sequence)
                }
            }
            Self::Latch(latch) => {
                latch.see(event);
                None
            }
            Self::Calls(_) | Self::Keep(_) => None,
        }
    }

    /// Tells of a loss; `doubt`: whoever waits for an end is to ask about it.
    pub(crate) fn gap(&self, gap: Gap, doubt: bool) -> Option<Waker> {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => queue.gap(gap),
            Self::Latch(latch) => {
                if doubt {
                    latch.doubt(Doubt::Gone);
                }
                None
            }
            // A call that was lost is a caller cut off; the stream of calls has no gaps to tell.
            Self::Calls(_) | Self::Keep(_) => None,
        }
    }

    /// Tells of a loss that lasts until it is [`resynced`](Self::resynced); `doubt`: as in [`gap`](Self::gap).
    pub(crate) fn lost(&self, gap: Gap, doubt: bool) -> Option<Waker> {
        if let Self::Queue(queue) | Self::CallEvents(queue, _) = self {
            queue.forget_resynced();
        }
        self.gap(gap, doubt)
    }

    /// Tells that what was lost is restored; `doubt`: as in [`gap`](Self::gap).
    pub(crate) fn resynced(&self, doubt: bool) -> Option<Waker> {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => queue.resynced(),
            Self::Latch(latch) => {
                if doubt {
                    latch.doubt(Doubt::Gone);
                }
                None
            }
            Self::Calls(_) | Self::Keep(_) => None,
        }
    }

    /// Has whoever waits for the end of the entity, or reads its events, ask whether it is gone.
    pub(crate) fn doubt(&self, doubt: Doubt) -> Option<Waker> {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => queue.doubt(doubt),
            Self::Latch(latch) => {
                latch.doubt(doubt);
                None
            }
            Self::Calls(_) | Self::Keep(_) => None,
        }
    }

    /// Tells that the entity is gone, and that its last event never came.
    pub(crate) fn lose(&self) -> Option<Waker> {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => queue.end(End::Lost),
            Self::Latch(latch) => {
                latch.lose();
                None
            }
            Self::Calls(calls) => calls.end(),
            Self::Keep(_) => None,
        }
    }

    /// Whether it waits for the end of an entity, or for its events.
    pub(crate) fn awaits(&self) -> bool {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => !queue.is_ended(),
            Self::Latch(latch) => !latch.is_settled(),
            Self::Calls(_) | Self::Keep(_) => false,
        }
    }

    pub(crate) fn end(&self, end: End) -> Option<Waker> {
        match self {
            Self::Queue(queue) | Self::CallEvents(queue, _) => queue.end(end),
            Self::Latch(latch) => {
                latch.close();
                None
            }
            Self::Calls(calls) => calls.end(),
            Self::Keep(_) => None,
        }
    }
}

/// A new call that was handed to this client, with the subscriptions that were set up for it.
pub(crate) struct Claimed {
    pub(crate) start: Event,
    pub(crate) events: Arc<Queue>,
    pub(crate) events_slot: u32,
    pub(crate) ending: Arc<LatchState>,
    pub(crate) ending_slot: u32,
}

/// The queue of one stream of new calls.
///
/// It never drops one. When it is full, the feed is paused: this client takes no more calls from the
/// cluster until there is room.
pub(crate) struct CallQueue {
    state: Mutex<CallState>,
    capacity: usize,
}

#[derive(Default)]
struct CallState {
    waiting: VecDeque<Claimed>,
    stopped: bool,
    ended: bool,
    waker: Option<Waker>,
}

impl CallQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, call: Claimed) -> Option<Waker> {
        let mut state = self.lock();
        state.waiting.push_back(call);
        state.waker.take()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().waiting.len() >= self.capacity
    }

    /// Takes no more calls.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Whether it gives no more than what is waiting.
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().ended
    }

    /// Takes what is waiting, for the subscriptions set up for it to be released.
    pub(crate) fn take_all(&self) -> VecDeque<Claimed> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Takes the calls that are over, which nobody can answer any more.
    pub(crate) fn take_over(&self) -> Vec<Claimed> {
        let waiting = &mut self.lock().waiting;
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(waiting)
            .into_iter()
            .partition(|call| call.ending.is_over());
        *waiting = VecDeque::from(rest);
        over
    }

    pub(crate) fn end(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.ended = true;
        state.waker.take()
    }

    /// The next call; `None` once the queue has ended and is empty.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<Claimed>> {
        let mut state = self.lock();
        if let Some(call) = state.waiting.pop_front() {
            return Poll::Ready(Some(call));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
