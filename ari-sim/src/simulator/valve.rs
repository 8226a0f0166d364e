//! Whether bytes flow on a connection.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::faults::{FaultId, Judged};

/// What a fault made of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// Nothing is read.
    Stalled(FaultId),
    /// Nothing is read or written any more.
    Dead(FaultId),
}

#[derive(Debug, Default)]
struct State {
    flow: Flow,
    judged: Judged,
    reader: Option<Waker>,
    reset: bool,
}

/// What the end of a fault means for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// Nothing: it was not struck, or goes on.
    Nothing,
    /// It cannot go on: it is to be reset.
    Broken,
}

/// Lets the bytes of a connection through, or not.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    state: Mutex<State>,
    changed: Notify,
}

impl Valve {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about the rules that were not yet asked about it; `decide` must not come back here.
    pub(crate) fn judge(&self, decide: impl FnOnce(&mut Judged) -> Option<(FaultId, bool)>) {
        let mut state = self.lock();
        if let Some((id, dead)) = decide(&mut state.judged) {
            match state.flow {
                Flow::Dead(_) => {}
                _ if dead => state.flow = Flow::Dead(id),
                _ => state.flow = Flow::Stalled(id),
            }
        }
    }

    /// A fault is over: what it held goes on, or breaks.
    pub(crate) fn end(&self, id: FaultId) -> Afterwards {
        let (afterwards, reader) = {
            let mut state = self.lock();
            let afterwards = match state.flow {
                Flow::Stalled(fault) if fault == id => Afterwards::Nothing,
                Flow::Dead(fault) if fault == id => {
                    state.reset = true;
                    Afterwards::Broken
                }
                _ => return Afterwards::Nothing,
            };
            state.flow = Flow::Open;
            (afterwards, state.reader.take())
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        self.changed.notify_waiters();
        afterwards
    }

    /// Makes it flow again: it is another connection now.
    pub(crate) fn renew(&self) {
        *self.lock() = State::default();
        self.changed.notify_waiters();
    }

    /// When the connection is cut, the other side is to hear of a reset.
    pub(crate) fn reset(&self) {
        self.lock().reset = true;
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.lock().reset
    }

    /// Whether nothing that is written arrives any more: until it is another connection.
    pub(crate) fn is_dead(&self) -> bool {
        let state = self.lock();
        state.reset || matches!(state.flow, Flow::Dead(_))
    }

    /// Whether it may be read; otherwise the task is woken when it may.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.flow == Flow::Open {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    async fn until(&self, ready: impl Fn(Flow) -> bool) -> bool {
        let mut alive = true;
        loop {
            let changed = self.changed.notified();
            let flow = self.lock().flow;
            if ready(flow) {
                return alive;
            }
            alive &= !matches!(flow, Flow::Dead(_));
            changed.await;
        }
    }

    /// Waits until it is read; says whether the connection lived through it.
    pub(crate) async fn readable(&self) -> bool {
        self.until(|flow| flow == Flow::Open).await
    }

    /// Waits until it can be written; says whether the connection lived through it.
    pub(crate) async fn writable(&self) -> bool {
        self.until(|flow| !matches!(flow, Flow::Dead(_))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_connection_carries_nothing_before_it_is_reset() {
        let (valve, fault) = (Valve::default(), FaultId::new(1));
        assert!(!valve.is_dead());
        valve.judge(|_| Some((fault, true)));
        assert!(valve.is_dead());
        assert_eq!(valve.end(fault), Afterwards::Broken);
        // What was written meanwhile is lost, so what comes later must not arrive either.
        assert!(valve.is_dead());
        valve.renew();
        assert!(!valve.is_dead());
    }
}
