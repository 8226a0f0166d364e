//! Membership in the queue groups of new calls.
//!
//! async-nats forgets a subscription that is drained the next time its task wakes, whether the server has
//! heard of it or not: what is on its way then is lost, and a call of which it was the announcement has
//! nobody. So a group is left in two steps. First the server is told to send only so many messages more,
//! which loses none of them; only when nothing has come for a while the rest is given up.

use std::task::{Context, Poll};

use ari_core::router::Feed;
use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::time::{Duration, Instant};

/// Messages that may come until the server stops: more than can be on their way at a time.
const LAST_MESSAGES: u64 = 256;
/// How long nothing has come when it is believed that no more is on its way: far longer than a round trip.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A NATS subscription in a queue group.
struct Member {
    feed: Feed,
    subscriber: Subscriber,
    read: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Taking,
    /// The last messages are coming, until then.
    Leaving(Instant),
    /// Whatever is on its way is given up.
    Gone,
}

/// The queue groups that this client is in.
#[derive(Default)]
pub(crate) struct Groups {
    members: Vec<Member>,
}

impl Groups {
    /// Takes part in the group of a feed.
    pub(crate) fn join(&mut self, feed: Feed, subscriber: Subscriber) {
        self.members.push(Member {
            feed,
            subscriber,
            read: 0,
            state: State::Taking,
        });
    }

    /// Whether this client takes the calls of a feed.
    pub(crate) fn takes(&self, feed: &Feed) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.feed == *feed && member.state == State::Taking)
    }

    /// Leaves the group of a feed: in good order, or at once where nobody is there to take a call.
    pub(crate) async fn leave(&mut self, feed: &Feed, at_once: bool) {
        for member in self
            .members
            .iter_mut()
            .filter(|member| member.feed == *feed)
        {
            if at_once {
                member.go().await;
            } else if member.state == State::Taking {
                member.state = State::Leaving(Instant::now() + LAST_WAIT);
                let last = member.read + LAST_MESSAGES;
                if member.subscriber.unsubscribe_after(last).await.is_err() {
                    member.state = State::Gone;
                }
            }
        }
    }

    /// When somebody has waited long enough for the last messages.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.members.iter().filter_map(|member| match member.state {
            State::Leaving(deadline) => Some(deadline),
            _ => None,
        });
        deadlines.min()
    }

    /// Gives up what has not come in time.
    pub(crate) async fn give_up(&mut self, now: Instant) {
        for member in &mut self.members {
            if matches!(member.state, State::Leaving(deadline) if deadline <= now) {
                member.go().await;
            }
        }
    }

    /// The next message of a group; `None` where this client has left one.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(Feed, Option<Message>)> {
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            if let Poll::Ready(message) = member.subscriber.poll_next_unpin(context) {
                let feed = member.feed.clone();
                member.read += 1;
                if let State::Leaving(until) = &mut member.state {
                    *until = Instant::now() + LAST_WAIT;
                }
                if message.is_none() {
                    self.members.remove(place);
                }
                return Poll::Ready((feed, message));
            }
        }
        Poll::Pending
    }

    /// Whether nothing of a feed is on its way to this client any more.
    pub(crate) fn has_left(&self, feed: &Feed) -> bool {
        self.members.iter().all(|member| member.feed != *feed)
    }
}

impl Member {
    async fn go(&mut self) {
        if self.state != State::Gone {
            self.state = State::Gone;
            if let Err(error) = self.subscriber.drain().await {
                tracing::warn!(%error, "cannot leave the queue group of new calls in good order");
            }
        }
    }
}
