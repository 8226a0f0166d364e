//! A server for connections that Asterisk makes.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use ari_core::{Ari, ConnectionState, Error, IncomingCall, Result};
use futures::StreamExt;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::{sleep, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    accept::{Entrance, Introduced, introduced, peer},
    address::{Credentials, Peer},
    builder,
    client::Client,
    connector::BoxIo,
    desk::Desk,
    door::{Arrival, Door, Doorway},
    driver,
    link::{Ending, Limits, Link, after},
    lobby::{Guest, Lobby},
    tls::{self, OwnCertificate},
};

/// Connections that wait until the program asks for them.
const WAITING: usize = 16;

/// How long a socket is kept that is of no use: Asterisk opens the next one at once.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// Pause after an error of the operating system, as when it has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// Begins a server for connections that Asterisk makes (`type=outbound_websocket` in ari.conf).
pub fn listen(address: SocketAddr) -> ListenerBuilder {
    ListenerBuilder {
        address,
        credentials: None,
        certificate: None,
        max_connections: 256,
        handshake_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(10),
        returns_within: Duration::from_mins(10),
    }
}

/// What a server for connections of Asterisk is made of.
#[derive(Clone)]
#[must_use = "a builder does nothing until it listens"]
pub struct ListenerBuilder {
    address: SocketAddr,
    credentials: Option<Credentials>,
    certificate: Option<OwnCertificate>,
    max_connections: usize,
    handshake_timeout: Duration,
    request_timeout: Duration,
    ping_interval: Duration,
    returns_within: Duration,
}

impl ListenerBuilder {
    /// Sets the user name and password that Asterisk has to give, as in `websocket_client.conf`.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::new(user, password));
        self
    }

    /// Serves TLS with this certificate chain and its key, both in PEM. The key is never shown.
    pub fn certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificate = Some(OwnCertificate::new(chain, key));
        self
    }

    /// Limits how many connections there are at a time; 256 unless set. Further ones are refused. Those that have not
    /// given the credentials yet do not count; of them there are 64, and the oldest makes room for the next.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Limits how long it may take until a connection stands and has said for whom it is, and after that until the
    /// call has begun that it is for; 5 s unless set.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Limits how long the answer to a request is waited for that sets no limit of its own; 10 s unless set.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets after how much silence a ping is sent; 10 s unless set.
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Sets how long a client waits for Asterisk to connect again; 10 min unless set. Then it is closed, and the
    /// next connection is that of a new one. An Asterisk that has another entity id afterwards, as in a new
    /// container, never comes back to its client. The client of a call waits 5 s.
    pub const fn returns_within(mut self, limit: Duration) -> Self {
        self.returns_within = limit;
        self
    }

    /// Listens.
    ///
    /// # Errors
    /// [`Error::Connect`]: there are no credentials, the certificate cannot be used, or nothing can listen at
    /// the address.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing.
    pub async fn listen(self) -> Result<Listener> {
        let entrance = self.entrance().await?;
        let failed = |error: io::Error| Error::Connect {
            reason: format!("nothing can listen at {}", self.address),
            source: Some(error.into()),
        };
        let listener = TcpListener::bind(self.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(self.serve(entrance, listener, address))
    }

    /// Who may come in.
    pub(crate) async fn entrance(&self) -> Result<Entrance> {
        let missing = || Error::Connect {
            reason:
                "there are no credentials: set the user name and password that Asterisk has to give"
                    .into(),
            source: None,
        };
        let credentials = self.credentials.as_ref().ok_or_else(missing)?;
        let authorization = credentials.header()?;
        let tls = match &self.certificate {
            None => None,
            Some(certificate) => Some(acceptor(certificate.clone()).await?),
        };
        Ok(Entrance { authorization, tls })
    }

    /// Takes the connections that come in.
    pub(crate) fn serve(
        &self,
        entrance: Entrance,
        incoming: impl Incoming,
        address: SocketAddr,
    ) -> Listener {
        let (sender, accepted) = mpsc::channel(WAITING);
        let connections = self.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        let hub = Arc::new(Hub {
            entrance,
            limits: Limits {
                request: self.request_timeout,
                connect: self.handshake_timeout,
                keepalive: builder::keepalive(self.ping_interval),
            },
            lobby: Arc::default(),
            room: Arc::new(Semaphore::new(connections)),
            returns_within: self.returns_within,
            known: Mutex::default(),
            accepted: sender,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let serving = Arc::clone(&hub).serve(incoming);
        let stop = hub.stop.clone();
        hub.tracker
            .spawn(stop.clone().run_until_cancelled_owned(serving));
        Listener {
            address,
            accepted,
            tracker: hub.tracker.clone(),
            stop: stop.drop_guard(),
        }
    }
}

impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder")
            .field("address", &self.address)
            .field("tls", &self.certificate.is_some())
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

async fn acceptor(certificate: OwnCertificate) -> Result<TlsAcceptor> {
    let reading = spawn_blocking(move || tls::acceptor(&certificate)).await;
    reading.map_err(|error| Error::Connect {
        reason: "TLS could not be set up".into(),
        source: Some(error.into()),
    })?
}

/// A server for connections that Asterisk makes.
///
/// When it is dropped it listens no more: open connections stay, but end for good when they are lost.
#[must_use = "dropping it ends the listening"]
pub struct Listener {
    address: SocketAddr,
    accepted: mpsc::Receiver<Accepted>,
    tracker: TaskTracker,
    stop: DropGuard,
}

/// What Asterisk connected for.
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few of them, and each is taken apart at once"
)]
pub enum Accepted {
    /// The applications of a connection (`connection_type=persistent`). The client is that of the first one of
    /// `apps` in `ari.conf`; [`for_application`](Ari::for_application) narrows it to another one. When the
    /// connection is lost and Asterisk makes it again [in time](ListenerBuilder::returns_within), this client
    /// goes on with it.
    ///
    /// When another program has taken over the last of its applications, its streams end with
    /// [`End::Replaced`](ari_core::End::Replaced), and it is closed, as it is when Asterisk has unregistered the
    /// last one, or adds one. Asterisk connects again and says what the connection is for now, which gives a new
    /// client: what Asterisk does when it reads a changed configuration looks the same. Where it has others, the
    /// streams of the one that was taken over end. Should Asterisk say that it is registered here again, as it does when
    /// it connects anew, the log says so, and its new calls wait for the next stream of [`calls`](Ari::calls); but
    /// Asterisk 22.10.1 says so of what the other program has still. It answers all requests in the name of the first
    /// of its applications: once a program that has taken this one over is gone, it answers none, until it reads a
    /// changed configuration.
    ///
    /// Asterisk keeps what happens while it has no connection, and sends that first. A client that goes on hands it
    /// to its streams. A new one has none yet: its new calls are in the first stream of
    /// [`calls`](Ari::calls), the rest has nobody.
    Application(Ari),
    /// One call (`connection_type=per_call_config`): a client of an application that exists for this call
    /// only, `<application>:<channel name>`, and the call. It is closed when Asterisk closes the connection,
    /// about 3 s after the end of the call; one that is lost may come back for 5 s. A call that comes back later
    /// goes to the dialplan, as one for which Asterisk cannot connect.
    ///
    /// A channel that enters the application again is a new call with a client of its own. Should that be sooner than
    /// those 3 s, Asterisk (22.10.1) forgets the application with the connection of the first call: it tells and
    /// answers the second one nothing more.
    Call(Ari, IncomingCall),
}

