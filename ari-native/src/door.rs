//! Where the WebSocket of a client comes from: it is opened, or Asterisk opens it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ari_core::Event;
use http::HeaderValue;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
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

/// What Asterisk says of each application of a socket that it has opened.
const REGISTERED: &str = "ApplicationRegistered";

/// How long a socket of a call is kept at most that is of no more use. Asterisk closes it 3 to 8 s after the end.
const KEPT_FOR: Duration = Duration::from_secs(10);

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

impl Arrival {
    /// Whether Asterisk has said that the socket is for this application.
    pub(crate) fn registers(&self, application: &str) -> bool {
        let told = self.early.iter().filter_map(of_socket);
        told.filter(|event| event.kind() == REGISTERED)
            .any(|event| event.application() == Some(application))
    }
}

/// The place where a socket waits that Asterisk opened, until the client takes it.
#[derive(Debug)]
pub(crate) struct Doorway {
    arrived: Mutex<Arrived>,
    knock: Notify,
    /// No more will come.
    listening: CancellationToken,
    /// Tasks of the listener.
    tracker: TaskTracker,
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
        tracker: TaskTracker,
        is_call: bool,
        returns_within: Duration,
    ) -> Self {
        Self {
            arrived: Mutex::default(),
            knock: Notify::new(),
            listening,
            tracker,
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
                    let mut early = before.early;
                    early.retain(|frame| of_socket(frame).is_none());
                    early.append(&mut arrival.early);
                    arrival.early = early;
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

    /// Keeps the socket of a call open until Asterisk closes it. It would open another one in place of one that is
    /// closed, in the name of a call that has a client of its own by now.
    pub(crate) fn keep(&self, socket: Socket) {
        let mut socket = socket.with_requests(None);
        let end = async move { while socket.next().await.is_ok() {} };
        let kept = timeout(KEPT_FOR, end);
        let kept = self.listening.clone().run_until_cancelled_owned(kept);
        self.tracker.spawn(kept);
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

/// What a frame says of the applications that its socket is for, which holds for no other socket.
fn of_socket(frame: &Frame) -> Option<Event> {
    let Frame::Text(text) = frame else {
        return None;
    };
    let event = Event::parse_text(text.clone()).ok()?;
    let is_of_socket = [REGISTERED, "ApplicationReplaced", "ApplicationUnregistered"];
    is_of_socket.contains(&event.kind()).then_some(event)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use tokio::{io::duplex, sync::Semaphore};
    use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

    use super::*;
    use crate::connector::BoxIo;

    /// A socket that brings these events.
    async fn arrival(kinds: &[&str]) -> Box<Arrival> {
        let io: BoxIo = Box::new(duplex(1).0);
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let event = |kind: &&str| Frame::Text(format!(r#"{{"type":"{kind}"}}"#).into());
        Box::new(Arrival {
            socket: Socket::accepted(stream, place),
            greeting: Greeting::default(),
            early: kinds.iter().map(event).collect(),
        })
    }

    fn brought(arrival: &Arrival) -> Vec<String> {
        let kind = |frame: &Frame| match frame {
            Frame::Text(text) => Event::parse_text(text.clone()).unwrap().kind().to_owned(),
            other => format!("{other:?}"),
        };
        arrival.early.iter().map(kind).collect()
    }

    fn doorway() -> Doorway {
        Doorway::new(
            CancellationToken::new(),
            TaskTracker::new(),
            false,
            Duration::from_secs(1),
        )
    }

    #[tokio::test]
    async fn a_newer_socket_brings_what_an_older_one_brought() {
        let doorway = doorway();
        let older = ["ApplicationRegistered", "First", "ApplicationReplaced"];
        let mut older = Box::pin(doorway.put(arrival(&older).await));
        assert!((&mut older).now_or_never().is_none());
        let newer = ["ApplicationRegistered", "Second"];
        let mut newer = Box::pin(doorway.put(arrival(&newer).await));
        assert!((&mut newer).now_or_never().is_none());
        assert!(older.await.is_ok());
        let taken = doorway.next().await.unwrap();
        assert_eq!(
            brought(&taken),
            ["First", "ApplicationRegistered", "Second"]
        );
        assert!(newer.await.is_ok());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_takes_comes_back() {
        let doorway = doorway();
        let mut waits = Box::pin(doorway.put(arrival(&["Kept"]).await));
        assert!((&mut waits).now_or_never().is_none());
        doorway.shut();
        assert_eq!(brought(&waits.await.unwrap_err()), ["Kept"]);
        let late = doorway.put(arrival(&["Late"]).await).await;
        assert_eq!(brought(&late.unwrap_err()), ["Late"]);
        assert!(doorway.next().now_or_never().flatten().is_none());
    }
}
