//! The reply inbox: one wildcard subscription for all the requests of a connection.
//!
//! async-nats' own `request()` keeps an entry for every request that is never answered; here an entry
//! goes with the guard that waits for it, whether it was answered, timed out or cancelled.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{Message, StatusCode, Subject};
use tokio::sync::mpsc;

/// Replies to one request that nobody has read yet.
const WAITING_REPLIES: usize = 1024;

/// What came to a reply subject.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An answer.
    Answer(Message),
    /// Nobody listens where the request went.
    NobodyThere,
}

/// The requests that wait for replies.
#[derive(Debug)]
pub(crate) struct Inbox {
    prefix: String,
    waiting: Mutex<HashMap<u64, mpsc::Sender<Reply>>>,
    limit: usize,
    last: AtomicU64,
}

impl Inbox {
    pub(crate) fn new(client_id: &str, limit: usize) -> Self {
        Self {
            prefix: format!("_INBOX.{client_id}."),
            waiting: Mutex::default(),
            limit,
            last: AtomicU64::new(0),
        }
    }

    /// The subject of the one subscription.
    pub(crate) fn wildcard(&self) -> String {
        format!("{}*", self.prefix)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a place for replies; `None` if too many requests are in flight.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Replies> {
        let (sender, receiver) = mpsc::channel(WAITING_REPLIES);
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting();
        if waiting.len() >= self.limit {
            return None;
        }
        waiting.insert(number, sender);
        Some(Replies {
            inbox: Arc::clone(self),
            number,
            receiver,
        })
    }

    /// Hands a message to the request that it answers; one that nobody waits for is dropped.
    pub(crate) fn deliver(&self, message: Message) {
        let number = message
            .subject
            .strip_prefix(&self.prefix)
            .and_then(|number| number.parse().ok());
        let Some(number) = number else { return };
        let reply = match message.status {
            Some(StatusCode::NO_RESPONDERS) => Reply::NobodyThere,
            _ => Reply::Answer(message),
        };
        if let Some(sender) = self.waiting().get(&number)
            && sender.try_send(reply).is_err()
        {
            tracing::warn!("an answer came to a request that has too many already");
        }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }
}

/// The replies to one request; its drop gives the place up.
#[derive(Debug)]
pub(crate) struct Replies {
    inbox: Arc<Inbox>,
    number: u64,
    receiver: mpsc::Receiver<Reply>,
}

impl Replies {
    /// The reply subject.
    pub(crate) fn subject(&self) -> Subject {
        format!("{}{}", self.inbox.prefix, self.number).into()
    }

    /// The next reply; `None` never comes while the place is held.
    pub(crate) async fn next(&mut self) -> Option<Reply> {
        self.receiver.recv().await
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        let mut waiting = self.inbox.waiting();
        waiting.remove(&self.number);
        if waiting.capacity() > 256 && waiting.len() < waiting.capacity() / 4 {
            waiting.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, status: Option<StatusCode>) -> Message {
        Message {
            subject: subject.into(),
            reply: None,
            payload: bytes::Bytes::from_static(b"{}"),
            headers: None,
            status,
            description: None,
            length: 2,
        }
    }

    #[tokio::test]
    async fn a_reply_reaches_the_request_that_it_answers() {
        let inbox = Arc::new(Inbox::new("c1", 8));
        let (mut one, mut other) = (inbox.open().unwrap(), inbox.open().unwrap());
        inbox.deliver(message(&other.subject(), None));
        inbox.deliver(message(&one.subject(), Some(StatusCode::NO_RESPONDERS)));
        assert!(matches!(one.next().await, Some(Reply::NobodyThere)));
        assert!(matches!(other.next().await, Some(Reply::Answer(_))));
    }

    #[test]
    fn strange_subjects_and_late_replies_are_dropped() {
        let inbox = Arc::new(Inbox::new("c1", 8));
        let late = inbox.open().unwrap().subject();
        for subject in [
            &*late,
            "_INBOX.c1.",
            "_INBOX.c1.x",
            "_INBOX.c1.99999999999999999999999",
            "else.1",
        ] {
            inbox.deliver(message(subject, None));
        }
        assert_eq!(inbox.len(), 0);
    }

    #[test]
    fn the_places_are_bounded_and_given_up_by_drop() {
        let inbox = Arc::new(Inbox::new("c1", 2));
        let held = (inbox.open().unwrap(), inbox.open().unwrap());
        assert!(inbox.open().is_none());
        drop(held);
        assert_eq!(inbox.len(), 0);
        assert!(inbox.open().is_some());
    }
}
