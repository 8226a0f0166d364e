//! Where the WebSocket of a client comes from: it is opened, or Asterisk opens it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
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
    /// Longest answer that may come over it; `None`: none does.
    pub(crate) max_answer: Option<usize>,
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
    /// A socket, and where it goes back to if nobody takes it.
    Somebody(Box<Arrival>, oneshot::Sender<Box<Arrival>>),
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

    /// Lets a socket in; the newest is the one that Asterisk uses. Gives it back where the client ends before it takes
    /// it: what Asterisk has kept comes with it, and never again.
    ///
    /// # Cancel safety
    /// The socket stays with the client when the future is dropped.
    pub(crate) async fn put(&self, mut arrival: Box<Arrival>) -> Result<(), Box<Arrival>> {
        let back = {
            let mut arrived = self.arrived();
            match std::mem::take(&mut *arrived) {
                Arrived::Shut => {
                    *arrived = Arrived::Shut;
                    return Err(arrival);
                }
                Arrived::Nobody => {}
                Arrived::Somebody(before, _) => {
                    let early = std::mem::take(&mut arrival.early);
                    arrival.early = before.early;
                    arrival.early.extend(early);
                }
            }
            let (keep, back) = oneshot::channel();
            *arrived = Arrived::Somebody(arrival, keep);
            back
        };
        self.knock.notify_one();
        back.await.map_or(Ok(()), Err)
    }

    /// Lets no more in.
    pub(crate) fn shut(&self) {
        let arrived = std::mem::replace(&mut *self.arrived(), Arrived::Shut);
        if let Arrived::Somebody(arrival, back) = arrived {
            // Where the listener has ended, nobody is there to take it.
            let _ = back.send(arrival);
        }
    }

    /// Waits until there is a socket.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn knocked(&self) {
        while !matches!(*self.arrived(), Arrived::Somebody(..)) {
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
            Arrived::Somebody(arrival, _) => Some(*arrival),
            Arrived::Nobody => None,
            Arrived::Shut => {
                *arrived = Arrived::Shut;
                None
            }
        }
    }
}
