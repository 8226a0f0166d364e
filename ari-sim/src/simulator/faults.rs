//! What goes wrong on demand.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

/// Something that goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is refused with this status, and not done.
    Status(u16),
    /// It is done, and answered with a body that is no JSON.
    Garbage,
    /// It is done, and the connection is cut instead of an answer. In process it is never answered.
    Reset,
}

/// Faults that wait for their request, and whether answers are held back.
#[derive(Debug)]
pub(crate) struct Faults {
    next: Mutex<VecDeque<Fault>>,
    stalled: watch::Sender<bool>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            next: Mutex::default(),
            stalled: watch::channel(false).0,
        }
    }
}

impl Faults {
    pub(crate) fn push(&self, fault: Fault) {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(fault);
    }

    pub(crate) fn take(&self) -> Option<Fault> {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Waits until answers are not held back.
    pub(crate) async fn flowing(&self) {
        let mut stalled = self.stalled.subscribe();
        // The sender lives as long as this: it cannot be closed.
        let _ = stalled.wait_for(|stalled| !stalled).await;
    }
}
