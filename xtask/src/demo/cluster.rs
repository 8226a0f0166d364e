//! The processes of the demo: nats-server, Asterisks, proxies and workers.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use crate::{process::Process, programs::Programs};

use super::{
    Arguments,
    nats_server::NatsServer,
    nodes::{self, Node, Record},
    progress::Progress,
};

/// The Stasis application of the workers.
pub(super) const APPLICATION: &str = "ari-demo";

/// What `welcome` plays first.
pub(super) const GREETING: &str = "sound:hello-world";

/// How long a caller waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a caller stays when nobody hangs up.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// How often the calls are counted.
const COUNT: Duration = Duration::from_millis(200);

/// Everything that runs; its drop ends it all.
#[derive(Debug)]
pub(super) struct Cluster {
    // Dropped in this order: workers first, nats-server last.
    workers: Vec<Process>,
    proxies: Vec<Process>,
    pub(super) nodes: Vec<Node>,
    pub(super) nats: NatsServer,
}

impl Cluster {
    /// Starts proxies and workers, and waits until they are ready for calls.
    pub(super) async fn start(
        arguments: &Arguments,
        programs: &Programs,
        nats: NatsServer,
        nodes: Vec<Node>,
        logs: &Path,
    ) -> Result<Self> {
        let mut proxies = Vec::new();
        for (name, node) in names(&nodes).zip(&nodes) {
            let mut command = programs.command("ari-proxy")?;
            node.url().tell(&mut command);
            command
                .args(["--application", APPLICATION, "--node-id", &name])
                .env("NATS_URL", &nats.url);
            proxies.push(Process::spawn(format!("ari-proxy-{name}"), command, logs)?);
        }
        for proxy in &mut proxies {
            proxy.line_with("serving").await?;
        }
        let mut workers = Vec::new();
        for desk in 1..=arguments.workers + u32::from(arguments.sabotage) {
            let mut command = programs.command("welcome")?;
            command
                .args(["--application", APPLICATION, "--desk", &desk.to_string()])
                .env("NATS_URL", &nats.url);
            let mut name = format!("worker-{desk}");
            if desk > arguments.workers {
                command.arg("--sabotage");
                name.push_str("-saboteur");
            }
            workers.push(Process::spawn(name, command, logs)?);
        }
        for worker in &mut workers {
            worker.line_with("ready").await?;
        }
        eprintln!(
            "demo: {} nodes and {} workers are ready",
            nodes.len(),
            workers.len()
        );
        Ok(Self {
            workers,
            proxies,
            nodes,
            nats,
        })
    }

    /// Lets the calls come, to all nodes at once.
    pub(super) async fn place_calls(
        &mut self,
        arguments: &Arguments,
        programs: &Programs,
        logs: &Path,
    ) -> Result<()> {
        let nodes = self.nodes.len();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.place_calls(arguments, (index, nodes), programs, logs)
                .await?;
        }
        Ok(())
    }

    /// Waits until all calls have ended; gives what became of those of each node.
    pub(super) async fn wait_for_calls(
        &mut self,
        arguments: &Arguments,
    ) -> Result<Vec<Vec<Record>>> {
        let deadline = Instant::now() + arguments.placing() + PATIENCE + LIMIT;
        let calls = u64::from(arguments.calls);
        let mut progress = Progress::new(calls);
        loop {
            self.check()?;
            let mut ended = 0;
            for node in &self.nodes {
                ended += node.ended().await?;
            }
            progress.show(ended);
            if ended >= calls || Instant::now() > deadline {
                break;
            }
            sleep(COUNT).await;
        }
        progress.finish();
        let mut records = Vec::new();
        for node in &self.nodes {
            records.push(node.records().await?);
        }
        Ok(records)
    }

    /// How many channels are left on all nodes.
    pub(super) async fn leftover_channels(&mut self) -> Result<u64> {
        let mut left = 0;
        for node in &mut self.nodes {
            left += node.leftover_channels().await?;
        }
        Ok(left)
    }

    /// Fails if something has ended that must go on.
    fn check(&mut self) -> Result<()> {
        self.nats.process.check()?;
        for node in &mut self.nodes {
            node.check()?;
        }
        let mut rest = self.proxies.iter_mut().chain(&mut self.workers);
        rest.try_for_each(Process::check)
    }

    /// Ends everything in good order: workers, then proxies, then the rest. Says what does not.
    pub(super) async fn stop(mut self) -> Vec<anyhow::Error> {
        let mut complaints = Vec::new();
        for group in [&mut self.workers, &mut self.proxies] {
            for process in group.iter() {
                complaints.extend(process.tell_to_end().await.err());
            }
            for process in group.iter_mut() {
                complaints.extend(process.ended().await.err());
            }
        }
        complaints
    }
}

fn names(nodes: &[Node]) -> impl Iterator<Item = String> {
    (1..).map(nodes::name).take(nodes.len())
}
