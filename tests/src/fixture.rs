//! What a scenario runs on: a client by one transport, and the other side of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ari_core::{
    Ari, AriClient, Calls, ChannelHandle, IncomingCall, Metadata, Request, fresh_id,
    operations::asterisk::GET_GLOBAL_VAR,
};
use ari_native::{Accepted, Listener};
use ari_nats::NatsOptions;
use ari_proxy::{Options, Server};
use ari_sim::{Fault, Outbound, OutboundSocket};
use futures::StreamExt;
use serde_json::Value;

use crate::{
    asterisk::{self, Simulated},
    nats::NatsServer,
    recorder::{Recorder, Seen},
    relay::Relay,
    scenario::Failure,
    transport::{RealAsterisk, Transport},
    until::{until, within},
};

/// How long a client of the suite waits for an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which a client of the suite pings: a test finds a dead connection after twice as long.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Pause of the simulator before it connects again.
const RECONNECT: Duration = Duration::from_millis(20);

/// Why a scenario does not run on a real Asterisk.
pub const ONLY_SIMULATED: &str = "a real Asterisk does not do this on command";

/// Application that places the calls.
const CONTROL: &str = "ari-test-control";

/// What is there before the first scenario.
#[derive(Debug)]
pub struct Ground {
    nats: NatsServer,
    seen: [Seen; Transport::ALL.len()],
    scenarios: AtomicU64,
}

impl Ground {
    /// Starts what the scenarios share.
    pub async fn prepare() -> Self {
        Self {
            nats: NatsServer::start().await,
            seen: Default::default(),
            scenarios: AtomicU64::new(0),
        }
    }

    /// What went over a transport so far.
    pub fn seen(&self, transport: Transport) -> &Seen {
        let place = Transport::ALL.iter().position(|known| *known == transport);
        &self.seen[place.unwrap_or_default()]
    }
}

/// A client by one transport, and the other side of it.
#[derive(Debug)]
pub struct Fixture {
    transport: Transport,
    ari: Ari,
    application: String,
    /// Places the calls, past the transport under test.
    control: Ari,
    simulated: Option<Simulated>,
    /// Between the client and the other side.
    link: Option<Link>,
    /// Between the proxy and its Asterisk.
    trunk: Option<Link>,
    server: Option<Server>,
    nats_url: Option<String>,
    prefix: String,
    /// Where the simulator connects to.
    listener: Option<Listener>,
    /// The simulator's side of that.
    outbound: Option<OutboundSocket>,
    /// The front that the listener gave; its drop ends the client.
    accepted: Option<Ari>,
}

/// A relay on the way, and where it leads.
#[derive(Debug)]
pub struct Link {
    /// Relay.
    pub relay: Relay,
    target: String,
}

impl Link {
    async fn to(target: &str) -> Self {
        Self {
            relay: Relay::start(target).await,
            target: target.to_owned(),
        }
    }

    /// Lets connections through again after a cut.
    pub async fn restore(&self) {
        self.relay.restore(&self.target).await;
    }
}

impl Fixture {
    /// Sets one up, of its own for each scenario.
    pub async fn start(transport: Transport, ground: &Ground) -> Self {
        let number = ground.scenarios.fetch_add(1, Ordering::Relaxed);
        let real = RealAsterisk::from_environment().filter(|_| transport.is_real());
        let simulated = match &real {
            Some(_) => None,
            None => Some(Simulated::start("02:00:00:00:00:01").await),
        };
        let run = if real.is_some() {
            fresh_id()
        } else {
            String::new()
        };
        let application = format!("ari-test-{number}{run}");
        let control = match (&simulated, &real) {
            (Some(simulated), _) => Ari::new(simulated.client(CONTROL)),
            (None, Some(real)) => ari_native::connect(
                &real.url,
                format!("{CONTROL}-{number}{run}"),
                &real.user,
                &real.password,
            )
            .await
            .unwrap(),
            (None, None) => unreachable!("a transport is simulated or real"),
        };
        let asterisk = match (&simulated, &real) {
            (Some(simulated), _) => simulated.address().to_owned(),
            (None, Some(real)) => real.parts().0,
            (None, None) => String::new(),
        };
        let mut fixture = Self {
            transport,
            ari: control.child(),
            application,
            control,
            simulated,
            link: None,
            trunk: None,
            server: None,
            nats_url: None,
            prefix: format!("s{number}."),
            listener: None,
            outbound: None,
            accepted: None,
        };
        if transport.is_cluster() {
            fixture.trunk = Some(Link::to(&asterisk).await);
            let client = fixture
                .native(fixture.trunk.as_ref().unwrap(), real.as_ref())
                .await;
            let mut options = Options::default();
            options.prefix.clone_from(&fixture.prefix);
            let nats = NatsOptions::new(ground.nats.url());
            fixture.server = Some(Server::start(client, &nats, options).await.unwrap());
            fixture.link = Some(Link::to(ground.nats.address()).await);
        } else if transport == Transport::Outbound {
            fixture.listener = Some(listener().await);
        } else if transport != Transport::InProcess {
            fixture.link = Some(Link::to(&asterisk).await);
        }
        let client: Arc<dyn AriClient> = match (transport, &fixture.link) {
            (Transport::Outbound, _) => fixture.accept().await,
            (Transport::InProcess, _) | (_, None) => fixture
                .simulated
                .as_ref()
                .unwrap()
                .client(&fixture.application),
            (_, Some(link)) if !transport.is_cluster() => fixture.native(link, real.as_ref()).await,
            (_, Some(link)) => {
                fixture.nats_url = Some(format!("nats://{}", link.relay.address()));
                fixture
                    .cluster_client()
                    .application(&fixture.application)
                    .connect_client()
                    .await
                    .unwrap()
            }
        };
        let seen = ground.seen(transport).clone();
        fixture.ari = Ari::new(Arc::new(Recorder {
            inner: client,
            seen,
        }));
        fixture
    }

