//! Connecting to the cluster.

use std::{sync::Arc, time::Duration};

use ari_core::{
    Ari, AriClient, Error, Result, fresh_id,
    subject::{self, NameRole},
};
use ari_nats::{Link, NatsOptions};
use ari_proxy_proto::{DEFAULT_PREFIX, Subjects};

use crate::{client::ProxyClient, shared::Shared};

/// How long the answer to a request is waited for, unless it is set otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that may wait for answers at once, unless it is set otherwise.
const REQUESTS_IN_FLIGHT: usize = 16_384;

/// Which Asterisk a creation goes to that names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// One after the other.
    #[default]
    Spread,
    /// This one while it is there, the others otherwise.
    Prefer(Arc<str>),
    /// This one only.
    Pin(Arc<str>),
}

pub(crate) struct Settings {
    pub(crate) application: Option<Arc<str>>,
    pub(crate) subjects: Subjects,
    pub(crate) timeout: Duration,
    pub(crate) placement: Placement,
    pub(crate) requests_in_flight: usize,
}

/// Sets up a connection to the cluster.
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before connect() is awaited"]
pub struct Builder {
    nats: NatsOptions,
    connection: Option<async_nats::Client>,
    application: Option<String>,
    prefix: String,
    timeout: Duration,
    placement: Placement,
    requests_in_flight: usize,
}

/// Connects to the cluster as an application.
///
/// # Errors
/// As [`Builder::connect`].
///
/// # Cancel safety
/// Dropping the future ends the attempt.
pub async fn connect(url: &str, application: &str) -> Result<Ari> {
    builder(url).application(application).connect().await
}

/// Sets up a connection to the cluster by these NATS servers, separated by commas.
pub fn builder(url: &str) -> Builder {
    Builder::new(NatsOptions::new(url))
}

impl Builder {
    /// Sets up a connection with these options.
    pub fn new(nats: NatsOptions) -> Self {
        Self {
            nats,
            connection: None,
            application: None,
            prefix: DEFAULT_PREFIX.to_owned(),
            timeout: TIMEOUT,
            placement: Placement::default(),
            requests_in_flight: REQUESTS_IN_FLIGHT,
        }
    }

    /// Works for this Stasis application; without one, requests go to the servers of all applications.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = Some(name.into());
        self
    }

    /// Puts this before every subject, its dot included; `ari.` unless it is set.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Waits this long for the answer to a request; 5 s unless it is set.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Chooses the Asterisk of creations that name none in this way.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Lets this many requests wait for answers at once; 16,384 unless it is set.
    pub const fn requests_in_flight(mut self, limit: usize) -> Self {
        self.requests_in_flight = limit;
        self
    }

    /// Changes how NATS is connected to: credentials, certificates, waiting for it.
    pub fn nats(mut self, change: impl FnOnce(NatsOptions) -> NatsOptions) -> Self {
        self.nats = change(self.nats);
        self
    }

    /// Uses a connection that the application has made; closing the client leaves it open.
    ///
    /// How it breaks and comes back is not seen then, so the loss of events is told only where their
    /// numbers show it.
    pub fn connection(mut self, connection: async_nats::Client) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Connects, and finds out who is in the cluster: returns once 250 ms have passed without a
    /// server that was not heard of before.
    ///
    /// # Errors
    /// [`Error::Connect`] if NATS cannot be reached or refuses, with a sentence that says what to do;
    /// [`Error::InvalidName`] if the application cannot become part of a subject.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect(self) -> Result<Ari> {
        Ok(Ari::new(self.connect_client().await?))
    }

    /// As [`connect`](Self::connect), and gives the transport without the front.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect_client(self) -> Result<Arc<dyn AriClient>> {
        let application: Option<Arc<str>> = self.application.map(Arc::from);
        if let Some(application) = &application {
            subject::validate(NameRole::Application, application)?;
        }
        let subjects = Subjects::new(&self.prefix)?;
        let id = fresh_id();
        let servers = self.nats.servers();
        let owned = self.connection.is_none();
        let (nats, events) = if let Some(client) = self.connection {
            (client, None)
        } else {
            let name = match &application {
                Some(application) => format!("ari-proxy-client {application}"),
                None => "ari-proxy-client".to_owned(),
            };
            let Link { client, events } = self.nats.connect(&name).await?;
            (client, Some(events))
        };
        let settings = Settings {
            application,
            subjects,
            timeout: self.timeout,
            placement: self.placement,
            requests_in_flight: self.requests_in_flight,
        };
        let shared = Arc::new(Shared::new(nats, servers, owned, settings, id));
        let client = ProxyClient::start(shared, events).await;
        client
            .map(|client| Arc::new(client) as Arc<dyn AriClient>)
            .map_err(|error| match error {
                Error::Connect { .. } => error,
                other => Error::Connect {
                    reason: "cannot subscribe on NATS".to_owned(),
                    source: Some(other.into()),
                },
            })
    }
}
