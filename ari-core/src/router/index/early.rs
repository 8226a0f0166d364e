//! New calls that came before there was a stream of calls.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    endings::{Finality, finality},
    entity::EntityKind,
    event::{Event, Role},
    router::feeds::give_back,
};

/// Most events that are kept of all calls.
const MOST_EVENTS: usize = 8_192;

/// Calls that came before there was a stream of calls, each with the events that followed: a program that has just
/// connected, and subscribes a moment later, must not lose them.
#[derive(Default)]
pub(crate) struct Early {
    /// In the order in which they came: `StasisStart`, and what came about the channel since.
    calls: BTreeMap<u64, (Arc<str>, Vec<Event>)>,
    /// The place of each by the id of its channel.
    places: HashMap<Arc<str>, u64>,
    /// The place that was given last.
    last: u64,
    /// Those of all calls.
    events: usize,
    /// It was said that calls are not taken.
    told: bool,
    /// Applications that have, or had, a stream of calls.
    served: BTreeSet<Arc<str>>,
}

impl Early {
    /// Keeps a call, unless its application has, or had, a stream of calls.
    pub(super) fn keep(&mut self, channel: &str, start: &Event) {
        let served = |application| self.served.contains(application);
        if start.application().is_none_or(served) || self.places.contains_key(channel) {
            return;
        }
        let channel: Arc<str> = channel.into();
        self.last += 1;
        self.places.insert(Arc::clone(&channel), self.last);
        self.calls.insert(self.last, (channel, vec![start.clone()]));
        self.events += 1;
        self.make_room();
    }

    /// Keeps what follows with each call that it is about. A call that is over is no new call any more.
    pub(super) fn follow(&mut self, event: &Event) {
        if self.calls.is_empty() {
            return;
        }
        let channels = event
            .concerns()
            .filter(|concern| concern.kind == EntityKind::Channel && concern.role != Role::Member);
        for channel in channels {
            let Some(place) = self.places.get(channel.id).copied() else {
                continue;
            };
            if finality(EntityKind::Channel, channel.id, event) != Finality::Goes {
                self.take(place);
            } else if let Some((_, events)) = self.calls.get_mut(&place) {
                events.push(event.clone());
                self.events += 1;
            }
        }
        self.make_room();
    }

    /// Keeps the calls of an application again until it has a stream of them.
    pub(super) fn reopen(&mut self, application: &Arc<str>) {
        self.served.remove(application);
    }

    /// The calls of an application for its first stream, each with its events.
    pub(super) fn serve(&mut self, application: &Arc<str>) -> Vec<Vec<Event>> {
        if !self.served.insert(Arc::clone(application)) {
            return Vec::new();
        }
        let is_its = |events: &[Event]| {
            let start = events.first();
            start.and_then(Event::application) == Some(&**application)
        };
        let calls = self.calls.iter().filter(|(_, (_, events))| is_its(events));
        let places: Vec<u64> = calls.map(|(place, _)| *place).collect();
        places
            .into_iter()
            .filter_map(|place| self.take(place))
            .collect()
    }

    fn take(&mut self, place: u64) -> Option<Vec<Event>> {
        let (channel, events) = self.calls.remove(&place)?;
        self.places.remove(&channel);
        give_back(&mut self.places);
        self.events -= events.len();
        Some(events)
    }

    /// Gives up the oldest calls; once it is said that they are not taken.
    fn make_room(&mut self) {
        while self.events > MOST_EVENTS
            && let Some((&oldest, _)) = self.calls.first_key_value()
        {
            self.take(oldest);
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(
                    "new calls are not taken: nobody has asked for Ari::calls() or listens to StasisStart"
                );
            }
        }
    }
}
