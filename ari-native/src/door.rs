//! Where the WebSocket of a client comes from: it is opened, or Asterisk opens it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    address::Peer,
    connector::Dialer,
    greeting::Greeting,
    socket::{Frame, Socket},
};

/// How long the socket of a call may be gone: Asterisk tries four times within as many seconds unless it is
/// told otherwise.
const CALL_RETURNS_WITHIN: Duration = Duration::from_secs(5);

/// How there comes to be a WebSocket.
pub(crate) enum Door {
    /// It is opened.
    Dial(SocketPlan),
    /// Asterisk opens it.
    Accept(Doorway),
}

/// Where the WebSocket is and how to open it.
pub(crate) struct SocketPlan {
    pub(crate) dialer: Dialer,
    pub(crate) peer: Peer,
    pub(crate) url: Url,
    pub(crate) authorization: HeaderValue,
}

/// A socket that Asterisk opened, once it has said who it is.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) greeting: Greeting,
    /// What came before it said so.
    pub(crate) early: Vec<Frame>,
}

/// The place where a socket waits that Asterisk opened, until the client takes it.
#[derive(Debug)]
pub(crate) struct Doorway {
    arrived: Mutex<Arrived>,
    knock: Notify,
    /// No more will come.
    listening: CancellationToken,
    /// It is for one call.
    pub(crate) is_call: bool,
    /// How long the socket may be gone.
    returns_within: Duration,
}

#[derive(Debug, Default)]
enum Arrived {
    #[default]
    Nobody,
    Somebody(Box<Arrival>),
    /// Nobody will take a socket any more.
    Shut,
}

impl Doorway {
    /// One for an application whose socket may be gone so long, or for a call.
    pub(crate) fn new(
        listening: CancellationToken,
        is_call: bool,
        returns_within: Duration,
    ) -> Self {
        Self {
            arrived: Mutex::default(),
            knock: Notify::new(),
            listening,
            is_call,
            returns_within: if is_call {
                CALL_RETURNS_WITHIN
            } else {
                returns_within
            },
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a socket in; the newest is the one that Asterisk uses.
    pub(crate) fn put(&self, arrival: Arrival) {
        let mut arrived = self.arrived();
        if !matches!(*arrived, Arrived::Shut) {
            *arrived = Arrived::Somebody(Box::new(arrival));
            self.knock.notify_one();
        }
    }

    /// Lets no more in: Asterisk finds out at once, and opens another one for somebody else.
    pub(crate) fn shut(&self) {
        *self.arrived() = Arrived::Shut;
    }

    /// Waits until there is a socket.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn knocked(&self) {
        while !matches!(*self.arrived(), Arrived::Somebody(_)) {
            self.knock.notified().await;
        }
    }

    /// Takes the next socket; `None`: there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&self) -> Option<Arrival> {
        let knocked = self.listening.run_until_cancelled(self.knocked());
        timeout(self.returns_within, knocked).await.ok()??;
        let mut arrived = self.arrived();
        match std::mem::take(&mut *arrived) {
            Arrived::Somebody(arrival) => Some(*arrival),
            Arrived::Nobody => None,
            Arrived::Shut => {
                *arrived = Arrived::Shut;
                None
            }
        }
    }
}
