//! How to connect.

use std::{fmt, sync::Arc, time::Duration};

use ari_core::{
    Ari, AriClient, Error, Result,
    subject::{self, NameRole},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::{
    address::{Credentials, HttpAddress, SocketAddress},
    backoff::Backoff,
    client::Client,
    connector::{Connector, Dialer, Tcp},
    desk::Desk,
    door::SocketPlan,
    driver,
    exchange::Http,
    link::{Ending, Limits, Link},
    meter,
    pool::Pool,
    repair::widen,
    replaced::{Standing, WhenReplaced},
    session::Keepalive,
    tls::{self, OwnCertificate, Trust},
};

/// How long the answer to a ping is waited for, unless pings are more frequent than that.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// How many times as long as it was given Asterisk may still be at a request before its silence counts. Another socket
/// is made at once, so a slow request costs no more than a gap.
const OVERTIME: u32 = 1;

/// Pings that follow each other without a pause would be all that the task does.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// More than this cannot be told from never.
const MAX_PING_INTERVAL: Duration = Duration::from_hours(24);

/// Connects to one Asterisk.
///
/// The URL is that of ARI, as in `http://127.0.0.1:8088/ari`; see [`Builder`] for everything else that can
/// be set.
///
/// # Errors
/// [`Error::Connect`] says in one sentence what is wrong and what to do: the URL, nobody listening, TLS,
/// user name or password, no ARI there, no WebSocket. [`Error::InvalidName`]: the application's name.
///
/// # Cancel safety
/// Dropping the future leaves no connection.
pub async fn connect(
    url: impl Into<String>,
    application: impl Into<String>,
    user: impl Into<String>,
    password: impl Into<String>,
) -> Result<Ari> {
    builder(url)
        .application(application)
        .credentials(user, password)
        .connect()
        .await
}

/// Begins a connection to the Asterisk at this URL, as in `http://127.0.0.1:8088/ari`.
///
/// The URL may carry the credentials (`http://user:password@host:8088/ari`); they are never shown.
pub fn builder(url: impl Into<String>) -> Builder {
    Builder {
        url: SecretString::from(url.into()),
        websocket_url: None,
        applications: Vec::new(),
        credentials: None,
        subscribe_all: false,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(10),
        max_connections: 32,
        max_answer_bytes: 64 * 1024 * 1024,
        trust: Trust::default(),
        over_socket: false,
        retry: false,
        when_replaced: WhenReplaced::Yield,
        connector: Arc::new(Tcp),
    }
}

/// What a connection to one Asterisk is made of.
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    url: SecretString,
    websocket_url: Option<SecretString>,
    applications: Vec<String>,
    credentials: Option<Credentials>,
    subscribe_all: bool,
    request_timeout: Duration,
    connect_timeout: Duration,
    ping_interval: Duration,
    max_connections: usize,
    max_answer_bytes: usize,
    trust: Trust,
    over_socket: bool,
    retry: bool,
    when_replaced: WhenReplaced,
    connector: Arc<dyn Connector>,
}

