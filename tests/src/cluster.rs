//! A cluster in one process: simulators, each with its proxy, on a real nats-server.

use std::{sync::Arc, time::Duration};

use ari_core::{Ari, AriClient, ChannelHandle, fresh_id};
use ari_nats::NatsOptions;
use ari_proxy::{Options, Server};

use crate::{asterisk::Simulated, nats::NatsServer, until::within};

/// Application of the clusters of the suite.
pub const APPLICATION: &str = "shop";

/// An Asterisk with its proxy.
#[derive(Debug)]
pub struct Node {
    /// Entity id.
    pub id: String,
    /// The Asterisk.
    pub simulated: Simulated,
    /// Its proxy.
    pub server: Option<Server>,
    /// What the proxy stands on.
    pub upstream: Option<Arc<dyn AriClient>>,
    control: Ari,
}

impl Node {
    /// Starts the Asterisk of this number without a proxy.
    pub async fn start(number: usize) -> Self {
        let id = format!("02:00:00:00:01:{number:02}");
        let simulated = Simulated::start(&id).await;
        let control = Ari::new(simulated.client("control"));
        Self {
            id,
            simulated,
            server: None,
            upstream: None,
            control,
        }
    }

    /// Puts a proxy for an application before it.
    pub async fn serve(&mut self, application: &str, nats_url: &str) {
        let client = self.simulated.client(application);
        self.upstream = Some(Arc::clone(&client));
        self.server = Some(serve(client, nats_url, Options::default()).await);
    }

    /// The Asterisk itself, past the proxy.
    pub const fn control(&self) -> &Ari {
        &self.control
    }

    /// Lets a caller of the suite's dialplan call; gives the id of the channel in the application.
    pub async fn call_in(&self, application: &str, caller: &str) -> String {
        let id = fresh_id();
        let call = self
            .control
            .channels()
            .originate(format!("Local/app-{application}@ari-test"))
            .context("ari-test")
            .extension(caller)
            .priority(1)
            .other_channel_id(&id);
        call.await.unwrap();
        id
    }

    /// A channel that runs in the dialplan.
    pub async fn channel(&self) -> ChannelHandle {
        let call = self
            .control
            .channels()
            .originate("Local/answers@ari-test")
            .context("ari-test")
            .extension("waits")
            .priority(1);
        call.await.unwrap()
    }

    /// Kills the proxy: it says no goodbye.
    pub fn kill(&mut self) {
        drop(self.server.take());
    }

    /// Ends the proxy in good order.
    pub async fn leave(&mut self) {
        let server = self.server.take().expect("it is served");
        within("the proxy to end", server.shutdown()).await.unwrap();
    }
}

/// Starts a proxy before a client.
pub async fn serve(client: Arc<dyn AriClient>, nats_url: &str, options: Options) -> Server {
    Server::start(client, &NatsOptions::new(nats_url), options)
        .await
        .unwrap()
}

/// Several of them on one nats-server.
#[derive(Debug)]
pub struct Cluster {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// NATS.
    pub nats: NatsServer,
}

impl Cluster {
    /// Starts so many nodes.
    pub async fn start(nodes: usize) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            nats: NatsServer::start().await,
        };
        for number in 1..=nodes {
            let mut node = Node::start(number).await;
            node.serve(APPLICATION, cluster.nats.url()).await;
            cluster.nodes.push(node);
        }
        cluster
    }

    /// Begins a connection of a client.
    pub fn builder(&self) -> ari_proxy_client::Builder {
        ari_proxy_client::builder(self.nats.url())
            .application(APPLICATION)
            .request_timeout(Duration::from_secs(5))
    }

    /// Connects a client.
    pub async fn client(&self) -> Ari {
        self.builder().connect().await.unwrap()
    }

    /// Connects to NATS itself.
    pub async fn raw(&self) -> async_nats::Client {
        async_nats::connect(self.nats.url()).await.unwrap()
    }

    /// The node of this id.
    pub fn node(&self, id: &str) -> &Node {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.unwrap_or_else(|| panic!("there is no node {id}"))
    }

    /// The subjects that connections are subscribed to whose name begins like this, sorted.
    pub async fn subjects(&self, name: &str) -> Vec<String> {
        let connections = self.nats.connections().await;
        let ours = connections
            .into_iter()
            .filter(|connection| connection.name.starts_with(name));
        let mut subjects: Vec<String> = ours.flat_map(|connection| connection.subjects).collect();
        subjects.sort();
        subjects
    }
}
