//! Where the WebSocket of a client comes from: it is opened, or Asterisk opens it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{address::Peer, connector::Dialer, socket::Socket};

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

/// The place where a socket waits that Asterisk opened, until the client takes it.
#[derive(Debug)]
pub(crate) struct Doorway {
    arrived: Mutex<Option<Socket>>,
    knock: Notify,
    /// No more will come.
    listening: CancellationToken,
    is_call: bool,
}

impl Doorway {
    pub(crate) fn new(listening: CancellationToken, is_call: bool) -> Self {
        Self {
            arrived: Mutex::default(),
            knock: Notify::new(),
            listening,
            is_call,
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Option<Socket>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a socket in; the newest is the one that Asterisk uses.
    pub(crate) fn put(&self, socket: Socket) {
        let before = self.arrived().replace(socket);
        drop(before);
        self.knock.notify_one();
    }

    /// Waits until there is a socket.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn knocked(&self) {
        while self.arrived().is_none() {
            self.knock.notified().await;
        }
    }

    /// Takes the next socket; `None`: there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&self) -> Option<Socket> {
        let knocked = self.listening.run_until_cancelled(self.knocked());
        if self.is_call {
            timeout(CALL_RETURNS_WITHIN, knocked).await.ok().flatten()?;
        } else {
            knocked.await?;
        }
        self.arrived().take()
    }
}