impl Builder {
    /// Adds a Stasis application to connect as; the first one is the client's own.
    ///
    /// The events of all of them come over one WebSocket. One that was added before is not added again: Asterisk would
    /// take it for one that is taken over by itself.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.applications.contains(&name) {
            self.applications.push(name);
        }
        self
    }

    /// Sets user name and password, as in ari.conf; they come before those in a URL.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::new(user, password));
        self
    }

    /// Sets the URL of the WebSocket, as in `ws://127.0.0.1:8088/ari/events`; unless it is set, it is made of
    /// the URL of ARI.
    pub fn websocket_url(mut self, url: impl Into<String>) -> Self {
        self.websocket_url = Some(SecretString::from(url.into()));
        self
    }

    /// Subscribes the applications to the events of everything in Asterisk, not only of what is theirs.
    ///
    /// Asterisk itself does so only for an application that does not exist yet: one that has live channels, bridges or
    /// subscriptions outlives its connection. So after each connect it is asked what an application hears of, and told
    /// to subscribe to all channels, bridges, endpoints and device states where these are missing; events about what the
    /// application was subscribed to before may then come twice. Where Asterisk refuses that, the client is connected
    /// all the same, and the log says so.
    pub const fn subscribe_all(mut self, all: bool) -> Self {
        self.subscribe_all = all;
        self
    }

    /// Limits how long the answer to a request is waited for that sets no limit of its own; 10 s unless set.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Limits how long one attempt to connect may take; 10 s unless set.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets after how much silence a ping is sent over the WebSocket; 10 s unless set.
    ///
    /// If nothing comes within as much time again, but 5 s at most, the WebSocket is made again: by default
    /// one that is open at this side only is found after 15 s.
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Limits how many HTTP connections there are at a time, and so how many requests; 32 unless set.
    ///
    /// Asterisk serves 100 in all unless http.conf says otherwise; further requests wait for their turn.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Limits the length of an answer, that of a file included; 64 MiB unless set.
    pub const fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// Adds certificate authorities, in PEM, to those of the system.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust.authorities.push(pem.into());
        self
    }

    /// Shows this certificate to a server that asks for one: its chain, and its key, both in PEM.
    ///
    /// The key is never shown. Both are used where the URL is `https` or `wss` only.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.trust.client = Some(OwnCertificate::new(chain, key));
        self
    }

    /// Sends requests over the event socket instead of HTTP.
    ///
    /// Asterisk has this since 20.14, 21.9, 22.4 and 23. It does the requests of a socket one after the
    /// other, so a slow one delays those that come later; their deadlines hold all the same. It delays the
    /// answers to pings, too: a socket that is open at this side only is found no earlier than when the request that
    /// is under way has had twice its time. Only files still come over HTTP. A request that is longer than a frame may
    /// be is an error, an event filter that would keep `RESTResponse` away is refused, and one that allows only some
    /// types gets it added: it would keep away the answers.
    pub const fn rest_over_websocket(mut self) -> Self {
        self.over_socket = true;
        self
    }

    /// Keeps trying until Asterisk is there, with exponential backoff.
    ///
    /// What only somebody can change is an error all the same: a wrong URL, password or certificate, or
    /// something else than ARI.
    pub const fn retry_connect(mut self, retry: bool) -> Self {
        self.retry = retry;
        self
    }

    /// Sets what is done when another program takes the application over; the client yields unless set.
    pub const fn when_replaced(mut self, what: WhenReplaced) -> Self {
        self.when_replaced = what;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`connect`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves no connection.
    pub async fn connect(self) -> Result<Ari> {
        Ok(Ari::new(self.build_client().await?))
    }

    /// Connects, and gives the transport without the front.
    ///
    /// Its drop ends the connection at once, [`AriClient::close`] in good order.
    ///
    /// # Errors
    /// As [`connect`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves no connection.
    pub async fn build_client(self) -> Result<Arc<dyn AriClient>> {
        Ok(Arc::new(self.open().await?))
    }

    pub(crate) async fn open(self) -> Result<Client> {
        if Handle::try_current().is_err() {
            return Err(wrong(
                "no tokio runtime is running here: connect within one",
            ));
        }
        let retry = self.retry;
        let client = Client::new(self.link().await?);
        let link = client.link();
        meter::describe();
        let mut backoff = Backoff::new(fastrand::Rng::new());
        let (socket, greeting) = loop {
            match link.attempt().await {
                Ok(connected) => break connected,
                // Another program may have taken over meanwhile what it would be tried for.
                Err(trouble) if retry && !trouble.lasting && !link.is_retired() => {
                    trouble.warn();
                    sleep(backoff.next_wait()).await;
                }
                Err(trouble) => return Err(trouble.into()),
            }
        };
        link.connected(&greeting);
        link.tracker
            .spawn(driver::run(Ending(Arc::clone(link)), socket));
        widen(link).await;
        Ok(client)
    }

    /// Everything but the connection itself.
    async fn link(self) -> Result<Link> {
        let (address, in_url) = HttpAddress::parse(self.url.expose_secret())?;
        let (socket, in_socket_url) = match &self.websocket_url {
            Some(url) => SocketAddress::parse(url.expose_secret())?,
            None => (address.websocket(), None),
        };
        let standing = Standing::new(self.when_replaced, self.check_applications()?);
        let credentials = self.credentials.clone().or(in_url).or(in_socket_url);
        let missing = || {
            wrong(
                "there are no credentials: set user name and password, as in ari.conf (for from_env: ARI_USERNAME and ARI_PASSWORD)",
            )
        };
        let authorization = credentials.ok_or_else(missing)?.header()?;
        let url = socket.for_applications(&self.applications, self.subscribe_all)?;
        let keepalive = keepalive(self.ping_interval);
        let limits = Limits {
            request: self.request_timeout,
            connect: self.connect_timeout,
            keepalive,
        };
        let tls = if address.peer.tls || socket.peer.tls {
            Some(trust(self.trust).await?)
        } else {
            None
        };
        let dialer = Dialer::new(self.connector, tls);
        let tracker = TaskTracker::new();
        let pool = Pool::new(
            dialer.clone(),
            address.peer.clone(),
            self.max_connections,
            tracker.clone(),
        );
        let http = Http::new(&address, authorization.clone(), pool, self.max_answer_bytes)
            .map_err(|_| wrong(format!("{} is no host that can be named", address.peer)))?;
        let plan = SocketPlan {
            dialer,
            peer: socket.peer,
            url,
            authorization,
            max_answer: self.over_socket.then_some(self.max_answer_bytes),
        };
        let desk = self
            .over_socket
            .then(|| Desk::new(self.max_answer_bytes, OVERTIME));
        let link = Link::new(standing, http, desk, plan, limits, tracker);
        if self.subscribe_all {
            link.memory().want_everything();
        }
        Ok(link)
    }

    /// Checks the names; the first one is the client's own.
    fn check_applications(&self) -> Result<Vec<Arc<str>>> {
        for name in &self.applications {
            subject::validate(NameRole::Application, name)?;
            if name.contains(',') {
                let reason = format!(
                    "application name {name:?} has a comma: add each application by itself"
                );
                return Err(wrong(reason));
            }
        }
        if self.applications.is_empty() {
            return Err(wrong(
                "there is no application: set the name that the dialplan gives to Stasis() (for from_env: ARI_APPLICATION)",
            ));
        }
        let names = self.applications.iter();
        Ok(names.map(|name| Arc::from(name.as_str())).collect())
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connector = connector;
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("applications", &self.applications)
            .field("subscribe_all", &self.subscribe_all)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("max_connections", &self.max_connections)
            .field("max_answer_bytes", &self.max_answer_bytes)
            .field("rest_over_websocket", &self.over_socket)
            .field("retry_connect", &self.retry)
            .field("when_replaced", &self.when_replaced)
            .finish_non_exhaustive()
    }
}

async fn trust(trust: Trust) -> Result<TlsConnector> {
    let reading = spawn_blocking(move || tls::connector(&trust)).await;
    reading.map_err(|error| Error::Connect {
        reason: "TLS could not be set up".into(),
        source: Some(error.into()),
    })?
}

/// How a WebSocket is kept that is pinged after so much silence.
pub(crate) fn keepalive(interval: Duration) -> Keepalive {
    let interval = interval.clamp(MIN_PING_INTERVAL, MAX_PING_INTERVAL);
    Keepalive {
        interval,
        deadline: interval.min(PONG_WITHIN),
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::Connect {
        reason: reason.into(),
        source: None,
    }
}
