//! One server: an application on an Asterisk, made known to the cluster.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use ari_core::{
    Ari, AriClient, Error, Metadata, Result, fresh_id,
    local::Dialogs,
    subject::{self, NameRole},
};
use ari_nats::{Link, NatsOptions};
use ari_proxy_proto::{DEFAULT_PREFIX, Subjects};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{discovery, publisher, responder};

/// Requests that are carried out at once, unless it is set otherwise.
const REQUESTS_IN_FLIGHT: usize = 1_024;
/// Pause between two announcements, unless it is set otherwise.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// How long each step of a shutdown may take.
const SHUTDOWN_STEP: Duration = Duration::from_secs(5);

/// How a server behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Beginning of all subjects, its dot included.
    pub prefix: String,
    /// Node id to use instead of the entity id of the Asterisk.
    pub node_id: Option<String>,
    /// Pause between two announcements.
    pub announce_every: Duration,
    /// Requests that are carried out at once; one more is answered with an error.
    pub requests_in_flight: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.to_owned(),
            node_id: None,
            announce_every: ANNOUNCE_EVERY,
            requests_in_flight: REQUESTS_IN_FLIGHT,
        }
    }
}

/// What the tasks of a server share.
pub(crate) struct Shared {
    pub(crate) client: Arc<dyn AriClient>,
    pub(crate) nats: async_nats::Client,
    pub(crate) subjects: Subjects,
    pub(crate) application: Arc<str>,
    pub(crate) node: Arc<str>,
    /// Application and node.
    pub(crate) place: Metadata,
    /// Tells this run of the server from others.
    pub(crate) boot: String,
    pub(crate) options: Options,
    dialogs: Mutex<Dialogs>,
    pub(crate) bad_requests: AtomicU64,
    /// Whether the server announces itself: no announcement may follow its goodbye.
    pub(crate) announcing: tokio::sync::Mutex<bool>,
    /// Ends what takes requests in.
    pub(crate) no_requests: CancellationToken,
    /// Ends what announces and publishes.
    pub(crate) over: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) requests: TaskTracker,
}

impl Shared {
    pub(crate) fn dialogs(&self) -> MutexGuard<'_, Dialogs> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("application", &self.application)
            .field("node", &self.node)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A running server.
///
/// It stands on any `AriClient`: one Asterisk over `ari-native`, or a simulated one in the same
/// process. Dropping it ends it at once; [`shutdown`](Self::shutdown) is the orderly way.
#[derive(Debug)]
#[must_use = "a server ends when it is dropped"]
pub struct Server {
    shared: Arc<Shared>,
    ari: Ari,
}

impl Server {
    /// Connects to NATS, and serves what the client reaches.
    ///
    /// # Errors
    /// [`Error::Connect`] if NATS cannot be reached or refuses; [`Error::InvalidName`] if application,
    /// node or prefix cannot become part of a subject; [`Error::InvalidRequest`] if the client has no
    /// application or no Asterisk.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was begun.
    pub async fn start(
        client: Arc<dyn AriClient>,
        nats: &NatsOptions,
        options: Options,
    ) -> Result<Self> {
        let identity = client.identity();
        let application = identity.application.ok_or_else(|| {
            Error::InvalidRequest("a proxy needs a client with an application".to_owned())
        })?;
        let node = options
            .node_id
            .as_deref()
            .map(Arc::from)
            .or(identity.asterisk_id);
        let node: Arc<str> = node.ok_or_else(|| {
            Error::InvalidRequest("Asterisk told no entity id, and no node id is set".to_owned())
        })?;
        subject::validate(NameRole::Application, &application)?;
        subject::validate(NameRole::Node, &node)?;
        let subjects = Subjects::new(&options.prefix)?;
        let place = Metadata {
            application: Some(Arc::clone(&application)),
            asterisk_id: Some(Arc::clone(&node)),
            dialog: None,
        };
        let ari = Ari::new(Arc::clone(&client));
        // Before anything that takes time: calls come from now on.
        let of_asterisk = publisher::listen(&ari).await?;
        let Link {
            client: connection,
            events,
        } = nats
            .connect(&format!("ari-proxy {application}@{node}"))
            .await?;
        let shared = Arc::new(Shared {
            client,
            nats: connection,
            subjects,
            application,
            node,
            place,
            boot: fresh_id(),
            options,
            dialogs: Mutex::default(),
            bad_requests: AtomicU64::new(0),
            announcing: tokio::sync::Mutex::new(true),
            no_requests: CancellationToken::new(),
            over: CancellationToken::new(),
            tasks: TaskTracker::new(),
            requests: TaskTracker::new(),
        });
        // From here on, dropping this future ends what was started.
        let server = Self { shared, ari };
        let shared = &server.shared;
        publisher::start(shared, of_asterisk)?;
        responder::start(shared).await?;
        discovery::start(shared, events).await?;
        Ok(server)
    }

    /// Application and node that it serves.
    pub fn place(&self) -> &Metadata {
        &self.shared.place
    }

    /// Waits until the server cannot go on: its client was closed.
    ///
    /// # Cancel safety
    /// The wait may be dropped and begun again.
    pub async fn stopped(&self) {
        self.shared.over.cancelled().await;
    }

    /// How many entities are bound to dialogs.
    pub fn bindings(&self) -> usize {
        self.shared.dialogs().len()
    }

    /// Ends the server in good order: it says goodbye and leaves the queue groups, finishes the
    /// requests that are there, closes the client, sends what is to be sent, and closes NATS.
    ///
    /// Who asks it afterwards is told at once that nobody is there.
    ///
    /// # Errors
    /// The client could not be closed in good order.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server at once.
    pub async fn shutdown(self) -> Result<()> {
        let shared = &self.shared;
        discovery::say_goodbye(shared).await;
        shared.no_requests.cancel();
        shared.requests.close();
        if timeout(SHUTDOWN_STEP, shared.requests.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                requests = shared.requests.len(),
                "requests are still running: they are given up"
            );
        }
        let closed = timeout(SHUTDOWN_STEP, self.ari.close()).await;
        shared.over.cancel();
        shared.tasks.close();
        if timeout(SHUTDOWN_STEP, shared.tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the proxy did not end in time");
        }
        if timeout(SHUTDOWN_STEP, shared.nats.drain()).await.is_err() {
            tracing::warn!("NATS did not take everything in time");
        }
        closed.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                operation: "closing the connection to Asterisk".to_owned(),
                after: SHUTDOWN_STEP,
            })
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.no_requests.cancel();
        self.shared.over.cancel();
        self.shared.tasks.close();
        self.shared.requests.close();
    }
}
