//! The demo: calls across a cluster of real processes, counted from the callers' side.

mod cluster;
mod figures;
mod nats_server;
mod nodes;
mod progress;
mod real;
mod simulated;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Interrupted, interrupted},
    programs::Programs,
};
use cluster::Cluster;
use figures::Figures;
use nats_server::NatsServer;
use nodes::{AsteriskUrl, GivenUrl};

/// What the demo carries.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many Asterisks are simulated, each with its own ari-proxy.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// How many workers take the calls.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    workers: u32,
    /// How many calls are placed, over all nodes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// How many calls are placed in a second, over all nodes.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Add a worker that takes every call although it is another's turn; the demo must notice.
    #[arg(long)]
    sabotage: bool,
    /// ARI of a real Asterisk to use instead of simulated ones, with its credentials, as in
    /// `http://user:password@host:8088/ari`; may be given several times.
    #[arg(long, value_name = "URL", conflicts_with = "nodes")]
    asterisk: Vec<GivenUrl>,
    /// Whom the calls of a real Asterisk come from: an endpoint that answers and presses a digit.
    #[arg(long, requires = "asterisk", default_value = "Local/answer@ari-demo")]
    endpoint: String,
}

impl Arguments {
    /// How many calls each node places.
    fn share(&self, node: usize, nodes: usize) -> u32 {
        let node = u32::try_from(node).unwrap_or(u32::MAX);
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        self.calls / nodes + u32::from(node < self.calls % nodes)
    }

    /// The pause between two calls of one node.
    fn interval(&self, nodes: usize) -> Duration {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        Duration::from_secs(1) * nodes / self.rate
    }

    /// How long it takes to place all calls.
    fn placing(&self) -> Duration {
        Duration::from_secs(1) * self.calls / self.rate
    }
}

/// Runs the demo.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let real: Vec<AsteriskUrl> = arguments
        .asterisk
        .iter()
        .map(GivenUrl::read)
        .collect::<Result<_>>()?;
    let server = crate::nats::find_or_fetch()?;
    eprintln!("demo: building the programs");
    let programs = Programs::build(&["-p", "ari-proxy", "-p", "ari-sim", "-p", "ari-examples"])?;
    let logs = tempfile::Builder::new()
        .prefix("ari-demo-")
        .tempdir()
        .context("cannot make a folder for the logs")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            // A child that ended by the same Ctrl-C is not what is wrong.
            biased;
            error = interrupted() => Err(error),
            outcome = demo(arguments, &real, &programs, &server, logs.path()) => outcome,
        }
    });
    match outcome {
        Ok(figures) => {
            let clean = figures.are_clean(arguments.calls);
            for complaint in &figures.complaints {
                eprintln!("demo: {complaint:#}");
            }
            if !clean {
                eprintln!("demo: logs are in {}", logs.keep().display());
            }
            let mut out = io::stdout().lock();
            write!(out, "{}", figures.table())?;
            writeln!(out, "{}", figures.line(arguments.calls))?;
            Ok(if clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => bail!("{error:#} (logs are in {})", logs.keep().display()),
    }
}

/// Starts everything, lets the calls come, and counts.
async fn demo(
    arguments: &Arguments,
    real: &[AsteriskUrl],
    programs: &Programs,
    server: &Path,
    logs: &Path,
) -> Result<Figures> {
    let nats = NatsServer::start(server, logs).await?;
    let nodes = nodes::start(arguments.nodes, real, programs, logs).await?;
    let mut cluster = Cluster::start(arguments, programs, nats, nodes, logs).await?;
    let baseline = cluster.nats.subscriptions().await?;
    cluster.place_calls(arguments, programs, logs).await?;
    let records = cluster.wait_for_calls(arguments).await?;
    let mut figures = Figures::new(&records);
    figures.leftover_channels = cluster.leftover_channels().await?;
    figures.leftover_subscriptions = cluster.nats.leftover(&baseline).await?;
    figures.complaints = cluster.stop().await;
    Ok(figures)
}