    /// Lets the simulator connect to the client.
    async fn accept(&mut self) -> Arc<dyn AriClient> {
        let listener = self.listener.as_mut().unwrap();
        let link = Link::to(&listener.local_addr().to_string()).await;
        let uri = format!("ws://{}/ari", link.relay.address());
        self.link = Some(link);
        let outbound = Outbound::persistent(uri, [&self.application])
            .credentials(Simulated::USER, Simulated::PASSWORD)
            .reconnect_interval(RECONNECT);
        let simulator = self.simulated.as_ref().unwrap().simulator();
        self.outbound = Some(simulator.dial(outbound).unwrap());
        match within("the simulator to connect", listener.accept()).await {
            Some(Accepted::Application(ari)) => Arc::clone(self.accepted.insert(ari).client()),
            other => panic!("{other:?} instead of the application"),
        }
    }

    async fn native(&self, link: &Link, real: Option<&RealAsterisk>) -> Arc<dyn AriClient> {
        let address = link.relay.address();
        let builder = match real {
            Some(real) => {
                let (_, path) = real.parts();
                ari_native::builder(format!("http://{address}/{path}"))
                    .credentials(&real.user, &real.password)
            }
            None => ari_native::builder(format!("http://{address}/ari"))
                .credentials(Simulated::USER, Simulated::PASSWORD),
        };
        let builder = if self.transport.is_rest_over_websocket() {
            builder.rest_over_websocket()
        } else {
            builder
        };
        builder
            .application(&self.application)
            .request_timeout(REQUEST_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .build_client()
            .await
            .unwrap()
    }

    fn cluster_client(&self) -> ari_proxy_client::Builder {
        ari_proxy_client::builder(self.nats_url.as_deref().unwrap_or_default())
            .prefix(&self.prefix)
            .request_timeout(REQUEST_TIMEOUT)
    }

    /// Ends it; what the scenario made through the client must be gone by then.
    pub async fn finish(self) {
        let router = self.ari.client().router().clone();
        until("what the scenario subscribed to to be gone", || async {
            (router.counts().subscriptions == 0 && router.counts().feeds == 0).then_some(())
        })
        .await;
        within("the client to close", self.ari.close())
            .await
            .unwrap();
        assert_eq!(router.counts().scopes, 0, "scopes are left: {router:?}");
        drop(self.outbound);
        if let Some(listener) = self.listener {
            within("the listener to end", listener.close()).await;
        }
        if let Some(server) = self.server {
            within("the proxy to end", server.shutdown()).await.unwrap();
        }
        within("the caller to close", self.control.close())
            .await
            .unwrap();
    }

    /// The transport.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The client under test.
    pub const fn ari(&self) -> &Ari {
        &self.ari
    }

    /// A client that goes past the transport under test.
    pub const fn control(&self) -> &Ari {
        &self.control
    }

    /// Application of the client.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// Entity id of the Asterisk.
    pub fn node(&self) -> String {
        let identity = self.control.identity();
        identity
            .asterisk_id
            .as_deref()
            .unwrap_or_default()
            .to_owned()
    }

    /// An endpoint of the suite's dialplan.
    pub fn endpoint(&self, name: &str) -> String {
        format!("Local/{name}@ari-test")
    }

    /// Lets a caller of the suite's dialplan call the application.
    pub async fn call_in(&self, caller: &str) -> Incoming {
        self.call_in_to(&self.application, caller).await
    }

    /// Lets a caller call another application.
    pub async fn call_in_to(&self, application: &str, caller: &str) -> Incoming {
        self.call_to(&format!("app-{application}"), caller).await
    }

    /// Lets a caller call an extension of the suite's dialplan.
    pub async fn call_to(&self, extension: &str, caller: &str) -> Incoming {
        let id = fresh_id();
        let call = self
            .control
            .channels()
            .originate(self.endpoint(extension))
            .context("ari-test")
            .extension(caller)
            .priority(1)
            .other_channel_id(&id);
        Incoming {
            caller: call.await.unwrap(),
            id,
        }
    }

    /// Lets a caller call, and takes the call.
    pub async fn take_call(&self, caller: &str) -> (Calls, IncomingCall) {
        let mut calls = self.ari.calls().await.unwrap();
        let incoming = self.call_in(caller).await;
        let call = within("the call", calls.next()).await.unwrap();
        assert_eq!(call.channel().id(), incoming.id);
        (calls, call)
    }

    /// Lets a caller call, and answers.
    pub async fn answered(&self, caller: &str) -> (Calls, ChannelHandle, ari_core::Events) {
        let (calls, call) = self.take_call(caller).await;
        let (channel, events) = call.into_parts();
        channel.answer().await.unwrap();
        (calls, channel, events)
    }

    /// A client without an application.
    ///
    /// # Errors
    /// The transport has none.
    pub async fn without_application(&self) -> Result<Ari, Failure> {
        if !self.transport.is_cluster() {
            return Err(Failure::NotHere(
                "a connection to one Asterisk is always made as an application",
            ));
        }
        Ok(self.cluster_client().connect().await?)
    }

    /// The way to the other side.
    ///
    /// # Errors
    /// The transport has none.
    pub fn link(&self) -> Result<&Link, Failure> {
        self.link.as_ref().ok_or(Failure::NotHere(
            "in the same process there is no connection that could break",
        ))
    }

    /// The way from the proxy to its Asterisk.
    ///
    /// # Errors
    /// The transport has none.
    pub fn trunk(&self) -> Result<&Link, Failure> {
        self.trunk
            .as_ref()
            .ok_or(Failure::NotHere("there is no proxy in between"))
    }

    /// The simulated Asterisk.
    ///
    /// # Errors
    /// It is a real one.
    pub fn simulated(&self) -> Result<&Simulated, Failure> {
        self.simulated
            .as_ref()
            .ok_or(Failure::NotHere(ONLY_SIMULATED))
    }

    /// The way on which the Asterisk is reached.
    fn line(&self) -> &Link {
        let line = self.trunk.as_ref().or(self.link.as_ref());
        line.expect("a real Asterisk is reached through a relay")
    }

    /// Tells the application this event as if the Asterisk did; what Asterisk would add is added.
    ///
    /// # Panics
    /// The application is not connected.
    pub fn inject(&self, event: &Value) {
        let told = self.try_inject(event);
        assert!(told.is_some(), "{} is not connected", self.application);
    }

    /// As [`inject`](Self::inject); `None` if the application is not connected.
    pub fn try_inject(&self, event: &Value) -> Option<()> {
        let node = match &self.simulated {
            Some(simulated) => simulated.simulator().asterisk_id(),
            None => self.node(),
        };
        self.try_inject_text(&asterisk::told(event, &self.application, &node))
    }

    /// As [`try_inject`](Self::try_inject), with a text that may be anything.
    pub fn try_inject_text(&self, text: &str) -> Option<()> {
        let told = match &self.simulated {
            Some(simulated) => simulated
                .simulator()
                .inject_event(&self.application, text.to_owned()),
            None => self.line().relay.inject(text),
        };
        told.then_some(())
    }

    /// Lets the Asterisk do what it is asked, and keeps its answers back.
    ///
    /// # Errors
    /// It cannot be.
    pub fn hold_answers(&self) -> Result<(), Failure> {
        match &self.simulated {
            Some(simulated) => {
                simulated.simulator().inject(Fault::NoAnswer)?;
            }
            None => self.line().relay.hold(),
        }
        Ok(())
    }

    /// Ends [`hold_answers`](Self::hold_answers).
    pub fn release_answers(&self) {
        match &self.simulated {
            Some(simulated) => simulated.simulator().clear_faults(),
            None => self.line().relay.release(),
        }
    }

    /// What the Asterisk has in a global variable, whatever goes wrong on the way.
    pub async fn global(&self, name: &str) -> Option<String> {
        if let Some(simulated) = &self.simulated {
            let read = Request::new(&GET_GLOBAL_VAR, Metadata::default());
            let read = read.with("variable", name);
            let answer = simulated.simulator().request(&read).await;
            let body: Value = serde_json::from_slice(&answer.body).ok()?;
            Some(body["value"].as_str()?.to_owned())
        } else {
            let read = self.control.asterisk().get_global_var(name).await;
            read.ok()?.value
        }
    }
}

async fn listener() -> Listener {
    ari_native::listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .credentials(Simulated::USER, Simulated::PASSWORD)
        .request_timeout(REQUEST_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .listen()
        .await
        .unwrap()
}

/// A call that comes in.
#[derive(Debug)]
pub struct Incoming {
    /// Id of the channel that enters the application.
    pub id: String,
    /// The caller's half, which is no concern of the client under test.
    pub caller: ChannelHandle,
}
