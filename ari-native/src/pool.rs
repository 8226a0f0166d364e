//! The HTTP connections to Asterisk: few, and none idle for as long as Asterisk would keep it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    address::Peer,
    connector::Dialer,
    error::NotSent,
    meter::Open,
    tap::{Beginning, Tapped},
};

/// Asterisk closes a connection that was idle for 15 s; ours must be gone before, so that no request meets
/// a connection that is just being closed.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// A connection that was given back is ready for the next request within a turn of its task. One that is
/// not has an unread request on it, and is of no use.
const READY_WITHIN: Duration = Duration::from_millis(100);

type Sender = SendRequest<Full<Bytes>>;

/// A connection, and how what came over it last began.
#[derive(Debug)]
struct Connection {
    sender: Sender,
    beginning: Beginning,
}

#[derive(Debug)]
pub(crate) struct Pool {
    dialer: Dialer,
    peer: Peer,
    permits: Semaphore,
    idle: Mutex<Idle>,
    tracker: TaskTracker,
    /// Ends every connection, and every attempt to make one.
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one used last at the end.
    connections: Vec<(Connection, Instant)>,
}

/// What a request needs of the pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// A connection that was not used before.
    pub(crate) fresh: bool,
    /// One even if all are taken.
    pub(crate) urgent: bool,
}

/// A connection for one request. Unless it is given back it is closed when dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    connection: Connection,
    /// Whether a request went over it before.
    pub(crate) reused: bool,
    pool: &'a Pool,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Pool {
    pub(crate) fn new(
        dialer: Dialer,
        peer: Peer,
        max_connections: usize,
        tracker: TaskTracker,
    ) -> Self {
        let permits = Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            dialer,
            peer,
            permits,
            idle: Mutex::default(),
            tracker,
            closing: CancellationToken::new(),
        }
    }

    pub(crate) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits for a connection that is ready for a request.
    ///
    /// # Cancel safety
    /// Nothing is kept when the future is dropped.
    pub(crate) async fn lease(&self, wish: Wish) -> Result<Lease<'_>, NotSent> {
        let permit = if wish.urgent {
            None
        } else {
            Some(self.permits.acquire().await.map_err(|_| NotSent::Closed)?)
        };
        let used = if wish.fresh { None } else { self.take().await };
        let reused = used.is_some();
        let connection = match used {
            Some(connection) => connection,
            // Rare, and large: requests must not carry the room for it.
            None => Box::pin(self.connect()).await?,
        };
        connection.beginning.forget();
        Ok(Lease {
            connection,
            reused,
            pool: self,
            _permit: permit,
        })
    }

    /// Closes what is idle.
    pub(crate) fn forget(&self) {
        let connections = std::mem::take(&mut self.idle().connections);
        drop(connections);
    }

    /// Closes every connection; requests that have none any more are not sent.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.closing.cancel();
        self.forget();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Takes an idle connection that still stands, the one used last first.
    async fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle().connections.pop()?;
            let sender = &mut connection.sender;
            let usable = since.elapsed() < MAX_IDLE && !sender.is_closed();
            let soon = async |sender: &mut Sender| {
                matches!(timeout(READY_WITHIN, sender.ready()).await, Ok(Ok(())))
            };
            if usable && (sender.is_ready() || soon(sender).await) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, NotSent> {
        let beginning = Beginning::default();
        let dial = self.dialer.dial(&self.peer);
        let dialled = self.closing.run_until_cancelled(dial).await;
        let io = Tapped {
            io: dialled.ok_or(NotSent::Closed)??,
            beginning: beginning.clone(),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(NotSent::Dropped)?;
        let (closing, open) = (self.closing.clone(), Open::http());
        self.tracker.spawn(async move {
            let _open = open;
            if let Some(Err(error)) = closing.run_until_cancelled(connection).await {
                tracing::debug!(%error, "an HTTP connection ended");
            }
        });
        Ok(Connection { sender, beginning })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Where the request goes.
    pub(crate) const fn sender(&mut self) -> &mut Sender {
        &mut self.connection.sender
    }

    /// How what came began, for an error message.
    pub(crate) fn came(&self) -> Option<String> {
        self.connection.beginning.sample()
    }

    /// Gives the connection back; only once the whole answer was read.
    pub(crate) fn give_back(self) {
        let now = Instant::now();
        let mut idle = self.pool.idle();
        idle.connections
            .retain(|(idle, since)| now - *since < MAX_IDLE && !idle.sender.is_closed());
        if !self.connection.sender.is_closed() {
            idle.connections.push((self.connection, now));
        }
    }
}
