//! New calls that came before there was a stream of calls.

use std::{collections::BTreeSet, sync::Arc};

use super::ScopeId;
use crate::router::{Claimed, Feed};

/// Most calls that are kept.
const MOST_CALLS: usize = 1_024;

/// Room for the events of each.
pub(super) const EARLY_EVENTS: usize = 64;

/// Holds the subscriptions of calls that nobody has yet; no scope has this number.
pub(super) const NOBODY: ScopeId = 0;

/// Calls that came before there was a stream of calls, subscribed to as any other: a program that has just
/// connected, and asks for its calls a moment later, must not lose them.
#[derive(Default)]
pub(crate) struct Early {
    /// In the order in which they came, with the feed that they came by.
    calls: Vec<(Feed, Claimed)>,
    /// It was said that calls are not taken.
    told: bool,
    /// Applications that have, or had, a stream of calls.
    served: BTreeSet<Arc<str>>,
}

impl Early {
    /// Whether calls of an application are kept.
    pub(super) fn keeps(&self, application: Option<&str>) -> bool {
        application.is_some_and(|application| !self.served.contains(application))
    }

    /// Keeps a call; gives the oldest one back where there are too many.
    pub(super) fn keep(&mut self, feed: Feed, call: Claimed) -> Option<Claimed> {
        self.calls.push((feed, call));
        if self.calls.len() <= MOST_CALLS {
            return None;
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                "new calls are not taken: nobody has asked for Ari::calls() or listens to StasisStart"
            );
        }
        Some(self.calls.remove(0).1)
    }

    /// Keeps the calls of an application no more, since it has a stream of them.
    pub(super) fn serve(&mut self, application: &Arc<str>) {
        self.served.insert(Arc::clone(application));
    }

    /// Keeps the calls of an application again until it has a stream of them.
    pub(super) fn reopen(&mut self, application: &Arc<str>) {
        self.served.remove(application);
    }

    /// Takes the calls of which this holds.
    pub(super) fn take(
        &mut self,
        mut is_such: impl FnMut(&Feed, &Claimed) -> bool,
    ) -> Vec<Claimed> {
        let taken = self
            .calls
            .extract_if(.., |(feed, call)| is_such(feed, call));
        taken.map(|(_, call)| call).collect()
    }
}
