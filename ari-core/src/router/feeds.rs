//! The feeds that somebody wants, and how far the transport is with them.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use tokio::sync::watch;

use crate::error::{Error, Result};

/// A source of events; a transport makes a NATS subscription of it, or nothing.
///
/// Each subscription hangs on exactly one feed: where two of them carry the same event, no
/// subscription gets it twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feed {
    /// Everything that reaches this client.
    All,
    /// The events of an application, from every Asterisk.
    Application(Arc<str>),
    /// The events of an application from one Asterisk.
    Node {
        /// Application.
        application: Arc<str>,
        /// Asterisk.
        asterisk_id: Arc<str>,
    },
    /// The events of a dialog, from every Asterisk.
    Dialog(Arc<str>),
    /// The new calls of an application, each of which goes to one worker.
    Calls {
        /// Application.
        application: Arc<str>,
        /// The Asterisk from which they come; `None`: from every one.
        asterisk_id: Option<Arc<str>>,
    },
}

impl Feed {
    /// The new calls of an application, from every Asterisk.
    pub fn calls(application: impl Into<Arc<str>>) -> Self {
        Self::Calls {
            application: application.into(),
            asterisk_id: None,
        }
    }
}

/// A feed that somebody wants now, or that nobody wants any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedChange {
    /// Feed.
    pub feed: Feed,
    /// The generation that is wanted; `None`: nobody wants it.
    pub wanted: Option<u64>,
}

/// How far a feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedState {
    /// Being established.
    Pending,
    /// No event of it is missed.
    Ready,
    /// It cannot be had, for this reason.
    Failed(Arc<str>),
}

/// Waits until a feed is ready.
#[derive(Debug)]
pub struct FeedWait(Option<watch::Receiver<FeedState>>);

impl FeedWait {
    /// Waits until no event of the feed is missed.
    ///
    /// # Errors
    /// The transport could not establish it, or was closed.
    ///
    /// # Cancel safety
    /// The wait may be dropped at any time.
    pub async fn ready(self) -> Result<()> {
        let Some(mut state) = self.0 else {
            return Ok(());
        };
        let state = state.wait_for(|state| *state != FeedState::Pending).await;
        match state.as_deref() {
            Ok(FeedState::Failed(reason)) => Err(Error::Connect {
                reason: reason.to_string(),
                source: None,
            }),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }
}

pub(crate) type FeedNo = u32;

/// Gives the memory of a table back after a mass removal.
pub(crate) fn give_back<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > 64 && table.len() < table.capacity() / 4 {
        table.shrink_to_fit();
    }
}

#[derive(Debug)]
struct Row {
    number: FeedNo,
    generation: u64,
    subscriptions: usize,
    paused: bool,
    /// Nothing is on its way since it was paused.
    drained: bool,
    state: watch::Sender<FeedState>,
}

#[derive(Debug, Default)]
pub(crate) struct Feeds {
    rows: HashMap<Feed, Row>,
    changed: BTreeSet<Feed>,
    generation: u64,
    last_number: FeedNo,
}

impl Feeds {
    /// Counts one more subscription on a feed.
    pub(crate) fn acquire(&mut self, feed: &Feed, ready: bool) -> FeedNo {
        if !self.rows.contains_key(feed) {
            self.generation += 1;
            self.last_number = self.last_number.wrapping_add(1);
            let state = if ready {
                FeedState::Ready
            } else {
                FeedState::Pending
            };
            let row = Row {
                number: self.last_number,
                generation: self.generation,
                subscriptions: 0,
                paused: false,
                drained: false,
                state: watch::Sender::new(state),
            };
            self.rows.insert(feed.clone(), row);
            self.note(feed, ready);
        }
        let Some(row) = self.rows.get_mut(feed) else {
            return 0;
        };
        row.subscriptions += 1;
        row.number
    }

    /// The wait until a feed is ready.
    pub(crate) fn wait(&self, feed: &Feed) -> FeedWait {
        let pending = self
            .rows
            .get(feed)
            .filter(|row| *row.state.borrow() != FeedState::Ready);
        FeedWait(pending.map(|row| row.state.subscribe()))
    }

    /// Counts one subscription less.
    pub(crate) fn release(&mut self, feed: &Feed, local: bool) {
        let Some(row) = self.rows.get_mut(feed) else {
            return;
        };
        row.subscriptions -= 1;
        if row.subscriptions == 0 {
            self.rows.remove(feed);
            self.note(feed, local);
            give_back(&mut self.rows);
        }
    }

    /// Stops, or goes on with, a feed whose subscriptions stay.
    pub(crate) fn pause(&mut self, feed: &Feed, paused: bool, local: bool) {
        let Some(row) = self.rows.get_mut(feed).filter(|row| row.paused != paused) else {
            return;
        };
        row.paused = paused;
        row.drained = false;
        if !paused {
            self.generation += 1;
            row.generation = self.generation;
            if !local {
                row.state.send_replace(FeedState::Pending);
            }
        }
        self.note(feed, local);
    }

    /// Notes that nothing of a paused feed is on its way any more.
    pub(crate) fn note_drained(&mut self, feed: &Feed) {
        if let Some(row) = self.rows.get_mut(feed) {
            row.drained = row.paused;
        }
    }

    pub(crate) fn is_drained(&self, feed: &Feed) -> bool {
        self.rows.get(feed).is_some_and(|row| row.drained)
    }

    fn note(&mut self, feed: &Feed, local: bool) {
        if !local {
            self.changed.insert(feed.clone());
        }
    }

    pub(crate) fn number(&self, feed: &Feed) -> Option<FeedNo> {
        self.rows.get(feed).map(|row| row.number)
    }

    pub(crate) fn wants(&self, feed: &Feed) -> bool {
        self.rows.contains_key(feed)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether so many subscriptions are all that a feed has.
    pub(crate) fn is_held_by(&self, feed: &Feed, subscriptions: usize) -> bool {
        let row = self.rows.get(feed);
        row.is_some_and(|row| row.subscriptions == subscriptions)
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(crate) fn take_changes(&mut self) -> Vec<FeedChange> {
        std::mem::take(&mut self.changed)
            .into_iter()
            .map(|feed| {
                let row = self.rows.get(&feed).filter(|row| !row.paused);
                FeedChange {
                    wanted: row.map(|row| row.generation),
                    feed,
                }
            })
            .collect()
    }

    pub(crate) fn set_state(&mut self, feed: &Feed, generation: u64, state: FeedState) {
        if let Some(row) = self
            .rows
            .get(feed)
            .filter(|row| row.generation == generation)
        {
            row.state.send_replace(state);
        }
    }
}