impl Listener {
    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next new connection; `None`: there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }

    /// Stops listening, and waits until nothing is left of it.
    ///
    /// # Cancel safety
    /// It stops all the same when the future is dropped.
    pub async fn close(self) {
        let Self {
            accepted,
            tracker,
            stop,
            ..
        } = self;
        drop((stop, accepted));
        tracker.close();
        tracker.wait().await;
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Where connections come from.
pub(crate) trait Incoming: Send + 'static {
    /// Waits for the next one.
    fn accept(&mut self) -> impl Future<Output = io::Result<(BoxIo, SocketAddr)>> + Send;
}

impl Incoming for TcpListener {
    async fn accept(&mut self) -> io::Result<(BoxIo, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        // Of no account: whoever is gone already is found out soon.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "a connection keeps its delay");
        }
        Ok((Box::new(stream), address))
    }
}

struct Hub {
    entrance: Entrance,
    limits: Limits,
    lobby: Arc<Lobby>,
    /// For those that have given their credentials.
    room: Arc<Semaphore>,
    returns_within: Duration,
    /// The clients to which a connection may come back.
    known: Mutex<Vec<Known>>,
    accepted: mpsc::Sender<Accepted>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A client, and the entity id of its Asterisk.
struct Known {
    asterisk_id: Option<Arc<str>>,
    link: Weak<Link>,
}

impl Hub {
    async fn serve(self: Arc<Self>, mut incoming: impl Incoming) {
        loop {
            match incoming.accept().await {
                Ok((io, address)) => self.take(io, address),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, io: BoxIo, address: SocketAddr) {
        let (hub, guest) = (Arc::clone(self), self.lobby.enter());
        let welcome = async move {
            if let Err(reason) = hub.welcome(io, address, guest).await {
                tracing::warn!(%address, reason, "a connection that came is of no use");
            }
        };
        let stop = self.stop.clone();
        self.tracker.spawn(stop.run_until_cancelled_owned(welcome));
    }

    async fn welcome(&self, io: BoxIo, address: SocketAddr, guest: Guest) -> Result<(), String> {
        let limit = self.limits.connect;
        let deadline = after(limit);
        let peer = peer(address, self.entrance.tls.is_some());
        let admission = timeout_at(deadline, self.entrance.admit(io, &self.room));
        let admitted = guest.admitted(admission).await;
        let admitted = admitted.ok_or("it gave no credentials, and many others came")?;
        let socket = admitted.map_err(|_| format!("it did not open within {limit:?}"))??;
        let introduced = match introduced(socket, &peer, limit, deadline).await {
            Ok(introduced) => introduced,
            Err((_socket, reason)) => {
                sleep(REFUSED_FOR).await;
                return Err(reason);
            }
        };
        let Introduced {
            application,
            arrival,
            desk,
        } = introduced;
        let is_call = is_call(&application);
        let mut arrival = Box::new(arrival);
        let client = loop {
            let link = match self.client_of(&application, &arrival, &peer, &desk) {
                Whose::Known(link) => link,
                Whose::New(client) => break client,
            };
            let Door::Accept(doorway) = &link.door else {
                return Ok(());
            };
            match doorway.put(arrival).await {
                Ok(()) => return Ok(()),
                // That client has ended meanwhile.
                Err(back) => arrival = back,
            }
        };
        let link = Arc::clone(client.link());
        let ari = Ari::new(Arc::new(client));
        // Before anything is handed on that the call could be in.
        let calls = if is_call {
            Some(ari.calls().await.map_err(|error| error.to_string())?)
        } else {
            None
        };
        let (socket, greeting) = link.enter(*arrival).await;
        link.connected(&greeting);
        link.tracker
            .spawn(driver::run(Ending(Arc::clone(&link)), socket));
        let accepted = match calls {
            None => Accepted::Application(ari),
            Some(mut calls) => {
                let Ok(Some(call)) = timeout(limit, calls.next()).await else {
                    let given_back = give_back(&ari).await;
                    let left = given_back.err().map_or_else(String::new, |error| {
                        format!(", and Asterisk has it still: {error}")
                    });
                    return Err(format!("no call began within {limit:?}{left}"));
                };
                Accepted::Call(ari, call)
            }
        };
        // A client that has ended meanwhile is of no use to anybody.
        let sent = link
            .closing
            .run_until_cancelled(self.accepted.send(accepted));
        match sent.await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err("the program does not take it any more".to_owned()),
            None => Err("it was over before the program took it".to_owned()),
        }
    }

    /// The client that a socket comes back to, or a new one.
    fn client_of(
        &self,
        application: &Arc<str>,
        arrival: &Arrival,
        peer: &Peer,
        desk: &Arc<Desk>,
    ) -> Whose {
        let asterisk_id = &arrival.greeting.asterisk_id;
        // Asterisk answers in the name of the first application, also where another program took that over: the
        // client goes by its next one.
        let is_of = |first: &Arc<str>| first == application || arrival.registers(first);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|client| client.link.upgrade().is_some_and(|link| is_alive(&link)));
        let of_it = known
            .iter()
            .filter(|client| client.asterisk_id == *asterisk_id);
        let its = of_it
            .filter_map(|client| client.link.upgrade())
            .find(|link| link.first_application().is_some_and(|first| is_of(&first)));
        if let Some(link) = its {
            return Whose::Known(link);
        }
        let is_call = is_call(application);
        let doorway = Doorway::new(
            self.stop.clone(),
            self.tracker.clone(),
            is_call,
            self.returns_within,
        );
        let (application, desk) = (Arc::clone(application), Arc::clone(desk));
        let link = Link::accepted(application, peer.clone(), doorway, self.limits, desk);
        let client = Client::new(link);
        known.push(Known {
            asterisk_id: asterisk_id.clone(),
            link: Arc::downgrade(client.link()),
        });
        Whose::New(client)
    }
}

/// Whose a socket is that Asterisk opened.
enum Whose {
    Known(Arc<Link>),
    New(Client),
}

fn is_alive(link: &Link) -> bool {
    !matches!(
        link.state(),
        ConnectionState::Closed | ConnectionState::Replaced
    )
}

/// Sends a call back to the dialplan, as Asterisk does where it cannot connect: the client that served it has
/// ended while Asterisk had no connection.
async fn give_back(ari: &Ari) -> Result<()> {
    let application = ari.identity().application.unwrap_or_default();
    for channel in ari.channels().list().await?.items {
        let name = channel.snapshot().and_then(|known| known.name.as_deref());
        let before = name.and_then(|name| application.strip_suffix(name));
        if before.is_some_and(|before| before.ends_with(':')) {
            channel.continue_in_dialplan().await?;
        }
    }
    Ok(())
}

/// Whether an application is that of one call, `<application>:<channel name>`: the name of a channel is a
/// technology, a slash and the rest.
fn is_call(application: &str) -> bool {
    let channel = application.split_once(':').map(|(_, channel)| channel);
    channel.is_some_and(|channel| channel.contains('/'))
}
