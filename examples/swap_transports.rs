//! One application on three transports: a simulator in this process, one Asterisk, or a whole cluster.
//!
//! ```console
//! $ cargo run -p ari-examples --bin swap_transports -- simulator
//! $ ARI_USERNAME=asterisk ARI_PASSWORD=secret cargo run -p ari-examples --bin swap_transports -- asterisk
//! $ NATS_URL=nats://127.0.0.1:4222 cargo run -p ari-examples --bin swap_transports -- cluster
//! ```
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::process::ExitCode;

use anyhow::{Result, bail};
use ari_core::{Ari, StreamItem};
use ari_sim::Simulator;
use clap::{Parser, ValueEnum};
use futures::StreamExt as _;

/// Runs the same application on a transport of your choice.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the application runs
    transport: Transport,
    /// Whom it calls
    #[arg(long, default_value = "Local/answer@ari-demo")]
    endpoint: String,
    /// Its name as a Stasis application
    #[arg(long, env = "ARI_APPLICATION", default_value = "swap")]
    application: String,
    /// URL of the ARI, for one Asterisk
    #[arg(
        long,
        env = "ARI_HTTP_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8088/ari"
    )]
    url: String,
    /// User of the ARI, for one Asterisk
    #[arg(long, env = "ARI_USERNAME", default_value = "asterisk")]
    username: String,
    /// Password of that user
    #[arg(
        long,
        env = "ARI_PASSWORD",
        hide_env_values = true,
        default_value = "asterisk"
    )]
    password: String,
    /// NATS servers, for a cluster
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222"
    )]
    nats_url: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    /// An Asterisk simulated in this process: nothing else is needed
    Simulator,
    /// One Asterisk, over HTTP and WebSocket
    Asterisk,
    /// All Asterisks of a cluster, over NATS
    Cluster,
}

#[tokio::main]
async fn main() -> ExitCode {
    ari_examples::start_log();
    ari_examples::report("swap_transports", run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        url,
        application,
        username,
        password,
        nats_url,
        endpoint,
        transport,
    } = arguments;
    match transport {
        Transport::Simulator => {
            let simulator = Simulator::builder().start();
            announce(&simulator.connect(&application)?, &application, &endpoint).await
        }
        Transport::Asterisk => {
            let ari = ari_native::connect(url, &application, username, password).await?;
            announce(&ari, &application, &endpoint).await
        }
        Transport::Cluster => {
            let ari = ari_proxy_client::connect(&nats_url, &application).await?;
            announce(&ari, &application, &endpoint).await
        }
    }
}

/// The application: it calls somebody and plays an announcement, and knows nothing of transports.
async fn announce(ari: &Ari, application: &str, endpoint: &str) -> Result<()> {
    let call = ari.channels().originate(endpoint).app(application);
    let (channel, mut events) = call.staged().await?.send().await?;
    loop {
        match events.next().await {
            Some(StreamItem::Event(event)) if event.kind() == "StasisStart" => break,
            Some(_) => {}
            None => bail!("nobody answered"),
        }
    }
    channel.play("sound:hello-world").await?.finished().await?;
    channel.hangup().await?;
    channel.until_hungup().await?;
    println!("announced to {}", channel.entity());
    Ok(ari.close().await?)
}
