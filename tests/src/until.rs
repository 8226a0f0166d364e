//! Waiting for something to become true, with a deadline.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

use ari_core::{Events, StreamItem, View};
use futures::StreamExt;

/// How long a test waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long passes between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until the condition gives something.
///
/// # Panics
/// It does not within [`PATIENCE`].
#[track_caller]
pub fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{place}: waited {PATIENCE:?} for {what}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Waits until the condition is true.
///
/// # Panics
/// It is not within [`PATIENCE`].
#[track_caller]
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    until(what, move || std::future::ready(condition().then_some(())))
}

/// Waits for a future.
///
/// # Panics
/// It is not ready within [`PATIENCE`].
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await.ok() {
            Some(output) => output,
            None => panic!("{place}: waited {PATIENCE:?} for {what}"),
        }
    }
}

/// The next event of a stream; a gap on the way is a failure.
///
/// # Panics
/// None comes within [`PATIENCE`], events are missing, or the stream has ended.
#[track_caller]
pub fn next_event<V: View + std::fmt::Debug>(events: &mut Events<V>) -> impl Future<Output = V> {
    let place = Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, events.next()).await.ok() {
            Some(Some(StreamItem::Event(event))) => event,
            Some(Some(other)) => panic!("{place}: {other:?} instead of an event"),
            Some(None) => panic!("{place}: the stream has ended ({:?})", events.end()),
            None => panic!("{place}: waited {PATIENCE:?} for an event"),
        }
    }
}

/// The next event of this type; others are passed over.
///
/// # Panics
/// As [`next_event`].
#[track_caller]
pub fn next_of<'e>(
    events: &'e mut Events,
    kind: &'e str,
) -> impl Future<Output = ari_core::Event> + 'e {
    let place = Location::caller();
    async move {
        let mut passed = Vec::new();
        loop {
            match tokio::time::timeout(PATIENCE, events.next()).await.ok() {
                Some(Some(StreamItem::Event(event))) if event.kind() == kind => return event,
                Some(Some(StreamItem::Event(event))) => passed.push(event.kind().to_owned()),
                Some(Some(other)) => panic!("{place}: {other:?} instead of {kind}"),
                Some(None) => panic!(
                    "{place}: the stream has ended ({:?}) without {kind}, after {passed:?}",
                    events.end()
                ),
                None => panic!("{place}: waited {PATIENCE:?} for {kind}, after {passed:?}"),
            }
        }
    }
}

/// The types of the events that are left in a stream, until its end.
///
/// # Panics
/// It does not end within [`PATIENCE`], or events are missing.
#[track_caller]
pub fn rest(events: &mut Events) -> impl Future<Output = Vec<String>> {
    let place = Location::caller();
    async move {
        let mut kinds = Vec::new();
        loop {
            match tokio::time::timeout(PATIENCE, events.next()).await.ok() {
                Some(Some(StreamItem::Event(event))) => kinds.push(event.kind().to_owned()),
                Some(Some(other)) => panic!("{place}: {other:?} after {kinds:?}"),
                Some(None) => return kinds,
                None => {
                    panic!("{place}: waited {PATIENCE:?} for the end of the stream after {kinds:?}")
                }
            }
        }
    }
}
